"""What a mass message finds out about who is no friend any more."""

import pytest

from campaigns.services import claiming, results
from contacts.models import Follow
from scrm.lib import clock
from tests.support import campaigns as make

pytestmark = pytest.mark.django_db


def test_a_result_that_says_not_a_friend_ends_the_relation_as_of_the_sending():
    with make.at_time(make.MORNING):
        push = make.released(make.make_customers(3))
        unit = make.units(push)[0]
        make.agree(unit)
    with make.at_time(make.local(10)):
        claiming.claim_due()
        make.give_task(unit)
    unit.refresh_from_db()
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
