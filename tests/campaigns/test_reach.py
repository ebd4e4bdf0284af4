"""Who can be reached, by whom, and why not: the verdicts that preflight, freeze and claim share."""

from datetime import time, timedelta

import pytest

from campaigns.models import Delivery, LedgerCoverage, MassSend, MassSendResult
from campaigns.policy import SendPolicy, send_policy
from campaigns.services import broadcasts
from campaigns.times import default_confirm_by
from contacts.models import Identity
from scrm.lib import clock
from tenants.context import tenant_scope
from tests.support import campaigns as make
from tests.support import contacts as people
from tests.support.tagging import make_tag, put_tag

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _morning():
    with make.at_time(make.MORNING):
        yield


@pytest.fixture
def guide():
    member = people.make_member(store=people.make_store())
    make.cover(member.corp)
    return member


def friend(guide, **overrides):
    contact = people.make_contact(**overrides)
    people.make_follow(contact, guide)
    return contact


def excluded(*contacts, **overrides):
    return broadcasts.preflight_of(make.make_draft(contacts, **overrides)).excluded


def test_a_preflight_says_what_the_freeze_then_does(guide):
    reachable, silent = friend(guide), friend(guide, opt_out_since=make.MORNING)
    stranger = people.make_contact()
    found = broadcasts.preflight_of(make.make_draft([reachable, silent, stranger]))
    assert (found.total, found.reachable, found.excluded) == (3, 1, {"opt_out": 1, "not_friend": 1})
    assert [row["people"] for row in found.by_guide] == [1]

    push = make.released([reachable, silent, stranger])
    rows = dict(Delivery.objects.filter(push=push).values_list("contact_id", "reason"))
    assert rows == {reachable.pk: "", silent.pk: "opt_out", stranger.pk: "not_friend"}


def test_a_relation_that_ended_is_no_friend(guide):
    contact = people.make_contact()
    people.make_follow(contact, guide, relation="by_customer")
    assert excluded(contact) == {"not_friend": 1}


def test_a_guide_who_left_cannot_speak(guide):
    gone = people.make_member(corp=guide.corp, store=guide.store, status="left")
    blind = people.make_member(corp=guide.corp, store=guide.store, has_customer_contact=False)
    assert excluded(friend(gone), friend(blind)) == {"no_guide": 2}


def test_an_ended_opt_out_is_over(guide):
    over = friend(
        guide, opt_out_since=make.MORNING - timedelta(days=40), opt_out_until=make.MORNING - timedelta(days=10)
    )
    assert excluded(over) == {}


def test_the_corp_tag_of_the_console_opts_out_too(guide):
    contact = friend(guide)
    put_tag(contact.follows.get(), make_tag("免打扰", corp=guide.corp))
    assert excluded(contact) == {"opt_out": 1}


def test_one_voice_is_the_owner_else_the_latest(guide):
    late = people.make_member(corp=guide.corp, store=guide.store)
    owned, ownerless = friend(guide), people.make_contact()
    people.make_follow(owned, late, added_at=clock.now())
    for member, days in ((guide, 5), (late, 1)):
        people.make_follow(ownerless, member, added_at=clock.now() - timedelta(days=days), own=False)
    found = broadcasts.preflight_of(make.make_draft([owned, ownerless]))
    assert found.several_voices == 2

    push = make.released([owned, ownerless])
    senders = dict(Delivery.objects.filter(push=push).values_list("contact_id", "member_id"))
    assert senders == {owned.pk: guide.pk, ownerless.pk: late.pk}


def test_a_merged_person_is_one_target_reached_through_any_branch(guide):
    root, branch = people.make_contact(), friend(guide)
    branch.root = root
    branch.save()
    push = make.released([root])
    delivery = Delivery.objects.get(push=push)
    assert (delivery.contact, delivery.state) == (root, "planned")
    assert delivery.external_userid == Identity.objects.get(contact=branch).value


def test_the_cap_counts_other_pushes_of_the_day(guide):
    contact = friend(guide)
    make.released([contact])
    assert excluded(contact) == {"cap": 1}
    assert excluded(contact, notify_at=make.local(10, day=1), confirm_by=make.local(20, day=1)) == {}


def test_promotions_are_two_a_week(guide):
    contact = friend(guide)
    for day in (0, 2):
        times = {"notify_at": make.local(10, day=day), "confirm_by": make.local(20, day=day)}
        make.released([contact], message_class="promotion", **times)
    fourth = {"notify_at": make.local(10, day=4), "confirm_by": make.local(20, day=4)}
    assert excluded(contact, message_class="promotion", **fourth) == {"cap": 1}
    assert excluded(contact, message_class="content", **fourth) == {}
    later = {"notify_at": make.local(10, day=8), "confirm_by": make.local(20, day=8)}
    assert excluded(contact, message_class="promotion", **later) == {}


def spend(guide, contact, number, *, create_type=1):
    """Mass messages of others that reached her this month."""
    target = Identity.objects.get(contact=contact).value
    for index in range(number):
        send = MassSend.objects.create(
            corp=guide.corp,
            msgid=f"m{target}{index}",
            chat_type="single",
            create_type=create_type,
            created_at=make.local(8),
        )
        MassSendResult.objects.create(
            corp=guide.corp, mass_send=send, userid=guide.userid, target=target, status=1, sent_at=make.local(8)
        )


def test_quota_counts_what_others_sent(guide, acme):
    spent, nearly = friend(guide), friend(guide)
    spend(guide, spent, 31)
    spend(guide, nearly, 30)
    assert excluded(spent, nearly) == {"quota": 1}


def test_whether_personal_sends_count_is_a_switch(guide, acme):

    contact = friend(guide)
    spend(guide, contact, 31)
    acme.policy = {"campaigns": {"quota_counts_personal": False}}
    with tenant_scope(acme), make.at_time(make.MORNING):
        assert excluded(contact) == {}


def test_unknown_quota_is_never_reachable(guide):
    contact = friend(guide)
    LedgerCoverage.objects.update(covered_to=make.MORNING - timedelta(hours=27))
    assert excluded(contact) == {"quota_unknown": 1}
    LedgerCoverage.objects.all().delete()
    assert excluded(contact) == {"quota_unknown": 1}


# --- Groups -----------------------------------------------------------------------------------------------------------


def test_groups_go_through_their_owners(guide):
    mine = [people.make_group(owner=guide) for _ in range(2)]
    gone = people.make_group(owner=people.make_member(corp=guide.corp, status="left"))
    nobody = people.make_group()
    dismissed = people.make_group(owner=guide, dismissed_at=make.MORNING)
    push = make.release(make.make_group_draft([*mine, gone, nobody, dismissed])).push

    rows = dict(Delivery.objects.filter(push=push).values_list("group_id", "reason"))
    assert rows == {
        mine[0].pk: "",
        mine[1].pk: "",
        gone.pk: "no_sender",
        nobody.pk: "no_sender",
        dismissed.pk: "dismissed",
    }
    [unit] = make.units(push)
    assert (unit.sender, unit.planned, push.target) == (guide, 2, "groups")


def test_a_group_whose_owner_changed_is_not_sent_by_the_old_one(guide):
    from campaigns.handlers.groupmsg import build_create
    from campaigns.services import claiming
    from wecom_bridge.models import OutboundCommand

    kept, lost = (people.make_group(owner=guide) for _ in range(2))
    push = make.release(make.make_group_draft([kept, lost])).push
    make.agree(make.units(push)[0])
    lost.owner = people.make_member(corp=guide.corp)
    lost.save()
    with make.at_time(make.local(10)):
        claiming.claim_due()
    assert Delivery.objects.get(push=push, group=lost).reason == "owner_changed"
    call = build_create(OutboundCommand.objects.get(kind="groupmsg.create"))
    assert call.kwargs["chat_id_list"] == [kept.chat_id] and call.kwargs["chat_type"] == "group"


def test_only_sent_groups_are_listed_the_rest_is_unknown_in_the_end(guide):
    from campaigns.services import claiming, results

    first, second = (people.make_group(owner=guide) for _ in range(2))
    push = make.release(make.make_group_draft([first, second])).push
    [unit] = make.units(push)
    make.agree(unit)
    sent = int(make.local(11).timestamp())
    with make.at_time(make.local(10)):
        claiming.claim_due()
        make.give_task(unit)
    with make.at_time(make.local(11)):
        results.record_task_state(unit.pk, [{"userid": guide.userid, "status": 2, "send_time": sent}])
        results.record_results(unit.pk, [{"chat_id": first.chat_id, "status": 1, "send_time": sent}], "")
    assert make.states(push) == {"sent": 1, "tasked": 1}
    with make.at_time(make.local(12, day=2)):
        results.record_results(unit.pk, [{"chat_id": first.chat_id, "status": 1, "send_time": sent}], "")
    assert make.states(push) == {"sent": 1, "unknown": 1}


@pytest.mark.parametrize(
    "own", [{"confirm_by": "25:00"}, {"slots": []}, {"slots": "10"}, {"cap_per_day": "two"}, {"quota": 3}]
)
def test_an_unreadable_policy_keeps_the_default(acme, own):

    acme.policy = {"campaigns": own}
    with tenant_scope(acme):
        policy = send_policy()
        assert policy == SendPolicy(zone=policy.zone)


def test_a_slot_in_the_quiet_hours_is_none(acme):
    acme.policy = {"campaigns": {"slots": ["08:00", "10:00", "21:30"]}}
    with tenant_scope(acme):
        assert send_policy().slots == (time(10),)
    acme.policy = {"campaigns": {"slots": ["22:00"]}}
    with tenant_scope(acme):
        assert send_policy().slots == (time(9),)


@pytest.mark.parametrize(
    ("own", "notify_at", "until"),
    [
        ({}, (10, 0), (20, 30)),
        ({}, (20, 15), (21, 0)),
        ({"confirm_by": "22:00"}, (10, 0), (21, 0)),
        ({"quiet_from": "00:30"}, (19, 30), (20, 30)),
        ({"quiet_from": "00:30", "slots": ["23:30"]}, (23, 30), (23, 59)),
        ({}, (22, 0), (22, 0)),
    ],
)
def test_a_proposed_deadline_keeps_to_the_day_and_the_quiet_hours(acme, own, notify_at, until):
    acme.policy = {"campaigns": own}
    with tenant_scope(acme):
        assert default_confirm_by(make.local(*notify_at), send_policy()) == make.local(*until)
