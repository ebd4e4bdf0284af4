"""What every page's shell shows."""

from typing import Any

from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.functional import SimpleLazyObject
from django.utils.translation import gettext_lazy as _

from accounts import freezing
from accounts.navigation import NavEntry, entries_for
from accounts.scope import scope_label
from tenants.context import current_scope

SECTIONS = {
    "home": _("工作台"),
    "people": _("客户"),
    "reach": _("触达"),
    "growth": _("拓客"),
    "insight": _("数据"),
    "admin": _("设置"),
}
_MENU = (("sessions", _("登录设备"), "monitor"), ("password_change", _("修改密码"), "key-round"))


def shell(request: HttpRequest) -> dict[str, Any]:
    """Navigation, scope label, tenant and user for base templates. Little for pages without a log-in."""
    scope = current_scope()
    tenant = scope.tenant if scope else None
    base = {"tenant": tenant, "tenant_name": tenant.name if tenant else ""}
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return base
    permissions: frozenset[str] = getattr(request, "permissions", frozenset())
    user.role_labels = list(dict.fromkeys(grant.role.name for grant in getattr(request, "grants", [])))
    return {
        **base,
        "current_user": user,
        "nav": _grouped(entries_for(permissions), request.path),
        "phone_nav": [item for entry in entries_for(permissions, phone=True) if (item := _item(entry, request.path))],
        "user_menu": [{"label": label, "url": reverse(name), "icon": icon} for name, label, icon in _MENU],
        "scope_label": _scope_label(request) if tenant is not None else "",
        "frozen": _frozen(request),
    }


def _frozen(request: Any) -> Any:
    """What a frozen person reads above every page."""
    if not freezing.is_frozen(getattr(request, "grants", [])):
        return ""
    return SimpleLazyObject(lambda: freezing.sentence(request.user))


def _scope_label(request: Any) -> Any:
    """Asked for when the header is drawn (fragments pay nothing), and once per request."""
    if not hasattr(request, "scope"):
        return ""
    if not hasattr(request, "scope_label"):
        request.scope_label = SimpleLazyObject(lambda: str(scope_label(request.scope)))
    return request.scope_label


def _grouped(entries: list[NavEntry], path: str) -> list[dict[str, Any]]:
    items = [(entry.section, _item(entry, path)) for entry in entries]
    groups = [
        {"label": label, "entries": [item for section, item in items if item and section == key]}
        for key, label in SECTIONS.items()
    ]
    return [group for group in groups if group["entries"]]


def _item(entry: NavEntry, path: str) -> dict[str, Any] | None:
    try:
        url = reverse(entry.url_name)
    except NoReverseMatch:  # the other host's entry: tenants and the platform have routes of their own
        return None
    active = path == url if url == "/" else path.startswith(url)
    return {"label": entry.label, "url": url, "icon": entry.icon, "active": active}
