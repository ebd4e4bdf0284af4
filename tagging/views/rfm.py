"""RFM 分析: the grid, and from its cells to a segment."""

from dataclasses import dataclass
from typing import Any

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_POST

from accounts.access import MemberRequest, requires
from accounts.scope import data_scope
from contacts import advanced
from scrm.lib.errors import NotAllowed, UserError
from tagging import rfm
from tagging.rfm import Grid
from tagging.services import rfm as stored_grid


@dataclass(frozen=True)
class Cell:
    """A cell as the page shows it. key: `R-F`. weight: 0 to 4, how many of all buyers, for its shade."""

    key: str
    people: int
    share: float
    average_minor: int | None
    weight: int


def _sees_money(request: MemberRequest) -> bool:
    """The averages are of every store's orders: for those who see all orders."""
    return request.scope.sees_all and data_scope(request.user, "orders.view", grants=request.grants).sees_all


@require_GET
@requires("segments.view")
def rfm_grid(request: MemberRequest) -> HttpResponse:
    _needs_orders(request)
    row, grid = stored_grid.stored()
    context: dict[str, Any] = {
        "row": row,
        "grid": grid,
        "is_computing": stored_grid.is_computing(row),
        "can_edit": "segments.edit" in request.permissions,
        "window_days": rfm.WINDOW_DAYS,
        "sees_money": _sees_money(request),
    }
    if grid and grid.people:
        context |= {"columns": [_times(grid, f) for f in range(len(grid.times) + 1)], "lines": _lines(grid)}
    return render(request, "tagging/rfm.html", context)


def _lines(grid: Grid) -> list[tuple[str, list[Cell]]]:
    total = grid.people
    return [
        (_days(grid, r), [_cell(grid, r, f, total) for f in range(len(grid.times) + 1)])
        for r in range(len(grid.days) + 1)
    ]


def _cell(grid: Grid, r: int, f: int, total: int) -> Cell:
    people, money, _orders = grid.cells.get((r, f), (0, 0, 0))
    share = people / total
    weight = sum(share > bound for bound in (0, 0.02, 0.05, 0.1))
    return Cell(f"{r}-{f}", people, share, money // people if people else None, weight)


def _days(grid: Grid, r: int) -> str:
    low, high = rfm.band(grid.days, r)
    if high is None:
        return _("%(days)d 天前或更早") % {"days": low or 0}
    if low is None:
        return ngettext("%(days)d 天内", "%(days)d 天内", high) % {"days": high}
    return _("%(low)d–%(high)d 天前") % {"low": low, "high": high}


def _times(grid: Grid, f: int) -> str:
    low, high = rfm.band(grid.times, f)
    least = low or 1
    if high is None:
        return _("%(times)d 单以上") % {"times": least}
    if high - 1 == least:
        return _("%(times)d 单") % {"times": least}
    return _("%(low)d–%(high)d 单") % {"low": least, "high": high - 1}


@require_GET
@requires("segments.edit")
def rfm_segment(request: MemberRequest) -> HttpResponse:
    """The builder with the chosen cells as its tree. Raises UserError when none, or one that is not there, is chosen."""
    _needs_orders(request)
    _row, grid = stored_grid.stored()
    chosen = [tuple(int(part) for part in key.split("-")) for key in request.GET.getlist("cell") if _is_key(key)]
    try:
        tree = rfm.tree_of(grid.days if grid else (), grid.times if grid else (), [(r, f) for r, f in chosen])
    except (ValueError, IndexError):
        raise UserError(_("请先在 RFM 表里勾选至少一格。表格重新计算过的话,请刷新后再选。")) from None
    return redirect(f"{reverse('tagging:segment_new')}?{advanced.KEY}={advanced.pack(tree)}")


def _is_key(key: str) -> bool:
    r, _dash, f = key.partition("-")
    return r.isdecimal() and f.isdecimal() and len(key) < 8


@require_POST
@requires("segments.edit")
def rfm_compute(request: MemberRequest) -> HttpResponse:
    _needs_orders(request)
    stored_grid.request_grid(by=request.actor)
    return redirect("tagging:rfm_grid")


def _needs_orders(request: MemberRequest) -> None:
    if "orders.view" not in request.permissions:
        raise NotAllowed(_("RFM 分析用到订单,需要「查看订单」权限,请联系管理员。"))
