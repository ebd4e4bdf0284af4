"""How many corp tags WeCom still lets one make: counted from what stands, against a limit that its refusals correct."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.db.models import Count, Q

from scrm.lib import clock
from tagging.models import Tag, TagCapacity, TagGroup
from wecom_bridge.gauges import BAD_SHARE, WARN_SHARE
from wecom_bridge.models import Corp

LIMIT = 3_000  # corp tags and tags of rule groups together (customer-contact reference 2.1; 40126)
GROWTH = timedelta(days=90)


@dataclass(frozen=True)
class Capacity:
    """used: corp tags we know, made or on their way; grown: more in the last 90 days; full_on: the day it would be full at that pace."""

    corp: Corp
    used: int
    limit: int
    is_learnt: bool
    grown: int
    full_on: date | None

    @property
    def tone(self) -> str:
        """As every gauge: from 80 % on a warning, from 95 % on an alarm."""
        share = self.used / self.limit if self.limit else 1.0
        return "bad" if share >= BAD_SHARE else "warn" if share >= WARN_SHARE else ""


def capacities(now: datetime) -> list[Capacity]:
    """Of every corp in use. Three queries."""
    learnt, since, stands = (
        {row.corp_id: row.limit for row in TagCapacity.objects.all()},
        now - GROWTH,
        Q(deleted_at__isnull=True),
    )
    old = Q(created_at__lte=since) | Q(created_at__isnull=True)
    rows = Tag.objects.filter(group__kind=TagGroup.Kind.CORP).order_by().values("corp_id").annotate(
        used=Count("pk", filter=stands),
        came=Count("pk", filter=stands & Q(created_at__gt=since)),
        went=Count("pk", filter=old & Q(deleted_at__gt=since)),
    )  # fmt: skip
    counted = {row["corp_id"]: (row["used"], row["came"] - row["went"]) for row in rows}
    return [
        _of(corp, learnt.get(corp.pk), *counted.get(corp.pk, (0, 0)), now)
        for corp in Corp.objects.filter(is_active=True).order_by("pk")
    ]


def _of(corp: Corp, learnt: int | None, used: int, grown: int, now: datetime) -> Capacity:
    # More stand than WeCom once refused: it allows more by now.
    limit = learnt if learnt is not None and used <= learnt else LIMIT
    left = max(limit - used, 0)
    full_on = (now + GROWTH * (left / grown)).date() if grown > 0 and left / grown < 40 else None
    return Capacity(corp, used, limit, limit != LIMIT, grown, full_on)


def learn_full(corp_id: int) -> None:
    """WeCom refused a new tag as one too many: what stands is the limit, whatever the reference says."""
    tags = Tag.objects.filter(corp=corp_id, group__kind=TagGroup.Kind.CORP, deleted_at__isnull=True)
    used = tags.filter(wecom_tag_id__isnull=False).count()
    TagCapacity.objects.update_or_create(
        corp_id=corp_id, defaults={"limit": min(used, LIMIT), "learnt_at": clock.now()}
    )
