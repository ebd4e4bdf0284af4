"""The bridge's own sections of the status page: answers to callbacks, what waits, calls, commands."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Count, Min, Q, Sum
from django.utils.translation import gettext_lazy as _

from wecom_bridge import naming
from wecom_bridge.figures import sources
from wecom_bridge.figures.buckets import SIZE, add, percentile
from wecom_bridge.figures.rows import ServiceTotal
from wecom_bridge.figures.sources import Sample
from wecom_bridge.models import InboundEvent, OutboundCommand

WINDOW = timedelta(hours=1)
OPEN_EVENTS = (InboundEvent.State.WAITING, InboundEvent.State.RETRY)
OPEN_COMMANDS = (
    OutboundCommand.State.WAITING,
    OutboundCommand.State.RETRY,
    OutboundCommand.State.CLAIMED,
    OutboundCommand.State.UNKNOWN,
)

_SUM = """
WITH summed AS (
  SELECT label, code, n, sum(b)::bigint AS b
  FROM wecom_bridge_serviceminute, unnest(buckets) WITH ORDINALITY AS u(b, n)
  WHERE name = %s AND minute >= %s GROUP BY label, code, n
)
SELECT label, code, array_agg(b ORDER BY n) FROM summed GROUP BY label, code ORDER BY label, code
"""


@dataclass(frozen=True)
class Durations:
    """How often something happened within the window, and how long it took (milliseconds, true to the bucket)."""

    label: str
    code: str
    buckets: Sequence[int]

    @property
    def count(self) -> int:
        return sum(self.buckets)

    @property
    def p50(self) -> int | None:
        return percentile(self.buckets, 0.5)

    @property
    def p99(self) -> int | None:
        return percentile(self.buckets, 0.99)


@dataclass(frozen=True)
class Waiting:
    """What is open on a lane: rows, seconds since the oldest came, rows a person must look at."""

    lane: str
    count: int
    age_seconds: float
    parked: int


def durations(name: str, since: datetime) -> list[Durations]:
    """The figures of a name since a minute, by label and code."""
    with connection.cursor() as cursor:
        cursor.execute(_SUM, [name, since])
        return [Durations(*row) for row in cursor.fetchall()]


def merged(rows: Sequence[Durations], label: str = "", code: str = "") -> Durations:
    """Several rows as one."""
    total: list[int] = [0] * SIZE
    for row in rows:
        total = add(total, row.buckets)
    return Durations(label, code, total)


def waiting_events(now: datetime) -> list[Waiting]:
    """Open callbacks by lane."""
    return _waiting(InboundEvent.objects.all(), OPEN_EVENTS, "received_at", now)


def waiting_commands(now: datetime, by: str = "lane") -> list[Waiting]:
    """Open commands by lane or by kind."""
    return _waiting(OutboundCommand.objects.all(), OPEN_COMMANDS, "created_at", now, by)


def _waiting(rows: Any, states: Sequence[str], since: str, now: datetime, by: str = "lane") -> list[Waiting]:
    """Only open and parked rows are read: both have an index of their own, which one list of states would use neither of."""
    is_open = Q(state__in=states)
    of_interest = rows.filter(is_open | Q(state="parked")).exclude(**{by: ""})
    found = of_interest.values(by).annotate(
        n=Count("pk", filter=is_open), oldest=Min(since, filter=is_open), parked=Count("pk", filter=Q(state="parked"))
    )
    return [
        Waiting(row[by], row["n"], (now - row["oldest"]).total_seconds() if row["oldest"] else 0.0, row["parked"])
        for row in found.order_by(by)
    ]


# --- Sections ---------------------------------------------------------------------------------------------------


def _read_acks(now: datetime) -> Mapping[str, Any]:
    rows = durations("ack", now - WINDOW)
    stored = [row for row in rows if row.code == "200"]
    refused = [{"row": row, "cause": naming.name_refusal(row.label)} for row in rows if row.code != "200"]
    return {"stored": merged(stored), "refused": refused}


def _ack_samples(now: datetime) -> list[Sample]:
    stored = merged([row for row in durations("ack", now - WINDOW) if row.code == "200"])
    words = "Time from reading a callback to its answer after the commit, last hour"
    return _quantiles("callback_ack_seconds", words, stored) + _counters(
        "ack", "callbacks_total", "Callbacks answered, by HTTP status", ("", "status")
    )


def _read_backlog(now: datetime) -> Mapping[str, Any]:
    events, commands = waiting_events(now), waiting_commands(now)
    rows = [("bridge_inbox", _("回调"), row) for row in events] + [
        ("bridge_outbox", _("调用"), row) for row in commands
    ]
    return {
        "rows": [
            {"route": route, "what": what, "row": row, "lane": naming.name_lane(row.lane)} for route, what, row in rows
        ]
    }


def _backlog_samples(now: datetime) -> list[Sample]:
    samples = []
    for direction, rows in (("in", waiting_events(now)), ("out", waiting_commands(now))):
        for row in rows:
            labels = {"direction": direction, "lane": row.lane}
            samples += [
                Sample("backlog_rows", "Rows waiting on a lane", row.count, labels),
                Sample("backlog_age_seconds", "Age of the oldest row waiting on a lane", row.age_seconds, labels),
                Sample("parked_rows", "Rows that wait for a person", row.parked, labels),
            ]
    return samples


def _read_calls(now: datetime) -> Mapping[str, Any] | None:
    rows = durations("call", now - WINDOW)
    apis = []
    for api in dict.fromkeys(row.label for row in rows):
        mine = [row for row in rows if row.label == api]
        apis.append(
            {
                "name": naming.name_api(api),
                "all": merged(mine, api),
                "refused": [row for row in mine if row.code != "0"],
            }
        )
    return {"apis": apis} if apis else None


def _call_samples(now: datetime) -> list[Sample]:
    return _counters("call", "wecom_calls_total", "Calls to WeCom, by API and errcode", ("api", "code"))


def _read_commands(now: datetime) -> Mapping[str, Any] | None:
    ages = {row.label: row for row in _by_label(durations("command", now - WINDOW))}
    kinds = {row.lane: row for row in waiting_commands(now, "kind")}
    names = sorted(ages.keys() | kinds.keys())
    if not names:
        return None
    return {
        "kinds": [
            {"name": name, "label": naming.name_kind(name), "age": ages.get(name), "open": kinds.get(name)}
            for name in names
        ]
    }


def _command_samples(now: datetime) -> list[Sample]:
    samples = _counters("command", "commands_settled_total", "Commands settled, by kind and ending", ("kind", "state"))
    for row in _by_label(durations("command", now - WINDOW)):
        words = "Time from the wish to its end, last hour"
        samples += _quantiles("command_age_seconds", words, row, {"kind": row.label})
    return samples


def _by_label(rows: Sequence[Durations]) -> list[Durations]:
    return [
        merged([row for row in rows if row.label == label], label) for label in dict.fromkeys(row.label for row in rows)
    ]


def _quantiles(name: str, words: str, row: Durations, labels: Mapping[str, str] | None = None) -> list[Sample]:
    found = (("0.5", row.p50), ("0.99", row.p99))
    return [
        Sample(name, words, value / 1000, {**(labels or {}), "quantile": quantile})
        for quantile, value in found
        if value is not None
    ]


def _counters(name: str, metric: str, words: str, labels: tuple[str, str]) -> list[Sample]:
    """The totals of a figure; an empty label name adds up over that column: a scrape may not say the same labels twice."""
    columns = {key: column for key, column in zip(labels, ("label", "code"), strict=True) if key}
    rows = ServiceTotal.objects.filter(name=name).values(*columns.values()).annotate(n=Sum("count"))
    return [
        Sample(metric, words, row["n"], {key: row[column] for key, column in columns.items()}, "counter")
        for row in rows.order_by(*columns.values())
    ]


def register() -> None:
    """The bridge's sections; called once by its registry."""
    for key, label, order, read, samples in (
        ("ack", _("回调应答"), 100, _read_acks, _ack_samples),
        ("backlog", _("积压"), 300, _read_backlog, _backlog_samples),
        ("calls", _("接口调用"), 500, _read_calls, _call_samples),
        ("commands", _("调用从提出到完成"), 600, _read_commands, _command_samples),
    ):
        template = f"wecom_bridge/figures/{key}.html"
        sources.register(sources.Source(key, label, order, template, read, samples))
