"""Which callbacks a person or a command means, and what the page of the inbox shows of them."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db.models import Count, Q, QuerySet

from wecom_bridge import contracts
from wecom_bridge.callbacks import parsing
from wecom_bridge.models import InboundEvent
from wecom_bridge.queries import page_of


@dataclass(frozen=True)
class Selection:
    """Which events: each condition given narrows. since and until are instants of receipt, until not included."""

    ids: tuple[int, ...] | None = None
    first_id: int | None = None
    last_id: int | None = None
    since: datetime | None = None
    until: datetime | None = None
    corp_id: int | None = None
    event: str = ""
    change_type: str = ""
    state: str = ""

    def told(self) -> dict[str, Any]:
        """The conditions as an audit row keeps them; single ids it keeps by their span."""
        since, until = (at.isoformat() if at else None for at in (self.since, self.until))
        given = {"first_id": self.first_id, "last_id": self.last_id, "since": since, "until": until,
                 "corp": self.corp_id, "event": self.event, "change_type": self.change_type, "state": self.state}  # fmt: skip
        return {name: value for name, value in given.items() if value}


def matching(chosen: Selection) -> QuerySet[InboundEvent]:
    """The events a selection names, in whatever state."""
    equal = {"corp_id": chosen.corp_id, "event": chosen.event, "change_type": chosen.change_type, "state": chosen.state}
    bounds = {"received_at__gte": chosen.since, "received_at__lt": chosen.until,
              "pk__gte": chosen.first_id, "pk__lte": chosen.last_id}  # fmt: skip
    rows = InboundEvent.objects.filter(**{name: value for name, value in equal.items() if value})
    rows = rows.filter(**{name: value for name, value in bounds.items() if value is not None})
    return rows if chosen.ids is None else rows.filter(pk__in=chosen.ids)


def replayable(chosen: Selection) -> QuerySet[InboundEvent]:
    """Of these, the settled ones that somebody would handle; open ones are handled anyhow."""
    wanted = _aimed()
    for event, change_type in contracts.wanted_events():
        wanted |= Q(event=event, change_type=change_type) if change_type else Q(event=event)
    return matching(chosen).exclude(state__in=InboundEvent.OPEN).filter(~Q(entity_key="") | wanted)


def _aimed() -> Q:
    """Events that make something dirty, and were kept as ignored by a version that did not know them. Left out is what names
    nothing of ours: tags of a strategy, and tags of the directory."""
    directory = Q(change_type__endswith="_user") | Q(change_type__endswith="_party")
    strategy = Q(body__regex=r"<StrategyId>(<!\[CDATA\[)?[^<\]]")
    others = parsing.AIMED - {"change_contact", "change_external_tag"}
    return Q(event__in=others) | (Q(event="change_contact") & directory) | (Q(event="change_external_tag") & ~strategy)


def count_by_event(chosen: Selection) -> list[tuple[str, str, int]]:
    """(event, change type, how many would be replayed), most first."""
    rows = replayable(chosen).values_list("event", "change_type").annotate(n=Count("pk")).order_by("-n", "event")
    return [(event, change, n) for event, change, n in rows]


def list_events(chosen: Selection, before: int | None) -> tuple[list[InboundEvent], int | None]:
    """Events, newest first. Bodies stay in the database."""
    return page_of(matching(chosen).select_related("corp").defer("body"), before)


def count_events(chosen: Selection) -> dict[str, int]:
    """state → events, of what the other conditions find."""
    rows = matching(replace(chosen, state="")).values_list("state").annotate(n=Count("pk")).order_by()
    return dict(rows)


def count_matching(chosen: Selection) -> int:
    """How many events the conditions find."""
    return matching(chosen).count()


def count_ignored(chosen: Selection) -> list[tuple[str, str, int]]:
    """(event, change type, how many) of what was kept and nobody handles, most first."""
    rows = matching(replace(chosen, state=InboundEvent.State.IGNORED.value)).values_list("event", "change_type")
    return list(rows.annotate(n=Count("pk")).order_by("-n", "event", "change_type")[:30])


def count_slowed() -> int:
    """Events that wait longer because their entity keeps coming back unchanged."""
    return InboundEvent.objects.filter(state=InboundEvent.State.WAITING, last_error=InboundEvent.SLOWED).count()


def known_events() -> list[str]:
    """Events that this version handles: the choice of the filter, which takes any other name too."""
    return sorted({*parsing.AIMED, *(event for event, _change in contracts.wanted_events())})
