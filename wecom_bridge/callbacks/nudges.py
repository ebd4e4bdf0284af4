"""Nudges behind the answer: a helper thread of the web process writes due hints and wakes the workers.

A burst of callbacks becomes one hint per tenant and lane each tenth of a second; the first goes at once, and the last is
never swallowed, because what is noted while a hint is being written is written next. If the process dies in between, the
sweep finds the rows.
"""

import logging
import threading
from datetime import datetime

from django.db import Error, connection

from scrm.lib import clock
from tenants import jobs, lanes
from tenants.context import TenantUnavailable, public_scope, tenant_scope
from tenants.models import DueHint
from wecom_bridge.figures import recorder

logger = logging.getLogger(__name__)

EVERY_SECONDS = 0.1
IDLE_SECONDS = 2.0
FIGURES_EVERY = 20  # rounds of this thread

_lock = threading.Condition()
# tenant, lane → the earliest and the latest due instant. The first must not wait for the last (a customer behind a group
# that settles), and the last must not be lost when the first is drained.
_Noted = dict[tuple[int, str], tuple[datetime, datetime]]
_noted: _Noted = {}
_thread: threading.Thread | None = None


def note(tenant_id: int, lane: str, due: datetime) -> None:
    """The tenant's lane has a row due at a wall instant. Returns at once."""
    key = (tenant_id, lane)
    with _lock:
        first, last = _noted.get(key, (due, due))
        _noted[key] = (min(due, first), max(due, last))
        _ensure_running()
        _lock.notify()


def stir() -> None:
    """There is nothing due, but something counted to write."""
    with _lock:
        _ensure_running()


def _ensure_running() -> None:
    global _thread
    if _thread is None or not _thread.is_alive():
        # Not a daemon: a process that ends writes what it noted first.
        _thread = threading.Thread(target=_run, name="callback-nudges", daemon=False)
        _thread.start()


def _run() -> None:
    global _thread
    pause, rounds = threading.Event(), 0
    try:
        while True:
            with _lock:
                idle = not _noted and not _lock.wait(IDLE_SECONDS) and not _noted
                if idle and not recorder.waiting():
                    _thread = None
                    return
                taken = dict(_noted)
                _noted.clear()
            _flush(taken)
            rounds += 1
            if idle or rounds % FIGURES_EVERY == 0:
                _write_figures()
            pause.wait(EVERY_SECONDS)
    finally:
        connection.close()


def _write_figures() -> None:
    for tenant_id in recorder.waiting():
        try:
            with tenant_scope(tenant_id):
                recorder.flush()
        except (Error, TenantUnavailable) as error:
            logger.warning("figures of tenant %s not written: %s", tenant_id, type(error).__name__)
            recorder.forget(tenant_id)


def _flush(taken: _Noted) -> None:
    now = clock.wall()
    try:
        with public_scope():
            DueHint.objects.bulk_create(
                DueHint(tenant_id=tenant_id, lane=lane, due_at=due)
                for (tenant_id, lane), (first, last) in taken.items()
                for due in sorted({max(first, now), max(last, now)})
            )
    except Error:
        logger.exception("due hints not written; the sweep will find the rows")
        connection.close()
    for (tenant_id, lane), (first, _last) in taken.items():
        if first <= now:
            jobs.send_drain(tenant_id, lanes.get(lane))


def wait_until_idle(seconds: float = 10.0) -> None:
    """Wait for the helper thread to have written everything and ended."""
    thread = _thread
    if thread is not None and thread.is_alive():
        thread.join(seconds)
