"""Whose turn it is in the loop: changes in their order, and a share of each batch for what time brings."""

from datetime import timedelta

import pytest

from conditions import boundaries, dirty, drain
from conditions.models import DirtyMark
from contacts.models import Contact
from scrm.lib import clock
from tests.support import tagging
from tests.support.tagging import NOW, tree_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def batch_of_four(acme, monkeypatch):
    """The clock stands, and a batch claims four people, one of them for what time brings."""
    monkeypatch.setattr(clock, "now", lambda: NOW)
    monkeypatch.setattr(drain, "BATCH", 4)
    monkeypatch.setattr(drain, "TIMED", 1)
    return [tagging.make_person().pk for _ in range(8)]


def left(**of):
    return list(DirtyMark.objects.filter(**of).order_by("contact_id").values_list("contact_id", flat=True))


def test_a_flood_of_changes_does_not_hold_up_what_time_brings(batch_of_four):
    *flooded, early, late = batch_of_four
    dirty.mark([late], "x", not_before=NOW - timedelta(minutes=1))
    dirty.mark([early], "x", not_before=NOW - timedelta(minutes=2))
    seen = []
    for _ in range(2):
        dirty.mark(flooded, "y")
        drain.drain_batch()
        seen.append((left(not_before__isnull=False), sorted(set(left(not_before__isnull=True)))))

    assert [timed for timed, _changes in seen] == [[late], []], "the one due first, then the other"
    assert seen[0][1] == flooded[3:], "and the changes keep their order"
    assert seen[1][1] == flooded[:3], "those that waited first"


@pytest.mark.parametrize("not_before", [None, NOW - timedelta(minutes=1)])
def test_a_batch_is_full_of_the_one_where_the_other_is_missing(batch_of_four, not_before):
    dirty.mark(batch_of_four, "x", not_before=not_before)
    dirty.mark(batch_of_four, "x", not_before=NOW + timedelta(seconds=1))

    assert drain.drain_batch() == 4
    assert len(left()) == 12


def test_whoever_is_claimed_comes_with_all_that_is_due_of_her_and_of_whom_she_took_in(batch_of_four):
    person, other, *_rest = batch_of_four
    branch = tagging.make_person("旧", root_id=person).pk
    dirty.mark([person, *_rest], "x")
    dirty.mark([branch], "y")
    dirty.mark([person], "z", not_before=NOW)
    dirty.mark([person, other], "z", not_before=NOW + timedelta(seconds=1))

    drain.drain_batch()

    assert left(contact_id__in=[person, branch, other], not_before__gt=NOW) == [person, other]
    assert left(contact_id__in=[person, branch, other], not_before__lte=NOW) == []
    assert left(contact_id=branch) == []


# --- Boundaries of several readers -------------------------------------------------------------------------------


def within(days):
    return tree_of({"field": "contact.first_added_at", "op": "within", "window": {"days": days}})


def test_the_boundaries_of_many_readers_are_as_many_statements_as_those_of_one(acme, django_assert_num_queries):
    person = tagging.make_person(first_added_at=NOW - timedelta(days=1)).pk

    def written(trees, statements):
        with django_assert_num_queries(statements):
            boundaries.schedule_many(trees, [person], NOW)
        return dict(DirtyMark.objects.filter(contact_id=person).values_list("field_key", "not_before"))

    one = written({"segment:1": within(7)}, 4)
    many = written({f"segment:{number}": within(6 + number) for number in range(1, 31)}, 4)

    assert one == {"recheck:segment:1": NOW + timedelta(days=6)}
    assert many == {f"recheck:segment:{n}": NOW + timedelta(days=5 + n) for n in range(1, 31)}


def test_a_tree_without_time_loses_the_boundaries_it_had(acme):
    person = tagging.make_person(first_added_at=NOW).pk
    boundaries.schedule("stages", within(7), [person], NOW)
    boundaries.schedule("stages", tree_of({"field": "contact.first_added_at", "op": "empty"}), [person], NOW)

    assert left() == []


def test_the_loop_is_told_of_the_boundaries_just_written_alone(acme, monkeypatch):
    told = []
    monkeypatch.setattr(boundaries.jobs, "nudge", lambda lane, *, due_at=None: told.append(due_at))
    early, late = (tagging.make_person(first_added_at=NOW - timedelta(days=days)).pk for days in (5, 1))
    for person in (early, late):
        boundaries.schedule("rule:1", within(7), [person], NOW)

    assert told == [NOW + timedelta(days=2), NOW + timedelta(days=6)]


def test_a_boundary_has_its_turn_at_once_while_a_full_batch_of_changes_waits_all_the_time(acme, monkeypatch):
    """As many as a batch claims, before each batch: by the order of the marks alone the boundary would wait for ever."""
    monkeypatch.setattr(clock, "now", lambda: NOW)
    given = {"name": "客户", "created_at": NOW, "updated_at": NOW}
    people = Contact.objects.bulk_create(Contact(**given) for _ in range(drain.BATCH))
    timed = tagging.make_person().pk
    flooded = [one.pk for one in people]
    dirty.mark(flooded, "x")
    for turn in range(3):
        dirty.mark(flooded, "x")
        dirty.mark([timed], "recheck:rule:1", not_before=NOW)
        assert drain.drain_batch() >= drain.BATCH
        assert left(contact_id=timed) == [], turn
        assert left(not_before__isnull=True), "and changes wait still"
