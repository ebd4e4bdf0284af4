"""Which customer stands in which stage, and how many orders of what age she must have for it. Pure planning, no database."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random

from demo.scenarios.model import Scenario

RECENT = timedelta(days=30)
ACTIVE_WITHIN = 58  # days: 首购, 复购 and 忠诚 bought within 60
DORMANT = (62, 118)  # days since the last order of 沉睡
LAPSED = (124, 300)
MIN_AGE = {"lapsed": 130, "dormant": 66, "loyal": 90, "repeat": 45, "first_order": 31}
ORDERS = {"first_order": (1, 1), "repeat": (2, 3), "loyal": (4, 9), "dormant": (1, 3), "lapsed": (1, 2)}
Span = tuple[datetime, datetime]
BUYING = ("first_order", "repeat", "loyal")


@dataclass
class Person:
    """A customer as the plan sees her."""

    pk: int
    owner: int
    store: int
    added_at: datetime
    stage: str = ""
    order_times: list[datetime] = field(default_factory=list)


def assign_stages(people: Sequence[Person], scenario: Scenario, now: datetime, rng: Random) -> None:
    """Give every person a stage, with exactly the scenario's counts; the strictest ages are served first.

    Raises ValueError when the counts do not fit the people, as after a change of the world.
    """
    if sum(scenario.stages.values()) != len(people):
        raise ValueError(f"{len(people)} people for {sum(scenario.stages.values())} places in stages")
    left = dict(scenario.stages)
    newcomers = [person for person in people if now - person.added_at <= RECENT]
    others = [person for person in people if now - person.added_at > RECENT]
    rng.shuffle(newcomers)
    rng.shuffle(others)
    _give_newcomers(newcomers, left, scenario.new_without_order)
    for stage, days in MIN_AGE.items():
        old_enough = [p for p in others if not p.stage and (now - p.added_at).days >= days]
        if len(old_enough) < left[stage]:
            raise ValueError(f"only {len(old_enough)} people are old enough for {stage}")
        for person in old_enough[: left[stage]]:
            person.stage = stage
        left[stage] = 0
    rest = sorted((p for p in people if not p.stage), key=lambda p: p.added_at, reverse=True)
    for position, person in enumerate(rest):
        person.stage = "new" if position < left["new"] else "interested"


def _give_newcomers(newcomers: list[Person], left: dict[str, int], without_order: int) -> None:
    """Of those added within 30 days so many have no order; the others have their first."""
    for person in newcomers[without_order:]:
        person.stage = "first_order"
        left["first_order"] -= 1
    for position, person in enumerate(newcomers[:without_order]):
        person.stage = "interested" if position % 6 == 0 else "new"
        left[person.stage] -= 1


def plan_orders(people: Sequence[Person], scenario: Scenario, now: datetime, month: Span, rng: Random) -> None:
    """Fill order_times: by the stage of each, with exactly the month's buyers and orders."""
    for person in people:
        if person.stage in ("dormant", "lapsed"):
            span = DORMANT if person.stage == "dormant" else LAPSED
            last = now - timedelta(days=rng.uniform(span[0], min(span[1], (now - person.added_at).days - 1)))
            person.order_times = _earlier(person, last, rng.randint(*ORDERS[person.stage]), rng)
    buying = [person for person in people if person.stage in BUYING]
    inside = _month_buyers(buying, scenario.month.buyers, now, month, rng)
    extra = scenario.month.orders - scenario.month.buyers
    _month_orders(inside, extra, now, month, rng)
    chosen = {person.pk for person in inside}
    for person in buying:
        if person.pk not in chosen:
            _outside_month(person, now, month, rng)
        _complete(person, month, rng)


def _month_buyers(buying: list[Person], count: int, now: datetime, month: Span, rng: Random) -> list[Person]:
    """Who bought in the month: of those who could have, leaving those added after it."""
    _start, end = month
    able = [p for p in buying if p.added_at < end - timedelta(days=2) and _window(p, now, month)]
    order = {"loyal": 0, "repeat": 1, "first_order": 2}
    rng.shuffle(able)
    able.sort(key=lambda p: order[p.stage] + rng.random() * 2.2)
    if len(able) < count:
        raise ValueError(f"only {len(able)} people can have bought in the month")
    return able[:count]


def _window(person: Person, now: datetime, month: Span) -> Span | None:
    """When in the month she may have bought: after she came, and not so long ago that she would be dormant."""
    start = max(month[0], person.added_at + timedelta(hours=2), now - timedelta(days=ACTIVE_WITHIN))
    return (start, month[1]) if start < month[1] - timedelta(hours=12) else None


def _month_orders(inside: list[Person], extra: int, now: datetime, month: Span, rng: Random) -> None:
    for person in inside:
        person.order_times.append(_moment(_window(person, now, month), rng))
    more = [person for person in inside if person.stage in ("repeat", "loyal")]
    room = {person.pk: (2 if person.stage == "repeat" else 5) for person in more}
    while extra:
        for person in rng.sample(more, min(extra, len(more))):
            if room[person.pk]:
                room[person.pk] -= 1
                extra -= 1
                person.order_times.append(_moment(_window(person, now, month), rng))
        if not any(room.values()):
            raise ValueError("the month's orders do not fit its buyers")


def _outside_month(person: Person, now: datetime, month: Span, rng: Random) -> None:
    """A last order within the last 58 days, but not in the month."""
    spans = [(now - timedelta(days=ACTIVE_WITHIN), month[0]), (month[1], now - timedelta(minutes=30))]
    spans = [(max(a, person.added_at + timedelta(minutes=5)), b) for a, b in spans]
    usable = [span for span in spans if span[0] < span[1]]
    weights = [(b - a).total_seconds() for a, b in usable]
    person.order_times.append(_moment(rng.choices(usable, weights)[0], rng))


def _complete(person: Person, month: Span, rng: Random) -> None:
    """Older orders, before the month, until she has as many as her stage needs."""
    low, high = ORDERS[person.stage]
    wanted = rng.randint(max(low, len(person.order_times)), max(high, len(person.order_times)))
    missing = wanted - len(person.order_times)
    if missing > 0:
        earliest = min(*person.order_times, month[0]) if person.order_times else month[0]
        until = earliest - timedelta(days=2)
        since = min(person.added_at + timedelta(hours=1), until - timedelta(hours=1))
        person.order_times += [_moment((since, until), rng) for _ in range(missing)]
    person.order_times.sort()


def _earlier(person: Person, last: datetime, count: int, rng: Random) -> list[datetime]:
    """`count` instants ending at `last`, spread back towards the day she was added."""
    start = min(person.added_at + timedelta(hours=1), last - timedelta(hours=1))
    found = [last]
    while len(found) < count:
        found.append(_moment((start, last), rng))
    return sorted(found)


def _moment(span: Span | None, rng: Random) -> datetime:
    """An instant within the span, at shop hours, a little later in the week as people shop."""
    assert span is not None
    begin, end = span
    for _try in range(6):
        at = begin + (end - begin) * rng.random()
        at = at.replace(
            hour=rng.choice((2, 3, 5, 6, 7, 9, 10, 11, 12, 13)), minute=rng.randrange(60), second=rng.randrange(60)
        )
        if begin <= at < end and (at.weekday() >= 4 or rng.random() < 0.7):
            return at
    return begin + (end - begin) * rng.random()
