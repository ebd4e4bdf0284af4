"""What analytics registers at start: lanes, permissions, navigation, and its ear for new facts."""

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.db.models import Max
from django.utils.translation import gettext_lazy as _

from accounts import navigation, permissions
from analytics import home_panels
from analytics.models import DirtyBucket, RollupCheck, StageDay
from analytics.services import buckets, check, facts
from campaigns.changes import on_pushes_changed
from commerce.changes import on_orders_changed
from contacts import timeline
from contacts.services import merging
from scrm.lib import clock
from tenants import lanes, quiet
from tenants.context import current_tenant

CHECK_EVERY = timedelta(hours=1)
MISSED_AT_MOST = timedelta(days=92)


def register() -> None:
    """Called once from AppConfig.ready()."""
    lanes.register(lanes.Lane(buckets.LANE, queue="analytics", drain=_drain, next_due=_next_midnight))
    permissions.register(
        permissions.Permission(
            "reports.view", _("查看报表"), _("数据"), says=_("看范围内的首页数字、生命周期和转化漏斗")
        )
    )
    navigation.register(
        navigation.NavEntry("home", _("首页"), "home", "analytics:home", "layout-dashboard", "reports.view", order=10),
        navigation.NavEntry(
            "lifecycle", _("生命周期"), "insight", "analytics:lifecycle", "chart-column", "reports.view", order=710
        ),
        navigation.NavEntry(
            "funnel", _("转化漏斗"), "insight", "analytics:funnel", "filter", "reports.view", order=720
        ),
        navigation.NavEntry(
            "metrics", _("指标口径"), "insight", "analytics:metrics", "book-open", "reports.view", order=730
        ),
    )
    home_panels.register()
    timeline.on_recorded(facts.mark_buckets_of)
    timeline.on_restated(facts.mark_buckets_of)
    on_orders_changed(facts.mark_orders)
    merging.on_merged(facts.mark_merged)
    merging.on_undone(facts.mark_merged)
    on_pushes_changed(facts.mark_pushes)
    quiet.register("analytics", DirtyBucket.objects.count)


def _drain(deadline: datetime) -> bool:
    _count_past_days()
    more = buckets.drain(deadline)
    last = RollupCheck.objects.order_by("-at").values_list("at", flat=True).first()
    if not more and (last is None or clock.wall() - last >= CHECK_EVERY):
        check.check_rollups()
    return more


def _count_past_days() -> None:
    """A day without any transition has its stage counts too: they are written once it is over, after an outage for each day missed."""
    yesterday = buckets.tenant_day(clock.now()) - timedelta(days=1)
    last = StageDay.objects.filter(day__lte=yesterday).aggregate(day=Max("day"))["day"]
    first = max(last + timedelta(days=1), yesterday - MISSED_AT_MOST) if last else yesterday
    for step in range((yesterday - first).days + 1):
        buckets.recompute_bucket("stage", first + timedelta(days=step), 0)


def _next_midnight() -> datetime:
    """Shortly after the tenant's next day begins."""
    zone = ZoneInfo(current_tenant().time_zone)
    tomorrow = clock.now().astimezone(zone).date() + timedelta(days=1)
    return datetime.combine(tomorrow, time(0, 5), zone)
