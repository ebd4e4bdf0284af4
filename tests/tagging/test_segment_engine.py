"""Segments pinned by hand, built one at a time and from fresh parents, filled as fixed lists, and how old they are."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from conditions import dirty
from conditions.models import DirtyMark
from contacts.services.merging import merge_roots
from scrm.lib import clock
from scrm.lib.errors import UserError
from tagging import segments as listeners
from tagging.models import Segment, SegmentChange, SegmentEntry, SegmentSize
from tagging.services import segment_building, segment_history, segment_pins, segment_state, segments, static_lists
from tenants.audit import SYSTEM
from tests.support import tagging
from tests.support.consuming import built, members, named, settle
from tests.support.tagging import NOW, tree_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_fields", "at", "acme")]


def pin(segment, *people, is_in=True):
    return segment_pins.pin(segment, [one.pk for one in people], is_in=is_in, reason="店长要求", by=SYSTEM)


def reading(*parents, op="any"):
    return tree_of({"field": "segment", "op": op, "value": [parent.pk for parent in parents]})


def origins(segment):
    return dict(SegmentEntry.objects.filter(segment=segment).values_list("contact_id", "origin"))


# --- Pins -------------------------------------------------------------------------------------------------------


def test_a_pin_wins_over_the_condition_at_once_and_through_every_rebuild():
    wang, other = tagging.make_person("王姐"), tagging.make_person("x")
    segment = built("王姐们", named("王姐"))
    pin(segment, other)
    pin(segment, wang, is_in=False)
    expected = {other.pk: "pin"}
    assert origins(segment) == expected
    segments.build_segment(segment)
    dirty.mark([wang.pk, other.pk], "t.name")
    settle()
    segment.refresh_from_db()
    assert (origins(segment), segment.size) == (expected, 1)
    kinds = SegmentChange.objects.filter(segment=segment).order_by("pk").values_list("contact_id", "kind", "cause")
    assert list(kinds) == [(wang.pk, "enter", "build"), (other.pk, "enter", "pin"), (wang.pk, "leave", "pin")]
    segment_pins.unpin(segment, [wang.pk, other.pk], by=SYSTEM)
    assert origins(segment) == {wang.pk: "tree"}


def test_of_two_people_who_become_one_the_pin_that_keeps_out_wins_and_comes_back_apart():
    first, second = tagging.make_person("王姐"), tagging.make_person("王姐")
    segment = built("王姐们", named("王姐"))
    pin(segment, first)
    pin(segment, second, is_in=False)
    assert members(segment) == {first.pk}
    merge_roots([(first.pk, second.pk)], now=clock.now())
    settle()
    assert members(segment) == set()
    assert segments.build_segment(segment) and members(segment) == set()
    pin(segment, second)  # the row of hers that went: one person is meant, whichever row is named
    assert origins(segment) == {first.pk: "pin"}


def test_a_pin_set_while_the_segment_is_built_takes_effect_with_the_build(monkeypatch):
    wang, other = tagging.make_person("王姐"), tagging.make_person("x")
    segment = segments.save_segment(None, name="王姐们", tree=named("王姐"), by=SYSTEM)
    fill = segment_building._fill

    def pinned_meanwhile(claim):
        found = fill(claim)
        pin(segment, wang, is_in=False)
        pin(segment, other)
        assert members(segment) == {wang.pk}, "the build's end decides"
        return found

    monkeypatch.setattr(segment_building, "_fill", pinned_meanwhile)
    segments.build_segment(segment)
    segment.refresh_from_db()
    assert (origins(segment), segment.size) == ({other.pk: "pin"}, 1)


def test_a_fixed_list_is_not_pinned_and_a_reason_is_not_a_letter():
    fixed = segments.create_list(name="名单", by=SYSTEM)
    with pytest.raises(UserError, match="固定名单"):
        pin(fixed, tagging.make_person())
    with pytest.raises(UserError, match="200"):
        segment_pins.pin(built("甲", named("x")), [], is_in=True, reason="长" * 201, by=SYSTEM)


# --- Built ------------------------------------------------------------------------------------------------------


def test_a_build_reads_no_list_of_people_and_a_listener_only_what_it_asks_for():
    people = [tagging.make_person("王姐") for _ in range(3)]
    heard = []
    listeners.on_change("test", heard.extend)
    try:
        with CaptureQueriesContext(
            connection,
        ) as few:
            segment = built("王姐们", named("王姐"))
        (change,) = heard
        assert (change.came, change.went, change.cause) == (3, 0, "build")
        assert change.entered == [one.pk for one in people] and change.left == []
        assert change.rows.count() == 3
    finally:
        listeners._listeners.pop("test")
    assert not DirtyMark.objects.exists(), "nobody reads it"
    for _ in range(20):
        tagging.make_person("王姐")
    with CaptureQueriesContext(connection) as many:
        built("更多", named("王姐"))
    assert len(many) == len(few)
    assert list(SegmentSize.objects.filter(segment=segment).values_list("size", flat=True)) == [3]


def test_a_child_is_built_after_its_parent_and_never_from_a_stale_or_failed_one():
    person = tagging.make_person("王姐")
    parent = built("上级", named("王姐"))
    child = built("下级", reading(parent))
    segments.save_segment(parent, name="上级", tree=named("别人"), by=SYSTEM)
    assert not segments.build_segment(child) and members(child) == {person.pk}
    segments.request_rebuild(child, by=SYSTEM)
    assert segments.buildable() == [parent]
    segments.drain_builds(clock.wall() + timedelta(seconds=20))
    child.refresh_from_db()
    assert (child.state, members(child)) == ("fresh", set())

    Segment.objects.filter(pk=parent.pk).update(state="failed")
    segments.request_rebuild(child, by=SYSTEM)
    assert segments.buildable() == [] and not Segment.objects.get(pk=child.pk).last_error, "asking writes nothing"
    assert segments.drain_builds(clock.wall() + timedelta(seconds=20)) is False
    child.refresh_from_db()
    assert child.state == "stale" and "上级" in child.last_error
    segments.request_rebuild(parent, by=SYSTEM)
    segments.drain_builds(clock.wall() + timedelta(seconds=20))
    child.refresh_from_db()
    assert (child.state, child.last_error) == ("fresh", "")


def test_what_changes_while_a_segment_is_built_waits_and_is_due_when_it_is_built(monkeypatch):
    person = tagging.make_person("x")
    segment = built("王姐们", named("王姐"))
    fill = segment_building._fill

    def changed_meanwhile(claim):
        found = fill(claim)
        person.name = "王姐"
        person.save()
        dirty.mark([person.pk], "t.name")
        settle()
        assert not members(segment) and DirtyMark.objects.get().not_before > NOW
        return found

    monkeypatch.setattr(segment_building, "_fill", changed_meanwhile)
    segments.build_segment(segment)
    assert DirtyMark.objects.get().not_before is None
    settle()
    assert members(segment) == {person.pk} and not DirtyMark.objects.exists()


def test_a_build_that_a_killed_process_left_is_taken_up_again_and_one_that_lives_is_not():
    person = tagging.make_person("王姐")
    segment = segments.save_segment(None, name="王姐们", tree=named("王姐"), by=SYSTEM)
    dead = segment_building._claim(segment.pk)
    assert segment_building.next_due() == NOW + segment_building.LOOK_AGAIN
    assert segments.build_segment(segment) and members(segment) == {person.pk}
    dead.job.refresh_from_db()
    assert dead.job.state == "failed" and not dead.row.exists(), (
        "should it live after all, its token is no longer the segment's"
    )
    assert segment_building.next_due() is None


# --- Kept up, many at once --------------------------------------------------------------------------------------


def test_a_person_who_changes_costs_the_same_number_of_statements_however_many_segments_read_it():
    person = tagging.make_person("王姐")

    def cost(change_to):
        type(person).objects.filter(pk=person.pk).update(name=change_to)
        dirty.mark([person.pk], "t.name")
        with CaptureQueriesContext(connection) as spent:
            settle()
        return len(spent)

    few = [built(f"少{n}", named("王姐")) for n in range(2)]
    with_two = cost("x")
    more = [built(f"多{n}", named("王姐")) for n in range(10)]
    assert cost("王姐") == with_two
    assert all(members(one) == {person.pk} for one in (*few, *more))


def test_a_segment_within_another_is_decided_once_and_nobody_is_in_it_for_a_moment():
    """Became 王姐 and with it one of those to be left out: she must never enter what leaves these out."""
    person = tagging.make_person("x")
    left_out = built("除外", named("王姐"))
    leaf = {"field": "t.name", "op": "is", "value": "王姐"}
    child = built("其余", tree_of({"all": [leaf, reading(left_out, op="none")["root"]]}))
    person.name = "王姐"
    person.save()
    dirty.mark([person.pk], "t.name")
    settle()
    assert members(left_out) == {person.pk} and members(child) == set()
    assert not SegmentChange.objects.filter(segment=child).exists()


# --- How old ----------------------------------------------------------------------------------------------------


def test_entries_are_as_old_as_the_oldest_change_that_waits_or_as_what_they_read(at):
    person = tagging.make_person("王姐")
    parent = built("上级", named("王姐"))
    child = built("下级", reading(parent))
    later = NOW + timedelta(hours=2)
    assert segment_state.as_of_many([parent, child], later) == {parent.pk: later, child.pk: later}
    dirty.mark([person.pk], "t.order")
    assert not segment_state.is_stale(child, later), "nobody reads orders"
    dirty.mark([person.pk], "t.name")
    assert segment_state.as_of_many([parent, child], later) == {parent.pk: NOW, child.pk: NOW}
    assert not segment_state.is_stale(child, NOW + timedelta(minutes=9))
    assert segment_state.is_stale(child, NOW + timedelta(minutes=10))
    settle()
    at(later)
    segments.save_segment(parent, name="上级", tree=named("x"), by=SYSTEM)
    parent.refresh_from_db()
    assert (parent.state, parent.fresh_at) == ("stale", later), "right until the edit"
    assert segment_state.is_stale(segments.save_segment(None, name="新", tree=named("x"), by=SYSTEM), later)


def test_a_new_name_alone_computes_nothing():
    segment = built("王姐们", named("王姐"))
    saved = segments.save_segment(segment, name="姐姐们", tree=named("王姐"), by=SYSTEM)
    assert (saved.name, saved.state, saved.tree_version) == ("姐姐们", "fresh", 1)


# --- Fixed lists ------------------------------------------------------------------------------------------------


def test_a_fixed_list_takes_gives_and_replaces_people_and_tells_its_readers():
    first, second, third = (tagging.make_person(str(n)) for n in range(3))
    fixed = segments.create_list(name="名单", by=SYSTEM)
    child = built("下级", reading(fixed))

    def fill(how, *ids):
        filled = static_lists.fill_static(fixed, ids, how=how, by=SYSTEM)
        settle()
        assert members(child) == members(fixed) and filled.size == len(members(fixed))
        return filled.added, filled.removed, filled.unknown

    assert fill("add", first.pk, second.pk, 987654) == (2, 0, 1)
    assert fill("add", first.pk, third.pk) == (1, 0, 0)
    assert fill("remove", first.pk) == (0, 1, 0)
    assert fill("replace", first.pk, third.pk) == (1, 1, 0)
    assert origins(fixed) == {first.pk: "list", third.pk: "list"}
    with pytest.raises(UserError, match="固定名单"):
        static_lists.fill_static(child, [first.pk], how="add", by=SYSTEM)


def test_a_fixed_list_has_the_one_who_stays_of_two_people_merged():
    first, second = tagging.make_person("a"), tagging.make_person("b")
    fixed = segments.create_list(name="名单", by=SYSTEM)
    both = segments.create_list(name="两人都在", by=SYSTEM)
    static_lists.fill_static(fixed, [second.pk], how="add", by=SYSTEM)
    static_lists.fill_static(both, [first.pk, second.pk], how="add", by=SYSTEM)
    merge_roots([(first.pk, second.pk)], now=clock.now())
    assert members(fixed) == members(both) == {first.pk}
    assert list(Segment.objects.filter(kind="static").values_list("size", flat=True)) == [1, 1]


# --- What became of one -----------------------------------------------------------------------------------------


def test_who_came_and_who_went_between_two_days_and_the_size_of_each(at):
    stays, goes, comes, passes = (tagging.make_person(str(n)) for n in range(4))
    gone_into, merged = tagging.make_person("m"), tagging.make_person("n")
    fixed = segments.create_list(name="名单", by=SYSTEM)

    def on(day, how, *people):
        at(NOW + timedelta(days=day))
        static_lists.fill_static(fixed, [one.pk for one in people], how=how, by=SYSTEM)

    on(0, "add", stays, goes, merged)
    on(1, "add", comes, passes)
    on(2, "remove", goes, passes)
    merge_roots([(gone_into.pk, merged.pk)], now=clock.now())
    first = NOW.date()
    found = segment_history.segment_diff(fixed, first, first + timedelta(days=2))
    assert ([one.pk for one in found.came], [one.pk for one in found.went]) == ([comes.pk], [goes.pk])
    assert {one.pk for one in segment_history.segment_diff(fixed, first - timedelta(days=1), first).came} == {
        stays.pk, goes.pk, gone_into.pk,
    }  # fmt: skip
    days = segment_history.size_history(fixed, first - timedelta(days=1), first + timedelta(days=3))
    assert [size for _day, size in days] == [None, 3, 5, 3, 3]
    with pytest.raises(UserError, match="较早"):
        segment_history.segment_diff(fixed, first, first)


def test_what_uses_a_segment_is_named_with_its_page():
    parent = built("上级", named("王姐"))
    child = built("下级", reading(parent))
    (use,) = listeners.uses_of(parent.pk)
    assert (str(use), use.url) == ("人群「下级」", f"/segments/{child.pk}/")
    with pytest.raises(UserError, match="下级"):
        segments.archive_segment(parent, by=SYSTEM)
