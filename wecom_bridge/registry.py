"""What the bridge adds to the shared registries; called once, when the apps are ready."""

from collections.abc import Callable
from datetime import datetime
from functools import wraps

from django.db.models import QuerySet
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts import audit_words, navigation, permissions
from scrm.lib import clock
from tenants import lanes, quiet, retention
from tenants.services import dumps
from wecom_bridge import erasers, home_panel
from wecom_bridge.figures import limits, nights, reading, recorder
from wecom_bridge.figures.rows import ServiceMinute
from wecom_bridge.models import InboundEvent, OutboundCommand, SyncRun
from wecom_bridge.services import corps, inbox, outbox, welcome
from wecom_bridge.services.sync import drive, keeping, runs

HEADING = _("企业微信接入")
Drain = Callable[[datetime], bool]
NextDue = Callable[[], datetime | None]

AUDIT_WORDS: dict[str, str | Promise] = {
    "corp.connected": _("接入企业"),
    "corp.changed": _("修改企业接入"),
    "corp.callback_keys_renewed": _("重新生成回调密钥"),
    "corp.checklist_made": _("生成接入清单链接"),
    "corp.checklist_revoked": _("收回接入清单链接"),
    "corp.verify_file_kept": _("上传域名校验文件"),
    "sync.started": _("开始同步"),
    "sync.confirmed": _("确认移除消失的好友关系"),
    "sync.kept": _("保留消失的好友关系"),
    "sync.directory_confirmed": _("确认移除通讯录里消失的成员与部门"),
    "sync.directory_kept": _("保留通讯录里消失的成员与部门"),
    "sync.repair_asked": _("修复差异"),
    "inbox.replayed": _("重放回调"),
    "outbox.retried": _("重试调用"),
    "outbox.dropped": _("放弃调用"),
    "limits.changed": _("修改接口限制"),
    "secrets.rotated": _("更换密钥并重新加密"),
}


def register() -> None:
    """Lanes, permissions, navigation, words of audit rows, quiet counters, retention kinds."""
    audit_words.register(AUDIT_WORDS)
    permissions.register(
        permissions.Permission(
            "bridge.view",
            _("查看企业微信接入状态"),
            HEADING,
            tenant_wide=True,
            says=_("看企业微信接入是否正常、同步和回调的情况"),
        ),
        permissions.Permission(
            "bridge.manage",
            _("管理企业微信接入与同步"),
            HEADING,
            tenant_wide=True,
            says=_("填企业微信的密钥和网址,发起同步,重放回调,重试调用"),
        ),
    )
    navigation.register(
        navigation.NavEntry("bridge", HEADING, "admin", "bridge_home", "plug", "bridge.view", order=900)
    )
    home_panel.register()
    erasers.register()
    reading.register()
    limits.register()
    nights.register()
    dumps.on_restored(corps.rest_after_restore)
    _register_lanes()
    _register_quiet()
    retention.register(retention.Kind("bridge_inbox", _("企业微信回调"), keep_days=30, prune=_prune_events, least=7))
    retention.register(
        retention.Kind("bridge_outbox", _("企业微信调用"), keep_days=90, prune=_prune_commands, least=30)
    )
    retention.register(retention.Kind("bridge_figures", _("服务状态"), keep_days=14, prune=_prune_figures, most=90))
    units, found = keeping.UNIT_DAYS, keeping.RUN_DAYS
    retention.register(retention.Kind("bridge_sync_units", _("同步明细"), keep_days=units, prune=keeping.prune_units))
    retention.register(retention.Kind("bridge_syncs", _("同步与差异"), keep_days=found, prune=keeping.prune_runs))


def _register_lanes() -> None:
    # The welcome cannot wait for a lease: its drain claims single rows.
    _add_lane("welcome", "welcome", welcome.drain, welcome.next_due, exclusive=False, looks_again=True)
    _add_lane(inbox.LANE, "inbound", inbox.drain, inbox.next_due)
    _add_lane(outbox.LANE, "outbound", _drain_outbound, outbox.next_due)
    _add_lane(runs.LANE, "bulk", drive.drain, drive.next_due)


def _add_lane(name: str, queue: str, drain: Drain, next_due: NextDue, **how: bool) -> None:
    lanes.register(lanes.Lane(name, queue=queue, drain=_counted(drain), next_due=next_due, **how))


def _counted(drain: Drain) -> Drain:
    """The drain, with what it counted written when its slice ends."""

    @wraps(drain)
    def counted(deadline: datetime) -> bool:
        try:
            return drain(deadline)
        finally:
            recorder.flush()

    return counted


def _drain_outbound(deadline: datetime) -> bool:
    return outbox.drain(deadline)


def _register_quiet() -> None:
    quiet.register("bridge_inbox", _open_events)
    quiet.register("bridge_outbox", _open_commands)
    quiet.register("bridge_sync", _running_syncs)


def _open_events() -> int:
    """Events not settled. Those that wait for their next try after an error do not hold the clock."""
    return InboundEvent.objects.filter(state=InboundEvent.State.WAITING).count()


def _open_commands() -> int:
    """Commands due now or in hand."""
    state = OutboundCommand.State
    due = OutboundCommand.objects.filter(state__in=(state.WAITING, state.RETRY), next_attempt_at__lte=clock.wall())
    return due.count() + OutboundCommand.objects.filter(state=state.CLAIMED).count()


def _running_syncs() -> int:
    return SyncRun.objects.filter(state=SyncRun.State.RUNNING).count()


def _prune_events(before: datetime, limit: int) -> int:
    """Settled events; `before` is domain time, settled_at wall time."""
    rows = InboundEvent.objects.filter(state__in=(InboundEvent.State.DONE, InboundEvent.State.IGNORED))
    return _delete(rows.filter(settled_at__lt=clock.to_wall(before)), limit)


def _prune_commands(before: datetime, limit: int) -> int:
    """Settled commands; parked ones wait for a person."""
    state = OutboundCommand.State
    rows = OutboundCommand.objects.filter(state__in=(state.DONE, state.FAILED, state.CANCELLED))
    return _delete(rows.filter(settled_at__lt=clock.to_wall(before)), limit)


def _prune_figures(before: datetime, limit: int) -> int:
    """Minutes of wall time; the totals stay."""
    return _delete(ServiceMinute.objects.filter(minute__lt=clock.to_wall(before)), limit)


def _delete(rows: QuerySet[InboundEvent] | QuerySet[OutboundCommand] | QuerySet[ServiceMinute], limit: int) -> int:
    keys = list(rows.order_by("id").values_list("pk", flat=True)[:limit])
    rows.model._default_manager.filter(pk__in=keys).delete()
    return len(keys)
