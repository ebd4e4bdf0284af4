"""The outbox: apps write commands in their own transaction; the drain makes the calls."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
from django.db import connection
from psycopg2.extras import execute_values

from scrm.lib import clock
from tenants import jobs
from wecom_bridge.contracts import CommandKind, command_kind
from wecom_bridge.models import Corp, OutboundCommand

_COLUMNS = (
    "corp_id, kind, policy, lane, priority, entity_key, dedupe_key, payload, subject_id, state, attempts,"
    " next_attempt_at, claim_token, result, last_error, created_at"
)
_TOGETHER = 1_000


@dataclass(frozen=True)
class Wish:
    """One command of `enqueue_many`; the fields mean what the arguments of `enqueue` do."""

    corp_id: int
    entity_key: str
    payload: Mapping[str, Any] = field(default_factory=dict)
    subject_id: int | None = None
    dedupe_key: str | None = None
    priority: int | None = None
    not_before: datetime | None = None


def enqueue(
    kind: str,
    *,
    corp: Corp | int,
    entity_key: str,
    payload: Mapping[str, Any] | None = None,
    subject_id: int | None = None,
    dedupe_key: str | None = None,
    priority: int | None = None,
    not_before: datetime | None = None,
) -> OutboundCommand | None:
    """Write a command and nudge its lane after commit.

    entity_key: commands of one entity run one after the other, in order of id. dedupe_key: the same wish is written once,
    which is for ever where the policy is `once`, and while the earlier one is open where it is `idempotent`; None is
    returned when it already stands. not_before: a wall instant. Raises KeyError for an unregistered kind.
    """
    corp_id = corp if isinstance(corp, int) else corp.pk
    wish = Wish(corp_id, entity_key, payload or {}, subject_id, dedupe_key, priority, not_before)
    written = enqueue_many(kind, [wish])
    return OutboundCommand.objects.get(pk=written[0]) if written else None


def enqueue_many(kind: str, wishes: Sequence[Wish]) -> list[int]:
    """Write commands of one kind, a thousand in a statement, and nudge their lane once.

    The ids of those written; a wish that already stands is left out. Raises KeyError for an unregistered kind.
    """
    known = command_kind(kind)
    if not wishes:
        return []
    rows = [_row(known, wish, clock.wall()) for wish in wishes]
    # ON CONFLICT without a target: either of the two partial constraints on dedupe_key may be the one that holds.
    statement = (
        f"INSERT INTO {OutboundCommand._meta.db_table} ({_COLUMNS}) VALUES %s ON CONFLICT DO NOTHING RETURNING id"
    )
    with connection.cursor() as cursor:
        written = execute_values(cursor, statement, rows, page_size=_TOGETHER, fetch=True)
    if written:
        jobs.nudge(known.lane)
    return [pk for (pk,) in written]


def _row(known: CommandKind, wish: Wish, now: datetime) -> tuple[object, ...]:
    """In the order of _COLUMNS."""
    return (
        wish.corp_id, known.name, known.policy, known.lane,
        known.priority if wish.priority is None else wish.priority,
        wish.entity_key, wish.dedupe_key, orjson.dumps(dict(wish.payload)).decode(), wish.subject_id,
        OutboundCommand.State.WAITING.value, 0, wish.not_before or now, "", "{}", "", now,
    )  # fmt: skip
