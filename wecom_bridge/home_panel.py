"""What the bridge puts on the home page of whoever keeps the connection: what waits in both directions, and when all was read."""

from typing import Any

from django.db.models import Max

from accounts import home
from accounts.access import MemberRequest
from wecom_bridge.models import Corp, InboundEvent, OutboundCommand
from wecom_bridge.queries import count_by_state


def register() -> None:
    """Called by the app's registry."""
    home.register_panel(home.HomePanel("bridge", 50, "bridge.manage", "wecom_bridge/_home_books.html", books))


def books(request: MemberRequest) -> dict[str, Any] | None:
    """Rows by state. None before a corp is connected: the first steps say what to do."""
    if not Corp.objects.exists():
        return None
    return {
        "inbox": count_by_state(InboundEvent),
        "outbox": count_by_state(OutboundCommand),
        "synced_at": Corp.objects.aggregate(at=Max("last_synced_at"))["at"],
    }
