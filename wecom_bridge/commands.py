"""The outbox: apps write commands in their own transaction; the drain makes the calls."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from scrm.lib import clock
from tenants import jobs
from wecom_bridge.contracts import command_kind
from wecom_bridge.models import Corp, OutboundCommand


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

    entity_key: commands of one entity run one after the other, in order of id. dedupe_key: the same wish is written once;
    None is returned when it already stands. not_before: a wall instant. Raises KeyError for an unregistered kind.
    """
    known = command_kind(kind)
    now = clock.wall()
    command = OutboundCommand(
        corp_id=corp if isinstance(corp, int) else corp.pk,
        kind=kind,
        policy=known.policy,
        lane=known.lane,
        priority=known.priority if priority is None else priority,
        entity_key=entity_key,
        dedupe_key=dedupe_key,
        payload=dict(payload or {}),
        subject_id=subject_id,
        next_attempt_at=not_before or now,
        created_at=now,
    )
    if dedupe_key is None:
        command.save(force_insert=True)
    else:
        OutboundCommand.objects.bulk_create([command], ignore_conflicts=True)
        command = OutboundCommand.objects.get(dedupe_key=dedupe_key)
        if command.created_at != now:
            return None
    jobs.nudge(known.lane)
    return command
