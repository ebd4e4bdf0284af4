"""What this app puts on the home page: guides who deleted far more customers than they are used to, what is to be decided about
members, and 撞单."""

from datetime import timedelta
from typing import Any

from accounts import home
from accounts.access import MemberRequest
from accounts.scope import data_scope
from contacts.ended import visible_alarms
from contacts.models import StaffChange
from contacts.services.clashes import visible_clashes
from contacts.services.staffing import reading
from contacts.services.staffing.reading import NEEDED
from scrm.lib import clock

PANEL_DAYS, PANEL_ROWS = 7, 5


def alarms(request: MemberRequest) -> dict[str, Any] | None:
    """Alarms of the last days that nobody handled; None without any."""
    scope = data_scope(request.user, "contacts.view", grants=request.grants)
    since = clock.now() - timedelta(days=PANEL_DAYS)
    open_ones = visible_alarms(scope).filter(handled_at__isnull=True, raised_at__gt=since)
    rows = list(open_ones.select_related("member", "store").order_by("-day", "-pk")[: PANEL_ROWS + 1])
    return {"rows": rows[:PANEL_ROWS], "more": len(rows) > PANEL_ROWS} if rows else None


def staff_changes(request: MemberRequest) -> dict[str, Any] | None:
    """人员变动 that wait for a decision the person may take; None without any."""
    mine = {kind for kind, needed in NEEDED.items() if needed in request.permissions}
    counts = reading.count_open(data_scope(request.user, "org.view", grants=request.grants)) if mine else {}
    rows = [
        {"kind": kind, "label": label, "count": counts[kind]}
        for kind, label in StaffChange.Kind.choices
        if counts.get(kind) and kind in mine
    ]
    return {"rows": rows} if rows else None


def clashes(request: MemberRequest) -> dict[str, Any] | None:
    """撞单 of the last days that nobody has dealt with; None without any, and for a guide, who has them in 今日."""
    scope = data_scope(request.user, "contacts.edit", grants=request.grants)
    if scope.is_own_only:
        return None
    since = clock.now() - timedelta(days=PANEL_DAYS)
    open_ones = visible_clashes(scope).filter(handled_at__isnull=True, added_at__gt=since)
    rows = list(
        open_ones.select_related("contact__root", "member", "other").order_by("-added_at", "-pk")[: PANEL_ROWS + 1]
    )
    shown = [{"clash": row, "person": row.contact.root or row.contact} for row in rows[:PANEL_ROWS]]
    return {"rows": shown, "more": len(rows) > PANEL_ROWS} if rows else None


def register() -> None:
    """Put them on the home page."""
    home.register_panel(home.HomePanel("staff_changes", 14, "org.view", "contacts/_home_staff.html", staff_changes))
    home.register_panel(home.HomePanel("clashes", 16, "contacts.edit", "contacts/_home_clashes.html", clashes))
    home.register_panel(home.HomePanel("deletion_alarms", 15, "contacts.view", "contacts/_home_alarms.html", alarms))
