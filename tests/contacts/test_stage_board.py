"""Stages as pages: the board, moving by hand, the overdue, and stages added, reordered, put out of use."""

from collections.abc import Callable
from datetime import time, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.scope import EVERYTHING
from campaigns.services import sops
from contacts import longjobs
from contacts.models import Contact, Member, Stage, StageTransition
from contacts.services import stage_editing, stage_rules
from contacts.services.stages import change_stage
from scrm.lib import clock
from scrm.lib.errors import Conflict, UserError
from tagging.services import rules, segments
from tenants.audit import SYSTEM, Actor
from tenants.ledger.models import AuditEntry, Job
from tests.support import campaigns
from tests.support import contacts as people
from tests.support.tagging import tree_of

pytestmark = pytest.mark.django_db
HQ = Actor("user", 1, "李敏")


@pytest.fixture
def stages() -> dict[str, Stage]:
    return people.make_stages()


def customer(name: str, stage: Stage | None, member: Member, *, days: float = 1) -> Contact:
    """A friend of the guide who has stood in the stage for some days."""
    since = clock.now() - timedelta(days=days) if stage else None
    return people.make_follow(people.make_contact(name, stage=stage, stage_since=since), member).contact


def guide(store: Any = None) -> Member:
    return people.make_member("林小雅", store=store or people.make_store())


def text(response: Any, status: int = 200) -> str:
    assert response.status_code == status, response.status_code
    return response.content.decode()


def shown(client: Client, **query: Any) -> dict[str, tuple[int, int]]:
    """Column → (people, overdue) of the board."""
    response = client.get("/board/", query)
    assert response.status_code == 200
    return {
        column["stage"].key if column["stage"] else "none": (column["count"], column["overdue"])
        for column in response.context["columns"]
    }


# --- The board --------------------------------------------------------------------------------------------------


def test_the_board_counts_who_stands_where_within_the_scope_and_the_filters(acme_client, make_user, log_in, stages):
    jing, wu = people.make_store("静安寺"), people.make_store("五角场")
    lin, mei = guide(jing), people.make_member("梅梅", store=wu)
    for number in range(3):
        customer(f"甲{number}", stages["new"], lin)
    customer("乙", stages["loyal"], mei)
    customer("丙", None, mei)

    everything = shown(acme_client)
    assert (everything["new"], everything["loyal"], everything["none"]) == ((3, 0), (1, 0), (1, 0))
    assert shown(acme_client, store=wu.pk)["new"] == (0, 0)
    user = make_user(role="store", scope=jing)
    assert {key: n for key, (n, _late) in shown(log_in(user)).items() if n} == {"new": 3}


def test_each_figure_of_the_board_opens_into_as_many_customers(acme_client, stages):
    Stage.objects.filter(key="new").update(max_days=7)
    lin = guide()
    for days in (1, 8, 30):
        customer(f"甲{days}", stages["new"], lin, days=days)
    customer("乙", None, lin)
    for column in acme_client.get("/board/").context["columns"]:
        assert acme_client.get(column["list_url"]).context["total"].number == column["count"]
        if column["late_url"]:
            assert acme_client.get(column["late_url"]).context["total"].number == column["overdue"]
    assert shown(acme_client)["new"] == (3, 2)


def test_columns_continue_by_keyset_longest_first_without_gap_or_repeat(acme_client, stages):
    lin = guide()
    for number in range(33):
        customer(f"客{number:02d}", stages["new"], lin, days=number)
    column = next(c for c in acme_client.get("/board/").context["columns"] if c["stage"] == stages["new"])
    names, more = [card["person"].name for card in column["cards"]], column["more_url"]
    while more:
        context = acme_client.get(more).context
        names, more = names + [card["person"].name for card in context["cards"]], context["more_url"]
    assert names == [f"客{number:02d}" for number in reversed(range(33))]


def test_the_board_costs_as_many_queries_for_sixty_as_for_seven(acme_client, stages):
    lin = guide()

    def cost() -> int:
        acme_client.get("/board/")
        with CaptureQueriesContext(connection) as spent:
            acme_client.get("/board/")
        return len(spent)

    for stage in stages.values():
        customer("甲", stage, lin)
    few = cost()
    for number in range(53):
        customer(f"乙{number}", list(stages.values())[number % 7], lin)
    assert cost() == few <= 30


# --- Moving by hand ---------------------------------------------------------------------------------------------


def move(client: Client, person: Contact, to: Stage, *, seen: Stage | None, **fields: Any) -> Any:
    fields = {"stage": to.pk, "seen": seen.pk if seen else "", **fields}
    return client.post(f"/contacts/{person.pk}/move/", fields)


def test_a_card_moves_and_the_board_keeps_its_filters(acme_client, stages):
    lin = guide()
    person = customer("小圆子", stages["new"], lin)
    answer = move(acme_client, person, stages["interested"], seen=stages["new"], query=f"guide={lin.pk}&x=1")
    assert answer["Location"] == f"/board/?guide={lin.pk}"
    person.refresh_from_db()
    assert person.stage == stages["interested"]
    assert StageTransition.objects.get(contact=person).source == "manual"


def test_of_two_operators_the_second_is_told_who_was_first(acme_client, stages):
    person = customer("小圆子", stages["new"], guide())
    move(acme_client, person, stages["loyal"], seen=stages["new"])
    answer = text(move(acme_client, person, stages["interested"], seen=stages["new"]), 409)
    assert "刚被" in answer
    assert "现在在「忠诚」" in answer
    person.refresh_from_db()
    assert person.stage == stages["loyal"]
    # What the page shows now may be decided again.
    assert move(acme_client, person, stages["interested"], seen=stages["loyal"]).status_code == 302


def test_a_stage_that_wants_a_reason_asks_for_it_wherever_people_are_moved(acme_client, stages):
    Stage.objects.filter(key="lapsed").update(needs_reason=True)
    person = customer("小圆子", stages["new"], guide())
    answer = text(move(acme_client, person, stages["lapsed"], seen=stages["new"]), 422)
    assert "要写原因" in answer
    body = {"ids": [person.pk], "expected": 1, "stage": stages["lapsed"].pk}
    assert acme_client.post("/contacts/bulk/stage/", body).status_code == 422
    assert not StageTransition.objects.exists()
    move(acme_client, person, stages["lapsed"], seen=stages["new"], reason="搬去外地")
    assert StageTransition.objects.get(contact=person).reason == "搬去外地"


def test_nobody_moves_customers_beyond_her_scope_or_without_the_permission(log_in, make_user, stages):
    jing, wu = people.make_store("静安寺"), people.make_store("五角场")
    person = customer("小圆子", stages["new"], guide(wu))
    manager = log_in(make_user(role="store", scope=jing))
    assert move(manager, person, stages["loyal"], seen=stages["new"]).status_code == 404
    reader = log_in(make_user(role="approver"))
    assert move(reader, person, stages["loyal"], seen=stages["new"]).status_code == 403
    assert "data-board-card" not in text(reader.get("/board/"))
    assert not StageTransition.objects.exists()


def test_a_guide_sees_her_own_board_on_the_phone(log_in, make_user, stages):
    user = make_user(role="guide")
    own = people.make_member("林小雅", store=people.make_store(), user=user)
    customer("小圆子", stages["new"], own)
    customer("别人的", stages["new"], guide())
    page = text(log_in(user).get("/board/"))
    assert "小圆子" in page
    assert "别人的" not in page
    assert 'class="phone"' in page


def test_many_are_moved_at_once_or_nobody(acme_client, stages):
    lin = guide()
    for number in range(5):
        customer(f"甲{number}", stages["new"], lin)
    customer("乙", stages["loyal"], lin)
    body = {"select_all": "1", "expected": 6, "stage": stages["loyal"].pk, "reason": "会员日"}
    asked = text(acme_client.post("/contacts/bulk/", {**body, "action": "stage"}))
    assert "已选 6 位客户" in asked
    assert acme_client.post("/contacts/bulk/stage/", {**body, "expected": 5}).status_code == 409
    assert acme_client.post("/contacts/bulk/stage/", body).status_code == 302
    assert Contact.objects.filter(stage=stages["loyal"]).count() == 6
    assert StageTransition.objects.filter(reason="会员日").count() == 5


# --- Overdue ----------------------------------------------------------------------------------------------------


def test_overdue_customers_are_counted_by_store_and_guide_and_open_into_them(acme_client, stages):
    Stage.objects.filter(key="new").update(max_days=7)
    lin, mei = guide(people.make_store("静安寺")), people.make_member("梅梅", store=people.make_store("五角场"))
    for days in (8, 20, 3):
        customer(f"甲{days}", stages["new"], lin, days=days)
    customer("乙", stages["new"], mei, days=9)
    customer("丙", stages["loyal"], mei, days=400)

    context = acme_client.get("/board/overdue/").context
    assert context["total"] == 3
    found = {row["name"]: (row["people"], row["days"]) for group in context["groups"] for row in group["rows"]}
    assert found == {"静安寺": (2, 20), "五角场": (1, 9), "林小雅": (2, 20), "梅梅": (1, 9)}
    for group in context["groups"]:
        assert sum(row["people"] for row in group["rows"]) == 3
        for row in group["rows"]:
            assert acme_client.get(row["url"]).context["total"].number == row["people"]
    assert acme_client.get("/contacts/", {"overdue": "nonsense"}).context["total"].number == 0


def test_the_overdue_page_says_so_when_no_stage_has_a_limit(acme_client, stages):
    assert "还没有阶段设了停留上限" in text(acme_client.get("/board/overdue/"))


# --- The stages themselves --------------------------------------------------------------------------------------


def test_a_stage_is_added_renamed_and_moved_in_the_order(acme_client, stages):
    acme_client.post("/stages/new/", {"name": "转介绍", "max_days": "30", "needs_reason": "on"})
    added = Stage.objects.get(name="转介绍")
    assert (added.max_days, added.needs_reason, added.is_archived) == (30, True, False)
    assert list(Stage.objects.all())[-1] == added
    acme_client.post(f"/stages/{added.pk}/shift/", {"to": "earlier"})
    assert [stage.key for stage in Stage.objects.all()][-2:] == [added.key, "lapsed"]
    acme_client.post(f"/stages/{added.pk}/", {"name": "老带新", "max_days": ""})
    added.refresh_from_db()
    assert (added.name, added.max_days, added.needs_reason) == ("老带新", None, False)
    taken = text(acme_client.post(f"/stages/{added.pk}/", {"name": "忠诚"}), 422)
    assert "已有名为「忠诚」的阶段" in taken


def archive(client: Client, stage: Stage, **body: Any) -> Any:
    return client.post(f"/stages/{stage.pk}/archive/", body)


def test_a_stage_in_use_is_put_out_of_use_only_with_a_target_and_the_true_count(acme_client, stages, drain_jobs):
    lin = guide()
    for number in range(3):
        customer(f"甲{number}", stages["dormant"], lin)
    preview = acme_client.get(f"/stages/{stages['dormant'].pk}/archive/")
    assert preview.context["count"] == 3
    assert "请先选择" in text(archive(acme_client, stages["dormant"], expected=3), 422)
    assert "现在是 3 位" in text(archive(acme_client, stages["dormant"], expected=2, target=stages["lapsed"].pk), 409)
    assert not Stage.objects.get(key="dormant").is_archived
    assert archive(acme_client, stages["dormant"], expected=3, target=stages["lapsed"].pk).status_code == 302
    with pytest.raises(UserError, match="还在移出"):
        stage_editing.restore_stage(stages["dormant"].pk, by=HQ)
    drain_jobs()
    job = Job.objects.get()
    assert (job.state, job.done, job.total) == ("done", 3, 3)
    assert Contact.objects.filter(stage=stages["lapsed"]).count() == 3
    moves = StageTransition.objects.filter(from_stage=stages["dormant"], to_stage=stages["lapsed"])
    assert set(moves.values_list("reason", flat=True)) == {"原阶段已停用"}
    assert moves.count() == 3
    stage_editing.restore_stage(stages["dormant"].pk, by=HQ)
    assert list(Stage.objects.filter(is_archived=False))[-1].key == "dormant"
    assert set(AuditEntry.objects.values_list("action", flat=True)) >= {
        "stage.archived",
        "stage.restored",
        "stage.changed",
    }


def test_people_left_in_a_stage_out_of_use_stay_on_the_board(acme_client, stages):
    customer("小圆子", stages["dormant"], guide())
    Stage.objects.filter(key="dormant").update(is_archived=True)
    assert shown(acme_client)["dormant"] == (1, 0)
    Stage.objects.filter(key="lapsed").update(is_archived=True)
    assert "lapsed" not in shown(acme_client)


def test_a_stage_that_anything_names_is_not_put_out_of_use(acme_client, stages):
    reads_dormant = tree_of({"field": "contact.stage", "op": "in", "value": [stages["dormant"].pk]})
    stage_rules.save_rule(stages["lapsed"].pk, tree=reads_dormant, leads_back=False, by=HQ)
    action = [{"kind": "stage", "stage": stages["loyal"].pk}]
    rule = rules.save_rule(
        None,
        name="升忠诚",
        tree=tree_of({"field": "contact.name", "op": "is", "value": "甲"}),
        rule_actions=action,
        by=SYSTEM,
    )
    rules.enable_rule(rule, by=SYSTEM)
    segments.save_segment(None, name="沉睡客户", tree=reads_dormant, by=SYSTEM)
    plan = sops.Plan(steps=[sops.Step(0, time(10), "好久没见")], within=EVERYTHING, exit_tree=reads_dormant)
    sops.create_sop("沉睡召回", plan, by=campaigns.author())
    campaigns.make_draft([], name="老客回归礼", audience={"tree": reads_dormant})
    uses = list(stage_editing.uses_of(stages["dormant"].pk))
    assert uses == ["阶段「长期未购」的进入条件", "人群「沉睡客户」", "SOP「沉睡召回」", "群发「老客回归礼」"]
    assert "阶段「长期未购」的进入条件" in text(archive(acme_client, stages["dormant"], expected=0), 422)
    assert "规则「升忠诚」" in text(archive(acme_client, stages["loyal"], expected=0), 422)
    assert not Stage.objects.filter(is_archived=True).exists()


def test_the_last_stage_stays(stages):
    for stage in list(stages.values())[:-1]:
        stage_editing.archive_stage(stage.pk, target_id=None, expected=0, by=HQ)
    with pytest.raises(UserError, match="至少要留一个"):
        stage_editing.archive_stage(stages["lapsed"].pk, target_id=None, expected=0, by=HQ)


def test_nobody_is_moved_into_a_stage_out_of_use_and_a_failed_emptying_says_why(stages, drain_jobs):
    person = customer("小圆子", stages["dormant"], guide())
    job = stage_editing.archive_stage(stages["dormant"].pk, target_id=stages["lapsed"].pk, expected=1, by=HQ)
    assert job is not None
    Stage.objects.filter(key="lapsed").update(is_archived=True)
    drain_jobs()
    job.refresh_from_db()
    assert (job.state, "已停用" in job.last_error) == ("failed", True)
    person.refresh_from_db()
    assert person.stage == stages["dormant"]
    with pytest.raises(UserError):
        change_stage([person.pk], Stage.objects.get(key="lapsed"), source="manual", by=HQ, at=clock.now())
    with pytest.raises(Conflict):
        stage_editing.archive_stage(stages["dormant"].pk, target_id=stages["new"].pk, expected=0, by=HQ)


def test_only_who_may_set_stages_finds_the_page(log_in, make_user, stages):
    for role, status in (("hq", 200), ("operator", 200), ("store", 403), ("guide", 403), ("region", 403)):
        assert log_in(make_user(role=role)).get("/stages/").status_code == status, role


# --- The entry rule's page --------------------------------------------------------------------------------------


def test_the_entry_rule_is_edited_with_its_own_page_and_applied_with_its_count(acme_client, stages):
    person = customer("买一", stages["new"], guide())
    url = f"/stages/{stages['first_order'].pk}/rule/"
    tree = {"mode": "tree", "shape": "[0]", "k:r": "all", "f:r.0": "contact.name", "o:r.0": "contains", "v:r.0": "买"}
    assert "还没有条件" in text(
        acme_client.post(url, {"entry": "rule", "mode": "tree", "shape": "[]", "save": "1"}), 422
    )
    assert acme_client.post(url, {**tree, "entry": "rule", "save": "1"}).status_code == 302
    page = acme_client.get(url)
    assert page.context["entering"] == 1
    assert "昵称 包含 「买」" in text(acme_client.get("/stages/"))
    assert acme_client.post(f"{url}apply/", {"expected": "4"}).status_code == 409
    assert acme_client.post(f"{url}apply/", {"expected": "1"}).status_code == 302
    person.refresh_from_db()
    assert person.ruled_stage is None  # news for the next batch of marks
    assert acme_client.post(url, {"entry": "hand", "save": "1", "mode": "tree", "shape": "[]"}).status_code == 302
    assert Stage.objects.get(key="first_order").rule is None


@pytest.fixture
def drain_jobs() -> Callable[[], None]:
    def drain() -> None:
        longjobs.drain(clock.wall() + timedelta(seconds=20))

    return drain
