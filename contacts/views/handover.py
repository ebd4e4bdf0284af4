"""客户继承: plans, who has customers to hand over, the planner, and one plan with everybody in it."""

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_POST

from accounts.access import MemberRequest, requires
from contacts.models import HandoverKind, HandoverPlan, HandoverRow, HandoverSplit, Member, PlanState, RowState
from contacts.queries import visible_members
from contacts.services.handover import planning, reading, unassigned
from contacts.services.handover.eligibility import preview
from contacts.services.handover.words import say_unfit, say_why
from scrm.lib import clock
from scrm.lib.paging import keyset_page, pager

PLAN_TONES = {PlanState.DRAFT: "idle", PlanState.RUNNING: "run", PlanState.DONE: "ok", PlanState.STOPPED: "warn"}
ROW_TONES = {
    RowState.EXCLUDED: "idle", RowState.WAITING: "wait", RowState.ASKING: "run", RowState.SENT: "run", RowState.DONE: "ok",
    RowState.REFUSED: "bad", RowState.SUCCESSOR_FULL: "bad", RowState.NO_RECORD: "warn", RowState.FAILED: "bad", RowState.STOPPED: "idle",
}  # fmt: skip


def _tabs(active: str) -> list[dict[str, Any]]:
    pages = [
        ("plans", _("继承计划"), reverse("contacts:handover_list")),
        ("leavers", _("离职待分配"), reverse("contacts:handover_leavers")),
        ("members", _("在职成员"), reverse("contacts:handover_members")),
    ]
    return [{"label": label, "url": url, "active": key == active} for key, label, url in pages]


@require_GET
@requires("handover.manage")
def handover_list(request: MemberRequest) -> HttpResponse:
    """Plans, latest first, each with how far it is."""
    plans = reading.visible_plans(request.scope)
    state = request.GET.get("state", "")
    if state in PlanState.values:
        plans = plans.filter(state=state)
    page = keyset_page(plans, ("-created_at", "-pk"), request.GET.get("cursor", ""))
    tallies = reading.tally(page.rows)
    empty = reading.Tally()
    context = {
        "tabs": _tabs("plans"),
        "rows": [
            {
                "plan": plan,
                "is_draft": plan.state == PlanState.DRAFT,
                "tone": PLAN_TONES[PlanState(plan.state)],
                "tally": tallies.get(plan.pk, empty),
            }
            for plan in page.rows
        ],
        "states": PlanState.choices,
        "is_filtered": state in PlanState.values,
        "total": plans.count(),
        **pager(request, page),
    }
    return render(request, "contacts/handover_list.html", context)


@require_GET
@requires("handover.manage")
def leaver_list(request: MemberRequest) -> HttpResponse:
    """Members who left with customers or groups still theirs, latest first."""
    return _members(request, left=True)


@require_POST
@requires("handover.manage")
def leavers_read(request: MemberRequest) -> HttpResponse:
    """Ask WeCom who waits for a successor."""
    unassigned.ask(by=request.actor)
    messages.success(request, _("正在向企业微信核对,请稍后刷新本页。"))
    return redirect("contacts:handover_leavers")


@require_GET
@requires("handover.manage")
def giver_list(request: MemberRequest) -> HttpResponse:
    """Members at work whose customers may go to others."""
    return _members(request, left=False)


def _members(request: MemberRequest, *, left: bool) -> HttpResponse:
    text, now = request.GET.get("q", "").strip(), clock.now()
    members = reading.givers(request.scope, left=left, text=text)
    if left:
        members = reading.ordered_by_leaving(members)
    page = keyset_page(members, ("-gone_at", "-pk") if left else ("name", "pk"), request.GET.get("cursor", ""))
    held = reading.carried(page.rows)
    rows = [{"member": one, **held[one.pk], "days_left": _days_left(one, now) if left else None} for one in page.rows]
    context = {
        "tabs": _tabs("leavers" if left else "members"), "rows": rows, "left": left, "is_filtered": bool(text),
        "total": members.count(), "as_of": now, **pager(request, page),
    }  # fmt: skip
    return render(request, "contacts/handover_members.html", context)


def _days_left(member: Member, now: Any) -> int | None:
    """Days until WeCom no longer hands a leaver's customers over."""
    deadline = planning.deadline_for(member)
    return (deadline - now).days if deadline else None


@require_POST
@requires("handover.manage")
def handover_new(request: MemberRequest) -> HttpResponse:
    """The open plan of a member, or a new draft."""
    given = request.POST.get("member", "")
    pk = int(given) if given.isdecimal() and len(given) < 19 else 0
    member = get_object_or_404(visible_members(request.scope), pk=pk)
    plan = planning.open_plan(member, by=request.actor)
    return redirect("contacts:handover", pk=plan.pk)


def _plan_or_404(request: MemberRequest, pk: int) -> HandoverPlan:
    return get_object_or_404(reading.visible_plans(request.scope), pk=pk)


@require_GET
@requires("handover.manage")
def handover_page(request: MemberRequest, pk: int) -> HttpResponse:
    """The planner while it is a draft, else what became of everybody."""
    plan = _plan_or_404(request, pk)
    return _planner(request, plan) if plan.state == PlanState.DRAFT else _progress(request, plan)


def _planner(request: MemberRequest, plan: HandoverPlan) -> HttpResponse:
    text = request.GET.get("q", "").strip()
    offered = reading.candidates(request.scope, plan, text)
    seen = preview(plan, clock.now())
    context = {
        "plan": plan,
        "choices": [
            {
                "who": one,
                "chosen": one.member.pk in plan.successor_ids,
                "unfit": say_unfit(one.unfit) if one.unfit else "",
            }
            for one in offered
        ],
        "splits": HandoverSplit.choices,
        "q": text,
        "seen": seen,
        "is_resigned": plan.kind == HandoverKind.RESIGNED,
        "tells_customers": plan.kind == HandoverKind.ONJOB,
        "people_able": sum(not line.reason for line in seen.people),
        "groups_able": sum(not line.reason for line in seen.groups),
        "shares": reading.shares(seen, offered),
        "refusals": reading.refusals(seen),
        "message_limit": planning.MESSAGE_LIMIT,
        "deadline": planning.deadline_of(plan),
    }
    return render(request, "contacts/handover_planner.html", context)


def _progress(request: MemberRequest, plan: HandoverPlan) -> HttpResponse:
    groups = request.GET.get("show") == "groups"
    state = request.GET.get("state", "")
    state = state if state in RowState.values else ""
    rows = reading.listed_rows(plan, state=state, successor=request.GET.get("successor", ""), groups=groups)
    page = keyset_page(rows, ("pk",), request.GET.get("cursor", ""))
    tally = reading.tally([plan]).get(plan.pk, reading.Tally())
    seen = reading.shown_people(request.scope, page.rows)
    deadline = planning.deadline_of(plan)
    context = {
        "plan": plan,
        "tone": PLAN_TONES[PlanState(plan.state)],
        "tally": tally,
        "can_stop": plan.state == PlanState.RUNNING,
        "can_again": bool(tally.again) and plan.state != PlanState.STOPPED,
        "is_stuck": reading.is_stuck(plan, clock.now()),
        "kinds": _kind_tabs(tally, groups),
        "group_total": sum(tally.groups.values()),
        "groups_done": tally.groups.get(RowState.DONE, 0),
        "show_groups": groups,
        "tabs": _row_tabs(plan, tally, groups, state),
        "rows": [_row(row, seen) for row in page.rows],
        "successors": Member.objects.filter(pk__in=plan.rows.exclude(successor=None).values("successor")).order_by("name", "pk"),
        "total": rows.count(),
        "deadline": deadline,
        "days_left": (deadline - clock.now()).days if deadline else None,
        "as_of": clock.now(),
        **pager(request, page),
    }  # fmt: skip
    return render(request, "contacts/handover_detail.html", context)


def _kind_tabs(tally: reading.Tally, groups: bool) -> list[dict[str, Any]]:
    return [
        {"label": _("客户"), "url": "?show=people", "active": not groups, "count": tally.total},
        {"label": _("客户群"), "url": "?show=groups", "active": groups, "count": sum(tally.groups.values())},
    ]


def _row_tabs(plan: HandoverPlan, tally: reading.Tally, groups: bool, state: str) -> list[dict[str, Any]]:
    counts = tally.groups if groups else tally.people
    url = f"{reverse('contacts:handover', args=[plan.pk])}?show={'groups' if groups else 'people'}"
    every = {"label": _("全部"), "url": url, "active": not state, "count": sum(counts.values())}
    return [every] + [
        {"label": label, "url": f"{url}&state={key}", "active": key == state, "count": counts[key]}
        for key, label in RowState.choices
        if counts.get(key)
    ]


def _row(row: HandoverRow, seen: set[int]) -> dict[str, Any]:
    person = row.follow.contact if row.follow else None
    return {
        "row": row,
        "person": person if person and person.root_pk in seen else None,
        "person_pk": person.root_pk if person else None,
        "tone": ROW_TONES[RowState(row.state)],
        "why": say_why(row.reason, row.errcode),
    }


@require_POST
@requires("handover.manage")
def handover_save(request: MemberRequest, pk: int) -> HttpResponse:
    """The planner's form; back to it, with the preview of what it would do."""
    plan = _plan_or_404(request, pk)
    planning.change_plan(plan.pk, _settings(request, plan), by=request.actor)
    return redirect("contacts:handover", pk=plan.pk)


def _settings(request: MemberRequest, plan: HandoverPlan) -> planning.Settings:
    allowed = reading.choosable(request.scope, plan)
    chosen = [int(pk) for pk in request.POST.getlist("successors") if pk.isdecimal() and len(pk) < 19]
    fallback = request.POST.get("fallback", "")
    split = request.POST.get("split", "")
    return planning.Settings(
        successors=list(allowed.filter(pk__in=chosen)),
        fallback=allowed.filter(pk=int(fallback)).first() if fallback.isdecimal() and len(fallback) < 19 else None,
        split=split if split in HandoverSplit.values else HandoverSplit.EVEN.value,
        message=request.POST.get("message", ""),
        with_groups=request.POST.get("with_groups") == "1",
        moves_ownership=request.POST.get("moves_ownership") == "1",
        moves_remarks=request.POST.get("moves_remarks") == "1",
    )


@require_POST
@requires("handover.manage")
def handover_start(request: MemberRequest, pk: int) -> HttpResponse:
    """Start what the preview showed."""
    plan = _plan_or_404(request, pk)
    expected = request.POST.get("expected", "")
    planning.start_plan(plan.pk, expected=int(expected) if expected.isdecimal() else 0, by=request.actor)
    messages.success(request, _("继承计划已开始,企业微信会在 24 小时内陆续完成。"))
    return redirect("contacts:handover", pk=plan.pk)


@require_POST
@requires("handover.manage")
def handover_stop(request: MemberRequest, pk: int) -> HttpResponse:
    """Nothing further; what has begun goes on."""
    plan = _plan_or_404(request, pk)
    planning.stop_plan(plan.pk, by=request.actor)
    return redirect("contacts:handover", pk=plan.pk)


@require_POST
@requires("handover.manage")
def handover_again(request: MemberRequest, pk: int) -> HttpResponse:
    """Ask once more for what came to nothing."""
    plan = _plan_or_404(request, pk)
    count = planning.ask_again(plan.pk, by=request.actor)
    messages.success(request, ngettext("已重新发起 %(n)d 项。", "已重新发起 %(n)d 项。", count) % {"n": count})
    return redirect("contacts:handover", pk=plan.pk)


@require_POST
@requires("handover.manage")
def handover_delete(request: MemberRequest, pk: int) -> HttpResponse:
    """Throw a draft away."""
    plan = _plan_or_404(request, pk)
    planning.delete_draft(plan.pk, by=request.actor)
    return redirect("contacts:handover_list")
