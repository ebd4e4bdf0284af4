"""What a check comes to, and the table of checks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.utils.functional import Promise

from wecom_bridge.models import DoctorFinding

if TYPE_CHECKING:
    from wecom_bridge.services.doctor.patient import Patient

State = DoctorFinding.State


@dataclass(frozen=True)
class Finding:
    """saw: what was found; why: what it does to the work; fix: the next step, with the console's own path.

    facts: figures and addresses for machines and for the next look; no names of people. Nothing here is ever a secret.
    """

    state: State
    saw: str
    why: str = ""
    fix: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


def ok(saw: str, **facts: Any) -> Finding:
    return Finding(State.OK, saw, facts=facts)


def warn(saw: str, why: str, fix: str, **facts: Any) -> Finding:
    return Finding(State.WARN, saw, why, fix, facts)


def bad(saw: str, why: str, fix: str, **facts: Any) -> Finding:
    return Finding(State.BAD, saw, why, fix, facts)


def unknown(saw: str, fix: str = "", **facts: Any) -> Finding:
    return Finding(State.UNKNOWN, saw, fix=fix, facts=facts)


@dataclass(frozen=True)
class Check:
    """One matter. step: where it stands on the console's own way (steps.py). needs: keys that must not be bad or unknown first.

    run answers None when there is nothing to say, and the matter is left out; it may raise CallError, which is explained.
    """

    key: str
    step: str
    label: str | Promise
    run: "Callable[[Patient], Finding | None]"
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    """A finding under its label, as pages and the command show it."""

    key: str
    step: str
    label: str
    finding: Finding
