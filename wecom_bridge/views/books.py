"""What goes out, and a person's hand where the machine gave up. What came in: inbox.py."""

from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST, require_safe

from accounts.access import MemberRequest, requires
from scrm.lib import clock
from scrm.lib.errors import UserError
from wecom_bridge import naming, queries
from wecom_bridge.forms import OutboxFilterForm
from wecom_bridge.models import OutboundCommand
from wecom_bridge.services import outbox
from wecom_bridge.services.doctor import words

# How a state looks on the pages: the tones of the status pill.
TONES = {
    "done": "ok", "parked": "bad", "failed": "bad", "retry": "warn", "unknown": "warn", "claimed": "run", "waiting": "wait",
}  # fmt: skip


# What a person may still do something about: retry, or drop.
OPEN = ("waiting", "retry", "unknown", "parked")


@require_safe
@requires("bridge.view")
def outbox_list(request: MemberRequest) -> HttpResponse:
    """发件: commands by state and kind."""
    form = OutboxFilterForm(request.GET, kinds=naming.list_kinds())
    state, kind = _chosen(form)
    before = request.GET.get("before", "")
    rows, following = queries.list_commands(
        state, kind, int(before) if before.isdecimal() and len(before) < 19 else None
    )
    for row in rows:
        shown: Any = row
        shown.tone, shown.label = TONES.get(row.state, "idle"), naming.name_kind(row.kind)
        shown.about, shown.reason = naming.name_entity(row.entity_key), words.in_our_words(row.last_error)
        shown.is_open, shown.is_due = row.state in OPEN, row.next_attempt_at <= clock.wall()
    counts = queries.count_by_state(OutboundCommand, **({"kind": kind} if kind else {}))
    every: list[tuple[str, Any, int]] = [("", _("全部"), sum(counts.values()))]
    every += [(value, label, counts.get(value, 0)) for value, label in OutboundCommand.State.choices]
    context = {
        "form": form,
        "state": state,
        "is_filtered": bool(kind),
        "rows": rows,
        "tabs": [
            {"label": label, "url": _url(state=value, kind=kind), "active": value == state, "count": count}
            for value, label, count in every
        ],
        "total": counts.get(state, 0) if state else sum(counts.values()),
        "act_url": _url("bridge_outbox_act", state=state, kind=kind),
        "next_url": _url(state=state, kind=kind, before=following or ""),
        "first_url": _url(state=state, kind=kind) if before else "",
        "can_manage": "bridge.manage" in request.permissions,
        "can_act": any(row.state in OPEN for row in rows),
    }
    if not following:
        context["next_url"] = ""
    return render(request, "wecom_bridge/outbox.html", context)


def _chosen(form: OutboxFilterForm) -> tuple[str, str]:
    """(state, kind); what there is not counts as not given."""
    form.is_valid()
    return form.cleaned_data.get("state", ""), form.cleaned_data.get("kind", "")


def _url(route: str = "bridge_outbox", **query: Any) -> str:
    given = urlencode({name: value for name, value in query.items() if value})
    return f"{reverse(route)}?{given}" if given else reverse(route)


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
        count = outbox.drop(ids, by=request.actor)
        text = ngettext("已放弃 %(n)s 条", "已放弃 %(n)s 条", count)
    else:
        count = outbox.retry(ids, by=request.actor)
        text = ngettext("已安排重试 %(n)s 条", "已安排重试 %(n)s 条", count)
    messages.success(request, text % {"n": count})
    state, kind = _chosen(OutboxFilterForm(request.GET, kinds=naming.list_kinds()))
    return redirect(_url(state=state, kind=kind))
