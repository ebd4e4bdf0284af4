"""What a tree would have said on a past day, and whom a rule would have touched then, against the plain evaluator.

`CASES=… pytest -m gate` widens it; `SEED=…` begins at another world.
"""

import calendar
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from conditions.compiler import compile_tree
from conditions.people import people
from contacts.models import GroupChat, Stage, TimelineEvent
from scrm.lib import clock
from tagging.models import Rule, SegmentChange, Tag
from tagging.services import rule_dry_run
from tenants.audit import SYSTEM
from tests.reference import evaluator, facts, trees
from tests.reference.chance import DAYS, KINDS, WAYS, World
from tests.reference.comparing import Trees, kind_of, living_in, told
from tests.reference.facts import Facts, start_of
from tests.reference.past import seen_from

pytestmark = pytest.mark.django_db
SEED = int(os.environ.get("SEED", "1"))
CASES = int(os.environ.get("CASES", "3000"))
Json = dict[str, Any]
INSTANT = timedelta(microseconds=1)

# --- A tree at an instant gone by ---------------------------------------------------------------------------------


def _instants(r: Random, world: World, known: Facts) -> Iterator[datetime]:
    """Round distances from now, midnights there, and the very instants at which something happened; a microsecond about each."""
    happened = sorted({row.at for one in known.people.values() for rows in one.rows.values() for row in rows if row.at})
    zone = ZoneInfo(world.zone)
    while True:
        day = world.now.astimezone(zone).date() - timedelta(days=r.choice((0, 1, 2, 7, 30, 31, 90)))
        near = r.choice((world.now - timedelta(days=r.choice(DAYS)), start_of(day, zone), r.choice(happened)))
        if near < world.now:
            yield near + r.choice((-INSTANT, timedelta(), timedelta(), INSTANT))


def _compare_past(seeds: range, per_world: int) -> int:
    """How many answers were others than today's."""
    others = 0
    for seed in seeds:
        with living_in(seed) as (world, known):
            made, at_times = Trees(world, seed + 1), _instants(Random(seed), world, known)
            for number in range(per_world):
                tree, at = made.one(), next(at_times)
                past, then = seen_from(known, at), World(seed, world.zone, at)
                right = evaluator.matching(tree, at, world.zone, past)
                for sweep in (False, True):
                    found = _found(tree, at, sweep=sweep)
                    if found != right:
                        less = trees.shrunk(tree, lambda one, a=at, s=sweep, p=past, z=world.zone: (
                            _found(one, a, sweep=s) != evaluator.matching(one, a, z, p)
                        ))  # fmt: skip
                        pytest.fail(
                            f"{kind_of(less)}\n{told(less, then, past, _found(less, at, sweep=sweep), 'as_of')}"
                        )
                if number % 5 == 0:
                    others += right != evaluator.matching(tree, at, world.zone, known)
    return others


def _found(tree: Json, at: datetime, *, sweep: bool) -> set[int]:
    return set(people().filter(compile_tree(tree, at, as_of=True, sweep=sweep)).values_list("pk", flat=True))


def test_a_tree_says_of_a_past_day_what_was_known_then():
    assert _compare_past(range(SEED, SEED + 2), 50) > 0, "what came later made no difference: the cases are too dull"


@pytest.mark.gate
def test_thousands_of_trees_say_of_past_days_what_was_known_then():
    assert _compare_past(range(SEED + 5000, SEED + 5000 + CASES // 100), 100) > CASES // 100


# --- Whom a rule would have touched -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fact:
    """A row of the timeline, or a coming or going of a segment, as a rule hears of it."""

    at: datetime
    root_id: int
    kind: str
    traits: Json


def _dress(r: Random, world: World) -> None:
    """What triggers ask of facts: groups, ways, channels, stages, amounts; some told by the first sync only. And moves of segments."""
    groups = list(GroupChat.objects.values_list("pk", flat=True))
    stages = list(Stage.objects.filter(pk__in=world.pools["stage"]))
    events = list(TimelineEvent.objects.filter(kind__in=KINDS))
    for event in events:
        event.source = r.choice(("callback", "callback", "product", "import", "backfill"))
        event.group_id = r.choice(groups)
        to, before = r.choice(stages), r.choice(stages)
        event.subject = f"stage:{to.pk}" if event.kind == "stage.changed" else ""
        event.payload = {
            "follow.added": {"add_way": r.choice(WAYS), "state": r.choice(("qr1", "QR1", "活动码"))},
            "order.paid": {"amount_minor": r.choice((0, 500, 1000, 1999, 2000))},
            "stage.changed": {"from": "旧名", "from_id": before.pk} if event.pk % 2 else {"from": before.name},
        }.get(event.kind, {})
    TimelineEvent.objects.bulk_update(events, ["source", "group_id", "subject", "payload"])
    contacts = list(people().values_list("pk", flat=True))
    SegmentChange.objects.bulk_create(
        SegmentChange(
            segment_id=r.choice(world.pools["segment"]), contact_id=r.choice(contacts), kind=r.choice(("enter", "leave")),
            cause=r.choice(SegmentChange.Cause.values), tree_version=1,
            changed_at=world.now - timedelta(minutes=r.randrange(60 * 24 * 9)),
        )
        for _ in range(60)
    )  # fmt: skip


def _facts(known: Facts) -> list[Fact]:
    """All of them but what the first sync told, and what a rebuild after an edit moved: neither is news."""
    found = []
    for row in TimelineEvent.objects.exclude(source="backfill").exclude(contact=None):
        traits = {**row.payload, "group": row.group_id, "subject": row.subject}
        found.append(Fact(row.occurred_at, known.root_of[row.contact_id], row.kind, traits))
    for move in SegmentChange.objects.exclude(cause="build"):
        traits = {"segment": move.segment_id, "way": move.kind}
        found.append(Fact(move.changed_at, known.root_of[move.contact_id], "segment", traits))
    return found


def _trigger(r: Random, world: World) -> Json:
    kind = r.choice(("match", "match", "event", "event", "segment", "stage", "order", "schedule"))
    if kind == "event":
        return _event_trigger(r)
    if kind == "segment":
        return {"kind": kind, "segment": r.choice(world.pools["segment"]), "way": r.choice(("enter", "leave"))}
    if kind == "stage":
        return {"kind": kind, "stage": r.choice(world.pools["stage"]), "way": r.choice(("enter", "leave"))}
    if kind == "order":
        return {"kind": kind, **r.choice(({}, {"at_least": 1000}, {"at_least": 2000}))}
    if kind == "schedule":
        every = r.choice(("day", "day", "week", "month"))
        times = ("00:00", "02:30", "01:30", "09:00", "23:59")
        return {
            "kind": kind,
            "every": every,
            "time": r.choice(times),
            "weekday": r.randint(1, 7),
            "day": r.choice((1, 28, 31)),
        }
    return {"kind": kind}


def _event_trigger(r: Random) -> Json:
    found: Json = {"kind": "event", "event": r.choice(KINDS)}
    if found["event"] == "follow.added":
        found |= r.choice(({}, {"ways": [0, 1]}, {"states": ["qr1"]}, {"ways": [2, 202], "states": ["QR1", "活动码"]}))
    if found["event"] == "group.joined" and r.random() < 0.6:
        found["groups"] = r.sample(list(GroupChat.objects.values_list("pk", flat=True)), 2)
    if r.random() < 0.5:
        weekdays = r.choice(([], [1, 2, 3, 4, 5], [6, 7]))
        hours = r.choice((("09:00", "18:00"), ("22:00", "06:30"), ("00:00", "24:00")))
        found |= {"weekdays": weekdays, "from": hours[0], "to": hours[1]}
    return found


def _answers_to(when: Json, fact: Fact, zone: ZoneInfo) -> bool:
    """Whether the trigger means this fact."""
    traits = fact.traits
    if when["kind"] == "segment":
        return fact.kind == "segment" and (traits["segment"], traits["way"]) == (when["segment"], when["way"])
    if when["kind"] == "stage":
        if fact.kind != "stage.changed":
            return False
        if when["way"] == "enter":
            return traits["subject"] == f"stage:{when['stage']}"
        is_named = traits["from"] == Stage.objects.get(pk=when["stage"]).name
        return traits["from_id"] == when["stage"] if "from_id" in traits else is_named
    if when["kind"] == "order":
        return fact.kind == "order.paid" and traits["amount_minor"] >= when.get("at_least", 0)
    return fact.kind == when["event"] and _suits(when, fact, zone)


def _suits(when: Json, fact: Fact, zone: ZoneInfo) -> bool:
    """The narrowings of a trigger about one kind of fact."""
    for name, trait in (("groups", "group"), ("ways", "add_way"), ("states", "state")):
        if when.get(name) and fact.traits.get(trait) not in when[name]:
            return False
    local = fact.at.astimezone(zone)
    if when.get("weekdays") and local.isoweekday() not in when["weekdays"]:
        return False
    if "from" not in when:
        return True
    clock_time, since, until = local.strftime("%H:%M"), when["from"], when["to"]
    return since <= clock_time < until if since < until else clock_time >= since or clock_time < until


def _slot(when: Json, day: date, zone: ZoneInfo) -> datetime | None:
    """The schedule's time of a day; of one that comes twice the first, of one left out an hour later."""
    last = calendar.monthrange(day.year, day.month)[1]
    is_day = {"day": True, "week": day.isoweekday() == when["weekday"], "month": day.day == min(when["day"], last)}
    hour, minute = map(int, when["time"].split(":"))
    return (
        datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone).astimezone(UTC)
        if is_day[when["every"]]
        else None
    )


def _touched(when: Json, tree: Json, day: date, world: World, known: Facts, heard: list[Fact]) -> set[int]:
    """Who started to match in the course of the day; who matched at the schedule's time; or by its end, of those to whom it happened."""
    zone = ZoneInfo(world.zone)
    begins, ends = start_of(day, zone), min(start_of(day + timedelta(days=1), zone), world.now)

    def held(at: datetime) -> set[int]:
        return evaluator.matching(tree, at, world.zone, seen_from(known, at))

    if when["kind"] == "match":
        return held(ends) - held(begins)
    if when["kind"] == "schedule":
        slot = _slot(when, day, zone)
        return held(slot) if slot is not None and slot < ends else set()
    return held(ends) & {one.root_id for one in heard if begins <= one.at < ends and _answers_to(when, one, zone)}


def _try_out(seeds: range, per_world: int, days: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """Rules tried out as a person does; how many people they would have touched."""
    touched = 0
    for seed in seeds:
        with living_in(seed) as (world, known):
            r, made = Random(seed), Trees(world)
            _dress(r, world)
            known = facts.load(world.zone)
            heard = _facts(known)
            monkeypatch.setattr(clock, "now", lambda w=world: w.now)
            tag = Tag.objects.filter(pk__in=world.pools["tag"], corp__isnull=True).first()
            for number in range(per_world):
                when, tree = _trigger(r, world), made.one()
                if when["kind"] == "match" and tree["root"] == {"all": []}:
                    continue  # refused: it would hold of everybody
                rule = Rule.objects.create(
                    name=f"试算{number}", tree=tree, trigger=None if when["kind"] == "match" else when, created_at=world.now,
                    actions=[{"kind": "tag", "add": [tag.pk], "whose": "owner"}],
                )  # fmt: skip
                touched += _try(rule, days, world, known, heard)
    return touched


def _try(rule: Rule, days: int, world: World, known: Facts, heard: list[Fact]) -> int:
    """The numbers of each day and everybody touched, as the page shows them."""
    job = rule_dry_run.start(rule, days, by=SYSTEM)
    assert rule_dry_run.step(job, clock.wall() + timedelta(minutes=1))
    today = world.now.astimezone(ZoneInfo(world.zone)).date()
    everybody: set[int] = set()
    for ago, row in zip(reversed(range(days)), job.result["days"], strict=True):
        day = today - timedelta(days=ago)
        right = _touched(rule.when, rule.tree, day, world, known, heard)
        case = f"world {world.seed} ({world.zone}, now {world.now}), {day}: {rule.when}, {rule.tree}"
        assert (row["day"], row["people"]) == (day.isoformat(), len(right)), case
        everybody |= right
    assert set(job.result["ids"]) == everybody, f"world {world.seed}: {rule.when}, {rule.tree}"
    return len(everybody)


def test_a_trial_touches_whom_the_rule_would_have_touched(monkeypatch):
    assert _try_out(range(SEED + 40, SEED + 42), 8, 5, monkeypatch) > 10


@pytest.mark.gate
def test_hundreds_of_trials_touch_whom_the_rules_would_have_touched(monkeypatch):
    assert _try_out(range(SEED + 6000, SEED + 6000 + CASES // 100), 15, 35, monkeypatch) > CASES
