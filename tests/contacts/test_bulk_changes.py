"""Many people changed at once: everybody chosen accounted for, nobody twice, and taken back as far as nobody else has changed her since."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.scope import EVERYTHING
from contacts import longjobs
from contacts.models import BulkChange, BulkPart, Contact, OwnershipChange, Stage, StageTransition
from contacts.services import bulk
from contacts.services.ownership import assign_owner
from contacts.services.stages import change_stage
from scrm.lib import clock
from scrm.lib.errors import Conflict, UserError
from tenants import retention
from tenants.ledger.models import AuditEntry, Job
from tests.support import contacts as people

pytestmark = pytest.mark.django_db


@pytest.fixture
def stages() -> dict[str, Stage]:
    return people.make_stages()


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of two people, and a long job for more than one."""
    monkeypatch.setattr(bulk, "PART", 2)
    monkeypatch.setattr(bulk, "AT_ONCE", 1)


def customers(count: int, *, stage: Stage | None = None, member: Any = None) -> list[Contact]:
    member = member or people.make_member(store=people.make_store())
    return [people.make_follow(people.make_contact(stage=stage), member).contact for _number in range(count)]


def to_stage(stage: Stage, actor: Any, *, scope: Any = EVERYTHING) -> BulkChange:
    listed = Contact.objects.filter(root__isnull=True)
    params = {"stage": stage.pk, "reason": "会员日"}
    return bulk.start("stage", listed, params, scope, by=actor, expected=listed.count())


def work() -> None:
    assert longjobs.drain(clock.wall() + timedelta(seconds=20)) is False


def figures(change: BulkChange) -> tuple[int, ...]:
    change.refresh_from_db()
    return change.total, change.changed, change.unchanged, change.refused


def undo_figures(change: BulkChange) -> tuple[int, ...]:
    change.refresh_from_db()
    return change.undone, change.kept, change.stuck


def text(response: Any, status: int = 200) -> str:
    assert response.status_code == status, response.status_code
    return response.content.decode()


def test_a_long_change_goes_on_after_a_crash_and_changes_nobody_twice(
    stages: dict[str, Stage], actor: Any, few: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    customers(5, stage=stages["new"])
    customers(1, stage=stages["loyal"])
    change = to_stage(stages["loyal"], actor)
    assert figures(change) == (6, 0, 0, 0) and change.job_id
    real, calls = bulk._note, []

    def dies(job: Job, done: int) -> None:
        calls.append(done)
        if len(calls) == 2:
            raise RuntimeError("killed")
        real(job, done)

    monkeypatch.setattr(bulk, "_note", dies)
    work()

    assert figures(change) == (6, 5, 1, 0) and change.ended_at
    assert StageTransition.objects.filter(reason="会员日").count() == 5
    assert Job.objects.get(pk=change.job_id).done == 6
    assert AuditEntry.objects.filter(action="bulk.started").count() == 1


def test_who_leaves_the_scope_before_her_turn_is_left_alone_and_counted(
    stages: dict[str, Stage], make_user: Any, few: None
) -> None:
    from accounts.scope import data_scope
    from tests.support.core import actor_of

    jing, wu = people.make_store("静安寺"), people.make_store("五角场")
    manager = make_user(role="store", scope=jing)
    hers = customers(3, stage=stages["new"], member=people.make_member(store=jing))
    change = to_stage(stages["loyal"], actor_of(manager), scope=data_scope(manager, "contacts.edit"))
    Contact.objects.filter(pk=hers[0].pk).update(store=wu)
    Contact.objects.filter(pk=hers[1].pk).update(root=hers[2])
    work()

    assert figures(change) == (3, 1, 0, 2)
    assert bulk.count_reasons(change, "refused") == [("已不在数据范围内,或已并入其他客户", 2)]


def test_an_undo_sets_back_those_nobody_changed_since_once(
    stages: dict[str, Stage], actor: Any, few: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, third, fourth = customers(4, stage=stages["new"])
    Contact.objects.filter(pk=fourth.pk).update(stage=stages["lapsed"])
    change = to_stage(stages["loyal"], actor)
    work()
    later = clock.now()
    change_stage([second.pk], stages["repeat"], source="manual", reason="x", by=actor, at=later)
    # Away and back again is a decision too.
    change_stage([third.pk], stages["repeat"], source="manual", reason="x", by=actor, at=later)
    change_stage([third.pk], stages["loyal"], source="manual", reason="x", by=actor, at=later + timedelta(seconds=1))
    Stage.objects.filter(key="lapsed").update(is_archived=True)

    bulk.ask_undo(change.pk, EVERYTHING, by=actor)
    bulk.ask_undo(change.pk, EVERYTHING, by=actor)
    work()

    assert undo_figures(change) == (1, 2, 1)
    assert [Contact.objects.get(pk=one.pk).stage.key for one in (first, second, third, fourth)] == [
        "new", "repeat", "loyal", "loyal",
    ]  # fmt: skip
    assert first.stage_transitions.order_by("-pk").first().reason == "撤销批量操作"
    assert AuditEntry.objects.filter(action="bulk.undo_asked").count() == 1
    assert Job.objects.filter(kind=bulk.UNDO).count() == 1


def test_an_undo_under_way_stops_what_is_left_to_do(stages: dict[str, Stage], actor: Any, few: None) -> None:
    customers(4, stage=stages["new"])
    change = to_stage(stages["loyal"], actor)
    assert bulk._run_part(change.pk)
    bulk.ask_undo(change.pk, EVERYTHING, by=actor)
    work()

    assert figures(change) == (4, 2, 0, 0)
    assert undo_figures(change) == (2, 0, 0)
    assert Contact.objects.filter(stage=stages["new"]).count() == 4


def test_it_is_too_late_after_a_day(stages: dict[str, Stage], actor: Any) -> None:
    customers(1, stage=stages["new"])
    change = to_stage(stages["loyal"], actor)
    BulkChange.objects.filter(pk=change.pk).update(created_at=clock.now() - timedelta(hours=25))
    with pytest.raises(UserError, match="24 小时"):
        bulk.ask_undo(change.pk, EVERYTHING, by=actor)
    assert Contact.objects.get().stage == stages["loyal"]


def test_what_cannot_be_done_begins_with_nobody(stages: dict[str, Stage], actor: Any) -> None:
    customers(2, stage=stages["new"])
    Stage.objects.filter(key="loyal").update(is_archived=True)
    with pytest.raises(UserError, match="已停用"):
        to_stage(stages["loyal"], actor)
    with pytest.raises(Conflict):
        bulk.start(
            "stage", Contact.objects.all(), {"stage": stages["new"].pk, "reason": ""}, EVERYTHING, by=actor, expected=9
        )
    with pytest.raises(UserError, match="还没有选择"):
        bulk.start(
            "stage", Contact.objects.none(), {"stage": stages["new"].pk, "reason": ""}, EVERYTHING, by=actor, expected=0
        )
    assert not BulkChange.objects.exists() and not BulkPart.objects.exists()


# --- 改归属 -----------------------------------------------------------------------------------------------------


def test_credit_goes_to_a_friend_and_the_page_says_first_for_how_many(acme_client: Any) -> None:
    lin, mei = (
        people.make_member("林小雅", store=people.make_store()),
        people.make_member("梅梅", store=people.make_store()),
    )
    shared, stranger, hers = customers(3, member=lin)
    people.make_follow(shared, mei, own=False)
    people.make_follow(hers, mei)
    Contact.objects.filter(pk=hers.pk).update(owner=mei, store=mei.store)
    body = {"select_all": "1", "expected": 3, "member": mei.pk}
    asked = text(acme_client.post("/contacts/bulk/", {**body, "action": "owner"}))
    assert "已选 3 位客户" in asked and "梅梅" in asked
    counted = acme_client.post("/contacts/bulk/owner/", body)
    assert counted.context["counts"] == {"can": 1, "already": 1, "strangers": 1}
    assert "需先转移客户" in text(counted) and not OwnershipChange.objects.exists()

    again = acme_client.post(
        "/contacts/bulk/owner/", {**body, "sure": "1", "again": "1"}
    )  # another guide, the same people
    assert again.status_code == 200 and 'name="select_all"' in text(again) and 'id="bulk-owner"' in text(again)
    page = text(acme_client.post("/contacts/bulk/owner/", {**body, "sure": "1"}, follow=True))

    change = BulkChange.objects.get()
    assert figures(change) == (3, 1, 1, 1)
    assert "与该导购不是好友,需先转移客户" in page and stranger.name in page
    shared.refresh_from_db()
    assert (shared.owner, shared.store) == (mei, mei.store)

    acme_client.post(f"/contacts/bulk/changes/{change.pk}/undo/")
    assert undo_figures(change) == (1, 0, 0)
    shared.refresh_from_db()
    assert (shared.owner, shared.store) == (lin, lin.store)
    assert OwnershipChange.objects.filter(contact=shared).count() == 2


def test_credit_given_on_since_stays_and_nobody_is_a_former_owner_too(actor: Any) -> None:
    lin, mei = people.make_member(store=people.make_store()), people.make_member(store=people.make_store())
    first, second = customers(2, member=lin)
    for one in (first, second):
        people.make_follow(one, mei, own=False)
    Contact.objects.filter(pk=first.pk).update(owner=None, store=None)
    change = bulk.start("owner", Contact.objects.all(), {"member": mei.pk}, EVERYTHING, by=actor, expected=2)
    later = clock.now() + timedelta(seconds=1)
    assign_owner([second.pk], lin, by=actor, at=later)
    assign_owner([second.pk], mei, by=actor, at=later + timedelta(seconds=1))

    bulk.ask_undo(change.pk, EVERYTHING, by=actor)

    assert undo_figures(change) == (1, 1, 0)
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.owner, first.store, second.owner) == (None, None, mei)


def test_a_guide_does_not_decide_on_credit_nor_on_what_others_changed(
    log_in: Any, make_user: Any, stages: dict[str, Stage], actor: Any
) -> None:
    user = make_user(role="guide")
    lin = people.make_member("林小雅", store=people.make_store(), user=user)
    [own] = customers(1, stage=stages["new"], member=lin)
    client = log_in(user)
    body = {"ids": [own.pk], "expected": 1, "member": lin.pk}
    assert client.post("/contacts/bulk/", {**body, "action": "owner"}).status_code == 404
    assert client.post("/contacts/bulk/owner/", body).status_code == 403
    assert "改归属" not in text(client.get("/contacts/"))
    change = to_stage(stages["loyal"], actor)
    assert client.get(f"/contacts/bulk/changes/{change.pk}/").status_code == 404
    assert client.post(f"/contacts/bulk/changes/{change.pk}/undo/").status_code == 404
    mine = client.post("/contacts/bulk/stage/", {**body, "stage": stages["repeat"].pk, "reason": "回购"})
    assert "已更改" in text(client.get(mine["Location"]))
    assert log_in("approver").post(f"/contacts/bulk/changes/{change.pk}/undo/").status_code == 404
    assert log_in("approver").post("/contacts/bulk/owner/", body).status_code == 403


# --- Pages ------------------------------------------------------------------------------------------------------


def test_the_record_costs_as_many_queries_for_ten_as_for_one(
    acme_client: Any, stages: dict[str, Stage], actor: Any
) -> None:
    assert "还没有批量操作" in text(acme_client.get("/contacts/bulk/changes/"))
    customers(1, stage=stages["new"])
    keys = ["loyal", "repeat"] * 5

    def cost() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert "撤销" in text(acme_client.get("/contacts/bulk/changes/"))
        return len(captured)

    to_stage(stages[keys[0]], actor)
    few = cost()
    for key in keys[1:]:
        to_stage(stages[key], actor)
    assert cost() == few <= 14


def test_the_page_of_a_change_moves_while_it_runs(
    acme_client: Any, stages: dict[str, Stage], actor: Any, few: None
) -> None:
    customers(3, stage=stages["new"])
    change = to_stage(stages["loyal"], actor)
    url = f"/contacts/bulk/changes/{change.pk}/"
    assert "hx-get" in text(acme_client.get(url)) and "还没处理" in text(acme_client.get(f"{url}status/"))
    work()
    page = text(acme_client.get(f"{url}status/"))
    assert "已完成" in page and "hx-get" not in page and "可撤销至" in page
    assert "批量操作记录" in text(acme_client.get("/contacts/"))


def test_a_job_given_up_says_so_and_what_was_done_can_go_back(
    acme_client: Any, stages: dict[str, Stage], actor: Any, few: None
) -> None:
    customers(4, stage=stages["new"])
    change = to_stage(stages["loyal"], actor)
    assert bulk._run_part(change.pk)
    Stage.objects.filter(key="loyal").update(is_archived=True)
    work()
    page = text(acme_client.get(f"/contacts/bulk/changes/{change.pk}/"))
    assert "没有完成" in page and "已停用" in page and figures(change) == (4, 2, 0, 0)
    text(acme_client.post(f"/contacts/bulk/changes/{change.pk}/undo/", follow=True))
    work()
    assert undo_figures(change) == (2, 0, 0)


def test_records_go_with_their_time(stages: dict[str, Stage], actor: Any) -> None:
    customers(1, stage=stages["new"])
    to_stage(stages["loyal"], actor)
    kind = next(one for one in retention.all_kinds() if one.key == "bulk_changes")
    assert kind.prune(clock.now() + timedelta(days=1), 10) == 1
    assert not BulkPart.objects.exists()
