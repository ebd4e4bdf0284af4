"""Segments under several connections: two builds at once, a build during a flood of changes, a build whose process is killed, and
changes committed out of the order of their ids."""

import random
import threading
from datetime import timedelta

import pytest
from django.db import connection, transaction

from conditions import dirty
from conditions.drain import drain_marks
from conditions.models import DirtyMark
from contacts.models import Contact
from scrm.lib import clock
from tagging.models import Segment, SegmentChange, SegmentEntry
from tagging.services import segment_building, segment_pins, segments
from tenants.audit import SYSTEM
from tenants.ledger.models import Job
from tests.support import tagging
from tests.support.consuming import members, named
from tests.support.core import in_thread
from tests.support.histories import lived
from tests.support.tagging import tree_of

pytestmark = [pytest.mark.gate, pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("acme")]


@pytest.fixture(autouse=True)
def _fields():
    tagging.register_test_fields()


def soon():
    return clock.wall() + timedelta(seconds=60)


def drain_all():
    while drain_marks(soon()) or DirtyMark.objects.filter(not_before__isnull=True).exists():
        pass


def is_right(segment):
    """Everybody called 王姐, each once, the size and the log in agreement."""
    expected = set(Contact.objects.filter(name="王姐").values_list("pk", flat=True))
    segment.refresh_from_db()
    log = list(SegmentChange.objects.filter(segment=segment).order_by("pk").values_list("contact_id", "kind"))
    inside: set[int] = set()
    for contact_id, kind in log:
        assert (contact_id in inside) is (kind == "leave"), "nobody enters twice nor leaves who is not there"
        inside ^= {contact_id}
    return members(segment) == inside == expected and segment.size == len(expected) and segment.state == "fresh"


def test_of_builds_at_once_one_writes():
    for _number in range(200):
        tagging.make_person("王姐")
    segment = segments.save_segment(None, name="王姐们", tree=named("王姐"), by=SYSTEM)
    gate = threading.Barrier(4)

    def build():
        gate.wait(10)
        return segments.build_segment(segment)

    built = [running.result() for running in [in_thread(build) for _ in range(4)]]
    assert True in built and is_right(segment)
    assert SegmentChange.objects.filter(segment=segment).count() == 200
    assert set(Job.objects.values_list("state", flat=True)) == {"done"}


def test_builds_during_a_flood_of_changes_lose_nobody_and_hold_up_no_other_segment():
    dice = random.Random(5)
    ids = [tagging.make_person(dice.choice(("王姐", "x"))).pk for _ in range(120)]
    kept = [segments.save_segment(None, name=name, tree=named("王姐"), by=SYSTEM) for name in "甲乙"]
    child = segments.save_segment(
        None, name="下级", tree=tree_of({"field": "segment", "op": "any", "value": [kept[0].pk]}), by=SYSTEM
    )
    assert segments.drain_builds(soon()) is False
    over = threading.Event()

    def change(seed):
        dice = random.Random(seed)
        for _number in range(25):
            some = dice.sample(ids, 5)
            with transaction.atomic():
                rows = list(Contact.objects.select_for_update(no_key=True).filter(pk__in=some).order_by("pk"))
                for row in rows:
                    row.name = dice.choice(("王姐", "x"))
                    row.save(update_fields=["name"])
                dirty.mark(some, "t.name")

    def drain():
        while not over.is_set():
            drain_marks(soon())

    def rebuild():
        while not over.is_set():
            for segment in (*kept, child):
                segments.build_segment(segment)

    others = [in_thread(work) for work in (drain, drain, rebuild, rebuild)]
    try:
        for running in [in_thread(lambda seed=seed: change(seed)) for seed in range(3)]:
            running.result()
    finally:
        over.set()
    for running in others:
        running.result()
    drain_all()
    assert all(is_right(segment) for segment in (*kept, child))
    assert set(Segment.objects.values_list("state", flat=True)) == {"fresh"}


def test_while_one_segment_is_built_the_others_follow_and_its_people_come_after(monkeypatch):
    person = tagging.make_person("x")
    slow, quick = [segments.save_segment(None, name=name, tree=named("王姐"), by=SYSTEM) for name in "甲乙"]
    segments.drain_builds(soon())
    filled, go_on = threading.Event(), threading.Event()
    fill = segment_building._fill

    def slowly(claim):
        found = fill(claim)
        filled.set()
        assert go_on.wait(30)
        return found

    monkeypatch.setattr(segment_building, "_fill", slowly)
    building = in_thread(lambda: segments.build_segment(slow))
    assert filled.wait(30)
    Contact.objects.filter(pk=person.pk).update(name="王姐")
    dirty.mark([person.pk], "t.name")
    drain_all()
    assert (members(slow), members(quick)) == (set(), {person.pk})
    assert segments.build_segment(slow) is False, "somebody else builds it"
    go_on.set()
    assert building.result()
    drain_all()
    assert is_right(slow) and is_right(quick)


def test_a_build_whose_connection_is_cut_is_taken_up_again(monkeypatch):
    tagging.make_person("王姐")
    segment = segments.save_segment(None, name="王姐们", tree=named("王姐"), by=SYSTEM)
    fill = segment_building._fill

    def killed(claim):
        fill(claim)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    monkeypatch.setattr(segment_building, "_fill", killed)
    assert in_thread(lambda: segments.build_segment(segment)).result()
    segment.refresh_from_db()
    assert segment.state == "stale" and not SegmentEntry.objects.exists()
    monkeypatch.setattr(segment_building, "_fill", fill)
    segments.drain_builds(soon())
    assert is_right(segment)
    assert sorted(Job.objects.values_list("state", flat=True)) == ["done", "failed"]


def test_pins_set_by_many_at_once_while_it_is_built_stand():
    people = [tagging.make_person("x").pk for _ in range(12)]
    segment = segments.save_segment(None, name="王姐们", tree=named("王姐"), by=SYSTEM)
    over = threading.Event()

    def rebuild():
        while not over.is_set():
            segments.build_segment(segment)

    def pin(pk):
        segment_pins.pin(segment, [pk], is_in=True, reason="", by=SYSTEM)

    building = in_thread(rebuild)
    try:
        for running in [in_thread(lambda pk=pk: pin(pk)) for pk in people]:
            running.result()
    finally:
        over.set()
    building.result()
    drain_all()
    segment.refresh_from_db()
    assert members(segment) == set(people) and segment.size == 12


@pytest.mark.parametrize("seed", range(8))
def test_builds_during_a_flood_over_the_product_s_own_fields_lose_nobody(seed, monkeypatch):
    """Tags, stages, relations, orders, timelines, groups, custom fields, merges, pins: of three at once, beside two loops and two builders."""
    with lived(seed + 700, monkeypatch) as history:
        history.begin(8)
        for _ in range(3):
            history.flood(60)
            history.end()
            history.compare()


def test_two_builds_at_once_over_the_product_s_own_fields_write_one_answer(monkeypatch):
    with lived(31, monkeypatch) as history:
        history.begin(8)
        for segment in history.segments:
            SegmentEntry.objects.filter(segment=segment).delete()
            SegmentChange.objects.filter(segment=segment).delete()
            gate = threading.Barrier(3)

            def build(pk=segment.pk, gate=gate):
                gate.wait(10)
                return segments.build_segment(Segment.objects.get(pk=pk))

            assert True in [running.result() for running in [in_thread(build) for _ in range(3)]]
        history.end()
        history.compare()
