"""昨夜核对 on the status page: what the last nightly comparison with WeCom found, and what of it is mended."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.translation import gettext_lazy as _

from wecom_bridge.figures import sources
from wecom_bridge.figures.sources import Sample
from wecom_bridge.models import Corp, SyncRun

KINDS = ("missing", "extra", "different", "repaired")
TONES = {"done": "ok", "running": "run", "confirm": "wait", "failed": "bad", "skipped": "warn"}


@dataclass(frozen=True)
class Night:
    """A corp's latest nightly run, with its differences over all entities."""

    run: SyncRun
    tone: str
    missing: int
    extra: int
    different: int
    repaired: int


def list_nights() -> list[Night]:
    """The latest of each corp, by corp. One query."""
    latest = SyncRun.objects.filter(kind=SyncRun.Kind.RECONCILE).order_by("corp_id", "-id").distinct("corp_id")
    return [
        Night(run, TONES.get(run.state, "idle"), **{kind: _total(run, kind) for kind in KINDS})
        for run in latest.select_related("corp")
    ]


def _total(run: SyncRun, kind: str) -> int:
    return sum(int(figures.get(kind, 0)) for figures in run.drift_counts.values())


def read(now: datetime) -> Mapping[str, Any] | None:
    """None before a first sync: until then no night is due."""
    nights = list_nights()
    if not nights and not Corp.objects.filter(last_synced_at__isnull=False).exists():
        return None
    return {"nights": nights}


def samples(now: datetime) -> list[Sample]:
    """Differences by kind, and how long ago the run ended."""
    found = []
    for night in list_nights():
        labels = {"corp": night.run.corp.corp_id}
        for kind in KINDS:
            words = "Differences of the last nightly comparison, by kind; repaired ones are counted in their kind too"
            found.append(Sample("reconcile_drift", words, getattr(night, kind), {**labels, "kind": kind}))
        if night.run.finished_at:
            age = (now - night.run.finished_at).total_seconds()
            found.append(Sample("reconcile_age_seconds", "Since the last nightly comparison ended", age, labels))
        is_good = int(night.run.state == SyncRun.State.DONE)
        found.append(Sample("reconcile_done", "1 when the last nightly comparison came to its end", is_good, labels))
    return found


def register() -> None:
    """Called by the bridge's registry."""
    template = "wecom_bridge/figures/nights.html"
    sources.register(sources.Source("nights", _("昨夜核对"), 400, template, read, samples))
