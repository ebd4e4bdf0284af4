"""客户继承 on its pages: the planner with its preview, a plan with everybody in it, and who may see whose."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from contacts.models import Contact, Follow, HandoverPlan, HandoverRow, Member, Relation, RemarkEdit, RowState
from contacts.models.handover import PLAN_NEXT, ROW_NEXT, ROW_OPEN, PlanState
from contacts.services import inherited_remarks
from contacts.services.handover import planning, running, settling, unassigned
from contacts.services.handover.eligibility import MEMBER_LIMIT, preview
from contacts.successions import TakenOver
from scrm.lib import clock
from scrm.lib.errors import Conflict, UserError
from tenants import retention
from tenants.audit import SYSTEM
from tenants.ledger.models import AuditEntry
from tests.support import handover as make
from tests.support.contacts import (
    make_contact,
    make_dealer,
    make_follow,
    make_group,
    make_member,
    make_region,
    make_store,
)
from wecom_bridge.models import OutboundCommand

pytestmark = pytest.mark.django_db


def leaver(count: int = 3, **more: Any) -> Member:
    """Somebody who left yesterday, with customers."""
    member = make_member(status=Member.Status.LEFT, has_customer_contact=False, left_at=clock.now() - timedelta(days=1), **more)  # fmt: skip
    for _number in range(count):
        make_follow(make_contact(), member)
    return member


def text(response: Any) -> str:
    assert response.status_code == 200, response.status_code
    return response.content.decode()


def reasons(plan: HandoverPlan) -> list[str]:
    return [line.reason for line in preview(plan, clock.now()).lines]


# --- the planner ----------------------------------------------------------------------------------------------------


def test_an_operator_plans_previews_and_starts(acme_client: Client) -> None:
    store = make_store("静安寺")
    gone, taker, second = leaver(5, store=store), make_member("林小雅", store=store), make_member("梅梅", store=store)
    Follow.objects.filter(pk=gone.follows.first().pk).update(relation=Relation.DELETED_BY_CUSTOMER)
    page = text(acme_client.get("/handover/leavers/"))
    assert gone.name in page and "363" in page
    url = acme_client.post("/handover/new/", {"member": gone.pk}).headers["Location"]
    assert "没有可用的接替成员" in text(acme_client.get(url))
    form = {"successors": [taker.pk, second.pk], "split": "even", "moves_ownership": "1", "moves_remarks": "1"}
    assert acme_client.post(f"{url}save/", form).status_code == 302
    assert HandoverPlan.objects.get().moves_remarks
    page = text(acme_client.get(url))
    assert "5 位,可转移 4 位" in page and "已不是好友" in page
    assert acme_client.post(f"{url}start/", {"expected": 4}).status_code == 302
    page = text(acme_client.get(url))
    assert "待发起" in page and "不可转移" in page and "0.0%" in page
    assert set(AuditEntry.objects.filter(action__startswith="handover.").values_list("action", flat=True)) == {
        "handover.drafted", "handover.changed", "handover.started",
    }  # fmt: skip


def test_notes_go_along_where_the_successor_has_none_and_the_plan_says_so() -> None:
    gone, taker = leaver(0), make_member()
    fresh, noted, named, other_plan = (make_contact("李女士") for _number in range(4))
    noted_by_giver = {"remark": "敏感肌" * 20, "description": "三口之家", "remark_mobiles": ["13800000001"]}
    taken = []
    for contact, standing in ((fresh, {}), (noted, {"remark": "VIP"}), (named, {"remark": "李女士"}), (other_plan, {})):
        old = make_follow(contact, gone, **noted_by_giver)
        new = make_follow(contact, taker, identity=old.identity, **standing)
        taken.append(TakenOver(old.pk, new.pk, contact != other_plan))
    inherited_remarks.take_over(taken)
    inherited_remarks.take_over(taken)  # what is wished already is not wished again
    edits = {edit.follow.contact_id: edit.changes() for edit in RemarkEdit.objects.select_related("follow")}
    everything = {**noted_by_giver, "remark": ("敏感肌" * 20)[:20]}
    assert edits == {
        fresh.pk: everything, named.pk: everything,
        noted.pk: {key: everything[key] for key in ("description", "remark_mobiles")},
    }  # fmt: skip
    assert OutboundCommand.objects.filter(kind="follow.remark").count() == 3


def test_the_sum_of_the_eligible_and_the_refused_is_everybody() -> None:
    gone, taker = leaver(6), make_member()
    follows = list(gone.follows.order_by("pk"))
    Follow.objects.filter(pk=follows[0].pk).update(relation=Relation.DELETED_BY_GUIDE)
    third = make_member()
    both = make_follow(follows[1].contact, third)
    other = make.start(third, make_member())
    assert other.rows.get().follow_id == both.pk
    make_group(owner=gone)
    plan = make.draft(gone, taker)
    seen = preview(plan, clock.now())
    assert sorted(line.reason for line in seen.people) == ["", "", "", "", "not_friend", "other_plan"]
    assert (seen.eligible, len(seen.people), len(seen.groups)) == (5, 6, 1)
    planning.start_plan(plan.pk, expected=5, by=SYSTEM)
    assert make.states(plan) == {"waiting": 5, "excluded": 2}


def test_a_start_that_would_do_other_than_was_seen_is_refused() -> None:
    gone, taker = leaver(2), make_member()
    plan = make.draft(gone, taker)
    make_follow(make_contact(), gone)
    with pytest.raises(Conflict, match="3 项"):
        planning.start_plan(plan.pk, expected=2, by=SYSTEM)
    assert not plan.rows.exists()


def test_without_room_nobody_is_promised_a_successor(monkeypatch: pytest.MonkeyPatch) -> None:
    gone, taker = leaver(3), make_member()
    plan = make.draft(gone, taker)
    monkeypatch.setattr("contacts.services.handover.eligibility.MEMBER_LIMIT", 2)
    assert reasons(plan).count("no_room") == 1
    assert MEMBER_LIMIT == 20_000


def test_who_left_over_a_year_ago_can_be_inherited_from_no_more() -> None:
    gone, taker = leaver(1), make_member()
    make_group(owner=gone)
    plan = make.draft(gone, taker)
    with clock.shifted(timedelta(days=366)):
        assert reasons(plan) == ["left_too_long", "left_too_long"]


def test_a_customer_handed_on_twice_in_90_days_waits_until_they_are_over() -> None:
    member, taker = make_member(), make_member()
    follow = make_follow(make_contact(), member)
    for _time in range(2):
        earlier = HandoverPlan.objects.create(
            kind="onjob", from_member=make_member(), state="done", created_at=clock.now()
        )
        elsewhere = make_follow(follow.contact, make_member(), identity=follow.identity)
        HandoverRow.objects.create(plan=earlier, follow=elsewhere, state="done", asked_at=clock.now())
    plan = make.draft(member, taker)
    assert reasons(plan) == ["too_often"]
    with clock.shifted(timedelta(days=89)):
        assert reasons(plan) == ["too_often"]
    with clock.shifted(timedelta(days=90)):
        assert reasons(plan) == [""]
    member.status = Member.Status.LEFT
    member.save()
    plan = make.draft(member, taker)
    assert reasons(plan) == [""]  # the rule is one of members at work


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"status": "inactive"}, "未激活"),
        ({"status": "left"}, "已离职"),
        ({"has_customer_contact": False}, "未开通客户联系"),
    ],
)
def test_a_member_who_cannot_take_over_is_refused_with_the_reason(change: dict[str, Any], why: str) -> None:
    gone, taker = leaver(1), make_member(**change)
    with pytest.raises(UserError, match=why):
        make.draft(gone, taker)


def test_nobody_inherits_from_herself_and_a_message_has_200_characters() -> None:
    member = make_member()
    make_follow(make_contact(), member)
    with pytest.raises(UserError, match="本人"):
        make.draft(member, member)
    with pytest.raises(UserError, match="200"):
        make.draft(member, make_member(), message="您" * 201)


def test_a_member_has_one_open_plan(acme_client: Client) -> None:
    gone = leaver(1)
    first = acme_client.post("/handover/new/", {"member": gone.pk}).headers["Location"]
    assert acme_client.post("/handover/new/", {"member": gone.pk}).headers["Location"] == first
    with pytest.raises(IntegrityError), transaction.atomic():
        HandoverPlan.objects.create(kind="onjob", from_member=gone, created_at=clock.now())


def test_a_relation_is_in_one_open_row_whatever_the_plan() -> None:
    gone = leaver(1)
    plan = make.start(gone, make_member())
    second = HandoverPlan.objects.create(kind="onjob", from_member=make_member(), state="done", created_at=clock.now())
    with pytest.raises(IntegrityError), transaction.atomic():
        HandoverRow.objects.create(plan=second, follow=plan.rows.get().follow, state="waiting")


def test_a_draft_can_be_thrown_away_and_a_running_plan_cannot(acme_client: Client) -> None:
    gone, taker = leaver(1), make_member()
    plan = make.draft(gone, taker)
    assert acme_client.post(f"/handover/{plan.pk}/delete/").status_code == 302
    assert not HandoverPlan.objects.exists()
    plan = make.start(gone, taker)
    with pytest.raises(Conflict):
        planning.delete_draft(plan.pk, by=SYSTEM)
    with pytest.raises(Conflict):
        planning.change_plan(plan.pk, planning.Settings([taker], None, "even"), by=SYSTEM)


# --- the run, where WeCom is not asked ------------------------------------------------------------------------------


def test_305_groups_of_one_owner_are_300_today_and_5_tomorrow() -> None:
    gone, taker = leaver(0), make_member()
    for _number in range(305):
        make_group(owner=gone)
    plan = make.start(gone, taker)
    running.advance(plan.pk)
    asked = OutboundCommand.objects.filter(kind=running.ASK_GROUPS)
    assert asked.count() == 3
    assert make.states(plan) == {"asking": 300, "waiting": 5}
    plan.refresh_from_db()
    assert plan.next_at <= running.tomorrow(clock.now())
    with clock.shifted(running.tomorrow(clock.now()) - clock.wall() + timedelta(minutes=1)):
        HandoverPlan.objects.update(next_at=clock.now())
        running.advance(plan.pk)
        assert make.states(plan) == {"asking": 305}


def test_states_move_only_as_the_lists_say() -> None:
    assert set(PLAN_NEXT) == set(PlanState) and set(ROW_NEXT) == set(RowState)
    row = HandoverRow(state=RowState.DONE)
    with pytest.raises(ValueError, match="done"):
        settling._step(row, RowState.WAITING)
    assert all(state in ROW_NEXT for state in ROW_OPEN)


def test_rows_of_a_guide_who_takes_over_from_many_are_kept_apart() -> None:
    taker, first, second = make_member(), leaver(2), leaver(2)
    one, two = make.start(first, taker), make.start(second, taker)
    running.advance(one.pk)
    running.advance(two.pk)
    assert OutboundCommand.objects.filter(kind=running.ASK).values("entity_key").distinct().count() == 2


# --- pages ----------------------------------------------------------------------------------------------------------


def test_empty_pages_say_what_to_do(acme_client: Client) -> None:
    assert "还没有继承计划" in text(acme_client.get("/handover/"))
    assert "没有待分配的客户" in text(acme_client.get("/handover/leavers/"))
    assert "没有带客户的成员" in text(acme_client.get("/handover/members/"))
    leaver(1)
    assert "没有符合条件的成员" in text(acme_client.get("/handover/leavers/", {"q": "查无此人"}))


def test_a_plans_rows_filter_by_state_and_successor(acme_client: Client) -> None:
    gone, first, second = leaver(4), make_member("林小雅"), make_member("梅梅")
    plan = make.start(gone, first, second)
    done = plan.rows.filter(successor=first).first()
    HandoverRow.objects.filter(pk=done.pk).update(state="refused", settled_at=clock.now())

    def shown(**query: Any) -> int:
        return len(acme_client.get(f"/handover/{plan.pk}/", query).context["rows"])

    assert (shown(), shown(state="refused"), shown(successor=first.pk), shown(successor="x" * 3)) == (4, 1, 2, 0)
    assert "客户拒绝" in text(acme_client.get(f"/handover/{plan.pk}/"))
    assert acme_client.get("/handover/").context["rows"][0]["tally"].lost == 1


def test_a_call_that_nobody_finishes_is_said_on_the_page(acme_client: Client) -> None:
    gone, taker = leaver(1), make_member()
    plan = make.start(gone, taker)
    running.advance(plan.pk)
    assert "超过 1 小时" not in text(acme_client.get(f"/handover/{plan.pk}/"))
    plan.rows.update(asked_at=clock.now() - timedelta(hours=2))
    assert "超过 1 小时" in text(acme_client.get(f"/handover/{plan.pk}/"))


def test_leavers_are_checked_against_wecom_by_a_button(acme_client: Client) -> None:
    gone = leaver(2)
    assert acme_client.post("/handover/leavers/read/").status_code == 302
    assert OutboundCommand.objects.get().kind == unassigned.READ
    unassigned.record_page(gone.corp, {"counts": {}}, [{"handover_userid": gone.userid, "dimission_time": 0}], "")
    assert "企业微信 1" in text(acme_client.get("/handover/leavers/"))


def test_plans_that_ended_three_years_ago_are_forgotten(acme: Any) -> None:
    plan = make.start(leaver(1), make_member())
    planning.stop_plan(plan.pk, by=SYSTEM)
    (kind,) = [one for one in retention.all_kinds() if one.key == "handovers"]
    assert kind.prune(clock.now() - timedelta(days=1), 10) == 0
    assert kind.prune(clock.now() + timedelta(days=1), 10) == 1
    assert not HandoverRow.objects.exists()


def test_pages_cost_the_same_for_one_customer_and_for_forty(acme_client: Client) -> None:
    gone, taker = leaver(1), make_member()
    plan, second = make.start(gone, taker), leaver(1)
    make_follow(make_contact(), make_member())
    draft = make.draft(second, taker)
    urls = [f"/handover/{plan.pk}/", f"/handover/{draft.pk}/", "/handover/", "/handover/leavers/", "/handover/members/"]

    def cost() -> list[int]:
        found = []
        for url in urls:
            acme_client.get(url)
            with CaptureQueriesContext(connection) as captured:
                text(acme_client.get(url))
            found.append(len(captured))
        return found

    few = cost()
    for _number in range(20):
        follow = make_follow(make_contact(), gone)
        HandoverRow.objects.create(plan=plan, follow=follow, successor=taker, state="waiting")
        make_follow(make_contact(), second)
        make_follow(make_contact(), make_member())
        leaver(1)
    many = cost()
    assert many == few
    assert max(many) <= 26


# --- who may see whose ----------------------------------------------------------------------------------------------


def test_a_store_manager_sees_her_store_and_others_do_not_exist(make_user: Any, log_in: Any) -> None:
    here, there = make_store("静安寺"), make_store("五角场")
    mine, theirs, colleague, stranger = (
        leaver(1, store=here, name="甲"), leaver(1, store=there, name="乙"),
        make_member("丙", store=here), make_member("丁", store=there),
    )  # fmt: skip
    foreign = make.draft(theirs, stranger)
    client = log_in(make_user(role="store", scope=here))
    assert [row["member"].name for row in client.get("/handover/leavers/").context["rows"]] == ["甲"]
    for path in ("", "save/", "start/", "stop/", "again/", "delete/"):
        url = f"/handover/{foreign.pk}/{path}"
        assert (client.get(url) if not path else client.post(url)).status_code == 404
    assert client.post("/handover/new/", {"member": theirs.pk}).status_code == 404
    url = client.post("/handover/new/", {"member": mine.pk}).headers["Location"]
    client.post(f"{url}save/", {"successors": [colleague.pk, stranger.pk], "split": "even"})
    assert HandoverPlan.objects.get(from_member=mine).successor_ids == [colleague.pk]
    assert len(client.get("/handover/").context["rows"]) == 1


def test_a_customer_of_another_store_is_counted_and_not_named(make_user: Any, log_in: Any) -> None:
    here, there = make_store(), make_store()
    gone = leaver(1, store=here)
    follow = gone.follows.get()
    Contact.objects.filter(pk=follow.contact_id).update(owner=make_member(store=there), store=there, name="别店的王姐")
    plan = make.start(gone, make_member(store=here))
    page = text(log_in(make_user(role="store", scope=here)).get(f"/handover/{plan.pk}/"))
    assert "别店的王姐" not in page and "范围外的客户" in page


@pytest.mark.parametrize(
    ("role", "allowed"),
    [("hq", True), ("operator", True), ("region", True), ("store", True)]
    + [(role, False) for role in ("content", "service", "growth", "guide", "approver", "it")],
)
def test_who_may_hand_over(make_user: Any, log_in: Any, role: str, allowed: bool) -> None:
    scope = {"region": make_region, "store": make_store}.get(role)
    client = log_in(make_user(role=role, scope=scope() if scope else None))
    assert client.get("/handover/").status_code == (200 if allowed else 403)


@pytest.mark.parametrize("place", ["region", "dealer", "store"])
def test_each_kind_of_scope_sees_its_own_leavers(make_user: Any, log_in: Any, place: str) -> None:
    region, dealer = make_region(), make_dealer()
    store = make_store(region=region, dealer=dealer)
    leaver(1, store=store, name="甲")
    leaver(1, store=make_store(), name="乙")
    scope = {"region": region, "dealer": dealer, "store": store}[place]
    client = log_in(make_user(permissions=["handover.manage"], scope=scope))
    assert [row["member"].name for row in client.get("/handover/leavers/").context["rows"]] == ["甲"]
