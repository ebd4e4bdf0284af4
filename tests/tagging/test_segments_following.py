"""Segments follow what changes and what time does: exactly, at the instant."""

import random
from datetime import timedelta

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conditions import dirty
from conditions.drain import RETRY_AFTER, next_due
from conditions.models import DirtyMark
from conditions.people import people
from scrm.lib import clock
from tagging import segments as listeners
from tagging.models import FollowTag, Segment, SegmentChange, SegmentEntry
from tagging.services import segment_building, segment_pins, segment_state, segments
from tenants.audit import SYSTEM
from tenants.ledger.models import Job
from tests.support import tagging
from tests.support.consuming import built, members, named, settle
from tests.support.fuzzing import often
from tests.support.tagging import NOW, TEST_FIELDS, World, random_node, tree_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_fields")]


def test_a_change_moves_people_in_and_out_and_tells_the_listeners(at, acme):
    person = tagging.make_person("王姐")
    segment = built("王姐们", named("王姐"))
    heard = []
    listeners.on_change("test", heard.extend)
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
@settings(max_examples=often(4), deadline=None, suppress_health_check=list(HealthCheck))
def test_increments_equal_a_full_build_after_any_history(acme, seed):
    """Of conditions of every kind, one within another, some people pinned; entries, sizes and the instants to look again."""
    dice = random.Random(seed)
    with pytest.MonkeyPatch.context() as patch, transaction.atomic():
        now = NOW
        patch.setattr(clock, "now", lambda: now)
        world = World(dice, size=8)
        kept = [built(f"人群{n}", tree_of(random_node(dice, TEST_FIELDS))) for n in range(3)]
        kept += [built("下级", _reading(dice, kept[:2])), built("更下级", _reading(dice, kept[2:]))]
        kept.append(built("最下级", _reading(dice, kept[-2:])))
        for _ in range(6):
            now += timedelta(hours=dice.choice((0, 6, 24, 72)))
            _change_something(dice, world, now, kept)
            if dice.random() < 0.5:
                settle()
        settle()
        for segment in kept:
            followed, kept_at = _as_it_stands(segment)
            assert segments.build_segment(segment)
            entries, built_at = _as_it_stands(segment)
            assert entries == followed, segment.tree
            # A build leaves out whom time cannot move; an increment looks at a person again for each of her rows.
            assert all(kept_at.get(pk, later(at)) <= at for pk, at in built_at.items()), segment.tree
        transaction.set_rollback(True)


def _reading(dice, parents):
    """A condition about other segments and something else."""
    leaf = {"field": "segment", "op": dice.choice(("any", "all", "none")), "value": [parent.pk for parent in parents]}
    return tree_of({dice.choice(("all", "any")): [leaf, random_node(dice, TEST_FIELDS, 1)]})


def _as_it_stands(segment):
    entries = sorted(SegmentEntry.objects.filter(segment=segment).values_list("contact_id", "origin"))
    assert Segment.objects.get(pk=segment.pk).size == len(entries)
    due = DirtyMark.objects.filter(field_key=f"recheck:segment:{segment.pk}")
    roots = people().values("pk")
    return entries, dict(due.filter(contact_id__in=roots).values_list("contact_id", "not_before"))


def later(at):
    return at + timedelta(days=1)


def _change_something(dice, world, now, kept):
    person = dice.choice(world.people)
    match dice.randrange(7):
        case 0:
            person.name = dice.choice(tagging.NAMES)
            person.save(update_fields=["name"])  # what is recounted meanwhile is not hers to take back
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
                        row.save(update_fields=["root"])
                dirty.mark([person.pk, into.pk], dirty.EVERYTHING)
        case 4:
            person = world.add_person()
            dirty.mark([person.pk], dirty.EVERYTHING)
        case 5:
            segment_pins.pin(dice.choice(kept), [person.pk], is_in=dice.random() < 0.5, reason="", by=SYSTEM)
        case 6:
            segment_pins.unpin(dice.choice(kept), [row.pk for row in world.people], by=SYSTEM)


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
    """The build of the old tree must not end as 已更新 under the new one, nor write what it found."""
    tagging.make_person("王姐")
    segment = segments.save_segment(None, name="人群", tree=named("王姐"), by=SYSTEM)
    claim = segment_building._claim

    def edited_meanwhile(pk):
        claimed = claim(pk)
        segments.save_segment(segment, name="人群", tree=named("别人"), by=SYSTEM)
        return claimed

    with monkeypatch.context() as patch:
        patch.setattr(segment_building, "_claim", edited_meanwhile)
        assert segments.build_segment(segment)

    segment.refresh_from_db()
    assert (segment.state, members(segment)) == ("stale", set())
    assert Job.objects.get(pk=segment.job_id).state == "cancelled"
    segments.build_segment(segment)
    segment.refresh_from_db()
    assert (segment.state, segment.built_version, members(segment)) == ("fresh", 2, set())


def test_a_segment_that_breaks_does_not_hold_up_the_others_of_the_same_people(at, acme):
    first, *others = [built(name, named("王姐")) for name in "甲乙丙"]
    person = tagging.make_person("王姐")

    def breaks(changes):
        if first.pk in [change.segment_id for change in changes]:
            raise RuntimeError("a listener broke")

    listeners.on_change("test", breaks)
    try:
        dirty.mark([person.pk], "t.name")
        settle()
        assert [members(one) for one in (first, *others)] == [set(), {person.pk}, {person.pk}]
        first.refresh_from_db()
        assert (first.size, segment_state.as_of(first, NOW + timedelta(hours=1))) == (0, NOW)
    finally:
        listeners._listeners.pop("test")
    at(NOW + RETRY_AFTER)
    settle()
    assert members(first) == {person.pk}
