"""What callbacks said of people, handled yet or not: for who weighs other news against them."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from scrm.lib import clock
from wecom_bridge.callbacks.parsing import read_fields
from wecom_bridge.models import Corp, InboundEvent

SKEW = timedelta(minutes=5)  # by so much WeCom's clock may be ahead of ours


def latest_adds(corp: Corp, externals: Iterable[str], since: datetime) -> dict[tuple[str, str], datetime]:
    """(external_userid, userid) → the latest adding that an event told of, of those at or after a domain instant. One query, as
    long as the inbox keeps its rows (保留期)."""
    rows = InboundEvent.objects.filter(
        corp=corp,
        event="change_external_contact",
        change_type="add_external_contact",
        entity_key__in=[f"{corp.pk}:p:{external}" for external in externals],
        received_at__gte=clock.to_wall(since) - SKEW,
        occurred_at__gte=since,
    )
    found: dict[tuple[str, str], datetime] = {}
    for body, at in rows.order_by("occurred_at").values_list("body", "occurred_at"):
        fields = read_fields(body.encode())
        found[fields.get("ExternalUserID", ""), fields.get("UserID", "")] = at
    return found


def redact(event_ids: Sequence[int], marks: Mapping[str, str]) -> None:
    """Put marks in place of ids in callbacks that told of people who were erased. They stay countable; a replay finds nobody."""
    if not event_ids or not marks:
        return
    rows = list(InboundEvent.objects.filter(pk__in=event_ids).only("pk", "body", "entity_key"))
    for row in rows:
        for text, mark in marks.items():
            row.body, row.entity_key = row.body.replace(text, mark), row.entity_key.replace(text, mark)
    InboundEvent.objects.bulk_update(rows, ["body", "entity_key"])
