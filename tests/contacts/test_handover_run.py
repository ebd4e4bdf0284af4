"""客户继承 against the simulator over HTTP: batches, results, groups, tags, and answers that were lost."""

from datetime import timedelta

import pytest

from contacts.models import Contact, Follow, HandoverPlan, Member, OwnershipChange, Relation, UnassignedCount
from contacts.services.handover import planning, running, unassigned
from scrm.lib import clock
from scrm.lib.errors import Conflict
from tagging.models import FollowTag, TagGroup
from tenants.audit import SYSTEM
from tests.support import handover as make
from tests.support.contacts import make_follow
from tests.support.core import in_thread
from tests.support.handover import customers_of, gone, leaves, tag
from tests.support.wecom import arrive
from wecom_bridge.models import OutboundCommand
from wecom_bridge.services import outbox

pytestmark = pytest.mark.django_db(transaction=True)


RESIGNED, ONJOB = "externalcontact/resigned/transfer_customer", "externalcontact/transfer_customer"


def test_the_customers_of_a_leaver_go_to_her_successor(wecom, leaver, taker):
    follows = make.customers(wecom, leaver, 3)
    leaves(wecom, leaver)
    plan = make.start(leaver, taker)
    make.work()
    assert make.states(plan) == {"sent": 3}
    with make.later(wecom, hours=25):
        make.work()
        plan.refresh_from_db()
        assert (make.states(plan), plan.state, plan.next_at) == ({"done": 3}, "done", None)
        relations = Follow.objects.filter(pk__in=[one.pk for one in follows]).values_list("relation", flat=True)
        assert set(relations) == {Relation.TRANSFERRED}
        owners = Contact.objects.filter(pk__in=[one.contact_id for one in follows]).values_list("owner_id", flat=True)
        assert set(owners) == {taker.pk}
        assert set(OwnershipChange.objects.values_list("reason", flat=True)) == {"transfer"}


def test_250_customers_are_three_calls_and_one_refusal_is_kept(wecom, leaver, taker):
    follows = make.customers(wecom, leaver, 250)
    wecom.hand("guide_deletes", userid="wutong", external_userid=follows[7].identity.value)
    leaves(wecom, leaver)
    plan = make.start(leaver, taker)
    make.work()
    assert len(wecom.calls(RESIGNED)) == 3
    assert [plan.rows.filter(batch=number).count() for number in (1, 2, 3)] == [100, 100, 50]
    assert make.states(plan) == {"sent": 249, "failed": 1}
    assert plan.rows.get(state="failed").errcode == 40131


def test_300_waiting_rows_settle_in_one_poll_cycle(wecom, leaver, taker):
    make.customers(wecom, leaver, 300)
    leaves(wecom, leaver)
    plan = make.start(leaver, taker)
    make.work()
    with make.later(wecom, hours=25):
        running.advance(plan.pk)
        outbox.drain(clock.wall() + make.SLICE)
        assert make.states(plan) == {"done": 300}
    assert len(wecom.calls("externalcontact/resigned/transfer_result")) == 1


def test_credit_of_another_guide_stays_hers_and_a_plan_may_leave_all_credit(wecom, leaver, taker, other):
    first, second = make.customers(wecom, leaver, 2)
    Contact.objects.filter(pk=first.contact_id).update(owner=other)
    leaves(wecom, leaver)
    plan = make.start(leaver, taker)
    make.work()
    with make.later(wecom, hours=25):
        make.work()
        assert make.states(plan) == {"done": 2}
    assert Contact.objects.get(pk=first.contact_id).owner_id == other.pk
    assert Contact.objects.get(pk=second.contact_id).owner_id == taker.pk


def test_a_plan_that_leaves_the_credit_moves_none(wecom, leaver, taker):
    (follow,) = make.customers(wecom, leaver, 1)
    plan = make.start(leaver, taker, moves_ownership=False)
    make.work()
    with make.later(wecom, hours=25):
        make.work()
        assert make.states(plan) == {"done": 1}
    assert Contact.objects.get(pk=follow.contact_id).owner_id == leaver.pk


def test_customers_of_a_member_at_work_are_told_in_her_words(wecom, leaver, taker):
    (follow,) = make.customers(wecom, leaver, 1)
    make.start(leaver, taker, message="以后由何晨为您服务")
    make.work()
    assert (len(wecom.calls(ONJOB)), wecom.calls(RESIGNED)) == (1, [])
    wecom.post("clock", {"advance": 90_000})
    told = wecom.get(f"customers/{follow.identity.value}/inbox")["messages"]
    assert [row["content"]["text"]["content"] for row in told if row["kind"] == "transfer"] == ["以后由何晨为您服务"]


def test_the_callback_of_a_completed_hand_over_settles_its_row(shop, wecom, leaver, taker):
    (follow,) = make.customers(wecom, leaver, 1)
    plan = make.start(leaver, taker)
    make.work()
    wecom.post("clock", {"advance": 90_000})
    with clock.shifted(timedelta(seconds=90_000)):
        moved = {"UserID": "wutong", "ExternalUserID": follow.identity.value, "Source": "DELETE_BY_TRANSFER"}
        arrive(shop, "del_external_contact", created=int(clock.now().timestamp()), **moved)
        make.hear()
        assert make.states(plan) == {"done": 1}
        assert not wecom.calls("externalcontact/transfer_result")
        assert Contact.objects.get(pk=follow.contact_id).owner_id == taker.pk


def test_a_friend_of_both_is_taken_over_though_no_event_tells(wecom, leaver, taker):
    (follow,) = make.customers(wecom, leaver, 1)
    theirs = make.befriend(taker, "wm-placeholder")
    Follow.objects.filter(pk=theirs.pk).update(identity=follow.identity, contact=follow.contact, relation="transferred")
    Follow.objects.filter(pk=follow.pk).update(remark="敏感肌", description="三口之家")
    plan = make.start(leaver, taker, moves_remarks=True)
    make.work()
    with make.later(wecom, hours=25):
        make.work()
        assert make.states(plan) == {"done": 1}
        theirs.refresh_from_db()
        assert (theirs.relation, theirs.remark, theirs.description) == (Relation.ACTIVE, "敏感肌", "三口之家")
    assert len(wecom.calls("externalcontact/remark")) == 1


@pytest.mark.parametrize("executed", [True, False])
def test_a_lost_answer_is_asked_about_and_nothing_is_done_twice(wecom, leaver, taker, executed):
    make.customers(wecom, leaver, 3)
    plan = make.start(leaver, taker)
    wecom.script(ONJOB, close=True, execute=executed)
    make.work()
    assert make.states(plan) == {"asking": 3}
    command = OutboundCommand.objects.get(kind=running.ASK)
    assert command.state == OutboundCommand.State.UNKNOWN
    OutboundCommand.objects.update(sent_at=clock.wall() - timedelta(minutes=6), next_attempt_at=clock.wall())
    make.work()
    make.work()
    assert make.states(plan) == {"sent": 3}
    assert len(wecom.calls(ONJOB)) == (1 if executed else 2)


def test_advancing_twice_asks_once(wecom, leaver, taker):
    make.customers(wecom, leaver, 2)
    plan = make.start(leaver, taker)
    for _again in range(3):
        HandoverPlan.objects.filter(pk=plan.pk).update(next_at=clock.now())
        make.work()
    assert len(wecom.calls(ONJOB)) == 1


def test_the_groups_of_a_leaver_change_hands(wecom, leaver, taker):
    (group,) = make.groups(wecom, leaver)
    leaves(wecom, leaver)
    plan = make.start(leaver, taker)
    make.work()
    assert make.states(plan) == {"sent": 1}
    with make.later(wecom, hours=2):
        make.work()
        plan.refresh_from_db()
        assert (make.states(plan), plan.state) == ({"done": 1}, "done")
    assert [row["chat_id"] for row in wecom.get("groups?owner=hechen")["groups"]] == [group.chat_id]


def test_groups_beyond_wecoms_own_count_of_the_day_wait_for_the_next(wecom, leaver, taker):
    make.groups(wecom, leaver)
    wecom.post("switches", {"group_transfers_per_day": 0})
    plan = make.start(leaver, taker)
    make.work()
    HandoverPlan.objects.filter(pk=plan.pk).update(next_at=clock.now())
    make.work()
    assert make.states(plan) == {"waiting": 1}
    assert len(wecom.calls("externalcontact/groupchat/onjob_transfer")) == 1
    wecom.post("switches", {"group_transfers_per_day": 300})
    with make.later(wecom, hours=25):
        make.work()
        with make.later(wecom, hours=2):
            make.work()
            assert make.states(plan) == {"done": 1}


def test_internal_tags_go_on_with_the_customer_once_her_new_relation_is_known(shop, wecom, leaver, taker):
    stranger, friend = make.customers(wecom, leaver, 2)
    group = TagGroup.objects.create(kind="internal", name="价值", is_exclusive=True)
    vip = tag(stranger, "高客单", group=group)
    tag(friend, "高客单", group=group)
    known = make_follow(friend.contact, taker, identity=friend.identity)
    tag(known, "价格敏感", group=group)
    plan = make.start(leaver, taker)
    make.work()
    with make.later(wecom, hours=25):
        make.work()
        assert make.states(plan) == {"done": 2}
        assert not FollowTag.objects.filter(follow__member=taker, contact=stranger.contact).exists()
        added = {"UserID": "hechen", "ExternalUserID": stranger.identity.value, "State": ""}
        arrive(shop, "add_external_contact", created=int(clock.now().timestamp()), **added)
        make.hear()
    assert FollowTag.objects.get(follow__member=taker, contact=stranger.contact).tag_id == vip.pk
    assert FollowTag.objects.get(follow=known).tag.name == "价格敏感"  # the successor's own word in an exclusive group
    assert plan.rows.filter(carried_at__isnull=True).count() == 0


@pytest.mark.parametrize("carried", [True, False])
def test_corp_tags_go_on_whether_wecom_carries_them_or_not(shop, wecom, leaver, taker, carried):
    wecom.post("switches", {"transfer_carries_tags": carried})
    (follow,) = make.customers(wecom, leaver, 1)
    wecom.hand("tag", userid="wutong", external_userid=follow.identity.value, add=["无糖"])
    arrive(shop, "update", "change_external_tag", Id="et1", TagType="tag")  # the dictionary is read
    make.hear()
    arrive(shop, "edit_external_contact", UserID="wutong", ExternalUserID=follow.identity.value)
    make.hear()
    assert FollowTag.objects.get(follow=follow).tag.name == "无糖"
    make.start(leaver, taker)
    make.work()
    with make.later(wecom, hours=25):
        make.work()
        added = {"UserID": "hechen", "ExternalUserID": follow.identity.value, "State": ""}
        arrive(shop, "add_external_contact", created=int(clock.now().timestamp()), **added)
        make.hear()
        make.work()
    mark = FollowTag.objects.get(follow__member=taker)
    assert (mark.tag.name, mark.state) == ("无糖", "on")
    assert len(wecom.calls("externalcontact/mark_tag")) == (0 if carried else 1)


def test_two_operators_at_one_plan_start_it_once(wecom, leaver, taker):
    make.customers(wecom, leaver, 2)
    plan = make.draft(leaver, taker)

    def press() -> str:
        try:
            planning.start_plan(plan.pk, expected=2, by=SYSTEM)
        except Conflict:
            return "conflict"
        return "started"

    pressed = [in_thread(press) for _operator in range(2)]
    assert sorted(one.result() for one in pressed) == ["conflict", "started"]
    both = [in_thread(lambda: running.advance(plan.pk)) for _worker in range(2)]
    assert [one.result() for one in both] == [None, None]
    assert OutboundCommand.objects.filter(kind=running.ASK).count() == 1
    assert make.states(plan) == {"asking": 2}


def test_two_operators_who_open_a_plan_for_one_guide_get_the_same(leaver):
    opened = [in_thread(lambda: planning.open_plan(leaver, by=SYSTEM).pk) for _operator in range(2)]
    assert len({one.result() for one in opened}) == 1


def test_who_waits_is_counted_from_wecoms_own_list_to_its_last_page(shop, wecom, leaver, taker):
    before = customers_of(wecom, "wutong")
    make.customers(wecom, leaver, 1_001 - before)
    leaves(wecom, leaver)
    Member.objects.filter(pk=leaver.pk).update(left_at=clock.now() + timedelta(days=3))  # a late sync noticed
    gone(taker)
    unassigned.ask(by=SYSTEM)
    make.work()
    assert len(wecom.calls("externalcontact/get_unassigned_list")) == 2
    assert dict(UnassignedCount.objects.values_list("member__userid", "customers")) == {"wutong": 1_001, "hechen": 0}
    leaver.refresh_from_db()
    assert abs(leaver.left_at - clock.now()) < timedelta(minutes=5)
    plan = make.start(leaver, make.guide(shop.corp, "songjiayi"))
    make.work()
    asked = plan.rows.filter(state="sent").count()
    unassigned.ask(by=SYSTEM)
    make.work()
    assert UnassignedCount.objects.get(member=leaver).customers == 1_001 - asked
