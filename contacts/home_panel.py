"""What this app puts on the home page: guides who deleted far more customers than they are used to."""

from datetime import timedelta
from typing import Any

from accounts import home
from accounts.access import MemberRequest
from accounts.scope import data_scope
from contacts.ended import visible_alarms
from scrm.lib import clock

PANEL_DAYS, PANEL_ROWS = 7, 5


def alarms(request: MemberRequest) -> dict[str, Any] | None:
    """Alarms of the last days that nobody handled; None without any."""
    scope = data_scope(request.user, "contacts.view", grants=request.grants)
    since = clock.now() - timedelta(days=PANEL_DAYS)
    open_ones = visible_alarms(scope).filter(handled_at__isnull=True, raised_at__gt=since)
    rows = list(open_ones.select_related("member", "store").order_by("-day", "-pk")[: PANEL_ROWS + 1])
    return {"rows": rows[:PANEL_ROWS], "more": len(rows) > PANEL_ROWS} if rows else None


def register() -> None:
    """Put the alarms on the home page."""
    home.register_panel(home.HomePanel("deletion_alarms", 15, "contacts.view", "contacts/_home_alarms.html", alarms))
