"""What must outlive Redis: the learned width and the closed window of a corp × API, written only when they change."""

from dataclasses import dataclass
from datetime import datetime

from scrm.lib import clock
from wecom_bridge.models import CallPace


@dataclass(frozen=True)
class Kept:
    """As the row says. Instants are Unix seconds, 0 for none."""

    width: int
    closed: float = 0.0
    scope: str = ""
    strikes: int = 0
    struck: float = 0.0


def load(corp_pk: int, api: str, width: int) -> Kept:
    """What was learned of an API; with the known width if nothing was. Makes the row, by which a gauge finds the API."""
    row, _made = CallPace.objects.get_or_create(
        corp_id=corp_pk, api=api, defaults={"width": width, "changed_at": clock.wall()}
    )
    closed = row.closed_until.timestamp() if row.closed_until else 0.0
    struck = row.changed_at.timestamp() if row.strikes else 0.0
    return Kept(row.width, closed, row.closed_scope, row.strikes, struck)


def save(corp_pk: int, api: str, kept: Kept) -> None:
    """Write what has changed. Outside of any transaction, after the call."""
    closed = datetime.fromtimestamp(kept.closed, tz=clock.wall().tzinfo) if kept.closed else None
    values = {"width": kept.width, "closed_until": closed, "closed_scope": kept.scope, "strikes": kept.strikes}
    CallPace.objects.update_or_create(corp_id=corp_pk, api=api, defaults={**values, "changed_at": clock.wall()})


def note(corp_pk: int, api: str, width: int, strikes: int) -> None:
    """Write what successes have changed."""
    CallPace.objects.filter(corp_id=corp_pk, api=api).update(width=width, strikes=strikes, changed_at=clock.wall())
