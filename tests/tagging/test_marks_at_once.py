"""Marks under two connections: none lost, none acted on twice."""

from datetime import timedelta

import pytest
from django.db import transaction

from conditions import dirty
from conditions.drain import drain_marks
from conditions.models import DirtyMark
from contacts.models import Stage
from contacts.services.stages import change_stage
from scrm.lib import clock
from tagging.models import FollowTag, RuleMatch
from tagging.services import segment_building, segments
from tenants.audit import SYSTEM
from tests.support import tagging
from tests.support.consuming import built, enabled, members, named, tag_action
from tests.support.core import in_thread
from tests.support.sessions import attempt, impatient
from wecom_bridge.models import OutboundCommand

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_fields")]


@pytest.mark.django_db(transaction=True)
def test_marks_committed_out_of_id_order_are_not_lost(acme):
    """A later mark is worked off and gone before an earlier one commits; the earlier one is worked off all the same."""
    import threading

    person, other = tagging.make_person("王姐"), tagging.make_person("x")
    segment = built("王姐们", named("王姐"))
    written, go_on = threading.Event(), threading.Event()

    def late():
        with transaction.atomic():
            type(person).objects.filter(pk=person.pk).update(name="改了")
            dirty.mark([person.pk], "t.name")
            written.set()
            go_on.wait(20)

    thread = in_thread(late)
    written.wait(20)
    type(other).objects.filter(pk=other.pk).update(name="王姐")
    dirty.mark([other.pk], "t.name")
    drain_marks(clock.wall() + timedelta(seconds=20))
    assert members(segment) == {person.pk, other.pk}
    assert not DirtyMark.objects.exists()
    go_on.set()
    thread.result()
    drain_marks(clock.wall() + timedelta(seconds=20))
    assert members(segment) == {other.pk}


@pytest.mark.django_db(transaction=True)
def test_two_drains_at_once_act_once(acme):
    corp = tagging.make_corp()
    guide = tagging.make_member(corp)
    tag = tagging.make_tag("老客", corp=corp)
    enabled(named("王姐"), tag_action(tag))
    people = [tagging.make_person("王姐") for _ in range(30)]
    for person in people:
        tagging.make_relation(person, guide)
    for _ in range(2):
        dirty.mark([person.pk for person in people], dirty.EVERYTHING)

    def work():
        deadline = clock.wall() + timedelta(seconds=20)
        while drain_marks(deadline) and DirtyMark.objects.exists() and clock.wall() < deadline:
            pass

    threads = [in_thread(work) for _ in range(3)]
    for thread in threads:
        thread.result()
    assert not DirtyMark.objects.exists()
    assert RuleMatch.objects.count() == FollowTag.objects.count() == OutboundCommand.objects.count() == 30


@pytest.mark.django_db(transaction=True)
def test_a_build_that_writes_somebody_s_entry_does_not_hold_up_whoever_moves_her(acme, monkeypatch):
    """The loop holds its lock while it moves people, and the build wants that lock before it ends: they would wait for each other."""
    person, stage = tagging.make_person("王姐"), Stage.objects.create(key="甲", name="甲", order=90)
    segment = segments.save_segment(None, name="王姐们", tree=named("王姐"), by=SYSTEM)
    fill, moved = segment_building._fill, []

    def meanwhile(claim):
        found = fill(claim)

        def move():
            impatient()
            return attempt(lambda: change_stage([person.pk], stage, source="rule", by=SYSTEM, at=clock.now()))

        moved.append(in_thread(move).result())
        return found

    monkeypatch.setattr(segment_building, "_fill", meanwhile)
    assert segments.build_segment(segment)
    assert moved == [True] and members(segment) == {person.pk}
