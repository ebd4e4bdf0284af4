"""What a mass message finds out about who is no friend any more."""

import pytest

from campaigns.models import Dispatch
from campaigns.services import results
from contacts.models import Follow, FollowPeriod
from scrm.lib import clock
from tests.support import campaigns as make
from tests.support.units import tasked

pytestmark = pytest.mark.django_db


def tasked_unit(size):
    """A unit of so many customers that WeCom took at 通知时间."""
    with make.at_time(make.MORNING):
        unit = make.units(make.released(make.make_customers(size)))[0]
        tasked(unit)
    return Dispatch.objects.get(pk=unit.pk)


def test_a_result_that_says_not_a_friend_ends_the_relation_as_of_the_sending():
    unit = tasked_unit(3)
    people = list(Follow.objects.filter(member=unit.sender).select_related("identity").order_by("pk"))
    sent = int(make.local(10, 30).timestamp())
    with make.at_time(make.local(11)):
        unit.confirmed_at = clock.from_unix(sent)
        unit.save(update_fields=["confirmed_at"])
        listed = [
            {"external_userid": people[0].identity.value, "status": 1, "send_time": sent},
            {"external_userid": people[1].identity.value, "status": 2},
            {"external_userid": people[2].identity.value, "status": 3},
        ]
        for _n in range(2):
            results.record_results(unit.pk, listed, "")

    for follow in people:
        follow.refresh_from_db()
    assert [follow.relation for follow in people] == ["active", "by_customer", "active"]
    assert (people[1].relation_since, people[1].relation_proof) == (clock.from_unix(sent), "send_result")
    people[1].contact.refresh_from_db()
    assert people[1].contact.active_follows == 0


def test_a_result_without_a_time_of_sending_ends_nothing_that_began_after_the_task():
    unit = tasked_unit(2)
    back, gone = Follow.objects.filter(member=unit.sender).select_related("identity").order_by("pk")
    FollowPeriod.objects.filter(follow=back).update(added_at=make.local(11))
    Follow.objects.filter(pk=back.pk).update(added_at=make.local(11), relation_since=make.local(11))
    assert unit.confirmed_at is None and unit.tasked_at < make.local(11)
    with make.at_time(make.local(12)):
        told = [{"external_userid": one.identity.value, "status": 2} for one in (back, gone)]
        results.record_results(unit.pk, told, "")

    assert [Follow.objects.get(pk=one.pk).relation for one in (back, gone)] == ["active", "by_customer"]
    assert Follow.objects.get(pk=gone.pk).relation_since == unit.tasked_at
