"""Histories: a world in which several people act at once, and what must be true of its segments afterwards."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pprint import pformat
from random import Random
from typing import Any

import pytest
from django.db import connection

from commerce.models import Product
from conditions.drain import drain_batch
from conditions.models import DirtyMark
from conditions.people import people
from contacts.models import Follow
from scrm.lib import clock
from tagging.models import Segment, SegmentChange, SegmentEntry, SegmentPin
from tagging.services import segments
from tenants.audit import SYSTEM
from tenants.context import current_tenant
from tests.reference import evaluator, facts, worlds
from tests.reference.changes import leaves
from tests.reference.comparing import Trees
from tests.support.core import Running, in_thread
from tests.support.deeds import DEEDS, Life
from tests.support.sessions import Session, attempt, impatient

SESSIONS = 3
PATIENT = timedelta(seconds=60)
Json = dict[str, Any]


class History:
    """One world with its time, lived through several times."""

    def __init__(self, seed: int, people: int = 30) -> None:
        self.world = worlds.build(seed, people=people)
        self.r, self.now = Random(seed), self.world.now
        self.sessions = [Session(current_tenant()) for _ in range(SESSIONS)]
        self.segments: list[Segment] = []
        self.builds: list[Running[Any]] = []
        self.done: Counter[str] = Counter()
        self.gave_in = 0
        self.trail: list[str] = []

    def begin(self, number: int) -> None:
        """Segments over random conditions, some about those before them."""
        self._look_again()
        made = Trees(self.world, self.r.randrange(10**9))
        first = len(self.segments)
        for _ in range(number):
            tree = made.one()
            if len(self.segments) > first and self.r.random() < 0.4:
                tree = self._about_another(tree)
            segment = segments.save_segment(None, name=f"人群{len(self.segments)}", tree=tree, by=SYSTEM)
            segments.build_segment(segment)
            self.segments.append(segment)

    def _look_again(self) -> None:
        """Channels and categories that nobody carries any more are no longer to be chosen."""
        states, categories = Follow.objects.exclude(state=""), Product.objects.exclude(category="")
        self.world.pools["state"] = sorted(set(states.values_list("state", flat=True)))
        self.world.pools["category"] = sorted(set(categories.values_list("category", flat=True)))

    def _about_another(self, tree: Json) -> Json:
        others = [one.pk for one in self.r.sample(self.segments[-3:], 1)]
        leaf = {"field": "segment", "op": self.r.choice(("any", "none")), "value": others}
        return {"version": 1, "root": {self.r.choice(("all", "any")): [leaf, tree["root"]]}}

    def live(self, steps: int) -> None:
        """Deeds of three, across each other, with marks worked off and builds in between."""
        for _ in range(steps):
            chance = self.r.random()
            if chance < 0.62:
                self._do(self.r.randrange(SESSIONS))
            elif chance < 0.78:
                number = self.r.randrange(SESSIONS)
                self.sessions[number].commit()
                self.trail.append(f"{number}: commit")
            elif chance < 0.88:
                self.trail.append(f"drain {attempt(drain_batch)}")
            elif chance < 0.91 and not any(one.is_alive() for one in self.builds):
                self.trail.append("build")
                self.builds.append(in_thread(partial(segments.build_segment, self.r.choice(self.segments))))
            else:
                self.now += self.r.choice(
                    (
                        timedelta(microseconds=1),
                        timedelta(hours=1),
                        timedelta(hours=6),
                        timedelta(days=1),
                        timedelta(days=7),
                    )
                )

    def _do(self, number: int) -> None:
        deed = self.r.choice(DEEDS)
        life = self._life(self.r.randrange(10**9), number)
        if self.sessions[number].do(lambda: deed(life)):
            self.done[deed.__name__] += 1
            self.trail.append(f"{number}: {deed.__name__}")
        else:
            self.gave_in += 1

    def _life(self, seed: int, number: int) -> Life:
        return Life(Random(seed), self.world, self.now, lambda pk: pk % SESSIONS == number, self.segments)

    def flood(self, deeds: int) -> None:
        """Deeds of three at once, as fast as they can, while others work off marks and build segments, over and over."""
        over = threading.Event()

        def act(number: int, seed: int) -> None:
            impatient()
            r = Random(seed)
            for _ in range(deeds):
                life = self._life(r.randrange(10**9), number)
                attempt(partial(r.choice(DEEDS), life))

        def drain() -> None:
            while not over.is_set():
                attempt(drain_batch)

        def build(seed: int) -> None:
            r = Random(seed)
            while not over.is_set():
                segments.build_segment(r.choice(self.segments))

        seeds = [self.r.randrange(10**9) for _ in range(SESSIONS)]
        others = [in_thread(work) for work in (drain, drain, partial(build, seeds[0]), partial(build, seeds[1]))]
        try:
            for acting in [in_thread(partial(act, number, seed)) for number, seed in enumerate(seeds)]:
                acting.result(300)
        finally:
            over.set()
        for running in others:
            running.result(60)

    def end(self) -> None:
        """Everybody commits, in any order, and all that waits is worked off."""
        for session in self.r.sample(self.sessions, SESSIONS):
            session.commit()
        for build in self.builds:
            build.result()
        self.builds.clear()
        self.now += timedelta(minutes=11)  # what was put off for a build, or for a lock that another held, is due
        for _ in range(3):
            while drain_batch():
                pass
            segments.drain_builds(clock.wall() + PATIENT)
        assert not DirtyMark.objects.filter(not_before__isnull=True).exists()

    def compare(self) -> None:
        """Entries and boundaries against a rebuild of a copy; entries against the document."""
        known = facts.load(self.world.zone)
        for segment in self.segments:
            segment.refresh_from_db()
            case = f"world {self.world.seed} ({self.world.zone}, now {self.now}), segment {segment.pk}\n{pformat(segment.tree, width=140)}"
            assert segment.state == Segment.State.FRESH, f"{case}\n{segment.last_error}"
            entries, due = _standing(segment), _due(segment)
            assert segment.size == len(entries) == len(_by_the_log(segment)), case
            right = _pinned(segment, evaluator.matching(segment.tree, self.now, self.world.zone, known), known)
            if set(entries) != right:
                case = f"{case}\n{self._facts_of(segment, min(set(entries) ^ right), known)}"
            _same(set(entries), right, case, "entries, by the document")
            _same(_by_the_log(segment), right, case, "by the log, by the document")
            copy = _copy_of(segment)
            _same(set(entries.items()), set(_standing(copy).items()), case, "entries, by a rebuild")
            late = {pk: at for pk, at in _due(copy).items() if pk not in due or due[pk] > at}
            assert not late, f"{case}\nlooked at again too late, by a rebuild: {late}\nstands: {due}"
            Segment.objects.filter(pk=copy.pk).delete()

    def _facts_of(self, segment: Segment, pk: int, known: facts.Facts) -> str:
        """What somebody needs to see why: hers, and what she did to whom as it happened."""
        keys = sorted({leaf["field"] for leaf in leaves(segment.tree["root"])})
        person = known.people.get(pk)
        about = {key: person.values.get(key, person.rows.get(key)) for key in keys} if person else "nobody"
        history = SegmentChange.objects.filter(segment=segment, contact_id=pk).order_by("pk")
        moves = list(history.values_list("kind", "cause", "changed_at"))
        return f"{pk}: {pformat(about, width=140)}\nmoves: {moves}\n{self.trail[-40:]}"

    def close(self) -> None:
        """Give the connections back."""
        for session in self.sessions:
            session.close()


def _same(found: set[Any], right: set[Any], case: str, what: str) -> None:
    assert found == right, f"{case}\n{what}\ntoo many: {sorted(found - right)}\nmissing: {sorted(right - found)}"


def _standing(segment: Segment) -> dict[int, str]:
    return dict(SegmentEntry.objects.filter(segment=segment).values_list("contact_id", "origin"))


def _by_the_log(segment: Segment) -> set[int]:
    """Who is inside by what was told of comings and goings; nobody comes twice, nor goes who is not there."""
    inside: set[int] = set()
    for contact_id, kind in (
        SegmentChange.objects.filter(segment=segment).order_by("pk").values_list("contact_id", "kind")
    ):
        assert (contact_id in inside) is (kind == "leave"), f"segment {segment.pk}, {contact_id}: {kind}"
        inside ^= {contact_id}
    return inside


def _due(segment: Segment) -> dict[int, Any]:
    """Person → her boundary. A rebuild leaves out whom time cannot move, an increment may look at her once more."""
    rows = DirtyMark.objects.filter(field_key=f"recheck:segment:{segment.pk}", contact_id__in=people().values("pk"))
    return dict(rows.values_list("contact_id", "not_before"))


def _pinned(segment: Segment, found: set[int], known: facts.Facts) -> set[int]:
    """docs/conditions.md, Pins: of a person's rows, merged ones included, one that keeps her out wins."""
    pins = SegmentPin.objects.filter(segment=segment).values_list("contact_id", "is_in")
    into = {known.root_of[pk] for pk, is_in in pins if is_in} & set(known.people)
    return (found | into) - {known.root_of[pk] for pk, is_in in pins if not is_in}


def _copy_of(segment: Segment) -> Segment:
    """The same conditions and pins, computed from nothing."""
    copy = Segment.objects.create(
        name=f"{segment.name}副本", tree=segment.tree, field_keys=segment.field_keys, created_at=segment.created_at,
        state=Segment.State.STALE,
    )  # fmt: skip
    pins = SegmentPin.objects.filter(segment=segment)
    SegmentPin.objects.bulk_create(
        SegmentPin(segment=copy, contact_id=one.contact_id, is_in=one.is_in, pinned_at=one.pinned_at) for one in pins
    )
    assert segments.build_segment(copy)
    return copy


@contextmanager
def lived(seed: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[History]:
    """A history in the zone and at the time of its world."""
    tenant = current_tenant()
    before = tenant.time_zone
    history = History(seed)
    tenant.time_zone = history.world.zone
    monkeypatch.setattr(clock, "now", lambda: history.now)
    impatient()
    try:
        yield history
    finally:
        history.close()
        tenant.time_zone = before
        with connection.cursor() as cursor:
            cursor.execute("RESET lock_timeout")
