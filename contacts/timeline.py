"""The one door into the timeline: facts are recorded once, set-based, with where everybody stood when they happened."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from copy import copy
from dataclasses import dataclass, field
from datetime import datetime
from operator import itemgetter
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import F
from django.db.models.functions import Coalesce
from django.utils.functional import Promise

from contacts import marks
from contacts.lineage import Lineage
from contacts.models import Contact, FactSource, MemberPlacement, StageTransition, StorePlacement, TimelineEvent
from scrm.lib import clock
from scrm.lib.db.bulk import insert_rows

Renderer = Callable[[TimelineEvent], str]


class Fact(NamedTuple):
    """A row of the timeline as listeners see it; a model instance each would cost more than writing the rows."""

    id: int
    kind: str
    occurred_at: datetime
    source: str
    contact_id: int | None
    identity_id: int | None
    member_id: int | None
    store_id: int | None
    region_id: int | None
    dealer_id: int | None
    subject: str
    fact_key: str


_LISTENED = itemgetter(*Fact._fields[1:])
Listener = Callable[[Sequence[Fact]], None]


@dataclass(frozen=True)
class Kind:
    """A kind of fact: its words, its icon, and how to say one in a sentence (from the row alone, no queries). permission: what it takes
    to see such facts of a person whom one sees."""

    key: str
    label: str | Promise
    icon: str = "circle-dot"
    renderer: Renderer | None = None
    permission: str = "contacts.view"


@dataclass(
    slots=True
)  # not frozen: that constructor takes four times as long, and a first sync makes some hundred thousand
class NewEvent:
    """A fact to record. fact_key is derived from the fact (≤ 160 characters); contact_id is the person at the time,
    not her root. store_id: where it happened, when the fact itself says so; else the member's store of then.
    quiet: no dirty mark, because the caller's own mark of the same transaction covers it.
    """

    kind: str
    occurred_at: datetime
    source: str
    fact_key: str
    contact_id: int | None = None
    identity_id: int | None = None
    group_id: int | None = None
    member_id: int | None = None
    store_id: int | None = None
    actor: str = ""
    subject: str = ""
    payload: dict[str, Any] = field(default_factory=dict)
    quiet: bool = False


_kinds: dict[str, Kind] = {}
_listeners: list[Listener] = []
_restated: list[Listener] = []


def register_kind(
    key: str,
    label: str | Promise,
    icon: str = "circle-dot",
    renderer: Renderer | None = None,
    *,
    permission: str = "contacts.view",
) -> None:
    """Name a kind of fact (in AppConfig.ready()). Registering it again replaces it."""
    _kinds[key] = Kind(key, label, icon, renderer, permission)


def kinds_closed_to(permissions: frozenset[str]) -> list[str]:
    """Keys of kinds whose facts are not shown to somebody with these permissions."""
    return [kind.key for kind in all_kinds() if kind.permission not in permissions]


def kind_of(key: str) -> Kind:
    """The registered kind, or a nameless one for rows of an app that is gone."""
    return _kinds.get(key) or Kind(key, key)


def all_kinds() -> list[Kind]:
    """Every registered kind, by key."""
    return [_kinds[key] for key in sorted(_kinds)]


def on_recorded(listener: Listener) -> None:
    """Call `listener` with the rows newly written, in their transaction. It must be set-based."""
    if listener not in _listeners:
        _listeners.append(listener)


def record_events(events: Sequence[NewEvent]) -> set[str]:
    """Write the facts not yet known; the fact_keys newly written. Call it inside the transaction of the deed.

    Store, region, dealer and stage are those of the instant it happened; nothing is filled from today. A constant number of
    statements, whatever the number of facts. Raises KeyError for a kind nobody registered.
    """
    if not events:
        return set()
    unique = {event.fact_key: event for event in events}
    for event in unique.values():
        if event.kind not in _kinds:
            raise KeyError(f"timeline kind {event.kind} is not registered")
    places = Places.of({e.member_id for e in unique.values()}, {e.store_id for e in unique.values()})
    stages = _Stages.of({e.contact_id for e in unique.values() if e.contact_id})
    now = clock.now()
    rows = [_row(event, places, stages, now) for event in unique.values()]
    inserted = insert_rows(TimelineEvent, rows, ignore_conflicts=True, returning=("id", "fact_key"))
    written = {key: pk for pk, key in inserted}
    fresh = [Fact(written[row["fact_key"]], *_LISTENED(row)) for row in rows if row["fact_key"] in written]
    _mark_kinds([fact for fact in fresh if not unique[fact.fact_key].quiet])
    if fresh:
        for listener in _listeners:
            listener(fresh)
    return set(written)


def record_selected(kind: str, at: datetime, source: str, *, actor: str, rows: str, params: Sequence[Any]) -> int:
    """Write a fact of this instant for each row of a SELECT (contact_id, payload, fact_key); how many are new. As record_events,
    for what a statement knows of many people and Python need not. Contacts are roots, and stand in the stage they have now."""
    if kind not in _kinds:
        raise KeyError(f"timeline kind {kind} is not registered")
    names = "kind, occurred_at, recorded_at, source, contact_id, stage_id, actor, subject, payload, fact_key"
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {connection.ops.quote_name(TimelineEvent._meta.db_table)} ({names})"
            " SELECT %s, %s, %s, %s, told.contact_id, c.stage_id, %s, '', told.payload, told.fact_key"
            f" FROM ({rows}) AS told JOIN {connection.ops.quote_name(Contact._meta.db_table)} AS c ON c.id = told.contact_id"
            " ON CONFLICT DO NOTHING RETURNING id, contact_id, fact_key",
            [kind, at, clock.now(), source, actor, *params],
        )
        written = cursor.fetchall()
    fresh = [Fact(pk, kind, at, source, who, None, None, None, None, None, "", key) for pk, who, key in written]
    if fresh:
        # As _mark_kinds marks them; the contacts are roots already.
        marks.mark(
            [fact.contact_id for fact in fresh if fact.contact_id],
            f"event.{kind}",
            backfill=source == FactSource.BACKFILL or None,
        )
        for listener in _listeners:
            listener(fresh)
    return len(fresh)


def _row(event: NewEvent, places: "Places", stages: "_Stages", now: datetime) -> dict[str, Any]:
    store_id, region_id, dealer_id = places.at(event.member_id, event.occurred_at, store_id=event.store_id)
    return {
        "kind": event.kind, "occurred_at": event.occurred_at, "recorded_at": now, "source": event.source,
        "contact_id": event.contact_id, "identity_id": event.identity_id, "group_id": event.group_id,
        "member_id": event.member_id, "store_id": store_id, "region_id": region_id, "dealer_id": dealer_id,
        "stage_id": stages.at(event.contact_id, event.occurred_at), "actor": event.actor, "subject": event.subject,
        "payload": event.payload, "fact_key": event.fact_key,
    }  # fmt: skip


def _mark_kinds(facts: Sequence[Fact]) -> None:
    people: dict[tuple[str, bool], set[int]] = defaultdict(set)
    for fact in facts:
        if fact.contact_id:
            people[fact.kind, fact.source == FactSource.BACKFILL].add(fact.contact_id)
    roots = roots_of(set().union(*people.values())) if people else {}
    for (kind, is_backfill), contact_ids in sorted(people.items()):
        # Facts of another source are as told_by() says: an import may be no news for rules either.
        marks.mark({roots[pk] for pk in contact_ids if pk in roots}, f"event.{kind}", backfill=is_backfill or None)


@dataclass(frozen=True)
class Restated:
    """A fact that turned out to be of another kind or time than first recorded (WeCom's own word came late)."""

    fact_key: str
    kind: str
    occurred_at: datetime


def restate_events(changes: Sequence[Restated], *, dropped: Sequence[TimelineEvent] = ()) -> None:
    """Put recorded facts right, and drop those that another row now tells. Rare; listeners hear of the old and the new time."""
    rows: list[TimelineEvent] = list(dropped)
    moved: list[tuple[TimelineEvent, TimelineEvent]] = []
    if dropped:
        TimelineEvent.objects.filter(pk__in=[event.pk for event in dropped]).delete()
    wanted = {change.fact_key: change for change in changes}
    for event in TimelineEvent.objects.filter(fact_key__in=wanted) if wanted else ():
        change = wanted[event.fact_key]
        if (event.kind, event.occurred_at) == (change.kind, change.occurred_at):
            continue
        moved.append((copy(event), event))
        event.kind, event.occurred_at = change.kind, change.occurred_at
    _restand(moved)
    rows += [row for pair in moved for row in pair]
    facts = [_fact_of(row) for row in rows]
    if facts:
        _mark_kinds(facts)
        for listener in _restated:
            listener(facts)


def _fact_of(event: TimelineEvent) -> Fact:
    return Fact(*(getattr(event, name) for name in Fact._fields))


def _restand(changes: Sequence[tuple[TimelineEvent, TimelineEvent]]) -> None:
    """Write facts (old form, new form) whose time was put right, with where everybody stood at that time."""
    if not changes:
        return
    places = Places.of({old.member_id for old, _new in changes}, {old.store_id for old, _new in changes})
    stages = _Stages.of({old.contact_id for old, _new in changes if old.contact_id})
    for old, event in changes:
        # A store other than the guide's of then was named by the fact itself, and stands.
        derived = places.at(old.member_id, old.occurred_at)[0]
        named = old.store_id if old.store_id != derived else None
        event.store_id, event.region_id, event.dealer_id = places.at(event.member_id, event.occurred_at, store_id=named)
        event.stage_id = stages.at(event.contact_id, event.occurred_at)
        event.save(update_fields=["kind", "occurred_at", "store", "region", "dealer", "stage"])


def on_restated(listener: Listener) -> None:
    """Call `listener` with the old and the new form of facts that were put right, for what is counted by time."""
    if listener not in _restated:
        _restated.append(listener)


def roots_of(contact_ids: Iterable[int]) -> dict[int, int]:
    """Contact id → the id of the person it counts as. One query."""
    wanted = set(contact_ids)
    if not wanted:
        return {}
    rows = Contact.objects.filter(pk__any_of=wanted).values_list("pk", Coalesce(F("root_id"), F("pk")))
    return dict(rows)


Span = tuple[datetime, datetime | None]


@dataclass
class Places:
    """Where members and stores stood, at any instant: placements of some members and of their stores, loaded at once."""

    members: dict[int, list[tuple[datetime, datetime | None, int]]]
    stores: dict[int, list[tuple[datetime, datetime | None, int | None, int | None]]]

    @classmethod
    def of(cls, member_ids: Iterable[int | None], store_ids: Iterable[int | None] = ()) -> "Places":
        """Two queries at most."""
        members: dict[int, list[Any]] = defaultdict(list)
        wanted = {pk for pk in member_ids if pk}
        if wanted:
            rows = MemberPlacement.objects.filter(member_id__in=wanted).order_by("placed_from", "id")
            for member_id, store_id, since, until in rows.values_list(
                "member_id", "store_id", "placed_from", "placed_to"
            ):
                members[member_id].append((since, until, store_id))
        places = {row[2] for spans in members.values() for row in spans} | {pk for pk in store_ids if pk}
        stores: dict[int, list[Any]] = defaultdict(list)
        if places:
            found = StorePlacement.objects.filter(store_id__in=places).order_by("placed_from", "id")
            for store_id, region_id, dealer_id, since, until in found.values_list(
                "store_id", "region_id", "dealer_id", "placed_from", "placed_to"
            ):
                stores[store_id].append((since, until, region_id, dealer_id))
        return cls(dict(members), dict(stores))

    def at(
        self, member_id: int | None, at: datetime, *, store_id: int | None = None
    ) -> tuple[int | None, int | None, int | None]:
        """(store, region, dealer) of an instant. Before the first placement we know, that one is taken: the time before
        the merchant joined us was never recorded."""
        if store_id is None and member_id is not None:
            span = _span_at(self.members.get(member_id, []), at)
            store_id = span[2] if span else None
        if store_id is None:
            return None, None, None
        placement = _span_at(self.stores.get(store_id, []), at)
        return (store_id, placement[2], placement[3]) if placement else (store_id, None, None)


def _span_at(spans: Sequence[Any], at: datetime) -> Any | None:
    """The span that covers an instant; the first one for an instant before it; None in a gap."""
    if not spans:
        return None
    index = bisect_right([span[0] for span in spans], at) - 1
    if index < 0:
        return spans[0]
    span = spans[index]
    return span if span[1] is None or at < span[1] else None


@dataclass
class _Stages:
    """Which stage a person was in at an instant, over all rows of her."""

    lineage: Lineage
    transitions: dict[int, list[tuple[Any, ...]]]

    @classmethod
    def of(cls, contact_ids: set[int]) -> "_Stages":
        found: dict[int, list[Any]] = defaultdict(list)
        lineage = Lineage.of(contact_ids)
        if contact_ids:
            everybody = lineage.everybody(contact_ids)
            rows = StageTransition.objects.filter(contact_id__any_of=everybody).order_by("changed_at", "id")
            for contact_id, at, before, after in rows.values_list(
                "contact_id", "changed_at", "from_stage_id", "to_stage_id"
            ):
                found[contact_id].append((at, before, after))
        return cls(lineage, dict(found))

    def at(self, contact_id: int | None, at: datetime) -> int | None:
        if contact_id is None or not self.transitions:
            return None
        found = self.lineage.latest(self.transitions, contact_id, at)
        if found:
            return int(found[2])
        rows = self.transitions.get(contact_id, [])
        return rows[0][1] if rows else None
