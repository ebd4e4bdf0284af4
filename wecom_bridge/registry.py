"""What the bridge adds to the shared registries; called once, when the apps are ready."""

from datetime import datetime

from django.utils.translation import gettext_lazy as _

from accounts import navigation, permissions
from tenants import lanes
from wecom_bridge.services import inbox, outbox, welcome

HEADING = _("企业微信接入")


def register() -> None:
    """Lanes, permissions, navigation."""
    permissions.register(
        permissions.Permission("bridge.view", _("查看企业微信接入状态"), HEADING),
        permissions.Permission("bridge.manage", _("管理企业微信接入与同步"), HEADING),
    )
    navigation.register(
        navigation.NavEntry("bridge", HEADING, "admin", "bridge_home", "plug", "bridge.view", order=900)
    )
    lanes.register(
        lanes.Lane("welcome", queue="welcome", drain=welcome.drain, next_due=welcome.next_due, exclusive=False)
    )
    lanes.register(lanes.Lane("inbound", queue="inbound", drain=inbox.drain, next_due=inbox.next_due))
    lanes.register(lanes.Lane("outbound", queue="outbound", drain=_drain_outbound, next_due=outbox.next_due))


def _drain_outbound(deadline: datetime) -> bool:
    return outbox.drain(deadline)
