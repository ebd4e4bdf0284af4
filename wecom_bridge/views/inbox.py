"""收到的回调: what came in, by event, time and state; and a person's hand to have it handled once more."""

from collections.abc import Mapping
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
from wecom_bridge import naming, selection
from wecom_bridge.forms import InboxFilterForm
from wecom_bridge.models import InboundEvent
from wecom_bridge.services import replay
from wecom_bridge.services.doctor import words
from wecom_bridge.views.books import TONES

FILTERS = ("corp", "event", "change_type", "since", "until")
MOST_AT_ONCE = 20_000  # a click; more is for `manage.py replay_events`


@require_safe
@requires("bridge.view")
def inbox_list(request: MemberRequest) -> HttpResponse:
    """收件: callbacks by state, event and time of receipt."""
    form = InboxFilterForm(request.GET, events=_events())
    chosen = _selection(form)
    before = request.GET.get("before", "")
    rows, following = selection.list_events(chosen, int(before) if before.isdecimal() and len(before) < 19 else None)
    for row in rows:
        row.tone = TONES.get(row.state, "idle")  # type: ignore[attr-defined]  # for the page, no column of the model
        row.label = naming.name_event(row.event, row.change_type)  # type: ignore[attr-defined]  # as above
        row.about = naming.name_entity(row.entity_key)  # type: ignore[attr-defined]  # as above
        row.is_settled = row.state not in InboundEvent.OPEN  # type: ignore[attr-defined]
        row.is_slowed = row.last_error == InboundEvent.SLOWED  # type: ignore[attr-defined]
        row.reason = words.in_our_words(row.last_error)  # type: ignore[attr-defined]  # as above
    context = {
        "form": form,
        "rows": rows,
        "tabs": _tabs(request, selection.count_events(chosen)),
        "ignored": _ignored(chosen),
        "slowed": selection.count_slowed(),
        "total": selection.count_matching(chosen),
        "replayable": selection.replayable(chosen).count(),
        "is_filtered": any(request.GET.get(name) for name in FILTERS),
        "empty_text": _("换一个筛选条件或处理状态再看。")
        if chosen.told()
        else _("企业微信通知的事件会列在这里。一直没有的话,请做一次「接入体检」。"),
        "query": _query(request, state=chosen.state),
        "state": chosen.state,
        "next_url": _url(_query(request, state=chosen.state, before=following)) if following else "",
        "first_url": _url(_query(request, state=chosen.state)) if before else "",
        "can_manage": "bridge.manage" in request.permissions,
    }
    return render(request, "wecom_bridge/inbox.html", context)


@require_POST
@requires("bridge.manage")
def inbox_replay(request: MemberRequest) -> HttpResponse:
    """重放 of single events, or of all that the filters find; refused when there are others now than the person saw."""
    if request.POST.get("select_all") == "1":
        chosen = _selection(InboxFilterForm(request.GET, events=_events()), strict=True)
        _check_count(selection.replayable(chosen).count(), request.POST.get("expected", ""))
    else:
        chosen = selection.Selection(ids=_ids(request))
    count = replay.replay(chosen, by=request.actor)
    messages.success(request, ngettext("已安排重放 %(n)s 条", "已安排重放 %(n)s 条", count) % {"n": count})
    return redirect("bridge_inbox")


def _events() -> list[tuple[str, Any]]:
    """(event, its name) of those that this version handles."""
    return [(event, naming.name_event(event, "")) for event in selection.known_events()]


def _ignored(chosen: selection.Selection) -> list[tuple[Any, str, str, int]]:
    """(name, event, change type, how many), where the state asked for does not leave them out."""
    if chosen.state not in ("", InboundEvent.State.IGNORED):
        return []
    return [
        (naming.name_event(event, change), event, change, n) for event, change, n in selection.count_ignored(chosen)
    ]


def _selection(form: InboxFilterForm, *, strict: bool = False) -> selection.Selection:
    """What the filters say. A wrong one is shown beside its field and counts as not given; strict: it is refused."""
    if not form.is_valid() and strict:
        raise UserError(_("筛选条件不正确,请改正后重新选择。"))
    given = form.cleaned_data
    corp = given.get("corp")
    return selection.Selection(
        since=given.get("since"),
        until=given.get("until"),
        corp_id=corp.pk if corp else None,
        event=given.get("event", ""),
        change_type=given.get("change_type", ""),
        state=given.get("state", ""),
    )


def _check_count(count: int, expected: str) -> None:
    if not expected.isdecimal() or len(expected) > 18 or int(expected) != count:
        raise UserError(
            _("您选择时是 %(seen)s 条,现在是 %(now)s 条。请核对后重新选择。")
            % {"seen": expected[:18] or "0", "now": count}
        )
    if count > MOST_AT_ONCE:
        text = _("一次最多重放 %(most)s 条,现在选中 %(n)s 条。请缩小时间范围,或让技术人员用 replay_events 命令执行。")
        raise UserError(text % {"most": MOST_AT_ONCE, "n": count})


def _ids(request: MemberRequest) -> tuple[int, ...]:
    ids = [int(text) for text in request.POST.getlist("ids") if text.isdecimal() and len(text) < 19]
    if not ids:
        raise UserError(_("没有选中任何一条,请先勾选。"))
    return tuple(ids[:1000])


def _tabs(request: MemberRequest, counts: Mapping[str, int]) -> list[dict[str, Any]]:
    state = request.GET.get("state", "")
    state = state if state in InboundEvent.State.values else ""
    every: list[tuple[str, Any, int]] = [("", _("全部"), sum(counts.values()))]
    every += [(value, label, counts.get(value, 0)) for value, label in InboundEvent.State.choices]
    return [
        {"label": label, "url": _url(_query(request, state=value)), "active": value == state, "count": count}
        for value, label, count in every
    ]


def _query(request: MemberRequest, *, state: str, before: int | None = None) -> str:
    """The filters at hand as a query string."""
    query = request.GET.copy()
    for name in [name for name in query if name not in FILTERS or not query[name]]:
        del query[name]
    if state:
        query["state"] = state
    if before:
        query["before"] = str(before)
    return query.urlencode()


def _url(query: str) -> str:
    url = reverse("bridge_inbox")
    return f"{url}?{query}" if query else url
