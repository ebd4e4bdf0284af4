"""发送前体检: how many would be reached, how many not and why, by store and guide. The freeze uses the same verdicts."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import connection

from accounts.scope import DataScope, scope_from_json
from campaigns.models import Broadcast
from campaigns.policy import SendPolicy
from campaigns.queries import audience as audiences
from campaigns.queries.verdicts import Frame, group_verdicts, people_verdicts
from campaigns.rendering import empty_for
from contacts.models import Member, Store


@dataclass
class Preflight:
    """Counts of one judgement. total = reachable + sum(excluded); planned = reachable − holdout (an estimate until 审批)."""

    total: int = 0
    reachable: int = 0
    excluded: dict[str, int] = field(default_factory=dict)
    several_voices: int = 0  # reachable people with more than one friend who could speak: one of them does
    holdout: int = 0
    by_store: list[dict[str, Any]] = field(default_factory=list)  # [{id, name, people}]
    by_guide: list[dict[str, Any]] = field(default_factory=list)
    empty_values: dict[str, list[str]] = field(default_factory=dict)  # variable → stores without a value
    judged_at: datetime | None = None

    @property
    def planned(self) -> int:
        return self.reachable - self.holdout

    @property
    def store_ids(self) -> list[int]:
        return [row["id"] for row in self.by_store if row["id"]]

    @property
    def level(self) -> str:
        """Whose release it needs. Whoever stands in no store is in nobody's but hq's reach."""
        return "hq" if any(row["id"] is None for row in self.by_store) else level_of(self.store_ids)

    def as_json(self) -> dict[str, Any]:
        """What an approval keeps of it."""
        return {
            "total": self.total,
            "reachable": self.reachable,
            "holdout": self.holdout,
            "planned": self.planned,
            "excluded": self.excluded,
            "stores": len(self.store_ids),
            "guides": len(self.by_guide),
        }


def frame_of(broadcast: Broadcast, *, now: datetime, policy: SendPolicy, push_id: int | None = None) -> Frame:
    """What a broadcast's people are judged by."""
    content = broadcast.content_version.content if broadcast.content_version else None
    return Frame(
        at=max(broadcast.notify_at or now, now),
        now=now,
        message_class=content.message_class if content else "content",
        policy=policy,
        within=scope_from_json(broadcast.within),
        push_id=push_id,
    )


def verdicts_of(broadcast: Broadcast, frame: Frame) -> tuple[str, dict[str, Any]]:
    """The verdict statement of a broadcast's audience. Raises UserError when it has none."""
    if broadcast.target == "groups":
        chosen = audiences.groups(broadcast.audience, within=frame.within)
        return group_verdicts(audiences.ids_sql(chosen), frame)
    people = audiences.people(broadcast.audience, within=frame.within, now=frame.now)
    return people_verdicts(audiences.ids_sql(people), frame)


def run_preflight(broadcast: Broadcast, *, now: datetime, policy: SendPolicy) -> Preflight:
    """Judge a broadcast's audience as it is now. Five statements. Raises UserError without an audience."""
    statement, params = verdicts_of(broadcast, frame_of(broadcast, now=now, policy=policy))
    voices = "voices > 1" if broadcast.target == "people" else "false"
    # Only our own names are put together here; every value is a parameter.
    sql = f"{statement} SELECT reason, store_id, member_id, count(*), count(*) FILTER (WHERE {voices}) FROM verdict GROUP BY 1, 2, 3"
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        rows = cursor.fetchall()
    found = _collect(rows, broadcast.holdout_percent if broadcast.target == "people" else 0)
    found.judged_at = now
    if broadcast.content_version:
        stores = Store.objects.filter(pk__in=found.store_ids).order_by("name")
        found.empty_values = empty_for(broadcast.content_version.text, stores)
    return found


def _collect(rows: list[tuple[str, int | None, int | None, int, int]], holdout_percent: int) -> Preflight:
    reasons, stores, guides = Counter[str](), Counter[int | None](), Counter[int | None]()
    several = 0
    for reason, store_id, member_id, number, with_several in rows:
        reasons[reason] += number
        if not reason:
            stores[store_id] += number
            guides[member_id] += number
            several += with_several
    reachable = reasons.pop("", 0)
    return Preflight(
        total=reachable + sum(reasons.values()),
        reachable=reachable,
        excluded=dict(reasons.most_common()),
        several_voices=several,
        holdout=round(reachable * holdout_percent / 100),
        by_store=_named_stores(stores),
        by_guide=_named_guides(guides),
    )


def _named_stores(counts: Counter[int | None]) -> list[dict[str, Any]]:
    known = {row.pk: row for row in Store.objects.filter(pk__in=[pk for pk in counts if pk])}

    def named(pk: int | None) -> dict[str, Any]:
        store = known.get(pk or 0)
        return {"id": pk, "name": store.name if store else "—", "people": counts[pk]}

    return [named(pk) for pk, _number in counts.most_common()]


def _named_guides(counts: Counter[int | None]) -> list[dict[str, Any]]:
    known = {row.pk: str(row) for row in Member.objects.filter(pk__in=[pk for pk in counts if pk])}
    return [{"id": pk, "name": known.get(pk or 0, "—"), "people": number} for pk, number in counts.most_common()]


def level_of(store_ids: list[int]) -> str:
    """Whose release an audience needs: one store: store; one region: region; else hq. No store known: hq."""
    if not store_ids:
        return "hq"
    if len(store_ids) == 1:
        return "store"
    regions = set(Store.objects.filter(pk__in=store_ids).values_list("region_id", flat=True))
    return "region" if len(regions) == 1 and None not in regions else "hq"


Places = dict[int, tuple[int | None, int | None]]


def places_of(store_ids: Iterable[int]) -> Places:
    """Store id → (region id, dealer id). One query."""
    rows = Store.objects.filter(pk__in=set(store_ids)).values_list("pk", "region_id", "dealer_id")
    return {pk: (region, dealer) for pk, region, dealer in rows}


def covers(scope: DataScope, level: str, store_ids: list[int], places: Places | None = None) -> bool:
    """Whether an approver's scope reaches a request: its level, and every store it touches.

    places: of (at least) these stores, where the caller asks for many requests.
    """
    if scope.sees_all:
        return True
    if level == "hq" or (level == "region" and not scope.region_ids):
        return False
    known = places_of(store_ids) if places is None else places

    def is_hers(pk: int) -> bool:
        region, dealer = known.get(pk, (None, None))
        return pk in scope.store_ids or region in scope.region_ids or dealer in scope.dealer_ids

    return bool(store_ids) and all(is_hers(pk) for pk in store_ids)
