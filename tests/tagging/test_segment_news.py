"""What of a segment is news for rules: that somebody entered or left it by her own change, however the segment is computed meanwhile;
not that it was edited, computed for the first time, or repaired."""

from datetime import timedelta

import pytest
from django.db import transaction

from conditions import dirty
from conditions.drain import drain_marks
from conditions.models import DirtyMark
from conditions.tree import EVERYONE
from contacts.models import Contact
from contacts.services.merging import merge_roots
from scrm.lib import clock
from tagging.models import RuleEvent, Segment, SegmentChange, SegmentEntry
from tagging.services import rules, segment_building, segment_pins, segments
from tenants.audit import SYSTEM
from tenants.ledger.models import Job
from tests.support import tagging
from tests.support.consuming import built, members, named, settle, tag_action
from tests.support.core import in_thread
from tests.support.tagging import NOW, tree_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_fields", "at", "acme")]


def listening(segment, way="enter"):
    """A rule that hears who enters or leaves."""
    trigger = {"kind": "segment", "segment": segment.pk, "way": way}
    action = tag_action(tagging.make_tag(f"{segment.name}{way}"))
    rule = rules.save_rule(
        None, name=f"{segment.name}{way}", tree=EVERYONE, rule_actions=action, trigger=trigger, by=SYSTEM
    )
    return rules.enable_rule(rule, by=SYSTEM)


def rename(person, name):
    """Her own change, its mark not yet worked off."""
    Contact.objects.filter(pk=person.pk).update(name=name)
    dirty.mark([person.pk], "t.name")


def told():
    return list(RuleEvent.objects.order_by("pk").values_list("contact_id", flat=True))


def compute(segment):
    segment.refresh_from_db()
    assert segments.build_segment(segment)
    settle()
    segment.refresh_from_db()
    assert segment.state == "fresh" and segment.size == len(members(segment))


def meanwhile(monkeypatch, change):
    """Let `change` happen when the build has begun, before it looks at people."""
    fill = segment_building._fill

    def filled(claim):
        change()
        return fill(claim)

    monkeypatch.setattr(segment_building, "_fill", filled)


# --- Told -------------------------------------------------------------------------------------------------------


def test_who_changes_while_a_segment_waits_to_be_computed_anew_is_told_at_once_and_once():
    person, leaver = tagging.make_person("别人"), tagging.make_person("王姐")
    segment = built("王姐们", named("王姐"))
    listening(segment), listening(segment, "leave")
    segments.request_rebuild(segment, by=SYSTEM)
    rename(person, "王姐")
    rename(leaver, "别人")
    settle()
    assert told() == [person.pk, leaver.pk] and members(segment) == {person.pk}
    compute(segment)
    assert told() == [person.pk, leaver.pk] and members(segment) == {person.pk}


@pytest.mark.parametrize("is_worked_off", [True, False])
def test_who_changes_while_a_segment_is_computed_anew_is_told_once_when_it_is(monkeypatch, is_worked_off):
    person, leaver = tagging.make_person("别人"), tagging.make_person("王姐")
    segment = built("王姐们", named("王姐"))
    listening(segment), listening(segment, "leave")
    segments.request_rebuild(segment, by=SYSTEM)

    def change():
        rename(person, "王姐")
        rename(leaver, "别人")
        if is_worked_off:
            settle()
            assert DirtyMark.objects.filter(not_before__isnull=False).exists(), "put off"

    meanwhile(monkeypatch, change)
    compute(segment)
    assert sorted(told()) == sorted([person.pk, leaver.pk]) and members(segment) == {person.pk}
    changes = SegmentChange.objects.filter(segment=segment).order_by("pk").values_list("contact_id", "cause")
    assert set(changes) == {(leaver.pk, "build"), (person.pk, "change"), (leaver.pk, "change")}


def test_whom_time_alone_moves_while_a_segment_is_computed_anew_is_told_too(at):
    person = tagging.make_person(first_added_at=NOW - timedelta(days=1))
    segment = built("新客", tree_of({"field": "t.added", "op": "within", "window": {"days": 7}}))
    listening(segment, "leave")
    at(NOW + timedelta(days=6))
    segments.request_rebuild(segment, by=SYSTEM)
    compute(segment)
    assert told() == [person.pk] and members(segment) == set()


def test_who_becomes_one_with_another_while_the_segment_is_computed_anew_is_told_as_she_is():
    stays, goes = tagging.make_person("别人"), tagging.make_person("王姐")
    segment = built("王姐们", named("王姐"))
    listening(segment, "leave")
    merge_roots([(stays.pk, goes.pk)], now=clock.now())
    segments.request_rebuild(segment, by=SYSTEM)
    compute(segment)
    assert told() == [goes.pk] and members(segment) == set()


def test_a_segment_in_a_segment_that_is_computed_anew_hears_the_same(monkeypatch):
    person = tagging.make_person("别人")
    parent = built("上级", named("王姐"))
    child = built("下级", tree_of({"field": "segment", "op": "any", "value": [parent.pk]}))
    listening(child)
    segments.request_rebuild(parent, by=SYSTEM)
    meanwhile(monkeypatch, lambda: rename(person, "王姐"))
    compute(parent)
    assert told() == [person.pk] and members(child) == {person.pk}


def test_whoever_is_let_go_by_hand_while_the_segment_waits_is_decided_at_once():
    person = tagging.make_person("别人")
    segment = built("王姐们", named("王姐"))
    segment_pins.pin(segment, [person.pk], is_in=True, reason="", by=SYSTEM)
    segments.request_rebuild(segment, by=SYSTEM)
    segment_pins.unpin(segment, [person.pk], by=SYSTEM)
    assert members(segment) == set()


# --- Not told ---------------------------------------------------------------------------------------------------


def test_an_edit_and_a_first_computing_are_no_news_and_what_follows_is():
    first, second, third = (tagging.make_person("王姐") for _ in range(3))
    segment = segments.save_segment(None, name="王姐们", tree=named("王姐"), by=SYSTEM)
    listening(segment), listening(segment, "leave")
    rename(second, "李姐")
    settle()
    compute(segment)
    assert told() == [] and members(segment) == {first.pk, third.pk}

    segments.save_segment(segment, name="王姐们", tree=named("李姐"), by=SYSTEM)
    rename(first, "李姐")
    settle()
    assert members(segment) == {first.pk, third.pk}, "until it is computed they answer to the condition before"
    compute(segment)
    assert told() == [] and members(segment) == {first.pk, second.pk}
    rename(third, "李姐")
    settle()
    assert told() == [third.pk]


def test_a_wrong_entry_put_right_and_what_the_first_sync_told_are_no_news():
    person, known, synced = tagging.make_person("王姐"), tagging.make_person("王姐"), tagging.make_person("别人")
    segment = built("王姐们", named("王姐"))
    listening(segment)
    SegmentEntry.objects.filter(segment=segment, contact=person).delete()
    Contact.objects.filter(pk=synced.pk).update(name="王姐")
    dirty.mark([synced.pk], "t.name", backfill=True)
    segments.request_rebuild(segment, by=SYSTEM)
    compute(segment)
    assert told() == [] and members(segment) == {person.pk, known.pk, synced.pk}


def test_what_happened_while_a_segment_had_failed_is_no_news():
    person = tagging.make_person("别人")
    segment = built("王姐们", named("王姐"))
    listening(segment)
    Segment.objects.filter(pk=segment.pk).update(state="failed")
    rename(person, "王姐")
    settle()
    segments.request_rebuild(segment, by=SYSTEM)
    compute(segment)
    assert told() == [] and members(segment) == {person.pk}


# --- Put away while it is computed ------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_segment_is_archived_while_it_is_computed_and_neither_waits_for_the_other_for_ever(at, monkeypatch):
    """The build holds boundaries and wants the row; whoever archives holds the row and lets those boundaries stand."""
    import threading

    person = tagging.make_person(first_added_at=NOW - timedelta(days=1))
    segment = built("新客", tree_of({"field": "t.added", "op": "within", "window": {"days": 7}}))
    Contact.objects.filter(pk=person.pk).update(first_added_at=NOW - timedelta(days=2))
    holds, go_on = threading.Event(), threading.Event()
    schedule = segment_building.boundaries.schedule

    def scheduled(*given):
        schedule(*given)
        holds.set()
        go_on.wait(20)

    monkeypatch.setattr(segment_building.boundaries, "schedule", scheduled)
    building = in_thread(lambda: segments.build_segment(segment))
    assert holds.wait(20)
    with transaction.atomic():
        segments.archive_segment(segment, by=SYSTEM)
        go_on.set()
    assert building.result()
    segment.refresh_from_db()
    assert segment.archived_at and Job.objects.latest("pk").state == "cancelled"
    at(NOW + timedelta(days=30))
    drain_marks(clock.wall() + timedelta(seconds=20))
    assert not DirtyMark.objects.exists(), "what was let stand is dropped when it is due"
