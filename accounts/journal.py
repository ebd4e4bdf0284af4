"""The audit row of a log-in's deed: the tenant's own in a tenant, the platform's on the public host."""

from typing import Any

from django.db.models import Model

from scrm.lib import clock
from tenants import audit
from tenants.audit import Actor
from tenants.context import current_scope
from tenants.models import PlatformAudit


def record(action: str, subject: Model | None = None, *, by: Actor, **data: Any) -> None:
    """Write the row into the transaction at hand."""
    scope = current_scope()
    if scope is not None and scope.tenant is not None:
        audit.record(action, subject, by=by, **data)
        return
    named = {"subject": subject._meta.label_lower, "subject_id": subject.pk} if subject is not None else {}
    PlatformAudit.objects.create(
        at=clock.wall(), operator_id=by.id, operator_name=by.name, action=action, data={**named, **data}
    )
