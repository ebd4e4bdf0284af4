"""Everybody's way through the stages, told by her orders; and birthdays."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from random import Random

from contacts.models import Contact, Stage, StageTransition
from contacts.timeline import NewEvent, record_events
from demo.history.people import Person
from demo.scenarios.model import Scenario
from scrm.lib.db.bulk import insert_rows, update_rows

DORMANT_AFTER, LAPSED_AFTER = timedelta(days=60), timedelta(days=120)
LOYAL_ORDERS = 4
BATCH = 4000


def write_stages(people: Sequence[Person], now: datetime, rng: Random) -> None:
    """Transitions, their timeline rows, and the stage each person is in. Raises ValueError when a way ends elsewhere."""
    stages = {stage.key: stage for stage in Stage.objects.all()}
    rows, events, current = [], [], []
    for person in people:
        before: Stage | None = None
        for key, at in way_of(person, now, rng):
            stage = stages[key]
            rows.append(_transition(person, before, stage, at))
            events.append(_event(person, before, stage, at))
            before, since = stage, at
        if before is None or before.key != person.stage:
            raise ValueError(f"the way of {person.pk} ends in {before and before.key}, not in {person.stage}")
        current.append({"id": person.pk, "stage_id": before.pk, "stage_since": since, "updated_at": now})
    for start in range(0, len(rows), BATCH):
        insert_rows(StageTransition, rows[start : start + BATCH])
    for start in range(0, len(current), BATCH):
        update_rows(Contact, current[start : start + BATCH])
    for start in range(0, len(events), BATCH):
        record_events(events[start : start + BATCH])


def way_of(person: Person, now: datetime, rng: Random) -> Iterator[tuple[str, datetime]]:
    """(stage, instant) of each move: by her orders, and by the silences between and after them."""
    orders = sorted(person.order_times)
    yield "new", min([person.added_at, *orders])
    if person.stage == "new":
        return
    first = orders[0] if orders else now
    interest = person.added_at + (first - person.added_at) * rng.uniform(0.2, 0.8)
    if person.added_at < interest < first:
        yield "interested", interest
    stage = ""
    for number, at in enumerate(orders, start=1):
        if number > 1:
            yield from _silence(orders[number - 2], at)
        reached = "first_order" if number == 1 else "repeat" if number < LOYAL_ORDERS else "loyal"
        if reached != stage or (number > 1 and at - orders[number - 2] >= DORMANT_AFTER):
            yield reached, at
        stage = reached
    if orders:
        yield from _silence(orders[-1], now)


def _silence(last: datetime, until: datetime) -> Iterator[tuple[str, datetime]]:
    if until - last >= DORMANT_AFTER:
        yield "dormant", last + DORMANT_AFTER
    if until - last >= LAPSED_AFTER:
        yield "lapsed", last + LAPSED_AFTER


def _transition(person: Person, before: Stage | None, stage: Stage, at: datetime) -> dict:
    return {
        "contact_id": person.pk, "from_stage_id": before.pk if before else None, "to_stage_id": stage.pk, "changed_at": at,
        "source": "backfill", "reason": "", "actor_id": None, "store_id": person.store or None,
        "member_id": person.owner or None,
    }  # fmt: skip


def _event(person: Person, before: Stage | None, stage: Stage, at: datetime) -> NewEvent:
    return NewEvent(
        "stage.changed", at, "backfill", f"stage:demo:{person.pk}:{stage.key}:{int(at.timestamp())}",
        contact_id=person.pk, member_id=person.owner or None, actor="system", subject=f"stage:{stage.pk}",
        payload={
            "from": before.name if before else "", "from_id": before.pk if before else None, "to": stage.name, "how": "backfill",
            "reason": "",
        },
    )  # fmt: skip


def write_birthdays(people: Sequence[Person], scenario: Scenario, now: datetime, rng: Random) -> None:
    """Birthdays of some; of the loyal, exactly so many within the next 30 days."""
    loyal = [person for person in people if person.stage == "loyal"]
    soon = {person.pk for person in rng.sample(loyal, scenario.loyal_birthdays)}
    rows = []
    for person in people:
        if person.pk in soon:
            ahead = rng.randint(1, 29)
        elif person.stage == "loyal" or rng.random() < 0.35:
            ahead = rng.randint(35, 360)
        else:
            continue
        day = (now + timedelta(days=ahead)).date()
        rows.append({"id": person.pk, "birthday": day.replace(year=rng.randint(1972, 2004), day=min(day.day, 28))})
    for start in range(0, len(rows), BATCH):
        update_rows(Contact, rows[start : start + BATCH])
