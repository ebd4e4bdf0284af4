"""Who is added stands in the first stage; who was there before the connection does not."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from contacts.models import Contact, StageTransition, TimelineEvent
from contacts.services.inbound import apply_people
from tests.support import contacts as people

pytestmark = pytest.mark.django_db


def arrive(external: str, *, source: str) -> Contact:
    stages = people.make_stages()
    assert stages
    people.make_member(userid="lin", store=people.make_store())
    event = people.event_fact("add_external_contact", external, "lin", people.at(1))
    row = people.person_row(external, people.follow_info("lin", people.at(1)))
    apply_people(people.people_batch(row, source=source, events=[event] if source == "callback" else []))
    return Contact.objects.get(identities__value=external)


def test_a_newcomer_enters_the_first_stage_at_the_instant_of_adding():
    contact = arrive("wmnew1", source="callback")
    assert contact.stage is not None
    assert (contact.stage.key, contact.stage_since) == ("new", people.at(1))


def test_people_of_the_first_sync_have_no_stage_yet():
    assert arrive("wmold1", source="backfill").stage is None


def test_a_return_keeps_the_stage_she_has():
    contact = arrive("wmnew2", source="callback")
    stage = people.make_stages()["loyal"]
    Contact.objects.filter(pk=contact.pk).update(stage=stage)
    event = people.event_fact("add_external_contact", "wmnew2", "lin", people.at(days=3))
    row = people.person_row("wmnew2", people.follow_info("lin", people.at(days=3)))
    apply_people(people.people_batch(row, events=[event]))
    contact.refresh_from_db()
    assert contact.stage == stage


def test_newcomers_of_different_instants_move_together():
    """As many statements for twenty as for three: a burst is written in batches."""
    people.make_stages()
    people.make_member(userid="lin", store=people.make_store())

    def come(names: list[str]) -> int:
        events = [people.event_fact("add_external_contact", one, "lin", people.at(n)) for n, one in enumerate(names)]
        rows = [people.person_row(one, people.follow_info("lin", people.at(n))) for n, one in enumerate(names)]
        with CaptureQueriesContext(connection) as spent:
            apply_people(people.people_batch(*rows, events=events))
        return len(spent)

    come(["wm0"])  # what a process asks once
    few, many = come([f"wma{n}" for n in range(3)]), come([f"wmb{n}" for n in range(20)])

    assert many == few
    entered = dict(Contact.objects.values_list("identities__value", "stage_since"))
    assert all(entered[f"wmb{n}"] == people.at(n) for n in range(20))


def test_the_first_stage_is_recorded_where_she_was_added():
    """Her owner and store are written after her facts; the record of the stage has them all the same."""
    contact = arrive("wmnew9", source="callback")

    move = StageTransition.objects.get(contact=contact)
    fact = TimelineEvent.objects.get(kind="stage.changed")
    assert (move.store, move.member.userid) == (contact.store, "lin") and contact.store is not None
    assert (fact.store, fact.member.userid) == (contact.store, "lin")
