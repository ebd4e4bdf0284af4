"""The same text in two id spaces of one corp names two people: neither hears of the other's relation."""

import pytest

from contacts.models import Follow, TimelineEvent
from tests.support.contacts import at, event_fact, follow_info, make_corp, people_batch, person_row
from wecom_bridge.contracts import handlers_for

pytestmark = pytest.mark.django_db


def tell(space, *rows, **batch):
    """A batch as the credential of that space sees it."""
    corp = make_corp()
    corp.id_space = space
    corp.save(update_fields=["id_space"])
    for handler in handlers_for("people"):
        handler(people_batch(*rows, corp=corp, **batch))


def test_two_people_added_in_the_same_second_have_a_fact_each():
    for space in ("plain", "suite:dk", "plain"):
        tell(space, person_row("wm1", follow_info("lin", at(0))), read_at=at(1))

    facts = TimelineEvent.objects.filter(kind="follow.added")
    assert facts.values("identity_id").distinct().count() == facts.count() == Follow.objects.count() == 2


def test_a_deletion_told_before_its_adding_is_kept_for_that_person_alone():
    gone = event_fact("del_follow_user", "wm1", "lin", at(60))
    tell("plain", events=[gone], read_at=at(61))
    tell("suite:dk", person_row("wm1", follow_info("lin", at(0))), read_at=at(62))
    assert Follow.objects.get().relation == "active"

    tell("plain", person_row("wm1", follow_info("lin", at(0))), read_at=at(63))
    relations = dict(Follow.objects.values_list("identity__id_space", "relation"))
    assert relations == {"plain": "by_customer", "suite:dk": "active"}
