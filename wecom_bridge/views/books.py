"""What goes out, and a person's hand where the machine gave up. What came in: inbox.py."""

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST, require_safe

from accounts.access import MemberRequest, requires
from scrm.lib.errors import UserError
from tenants import audit, jobs
from wecom_bridge import queries
from wecom_bridge.models import OutboundCommand
from wecom_bridge.services import outbox


@require_safe
@requires("bridge.view")
def outbox_list(request: MemberRequest) -> HttpResponse:
    """发件: commands by state."""
    return _list(request, "wecom_bridge/outbox.html", OutboundCommand, queries.list_commands, "bridge_outbox")


# How a state looks on the pages: the tones of the status pill.
TONES = {
    "done": "ok", "parked": "bad", "failed": "bad", "retry": "warn", "unknown": "warn", "claimed": "run", "waiting": "wait",
}  # fmt: skip


def _list(request: MemberRequest, template: str, model: Any, find: Any, route: str) -> HttpResponse:
    state = request.GET.get("state", "")
    state = state if state in model.State.values else ""
    before = request.GET.get("before", "")
    rows, following = find(state, int(before) if before.isdecimal() and len(before) < 19 else None)
    for row in rows:
        row.tone = TONES.get(row.state, "idle")
    counts = queries.count_by_state(model)
    url = reverse(route)
    tabs = [{"label": _("全部"), "url": url, "active": not state, "count": sum(counts.values())}]
    tabs += [
        {"label": label, "url": f"{url}?state={value}", "active": value == state, "count": counts.get(value, 0)}
        for value, label in model.State.choices
    ]
    context = {
        "rows": rows,
        "tabs": tabs,
        "total": counts.get(state, 0) if state else sum(counts.values()),
        "next_url": f"{url}?state={state}&before={following}" if following else "",
        "first_url": f"{url}?state={state}" if before else "",
        "can_manage": "bridge.manage" in request.permissions,
    }
    return render(request, template, context)


def _ids(request: MemberRequest) -> list[int]:
    ids = [int(text) for text in request.POST.getlist("ids") if text.isdecimal() and len(text) < 19]
    if not ids:
        raise UserError(_("没有选中任何一条,请先勾选。"))
    return ids[:1000]


@require_POST
@requires("bridge.manage")
def outbox_act(request: MemberRequest) -> HttpResponse:
    """重试 or 放弃."""
    ids = _ids(request)
    if request.POST.get("action") == "drop":
        count = outbox.drop(ids)
        text = ngettext("已放弃 %(n)s 条", "已放弃 %(n)s 条", count)
        audit.record("outbox.dropped", by=request.actor, count=count, ids=ids)
    else:
        count = outbox.retry(ids)
        text = ngettext("已安排重试 %(n)s 条", "已安排重试 %(n)s 条", count)
        audit.record("outbox.retried", by=request.actor, count=count, ids=ids)
        for lane in ("welcome", outbox.LANE):
            jobs.nudge(lane)
    messages.success(request, text % {"n": count})
    return redirect("bridge_outbox")
