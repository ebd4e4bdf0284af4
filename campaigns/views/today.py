"""今日: what a guide decides and sends today, and her people."""

from datetime import timedelta

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from accounts.access import MemberRequest, requires
from campaigns.models import Dispatch
from campaigns.queries import today as queries
from campaigns.queries.broadcasts import own_member_ids
from campaigns.queries.previews import attachments_shown
from campaigns.services import agreeing
from campaigns.states import SKIP_REASONS
from contacts.models import Member
from contacts.today import cards_for
from scrm.lib import clock
from scrm.lib.numbers import whole_number

ENDED_SHOWN = timedelta(hours=20)


@requires("today.use")
def today(request: MemberRequest) -> HttpResponse:
    now = clock.now()
    members = list(Member.objects.filter(account__user_id=request.user.pk).select_related("store"))
    units = queries.units_for([member.pk for member in members], now, now - ENDED_SHOWN)
    waiting = [unit for unit in units if unit.is_waiting]
    sending = [unit for unit in units if unit.dispatch.state in queries.TO_SEND]
    cards = [
        {"key": card.key, "label": card.label, "html": render_to_string(card.template, context, request)}
        for card, context in cards_for(members, now)
    ]
    context = {
        "members": members,
        "waiting": waiting,
        "sending": sending,
        "over": [unit for unit in units if unit not in waiting and unit not in sending],
        "to_press": sum(1 for unit in sending if unit.must_send),
        "taps": len(waiting) + len(sending),
        "today_count": len(waiting) + sum(1 for unit in sending if unit.must_send),
        "cards": cards,
        "skip_reasons": SKIP_REASONS.items(),
        "now": now,
    }
    return render(request, "campaigns/today.html", context)


@requires("today.use")
def today_unit(request: MemberRequest, pk: int) -> HttpResponse:
    unit = get_own_unit_or_404(request, pk)
    people = Paginator(queries.people_of(unit.dispatch), 100).get_page(request.GET.get("page"))
    context = {
        "unit": unit,
        "people": people,
        "attachments": attachments_shown(unit.dispatch.attachments),
        "skip_reasons": SKIP_REASONS.items(),
        "leave_out_reasons": [str(reason) for reason in _leave_out_reasons()],
        "back_url": "/today/",
        "can_decide": unit.is_waiting and unit.dispatch.push.confirm_by > clock.now(),
    }
    return render(request, "campaigns/today_unit.html", context)


def _leave_out_reasons() -> list[str]:
    return [_("刚联系过"), _("已经买过"), _("不合适"), _("其他")]


def get_own_unit_or_404(request: MemberRequest, pk: int) -> queries.Unit:
    """A unit of one of the log-in's own members."""
    try:
        return queries.unit_for(own_member_ids(request.user.pk), pk)
    except Dispatch.DoesNotExist:
        raise Http404 from None


@require_POST
@requires("today.use")
def today_agree(request: MemberRequest, pk: int) -> HttpResponse:
    unit = get_own_unit_or_404(request, pk)
    dispatch = agreeing.agree(unit.dispatch.pk, member_ids=[unit.dispatch.sender_id], by=request.actor)
    if dispatch.push.notify_at <= clock.now():
        messages.success(request, _("已同意。稍后到企业微信点「发送」。"))
    else:
        messages.success(request, _("已同意。到通知时间后,到企业微信点「发送」。"))
    return redirect("campaigns:today")


@require_POST
@requires("today.use")
def today_skip(request: MemberRequest, pk: int) -> HttpResponse:
    unit = get_own_unit_or_404(request, pk)
    agreeing.skip(
        unit.dispatch.pk,
        member_ids=[unit.dispatch.sender_id],
        reason=request.POST.get("reason", ""),
        note=request.POST.get("note", ""),
        by=request.actor,
    )
    messages.info(request, _("已记下,这条不发。"))
    return redirect("campaigns:today")


@require_POST
@requires("today.use")
def today_exclude(request: MemberRequest, pk: int) -> HttpResponse:
    unit = get_own_unit_or_404(request, pk)
    number = agreeing.exclude(
        unit.dispatch.pk,
        [chosen for value in request.POST.getlist("people") if (chosen := whole_number(value))],
        member_ids=[unit.dispatch.sender_id],
        reason=request.POST.get("reason", ""),
        by=request.actor,
    )
    messages.info(request, _("已排除 %(n)d 位,他们不会收到这条。") % {"n": number})
    return redirect("campaigns:today_unit", pk)
