"""接入体检: every matter of a corp's connection looked at, with what to do where. One doctor for pages, links and the command.

Each module is one noun with its CHECKS. A check never raises outwards, calls WeCom only to read, and shows no secret.
"""

import logging
import time
from collections.abc import Iterable

from django.utils.translation import gettext as _

from scrm.lib import clock
from wecom_bridge import gauges
from wecom_bridge.gateway import CallError
from wecom_bridge.models import Corp, DoctorFinding
from wecom_bridge.services.doctor import (
    agent,
    callback,
    capacity,
    egress,
    freshness,
    permissions,
    secret,
    skew,
    steps,
    words,
)
from wecom_bridge.services.doctor.finding import Check, Finding, Row, State, unknown
from wecom_bridge.services.doctor.patient import Patient

__all__ = ["Row", "State", "all_checks", "examine", "register"]

logger = logging.getLogger(__name__)
TOTAL_SECONDS = 40.0  # what has not begun by then is left out; a single call ends after 13 s at the latest
_more: list[Check] = []


def register(check: Check) -> None:
    """Add a matter. Raises ValueError for a key that is taken."""
    if any(check.key == known.key for known in all_checks()):
        raise ValueError(f"check {check.key} is registered twice")
    _more.append(check)


def all_checks() -> list[Check]:
    """All matters, each after those it needs."""
    own = (
        *egress.CHECKS, *skew.CHECKS, *secret.CHECKS, *permissions.CHECKS, *agent.CHECKS, *callback.CHECKS,
        *capacity.CHECKS, *freshness.CHECKS,
    )  # fmt: skip
    return [*own, *_more, *(capacity.as_check(gauge) for gauge in gauges.all_gauges())]


def examine(corp: Corp, *, only: Iterable[str] | None = None) -> list[Row]:
    """Look at a corp, in the console's order; with `only`, at the matters of these steps (and silently at what they need).

    Remembers the states. Outside a transaction: it calls WeCom and our own public address.
    """
    patient, stop = Patient(corp), time.monotonic() + TOTAL_SECONDS
    checks = _wanted(set(only) if only is not None else None)
    found: dict[str, Finding] = {}
    for check in checks:
        finding = _look(check, patient, found, stop)
        if finding is not None:
            found[check.key] = finding
    _remember(corp, checks, found)
    shown = [check for check in checks if check.key in found and (only is None or check.step in only)]
    shown.sort(key=lambda check: steps.ORDER.index(check.step))
    return [Row(check.key, check.step, str(check.label), found[check.key]) for check in shown]


def _wanted(only: set[str] | None) -> list[Check]:
    """The checks of these steps, with those they need."""
    checks = all_checks()
    if only is None:
        return checks
    wanted = {check.key for check in checks if check.step in only}
    for check in reversed(checks):
        if check.key in wanted:
            wanted.update(check.needs)
    return [check for check in checks if check.key in wanted]


def _look(check: Check, patient: Patient, found: dict[str, Finding], stop: float) -> Finding | None:
    if any(key in found and found[key].state in (State.BAD, State.UNKNOWN) for key in check.needs):
        return unknown(_("前面的问题解决后再看。"))
    if time.monotonic() > stop:
        return unknown(_("这次体检已用完时间,请再检查一次。"))
    try:
        return check.run(patient)
    except CallError as error:
        return words.explain(error)
    except Exception:
        logger.exception("check %s of corp %s broke", check.key, patient.corp.pk)
        return unknown(_("本系统没能完成这项检查,原因已记入日志。"))


def _remember(corp: Corp, checks: list[Check], found: dict[str, Finding]) -> None:
    now = clock.wall()
    DoctorFinding.objects.filter(corp=corp, key__in=[check.key for check in checks if check.key not in found]).delete()
    rows = [
        DoctorFinding(corp=corp, key=key, state=finding.state, facts=dict(finding.facts), checked_at=now)
        for key, finding in found.items()
    ]
    DoctorFinding.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=["corp", "key"], update_fields=["state", "facts", "checked_at"]
    )
    if _is_ok(found, "secret") and _is_ok(found, "api.serving"):
        Corp.objects.filter(pk=corp.pk, connected_at=None).update(connected_at=now)


def _is_ok(found: dict[str, Finding], key: str) -> bool:
    return key in found and found[key].state == State.OK
