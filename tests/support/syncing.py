"""Syncs of a shop that moves unheard, and what they list."""

from datetime import timedelta
from typing import Any

from scrm.lib import clock
from tenants.audit import SYSTEM
from tests.support.wecom import Wecom
from wecom_bridge.models import Corp, DriftRow, SyncRun
from wecom_bridge.services.sync import drive, runs

OK: dict[str, Any] = {"errcode": 0, "errmsg": "ok"}


def drain(seconds: float = 60) -> bool:
    """Let the sync under way run, at most for so long."""
    return drive.drain(clock.wall() + timedelta(seconds=seconds))


def sync(corp: Corp, **how: Any) -> SyncRun:
    """A whole run."""
    run = runs.start_sync(corp, by=SYSTEM, **how)
    drain()
    run.refresh_from_db()
    return run


def first_synced(wecom: Wecom) -> Corp:
    """A shop after its first sync; nobody hears its callbacks."""
    connection = wecom.connect()
    assert sync(connection.corp).state == "done"
    return connection.corp


def drift(run: SyncRun) -> dict[tuple[str, str], set[str]]:
    """(entity, kind) → keys."""
    found: dict[tuple[str, str], set[str]] = {}
    for row in DriftRow.objects.filter(run=run):
        found.setdefault((row.entity, row.kind), set()).add(row.key)
    return found


def customers(wecom: Wecom, userid: str, **limits: Any) -> list[str]:
    """The external_userids of a guide's first customers."""
    rows = wecom.hand("customers", userid=userid, limit=20, **limits)["customers"]
    return [row["external_userid"] for row in rows]
