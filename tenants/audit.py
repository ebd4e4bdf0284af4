"""Audit rows, written in the transaction of the deed, and the actor who did it."""

from dataclasses import dataclass
from typing import Any, Literal

from django.db.models import Model

from scrm.lib import clock
from tenants.ledger.models import AuditEntry


@dataclass(frozen=True)
class Actor:
    """Who acts: a user of the tenant, an API token, the system itself, the platform, or somebody who has not logged in."""

    kind: Literal["user", "token", "system", "platform", "anonymous"]
    id: int | None = None
    name: str = ""
    ip: str | None = None


SYSTEM = Actor("system")


def record(action: str, subject: Model | None = None, *, by: Actor, **data: Any) -> AuditEntry:
    """Write one audit row: `record("broadcast.approved", broadcast, by=actor, count=5717)`.

    `data` holds JSON values only; names and phones of customers do not belong there, ids do.
    """
    return AuditEntry.objects.create(
        at=clock.wall(),
        actor_kind=by.kind,
        actor_id=by.id,
        actor_name=by.name,
        ip=by.ip,
        action=action,
        subject_type=subject._meta.label_lower if subject is not None else "",
        subject_id=str(subject.pk) if subject is not None else "",
        data=data,
    )


def actors_of(subject: Model, action: str) -> set[int]:
    """Users who did this to an object."""
    rows = AuditEntry.objects.filter(
        subject_type=subject._meta.label_lower, subject_id=str(subject.pk), action=action, actor_kind="user"
    )
    return {actor_id for actor_id in rows.values_list("actor_id", flat=True) if actor_id}
