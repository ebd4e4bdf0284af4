"""What every page's shell shows."""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from accounts.navigation import NavEntry, entries_for
from accounts.scope import label_of
from tenants.context import current_scope

SECTIONS = {
    "home": _("工作台"),
    "people": _("客户"),
    "reach": _("触达"),
    "growth": _("拓客"),
    "insight": _("数据"),
    "admin": _("设置"),
}


def shell(request: HttpRequest) -> dict[str, Any]:
    """Navigation, scope label, tenant and user for base templates. Empty for pages without a log-in."""
    scope = current_scope()
    tenant = scope.tenant if scope else None
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return {"tenant": tenant}
    permissions: frozenset[str] = getattr(request, "permissions", frozenset())
    return {
        "tenant": tenant,
        "current_user": user,
        "nav": _grouped(entries_for(permissions), request.path),
        "phone_nav": [_item(entry, request.path) for entry in entries_for(permissions, phone=True)],
        "scope_label": label_of(request.scope) if hasattr(request, "scope") else "",
    }


def _grouped(entries: list[NavEntry], path: str) -> list[dict[str, Any]]:
    groups = [
        {"label": label, "entries": [_item(entry, path) for entry in entries if entry.section == key]}
        for key, label in SECTIONS.items()
    ]
    return [group for group in groups if group["entries"]]


def _item(entry: NavEntry, path: str) -> dict[str, Any]:
    url = reverse(entry.url_name)
    active = path == url if url == "/" else path.startswith(url)
    return {"label": entry.label, "url": url, "icon": entry.icon, "active": active}
