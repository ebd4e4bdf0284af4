"""What became of the welcomes."""

from dataclasses import dataclass
from datetime import datetime

from django.db import connection
from django.db.models import Count

from campaigns.models import WelcomeSend


@dataclass(frozen=True)
class Outcomes:
    """Counts by state since an instant; p50 and p95 from the callback to WeCom's yes, in milliseconds, None without any."""

    counts: dict[str, int]
    p50: int | None
    p95: int | None

    @property
    def total(self) -> int:
        return sum(self.counts.values())


def outcomes_since(since: datetime) -> Outcomes:
    """Outcomes of the callbacks since a wall instant. Two queries."""
    rows = WelcomeSend.objects.filter(received_at__gte=since).values("state").annotate(n=Count("pk"))
    table = WelcomeSend._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY latency_ms), percentile_cont(0.95) WITHIN GROUP (ORDER BY latency_ms)"
            f" FROM {table} WHERE state = 'sent' AND received_at >= %s",
            [since],
        )
        p50, p95 = cursor.fetchone()
    return Outcomes(
        {row["state"]: row["n"] for row in rows},
        None if p50 is None else round(p50),
        None if p95 is None else round(p95),
    )


def counts_by_template(since: datetime) -> dict[int, int]:
    """Template → welcomes sent with it since a wall instant."""
    rows = WelcomeSend.objects.filter(received_at__gte=since, state="sent", template__isnull=False)
    return dict(rows.values_list("template_id").annotate(n=Count("pk")))
