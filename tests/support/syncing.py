"""Syncs of a shop that moves unheard, and what they list."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from scrm.lib import clock
from tenants.audit import SYSTEM
from tests.support import world
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
    """A shop after its first sync; nobody hears its callbacks. The simulator must be as new.

    What the sync wrote is kept for a while and laid again for the next test that asks: it is the same, and takes a second.
    """
    shop = wecom.corp
    if _kept and _kept[-1].serves(shop):
        world.lay(_kept[-1].copy)
        return Corp.objects.get(corp_id=shop["corp_id"])
    connection = wecom.connect()
    assert sync(connection.corp).state == "done"
    _kept[:] = [_Kept(shop, clock.wall(), world.copied())]
    return Corp.objects.get(pk=connection.corp.pk)


@dataclass(frozen=True)
class _Kept:
    shop: dict[str, Any]
    at: datetime
    copy: world.Copy

    def serves(self, shop: dict[str, Any]) -> bool:
        """Runs judge each other by their time: an older one would not be a moment ago."""
        return self.shop == shop and clock.wall() - self.at < LONG_AGO


LONG_AGO = timedelta(seconds=45)
_kept: list[_Kept] = []


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
