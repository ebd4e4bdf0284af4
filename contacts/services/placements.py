"""Who stood where from when to when: spans of one member or store that follow each other and never overlap."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from contacts.models import MemberPlacement, StorePlacement
from scrm.lib.db.bulk import insert_rows, update_rows

Spot = Mapping[str, int | None]


def write(
    model: type[MemberPlacement] | type[StorePlacement], moves: Mapping[int, Spot | None], *, now: datetime
) -> None:
    """End where each member (or store) stood and begin her next placement, at `now`; None: she stands nowhere.

    moves: id → the columns of the placement. A clock behind the latest placement never cuts into it: the move takes effect
    where the latest one begins or ends, and a placement that held for no time at all is replaced. The caller has locked the rows of the members
    (stores); two writers would otherwise both find nothing to end.
    """
    key = "member_id" if model is MemberPlacement else "store_id"
    latest: dict[int, Any] = {}
    for placement in model.objects.filter(**{f"{key}__in": moves}).order_by("placed_from"):
        latest[getattr(placement, key)] = placement
    ending, replaced, fresh, void = [], [], [], []
    for pk, spot in moves.items():
        row = latest.get(pk)
        since = now
        if row is not None and row.placed_to is None and row.placed_from >= now:
            replaced += [{"id": row.pk, **spot}] if spot else []
            void += [] if spot else [row.pk]
            continue
        if row is not None:
            since = max(now, row.placed_to or now)
            ending += [{"id": row.pk, "placed_to": now}] if row.placed_to is None else []
        fresh += [{key: pk, **spot, "placed_from": since}] if spot else []
    update_rows(model, ending)
    update_rows(model, replaced)
    model.objects.filter(pk__in=void).delete()
    insert_rows(model, fresh)
