"""接口额度 on the status page: how much of WeCom's limits is used, and what is closed."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.utils.translation import gettext_lazy as _

from wecom_bridge.figures import sources
from wecom_bridge.figures.sources import Sample
from wecom_bridge.governor.gauge import list_gauges


def read(now: datetime) -> Mapping[str, Any] | None:
    """The gauges; None before anything was called."""
    gauges = list_gauges()
    return {"gauges": gauges} if gauges else None


def samples(now: datetime) -> list[Sample]:
    """What is used and allowed of each window, and whether an API is closed. While Redis does not say, nothing is said of use."""
    found = []
    for gauge in list_gauges():
        labels = {"corp": gauge.corp_id, "api": gauge.api}
        windows = (("minute", gauge.minute, gauge.minute_limit), ("hour", gauge.hour, gauge.hour_limit))
        for window, used, limit in windows:
            more = {**labels, "window": window}
            if used is not None:
                found.append(Sample("api_window_calls", "Calls within the running window", used, more))
            found.append(Sample("api_window_limit", "Calls that the window allows; 0 for no limit", limit, more))
        is_closed = int(gauge.closed_until is not None)
        found.append(Sample("api_closed", "1 while WeCom's limit keeps the API closed", is_closed, labels))
    return found


def register() -> None:
    """Called by the bridge's registry."""
    template = "wecom_bridge/figures/limits.html"
    sources.register(sources.Source("limits", _("接口额度"), 550, template, read, samples))
