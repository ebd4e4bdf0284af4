"""What begins by itself: a reconciliation each night, the cheap lists each hour. Domain time decides; both cost nothing
to a merchant without a corp that was synced.

A night is a day of the tenant; its hour is spread over SPREAD by the tenant's number, so that many merchants do not begin at
once. One that cannot begin is written down as skipped, with why.
"""

from datetime import date, datetime, timedelta
from zlib import crc32
from zoneinfo import ZoneInfo

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from scrm.lib import clock
from tenants.audit import SYSTEM
from tenants.context import current_tenant
from wecom_bridge.gateway import flows
from wecom_bridge.models import Corp, CorpCredential, SyncRun
from wecom_bridge.services.sync import runs

HOUR = 3
SPREAD = timedelta(minutes=90)
LISTS_EVERY = timedelta(hours=1)
PATIENCE = timedelta(hours=1)  # for a run under way that rests; then the night says that it could not read
LOOK_AGAIN = timedelta(minutes=10)  # at a corp whose lists are due and cannot be read

Kind, State = SyncRun.Kind, SyncRun.State
FULL = (Kind.FIRST, Kind.RECONCILE)


def begin_due() -> None:
    """Begin what is due for each corp."""
    now = clock.now()
    for corp in _synced_corps():
        _begin_night(corp, now)
        _begin_lists(corp, now)


def next_due() -> datetime | None:
    """The domain instant at which something may be due."""
    now = clock.now()
    moments = [latest_night(now) + timedelta(days=1)]
    corps = _synced_corps()
    for corp in corps:
        read_at = _lists_read_at(corp)
        due = read_at + LISTS_EVERY if read_at else now
        moments.append(due if due > now else now + LOOK_AGAIN)
    return min(moments) if corps else None


def latest_night(now: datetime) -> datetime:
    """When the current night's reconciliation fell due, for the tenant in scope."""
    zone, tenant = ZoneInfo(current_tenant().time_zone), current_tenant()
    spread = timedelta(seconds=crc32(str(tenant.pk).encode()) % int(SPREAD.total_seconds()))
    at = now.astimezone(zone).replace(hour=HOUR, minute=0, second=0, microsecond=0) + spread
    return at if at <= now else at - timedelta(days=1)


def why_not(corp: Corp) -> str:
    """Why nothing of this corp can be read now; empty when it can."""
    if not corp.is_active:
        return _("企业没有连接:请在「企业微信接入」里重新接入。")
    credential = CorpCredential.objects.filter(corp=corp, kind__in=flows.kinds()).order_by("id").first()
    if credential is None:
        return _("企业没有应用凭证:请在「企业微信接入」里填写 Secret。")
    if credential.broken_at:
        return _("企业微信拒绝了 Secret:请在「企业微信接入」里更新它。")
    return ""


def _synced_corps() -> list[Corp]:
    """The first sync is a person's to begin."""
    return list(Corp.objects.filter(last_synced_at__isnull=False).order_by("id"))


def _begin_night(corp: Corp, now: datetime) -> None:
    at = latest_night(now)
    night = at.date()  # in the tenant's zone
    mine = SyncRun.objects.filter(corp=corp)
    if mine.filter(night=night).exists() or mine.filter(kind__in=FULL, state=State.DONE, read_at__gte=at).exists():
        return
    under_way = mine.filter(state__in=(State.RUNNING, State.NEEDS_CONFIRM)).exclude(kind=Kind.LISTS).first()
    reason = why_not(corp)
    if under_way is not None and not reason:
        if _is_tonights(under_way, at):
            if not under_way.last_error:
                SyncRun.objects.filter(pk=under_way.pk).update(night=night)
                return
            if now < at + PATIENCE:
                return  # it rests; what for may soon be over
        reason = _why_not_beside(under_way)
    if reason:
        _note_skipped(corp, night, reason)
        return
    runs.start_sync(corp, by=SYSTEM, night=night)


def _is_tonights(run: SyncRun, at: datetime) -> bool:
    """Whether a run under way reads what tonight's would: all of it, begun within the day before, and for no other night."""
    began = run.read_at or run.started_at + clock.offset()
    is_full = run.state == State.RUNNING and run.kind in FULL
    return is_full and run.night is None and began >= at - timedelta(days=1)


def _why_not_beside(run: SyncRun) -> str:
    """Why nothing can begin while that one is under way."""
    if run.state == State.NEEDS_CONFIRM:
        return _("上一次核对还在等人确认。")
    if run.kind not in FULL:
        return _("另一次比对正在进行。")
    if run.last_error:
        return _("上一次读取还停着:%(error)s") % {"error": run.last_error}
    return _("上一次读取还没有结束。")


def _note_skipped(corp: Corp, night: date, reason: str) -> None:
    now = clock.wall()
    try:
        with transaction.atomic():
            SyncRun.objects.create(
                corp=corp, kind=Kind.RECONCILE, state=State.SKIPPED, night=night, last_error=reason, started_at=now,
                finished_at=now, step="finish",
            )  # fmt: skip
    except IntegrityError:
        pass  # another drain wrote it down


def _begin_lists(corp: Corp, now: datetime) -> None:
    read_at = _lists_read_at(corp)
    if read_at is not None and read_at + LISTS_EVERY > now:
        return
    if not why_not(corp) and not SyncRun.objects.filter(corp=corp, state=State.RUNNING).exists():
        runs.start_lists(corp)


def _lists_read_at(corp: Corp) -> datetime | None:
    """When members, departments and tags were last read, or tried."""
    rows = SyncRun.objects.filter(corp=corp, kind__in=(*FULL, Kind.LISTS), read_at__isnull=False)
    return rows.order_by("-read_at").values_list("read_at", flat=True).first()
