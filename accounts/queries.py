"""Reads of users and audit rows."""

from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import Prefetch, Q, QuerySet

from accounts.models import RoleGrant, User
from tenants.context import current_tenant
from tenants.ledger.models import AuditEntry


def list_users(text: str = "", *, closed: bool = False) -> QuerySet[User]:
    """Users by name, with their grants and roles."""
    grants = RoleGrant.objects.select_related("role").order_by("role__order", "pk")
    rows = User.objects.filter(is_active=not closed).prefetch_related(Prefetch("grants", grants)).order_by("username")
    if text:
        rows = rows.filter(Q(username__icontains=text) | Q(display_name__icontains=text))
    return rows


def keeper_names(most: int = 3) -> list[str]:
    """Whom to ask for an account: names of active users who manage users over everything."""
    held = RoleGrant.objects.filter(scope_kind=RoleGrant.Scope.ALL, role__permissions__contains=["users.manage"])
    rows = User.objects.filter(is_active=True, pk__in=held.values("user_id")).order_by("pk")
    return list(rows.values_list("display_name", flat=True)[:most])


def list_audit(filters: dict[str, Any]) -> QuerySet[AuditEntry]:
    """Audit rows, newest first. filters: actor (part of the name), action (prefix), since and until (tenant's days)."""
    rows = AuditEntry.objects.order_by("-at", "-pk")
    if filters.get("actor"):
        rows = rows.filter(actor_name__icontains=filters["actor"])
    if filters.get("action"):
        rows = rows.filter(action__istartswith=filters["action"])
    zone = ZoneInfo(current_tenant().time_zone)
    if filters.get("since"):
        rows = rows.filter(at__gte=datetime.combine(filters["since"], time(), zone))
    if filters.get("until"):
        rows = rows.filter(at__lt=datetime.combine(filters["until"] + timedelta(days=1), time(), zone))
    return rows
