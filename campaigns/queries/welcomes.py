"""What became of the welcomes."""

from dataclasses import dataclass
from datetime import datetime

from django.db import connection
from django.db.models import Count

from campaigns.models import WelcomeSend


@dataclass(frozen=True)
class Outcomes:
    """Counts by state since an instant; p50, p95 and p99 from the callback to WeCom's yes, in milliseconds, None without any."""

    counts: dict[str, int]
    p50: int | None
    p95: int | None
    p99: int | None

    @property
    def total(self) -> int:
        return sum(self.counts.values())


def outcomes_since(since: datetime) -> Outcomes:
    """Outcomes of the callbacks since a wall instant. Two queries."""
    rows = WelcomeSend.objects.filter(received_at__gte=since).values("state").annotate(n=Count("pk"))
    table = WelcomeSend._meta.db_table
    shares = [0.5, 0.95, 0.99]
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT percentile_cont(%s::float[]) WITHIN GROUP (ORDER BY latency_ms) FROM {table}"
            " WHERE state = 'sent' AND received_at >= %s",
            [shares, since],
        )
        found = cursor.fetchone()[0] or [None] * len(shares)
    times = [None if value is None else round(value) for value in found]
    return Outcomes({row["state"]: row["n"] for row in rows}, *times)


def counts_by_template(since: datetime) -> dict[int, int]:
    """Template → welcomes sent with it since a wall instant."""
    rows = WelcomeSend.objects.filter(received_at__gte=since, state="sent", template__isnull=False)
    return dict(rows.values_list("template_id").annotate(n=Count("pk")))
