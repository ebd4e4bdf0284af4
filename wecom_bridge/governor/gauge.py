"""How much of WeCom's limits a merchant's corps have used: for a page, in one query and one question to Redis."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from django.utils.functional import Promise

from scrm.lib import clock
from wecom_bridge.api_names import WORDS
from wecom_bridge.governor import limits, pace, scripts, shared
from wecom_bridge.models import CallPace


@dataclass(frozen=True)
class Gauge:
    """One API of one corp. minute, hour, running and refusals are None while Redis does not say."""

    corp_name: str
    corp_id: str
    api: str
    label: str | Promise
    minute: int | None
    minute_limit: int
    hour: int | None
    hour_limit: int
    running: int | None
    width: int
    closed_until: datetime | None
    closed_scope: str
    refusals: int | None

    @property
    def percent(self) -> int:
        """The fuller of the two windows."""
        shares = [
            used * 100 // limit
            for used, limit in ((self.minute, self.minute_limit), (self.hour, self.hour_limit))
            if used is not None and limit
        ]
        return min(100, max(shares, default=0))


def list_gauges() -> list[Gauge]:
    """Every API that the merchant's corps have called, the closed ones first, then the fullest."""
    rows = list(CallPace.objects.select_related("corp").order_by("corp_id", "api"))
    seen = shared.ask(lambda: _look(rows)) or [None] * len(rows)
    found = [_gauge(row, told) for row, told in zip(rows, seen, strict=True)]
    return sorted(found, key=lambda one: (one.closed_until is None, -one.percent, one.corp_name, one.api))


def _look(rows: Sequence[CallPace]) -> list[list[bytes] | None]:
    pipe = shared.connection().pipeline(transaction=False)
    for row in rows:
        pipe.eval(scripts.LOOK, 3, *pace.keys_of(row.corp.corp_id, row.api), clock.wall().timestamp(), pace.today())
    return list(pipe.execute())


def _gauge(row: CallPace, told: list[bytes] | None) -> Gauge:
    now, allowed, all_limits = clock.wall(), limits.in_force().of(row.api), limits.in_force()
    nothing: list[bytes | None] = [None] * 7
    minute, hour, _today, width, running, closed, refusals = told or nothing
    until: datetime | None = row.closed_until
    if closed is not None:
        until = datetime.fromtimestamp(float(closed), UTC)
    until = until if until and until > now else None
    return Gauge(
        corp_name=row.corp.name,
        corp_id=row.corp.corp_id,
        api=row.api,
        label=WORDS.get(row.api, row.api),
        minute=_number(minute),
        minute_limit=all_limits.part("welcome", allowed.minute),
        hour=_number(hour),
        hour_limit=all_limits.part("welcome", allowed.hour),
        running=_number(running),
        width=min(_number(width) or row.width, allowed.ceiling),
        closed_until=until,
        closed_scope=row.get_closed_scope_display() if until else "",
        refusals=_number(refusals),
    )


def _number(told: bytes | int | None) -> int | None:
    return None if told is None else int(told)
