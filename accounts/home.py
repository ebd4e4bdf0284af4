"""Panels of the home page. Apps register theirs; a panel shows only to who may see it, and an empty tenant sees first steps."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.utils.functional import Promise

from accounts.access import MemberRequest


@dataclass(frozen=True)
class HomePanel:
    """`context` returns the template's variables, or None when there is nothing to show."""

    key: str
    order: int
    permission: str
    template: str
    context: Callable[[MemberRequest], dict[str, Any] | None]


@dataclass(frozen=True)
class FirstStep:
    """A step of setting up, shown until `is_done` says so. `url_name` is where it is done."""

    key: str
    order: int
    permission: str
    label: str | Promise
    url_name: str
    is_done: Callable[[], bool]


_panels: dict[str, HomePanel] = {}
_steps: dict[str, FirstStep] = {}


def register_panel(panel: HomePanel) -> None:
    """Add a panel; the same key again replaces nothing and must be equal."""
    if _panels.setdefault(panel.key, panel) != panel:
        raise ValueError(f"home panel {panel.key} is registered twice")


def register_step(step: FirstStep) -> None:
    """Add a first step."""
    if _steps.setdefault(step.key, step) != step:
        raise ValueError(f"first step {step.key} is registered twice")


def panels_for(request: MemberRequest) -> list[dict[str, Any]]:
    """Template and context of each panel the person may see, in order."""
    found = []
    for panel in sorted(_panels.values(), key=lambda one: one.order):
        if panel.permission in request.permissions:
            context = panel.context(request)
            if context is not None:
                found.append({"key": panel.key, "template": panel.template, **context})
    return found


def steps_for(permissions: frozenset[str]) -> list[FirstStep]:
    """The first three open steps a person may do; empty once all of hers are done."""
    mine = [step for step in sorted(_steps.values(), key=lambda one: one.order) if step.permission in permissions]
    return [step for step in mine if not step.is_done()][:3]
