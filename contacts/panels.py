"""Panels of the customer page: apps above put their part of a person there.

panels.register(Panel("orders", _("订单"), 30, "commerce/_contact_orders.html", orders_of))
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from django.http import HttpRequest
from django.utils.functional import Promise

from contacts.models import Contact


@dataclass(frozen=True)
class Panel:
    """context(request, contact): what the template needs besides `contact`, a root; None leaves the panel out. A constant
    number of queries.

    place: `main`, or `aside` for the small panels at the right. permission: without it the panel is absent, not empty.
    The template shows the body only; the page draws the frame and the label. On a phone, panels follow each other by order.
    """

    key: str
    label: str | Promise
    order: int
    template: str
    context: Callable[[HttpRequest, Contact], dict[str, Any] | None]
    place: Literal["main", "aside"] = "main"
    permission: str = "contacts.view"


@dataclass(frozen=True)
class Shown:
    """A panel with what it shows for one person."""

    panel: Panel
    context: dict[str, Any]


_panels: dict[str, Panel] = {}


def register(panel: Panel) -> None:
    """Add a panel. Raises ValueError when the key is taken by another."""
    if _panels.get(panel.key, panel) != panel:
        raise ValueError(f"customer panel {panel.key} is registered twice")
    _panels[panel.key] = panel


def shown_for(request: Any, contact: Contact) -> list[Shown]:
    """The panels the user may see, in order, filled."""
    allowed = (p for p in _panels.values() if p.permission in request.permissions)
    filled = ((panel, panel.context(request, contact)) for panel in sorted(allowed, key=lambda p: (p.order, p.key)))
    return [Shown(panel, context) for panel, context in filled if context is not None]


# --- The first screen -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Said:
    """What a figure says of one person; `url` opens its rows."""

    text: str
    note: str = ""
    url: str = ""


@dataclass(frozen=True)
class Figure:
    """One line of the first screen: value, last touch, next step. say(request, contact): None leaves it out. A constant number of
    queries. permission: without it the line is absent.

    panels.register_figure(Figure("spent", _("累计消费"), 30, spent_of, permission="orders.view"))
    """

    key: str
    label: str | Promise
    order: int
    say: Callable[[HttpRequest, Contact], Said | None]
    permission: str = "contacts.view"


_figures: dict[str, Figure] = {}


def register_figure(figure: Figure) -> None:
    """Add a figure. Raises ValueError when the key is taken by another."""
    if _figures.get(figure.key, figure) != figure:
        raise ValueError(f"customer figure {figure.key} is registered twice")
    _figures[figure.key] = figure


def figures_for(request: Any, contact: Contact) -> list[tuple[Figure, Said]]:
    """The figures the user may see, in order."""
    allowed = (one for one in _figures.values() if one.permission in request.permissions)
    said = ((one, one.say(request, contact)) for one in sorted(allowed, key=lambda one: (one.order, one.key)))
    return [(one, words) for one, words in said if words is not None]
