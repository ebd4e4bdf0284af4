"""Segments follow what changes and what time does: exactly, at the instant."""

import random
from datetime import timedelta

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conditions import dirty
from conditions.drain import next_due
from conditions.models import DirtyMark
from scrm.lib import clock
from tagging import segments as listeners
from tagging.models import FollowTag, Segment, SegmentChange, SegmentEntry
from tagging.services import segments
from tenants.audit import SYSTEM
from tests.support import tagging
from tests.support.consuming import built, members, named, settle
from tests.support.fuzzing import often
from tests.support.tagging import NOW, TEST_FIELDS, World, random_node, tree_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_fields")]


def test_a_change_moves_people_in_and_out_and_tells_the_listeners(at, acme):
    person = tagging.make_person("王姐")
    segment = built("王姐们", named("王姐"))
    heard = []
    listeners.on_change("test", heard.append)
    try:
        person.name = "别人"
        person.save()
        dirty.mark([person.pk], "t.name")
        settle()
        assert members(segment) == set()
        assert [(change.entered, change.left, change.cause) for change in heard] == [([], [person.pk], "change")]
        assert SegmentChange.objects.filter(segment=segment).count() == 2
    finally:
        listeners._listeners.pop("test")
    segment.refresh_from_db()
    assert (segment.size, segment.state, segment.fresh_at) == (0, "fresh", NOW)


def test_a_mark_of_another_field_evaluates_nothing(at, acme, django_assert_max_num_queries):
    person = tagging.make_person("王姐")
    segment = built("王姐们", named("王姐"))
    SegmentEntry.objects.filter(segment=segment).delete()
    dirty.mark([person.pk], "t.order")
    settle()
    assert members(segment) == set()
    assert not DirtyMark.objects.exists()


@pytest.mark.parametrize(
    ("field", "op", "value", "window", "before", "boundary"),
    [
        ("t.added", "within", None, {"days": 7}, True, timedelta(days=6)),
        ("t.added", "older_than", 7, None, False, timedelta(days=6)),
        ("t.added", "within", None, {"days": 7, "skip_days": 3}, False, timedelta(days=2)),
    ],
)
def test_time_alone_moves_people_at_the_very_instant(at, acme, field, op, value, window, before, boundary):
    person = tagging.make_person(first_added_at=NOW - timedelta(days=1))
    leaf = {"field": field, "op": op} | ({"value": value} if value else {}) | ({"window": window} if window else {})
    segment = built("按时间", tree_of(leaf))
    assert (person.pk in members(segment)) is before
    assert next_due() == NOW + boundary
    at(NOW + boundary - timedelta(microseconds=1))
    settle()
    assert (person.pk in members(segment)) is before
    at(NOW + boundary)
    settle()
    assert (person.pk in members(segment)) is not before
    assert DirtyMark.objects.filter(contact_id=person.pk, not_before__isnull=False).count() <= 1


@given(seed=st.integers(0, 10**9))
@settings(max_examples=often(10), deadline=None, suppress_health_check=list(HealthCheck))
def test_increments_equal_a_full_build_after_any_history(acme, seed):
    dice = random.Random(seed)
    with pytest.MonkeyPatch.context() as patch, transaction.atomic():
        now = NOW
        patch.setattr(clock, "now", lambda: now)
        world = World(dice, size=8)
        kept = [built(f"人群{n}", tree_of(random_node(dice, TEST_FIELDS))) for n in range(4)]
        for _ in range(6):
            now += timedelta(hours=dice.choice((0, 6, 24, 72)))
            _change_something(dice, world, now)
            if dice.random() < 0.5:
                settle()
        settle()
        for segment in kept:
            incremental = members(segment)
            size = Segment.objects.get(pk=segment.pk).size
            segments.build_segment(segment)
            assert members(segment) == incremental, segment.tree
            assert size == len(incremental)
        transaction.set_rollback(True)


def _change_something(dice, world, now):
    person = dice.choice(world.people)
    match dice.randrange(5):
        case 0:
            person.name = dice.choice(tagging.NAMES)
            person.save()
            dirty.mark([person.pk], "t.name")
        case 1:
            world.add_order(person, at=now - timedelta(hours=dice.choice((0, 24, 160))))
            dirty.mark([person.pk], "t.order")
        case 2:
            marks = list(FollowTag.objects.filter(contact=person))
            for mark in marks[:1]:
                mark.delete()
            dirty.mark([person.pk], "t.tag")
        case 3:
            roots = [other for other in world.people if other.root_id is None and other.pk != person.pk]
            if person.root_id is None and roots:
                FollowTag.objects.filter(contact__root=person)  # branches follow her, as a merge makes them
                into = dice.choice(roots)
                for row in world.people:
                    if row.root_id == person.pk or row.pk == person.pk:
                        row.root = into
                        row.save()
                dirty.mark([person.pk, into.pk], dirty.EVERYTHING)
        case 4:
            person = world.add_person()
            dirty.mark([person.pk], dirty.EVERYTHING)


def test_a_segment_in_a_segment_follows_its_parent_and_a_circle_is_refused(at, acme):
    person = tagging.make_person("王姐")
    parent = built("上级", named("王姐"))
    child = built("下级", tree_of({"field": "segment", "op": "any", "value": [parent.pk]}))
    assert members(child) == {person.pk}
    person.name = "x"
    person.save()
    dirty.mark([person.pk], "t.name")
    settle()
    assert members(parent) == members(child) == set()
    with pytest.raises(Exception, match="圈"):
        segments.save_segment(
            parent, name="上级", tree=tree_of({"field": "segment", "op": "any", "value": [child.pk]}), by=SYSTEM
        )


def test_a_frozen_copy_does_not_move(at, acme):
    person = tagging.make_person("王姐")
    source = built("活的", named("王姐"))
    frozen = segments.freeze_segment(source, name="定住的", by=SYSTEM)
    person.name = "x"
    person.save()
    dirty.mark([person.pk], "t.name")
    settle()
    assert members(source) == set()
    assert members(frozen) == {person.pk}


def test_a_segment_edited_while_it_is_built_is_built_again(at, acme, monkeypatch):
    """The build of the old tree must not end as 已更新 under the new one."""
    tagging.make_person("王姐")
    segment = segments.save_segment(None, name="人群", tree=named("王姐"), by=SYSTEM)
    matching = segments.matching_people

    def edited_meanwhile(tree, now):
        monkeypatch.setattr(segments, "matching_people", matching)
        segments.save_segment(segment, name="人群", tree=named("别人"), by=SYSTEM)
        return matching(tree, now)

    monkeypatch.setattr(segments, "matching_people", edited_meanwhile)
    segments.build_segment(segment)

    segment.refresh_from_db()
    assert segment.state in ("stale", "building") and segment in segments.waiting_segments()
    segments.build_segment(segment)
    segment.refresh_from_db()
    assert segment.state == "fresh" and members(segment) == set()


def test_a_segment_that_breaks_does_not_hold_up_the_others_of_the_same_people(at, acme, monkeypatch):
    first, second = built("甲", named("王姐")), built("乙", named("王姐"))
    person = tagging.make_person("王姐")
    decide = segments._decide

    def breaks(segment, *rest):
        if segment.pk == first.pk:
            raise RuntimeError("a listener broke")
        return decide(segment, *rest)

    monkeypatch.setattr(segments, "_decide", breaks)
    dirty.mark([person.pk], "t.name")
    settle()
    assert (members(first), members(second)) == (set(), {person.pk})
    monkeypatch.setattr(segments, "_decide", decide)
    at(NOW + segments.RETRY_AFTER)
    settle()
    assert members(first) == {person.pk}
