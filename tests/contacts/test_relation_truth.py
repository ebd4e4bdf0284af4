"""What proves a relation, when, and what never does: callbacks, reads, absences, results of sendings, late and doubled news."""

import pytest

from contacts.models import Contact, Follow, FollowPeriod, TimelineEvent
from contacts.services.inbound import apply_not_friends
from tests.support.contacts import (
    at,
    event_fact,
    follow_info,
    make_contact,
    make_corp,
    make_identity,
    make_member,
    people_batch,
    person_row,
)
from tests.support.wecom import arrive
from wecom_bridge import contracts
from wecom_bridge.contracts import RemovalsBatch, handlers_for
from wecom_bridge.services.corps import Connection

pytestmark = pytest.mark.django_db


def deliver(batch):
    for handler in handlers_for("removals" if isinstance(batch, RemovalsBatch) else "people"):
        handler(batch)


def seen(minutes=0, *, created=None, source="callback", events=()):
    """The guide's follow as WeCom lists it, read then."""
    row = person_row("wm1", follow_info("lin", created or at(0)))
    deliver(people_batch(row, read_at=at(minutes), source=source, events=events))


def told(change, minutes, *, read_at=None, listed=False, **fields):
    """An event; listed: the follow is in the answer, as after a deletion by the customer."""
    event = event_fact(change, "wm1", "lin", at(minutes), **fields)
    read_at = at(minutes + 1) if read_at is None else read_at
    rows = [person_row("wm1", follow_info("lin", at(0)))] if listed else []
    deliver(people_batch(*rows, events=[event], read_at=read_at, gone=[] if listed else [("wm1", "lin")]))


def truth():
    follow = Follow.objects.get()
    return follow.relation, follow.relation_since, follow.relation_proof, follow.relation_proved_at


@pytest.fixture(autouse=True)
def _guide():
    return make_member(userid="lin")


def test_an_add_is_proved_by_the_callback_and_later_by_each_sync():
    seen(1, events=[event_fact("add_external_contact", "wm1", "lin", at(0))])
    assert truth() == ("active", at(0), "callback", at(1))
    seen(600, source="reconcile")
    assert truth() == ("active", at(0), "sync", at(600))
    seen(300, source="reconcile")  # an older read, told late
    assert truth() == ("active", at(0), "sync", at(600))


def test_a_deletion_by_the_customer_is_proved_by_its_callback_whatever_syncs_list():
    seen(1)
    told("del_follow_user", 90, listed=True)
    assert truth() == ("by_customer", at(90), "callback", at(90))

    for minutes in (600, 2000, 9000):
        seen(minutes, source="reconcile")
        assert truth() == ("by_customer", at(90), "callback", at(90))
    assert Contact.objects.get().active_follows == 0


@pytest.mark.parametrize("source", ["reconcile", "callback"])
def test_only_a_newer_createtime_makes_them_friends_again(source):
    seen(1)
    told("del_follow_user", 90, listed=True)
    seen(500, created=at(0), source=source)
    assert truth()[0] == "by_customer"
    seen(501, created=at(89), source=source)  # an adding from before the end, of which nothing was known
    assert truth()[:2] == ("by_customer", at(90))
    seen(700, created=at(400), source=source)
    assert truth()[:2] == ("active", at(400))


def test_a_deletion_by_the_guide_and_a_transfer_are_proved_by_their_callback():
    seen(1)
    told("del_external_contact", 50)
    assert truth() == ("by_guide", at(50), "callback", at(50))

    deliver(people_batch(person_row("wm2", follow_info("lin", at(0))), read_at=at(1)))
    away = event_fact("del_external_contact", "wm2", "lin", at(60), Source="DELETE_BY_TRANSFER")
    deliver(people_batch(events=[away], read_at=at(61), gone=[("wm2", "lin")]))
    other = Follow.objects.get(identity__value="wm2")
    assert (other.relation, other.relation_proof, other.relation_proved_at) == ("transferred", "callback", at(60))


def test_absence_from_a_complete_read_is_unknown_and_proved_by_the_sync():
    seen(1)
    deliver(RemovalsBatch(make_corp(), "reconcile", at(600), follows=[("wm1", "lin")]))
    assert truth() == ("unknown", at(600), "sync", at(600))


def test_late_news_of_an_earlier_period_prove_nothing_of_the_present_one():
    seen(1)
    seen(400, created=at(300), source="reconcile")
    told("del_external_contact", 100, read_at=at(900), listed=True)
    assert truth()[:3] == ("active", at(300), "callback") and truth()[3] == at(900), "the read with it is news"
    seen(950, created=at(300), source="reconcile")
    before = truth()
    deliver(people_batch(events=[event_fact("del_external_contact", "wm1", "lin", at(200))], read_at=at(960)))
    assert truth() == before
    assert [(p.ended_at, p.ended_by) for p in FollowPeriod.objects.order_by("added_at")] == [
        (at(100), "guide"),
        (None, ""),
    ]


def test_a_doubled_or_replayed_deletion_changes_nothing():
    seen(1)
    told("del_follow_user", 90, listed=True)
    before, facts = truth(), list(TimelineEvent.objects.values())
    told("del_follow_user", 90, listed=True, read_at=at(5000))
    assert truth() == before and list(TimelineEvent.objects.values()) == facts


def test_one_who_comes_back_within_minutes_of_a_deletion_is_a_friend():
    """Where WeCom keeps the old createtime, the add event lies near it, and the deletion in between."""
    seen(0.1, events=[event_fact("add_external_contact", "wm1", "lin", at(0))])
    told("del_follow_user", 2, listed=True)
    told("add_external_contact", 4, listed=True)
    assert truth()[:2] == ("active", at(4)) and FollowPeriod.objects.count() == 2


# --- Half-adds ---------------------------------------------------------------------------------------------------------


def test_a_half_add_says_that_what_we_took_for_a_friend_is_none():
    seen(1)
    told("add_half_external_contact", 100)
    assert truth()[:2] == ("unknown", at(101)) and Contact.objects.get().active_follows == 0

    seen(105, created=at(100), events=[event_fact("add_external_contact", "wm1", "lin", at(104))])
    assert truth()[:2] == ("active", at(100)) and Contact.objects.get().active_follows == 1


def test_an_add_that_is_not_readable_ends_nothing_and_an_old_one_does():
    seen(1)
    told("add_external_contact", 100)
    assert truth()[0] == "active"
    told("add_external_contact", 101, read_at=at(5000))  # replayed days later: WeCom knows of no relation
    assert truth()[:2] == ("unknown", at(5000))


# --- Results of mass messages -------------------------------------------------------------------------------------------


def test_not_a_friend_at_the_sending_ends_the_relation_and_no_sync_brings_it_back():
    seen(1)
    apply_not_friends(make_corp(), {("wm1", "lin"): at(60)})
    assert truth() == ("by_customer", at(60), "send_result", at(60))
    assert Contact.objects.get().active_follows == 0
    fact = TimelineEvent.objects.get(kind="follow.deleted_by_customer")
    assert (fact.occurred_at, fact.source) == (at(60), "reconcile")

    seen(900, source="reconcile")
    apply_not_friends(make_corp(), {("wm1", "lin"): at(60)})
    assert truth() == ("by_customer", at(60), "send_result", at(60))
    assert TimelineEvent.objects.filter(kind__startswith="follow.").count() == 2


def test_the_callback_that_comes_late_puts_the_time_of_the_end_right():
    seen(1)
    apply_not_friends(make_corp(), {("wm1", "lin"): at(60)})
    told("del_follow_user", 40, listed=True, read_at=at(70))
    assert truth() == ("by_customer", at(40), "callback", at(40))
    assert TimelineEvent.objects.get(kind="follow.deleted_by_customer").occurred_at == at(40)


def test_a_sending_from_before_she_was_added_again_says_nothing():
    seen(1)
    seen(100, created=at(90), source="reconcile")
    apply_not_friends(make_corp(), {("wm1", "lin"): at(80), ("wmNobody", "lin"): at(80)})
    assert truth()[:2] == ("active", at(90)) and not Follow.objects.exclude(identity__value="wm1").exists()


def test_a_sending_from_before_an_add_event_says_nothing_though_wecom_kept_the_old_createtime():
    """The event counts before it is handled, and for the guide it names alone."""
    corp = make_corp()
    seen(1)
    for minutes, userid in ((100, "lin"), (200, "other")):
        created = int(at(minutes).timestamp())
        arrive(
            Connection(corp, "", "", ""), "add_external_contact", created=created, ExternalUserID="wm1", UserID=userid
        )
    apply_not_friends(corp, {("wm1", "lin"): at(60)})
    told("add_external_contact", 100, listed=True)
    apply_not_friends(corp, {("wm1", "lin"): at(99)})
    assert truth()[:2] == ("active", at(0))

    apply_not_friends(corp, {("wm1", "lin"): at(150)})
    assert truth()[:2] == ("by_customer", at(150))


def test_no_sight_since_the_sending_speaks_for_a_friend():
    seen(1)
    seen(600, source="reconcile")
    seen(700)
    apply_not_friends(make_corp(), {("wm1", "lin"): at(60)})
    assert truth()[:2] == ("by_customer", at(60))


# --- Transfers that fail ------------------------------------------------------------------------------------------------


def test_a_failed_transfer_is_a_fact_of_the_person_once():
    corp = make_corp()
    person = make_contact()
    make_identity(person, value="wm1", corp=corp)
    fact = event_fact("transfer_fail", "wm1", "lin", at(5), FailReason="customer_refused")
    for _n in range(2):
        for handler in contracts.event_handlers_for("change_external_contact", "transfer_fail"):
            handler(corp, fact)

    row = TimelineEvent.objects.get(kind="follow.transfer_failed")
    assert (row.contact_id, row.member.userid, row.payload) == (person.pk, "lin", {"reason": "customer_refused"})
    unknown = event_fact("transfer_fail", "wmNobody", "lin", at(5))
    for handler in contracts.event_handlers_for("change_external_contact", "transfer_fail"):
        handler(corp, unknown)
    assert TimelineEvent.objects.filter(kind="follow.transfer_failed").count() == 1
