"""How the welcomes fare, for the status page and the scrape: by ending, and how long they took."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.utils.translation import gettext_lazy as _

from campaigns.models import WelcomeSend
from campaigns.queries.welcomes import outcomes_since
from wecom_bridge.figures import sources
from wecom_bridge.figures.sources import Sample

WINDOW = timedelta(hours=1)
State = WelcomeSend.State
_TONES = {State.SENT: "ok", State.WAITING: "run", State.FAILED: "bad", State.LATE: "bad", State.UNKNOWN: "warn"}


def read(now: datetime) -> Mapping[str, Any] | None:
    """The last hour; None when nobody came."""
    found = outcomes_since(now - WINDOW)
    if not found.total:
        return None
    endings = [
        {"label": state.label, "tone": _TONES.get(state, "idle"), "count": found.counts[state.value]}
        for state in State
        if found.counts.get(state.value)
    ]
    return {"outcomes": found, "endings": endings}


def samples(now: datetime) -> list[Sample]:
    """Welcomes of the last hour by ending, and seconds from the callback to WeCom's yes."""
    found = outcomes_since(now - WINDOW)
    words = "Welcome codes of the last hour, by what became of them"
    rows = [Sample("welcomes_last_hour", words, n, {"state": state}) for state, n in sorted(found.counts.items())]
    words = "Time from the callback to the accepted welcome, last hour"
    for quantile, value in (("0.5", found.p50), ("0.99", found.p99)):
        if value is not None:
            rows.append(Sample("welcome_seconds", words, value / 1000, {"quantile": quantile}))
    return rows


def register() -> None:
    """Called by the app's registry."""
    label, template = _("欢迎语"), "campaigns/figures/welcome.html"
    sources.register(sources.Source("welcome", label, 200, template, read, samples))
