"""The composer: 内容 → 人群 → 体检 → 提交."""

import json
from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from accounts.access import MemberRequest, requires
from accounts.scope import DataScope
from campaigns.forms.broadcasts import AudienceForm, ContentForm, GroupAudienceForm
from campaigns.forms.parts import class_of, link_initial
from campaigns.models import Broadcast
from campaigns.policy import send_policy
from campaigns.queries.audience import describe, unfinished_segment
from campaigns.queries.preflight import Preflight, run_preflight
from campaigns.queries.previews import attachments_shown
from campaigns.rendering import allowed_variables, carrier_of, preview, sample_values
from campaigns.services import broadcasts, ledger
from campaigns.services.broadcasts import Draft
from campaigns.states import reason_name
from campaigns.times import at_local, default_confirm_by, local_day
from campaigns.views.broadcasts import get_visible_or_404
from scrm.lib import clock
from scrm.lib.errors import UserError


def stepper(now: str, broadcast: Broadcast | None) -> list[dict[str, Any]]:
    """The steps for ui/stepper.html; steps of a draft that exists may be entered freely."""
    labels = {"content": _("内容"), "audience": _("人群"), "preflight": _("体检与提交")}
    keys = list(labels)
    return [
        {
            "label": labels[key],
            "url": reverse(f"campaigns:broadcast_{key}", args=[broadcast.pk]) if broadcast else "",
            "state": "now" if key == now else "done" if keys.index(key) < keys.index(now) else "next",
        }
        for key in keys
    ]


@requires("broadcasts.edit")
def broadcast_new(request: MemberRequest) -> HttpResponse:
    target = "groups" if request.GET.get("target") == "groups" else "people"
    form = ContentForm(request.POST or None, initial={"message_class": "content"})
    if request.method == "POST" and form.is_valid():
        try:
            broadcast = broadcasts.create_broadcast(
                _content_draft(form, request.scope), target=target, by=request.actor
            )
        except UserError as error:
            _refuse(form, error)
        else:
            return redirect("campaigns:broadcast_audience", broadcast.pk)
    return _content_page(request, form, target, None)


@requires("broadcasts.edit")
def broadcast_content(request: MemberRequest, pk: int) -> HttpResponse:
    broadcast = get_visible_or_404(request, pk)
    content = broadcast.content_version
    initial = {
        "name": broadcast.name,
        "message_class": class_of(content.content if content else None),
        "text": content.text if content else "",
        **link_initial(content.attachments if content else []),
    }
    form = ContentForm(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            broadcasts.edit_broadcast(broadcast.pk, _content_draft(form), by=request.actor)
        except UserError as error:
            _refuse(form, error)
        else:
            return redirect("campaigns:broadcast_audience", broadcast.pk)
    return _content_page(request, form, broadcast.target, broadcast)


def _content_draft(form: ContentForm, within: DataScope | None = None) -> Draft:
    """within: of a new one its author's; whoever mends the words later widens nothing."""
    data = form.cleaned_data
    return Draft(
        name=data["name"],
        message_class=data["message_class"],
        text=data["text"],
        attachments=form.attachments(),
        within=within,
    )


def _refuse(form: Any, error: UserError) -> None:
    field = next((name for name in error.fields if name in form.fields), None)
    form.add_error(field, error.message)


def _content_page(request: MemberRequest, form: ContentForm, target: str, broadcast: Broadcast | None) -> HttpResponse:
    context = {
        "form": form,
        "target": target,
        "broadcast": broadcast,
        "steps": stepper("content", broadcast),
        "variables": allowed_variables(carrier_of(target)),
        "sample_sender": sample_values()["导购名"],
        "sample_json": json.dumps(sample_values(), ensure_ascii=False),
        "attachments": attachments_shown(
            broadcast.content_version.attachments if broadcast and broadcast.content_version else []
        ),
    }
    return render(request, "campaigns/broadcast_content.html", context, status=422 if form.errors else 200)


@requires("broadcasts.edit")
def broadcast_audience(request: MemberRequest, pk: int) -> HttpResponse:
    broadcast = get_visible_or_404(request, pk)
    form = _audience_form(request, broadcast)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        draft = Draft(
            audience=form.audience(), within=request.scope, holdout_percent=data.get("holdout_percent"),
            notify_at=data["notify_at"], confirm_by=data["confirm_by"],
        )  # fmt: skip
        try:
            broadcasts.edit_broadcast(broadcast.pk, draft, by=request.actor)
        except UserError as error:
            _refuse(form, error)
        else:
            return redirect("campaigns:broadcast_preflight", broadcast.pk)
    context = {"form": form, "broadcast": broadcast, "steps": stepper("audience", broadcast)}
    return render(request, "campaigns/broadcast_audience.html", context, status=422 if form.errors else 200)


def _audience_form(request: MemberRequest, broadcast: Broadcast) -> AudienceForm | GroupAudienceForm:
    times = {"notify_at": broadcast.notify_at, "confirm_by": broadcast.confirm_by}
    if broadcast.target == "groups":
        initial = {"groups": broadcast.audience.get("groups", []), **times}
        return GroupAudienceForm(request.POST or None, initial=initial, scope=request.scope)
    segment = broadcast.audience.get("segment")
    kept = describe(broadcast.audience) if broadcast.audience and not segment else ""
    initial = {"segment": segment, "holdout_percent": broadcast.holdout_percent, **times}
    return AudienceForm(request.POST or None, initial=initial, kept=kept)


@requires("broadcasts.edit")
def broadcast_preflight(request: MemberRequest, pk: int) -> HttpResponse:
    """发送前体检. Looking at it also has the ledger read again when it is older than an hour."""
    broadcast = get_visible_or_404(request, pk)
    for corp in ledger.connected_corps():
        ledger.start_reading(corp.pk, older_than=timedelta(hours=1))
    try:
        found = broadcasts.preflight_of(broadcast)
    except UserError as error:
        messages.warning(request, error.message)
        return redirect("campaigns:broadcast_audience", pk)
    context = {
        "broadcast": broadcast,
        "steps": stepper("preflight", broadcast),
        "found": found,
        "checks": checks_of(broadcast, found),
        "audience": describe(broadcast.audience),
        "text": preview(broadcast.content_version.text) if broadcast.content_version else "",
        "attachments": attachments_shown(broadcast.content_version.attachments if broadcast.content_version else []),
        "sender": sample_values()["导购名"],  # the text names the same one
        "can_submit": broadcast.state == Broadcast.State.DRAFT
        and found.reachable
        and not found.empty_values
        and not unfinished_segment(broadcast.audience),
    }
    return render(request, "campaigns/broadcast_preflight.html", context)


def checks_of(broadcast: Broadcast, found: Preflight) -> list[dict[str, Any]]:
    """Rows for ui/checks.html, each with its fix."""
    audience_url = reverse("campaigns:broadcast_audience", args=[broadcast.pk])
    rows: list[dict[str, Any]] = []
    if segment := unfinished_segment(broadcast.audience):
        unfinished = {
            "tone": "bad",
            "text": _("人群「%(name)s」%(state)s") % {"name": segment.name, "state": segment.get_state_display()},
            "detail": _("下面的人数还不完整,已更新后才能提交。"),
            "fix_url": reverse("tagging:segment_detail", args=[segment.pk]),
            "fix_label": _("看进度"),
        }
        rows.append(unfinished)
    if found.reachable:
        text = ngettext("%(n)s 人可以触达", "%(n)s 人可以触达", found.reachable) % {"n": f"{found.reachable:,}"}
        rows.append({"tone": "ok", "text": text})
    else:
        rows.append({"tone": "bad", "text": _("没有人可以触达"), "fix_url": audience_url, "fix_label": _("换人群")})
    better = _better_tomorrow(broadcast, found)
    for reason, number in found.excluded.items():
        row: dict[str, Any] = {"tone": "warn", "text": f"{reason_name(reason)} {number:,}"}
        if better and reason in ("cap", "quota"):
            day, gain = better
            row |= {
                "detail": _("改到 %(day)s 可多触达 %(n)s 人") % {"day": day, "n": f"{gain:,}"},
                "fix_url": audience_url,
                "fix_label": _("改时间"),
            }
        if reason == "quota_unknown":
            row["detail"] = _("还没读到企业微信的发送记录,读到之前不会发给他们。正在读取,稍后刷新。")
        rows.append(row)
    if found.several_voices:
        text = _("%(n)s 人有多位导购好友,只由一位发送:先归属导购,再最近添加的") % {"n": f"{found.several_voices:,}"}
        rows.append({"tone": "ok", "text": text})
    for name, stores in found.empty_values.items():
        rows.append(
            {
                "tone": "bad",
                "text": _("{%(name)s} 在 %(n)d 家门店是空的") % {"name": name, "n": len(stores)},
                "detail": "、".join(stores[:10]),
                "fix_url": reverse("campaigns:broadcast_content", args=[broadcast.pk]),
                "fix_label": _("改文字"),
            }
        )
    return rows


def _better_tomorrow(broadcast: Broadcast, found: Preflight) -> tuple[str, int] | None:
    """How many more the first slot of the next day would reach."""
    if not (found.excluded.get("cap") or found.excluded.get("quota")) or broadcast.notify_at is None:
        return None
    policy, now = send_policy(), clock.now()
    day = local_day(broadcast.notify_at, policy) + timedelta(days=1)
    later = Broadcast(**{field.attname: getattr(broadcast, field.attname) for field in Broadcast._meta.concrete_fields})
    later.notify_at = at_local(day, policy.slots[0], policy)
    later.confirm_by = default_confirm_by(later.notify_at, policy)
    gain = run_preflight(later, now=now, policy=policy).reachable - found.reachable
    return (f"{day:%m-%d} {policy.slots[0]:%H:%M}", gain) if gain > 0 else None


@require_POST
@requires("broadcasts.edit")
def broadcast_submit(request: MemberRequest, pk: int) -> HttpResponse:
    broadcasts.submit_broadcast(get_visible_or_404(request, pk).pk, by=request.actor)
    messages.success(request, _("已提交审批。"))
    return redirect("campaigns:broadcast_detail", pk)
