"""The customer page: who she is, whose, what happened, what may be done."""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from accounts.access import MemberRequest, requires
from contacts import panels
from contacts.filters import relation_pill
from contacts.forms import OwnerForm, StageForm
from contacts.kinds import add_way_label
from contacts.models import Contact, Follow, Member, Relation
from contacts.phones import show_phone
from contacts.queries import follows_of, memberships_of, phones_of
from contacts.services.opt_out import end_opt_out, is_opted_out, set_opt_out
from contacts.services.ownership import credit_by_hand
from contacts.services.stages import move_by_hand
from contacts.views.history import timeline_context
from contacts.views.people import get_contact_or_404
from contacts.views.remarks import follow_rows
from scrm.lib import clock
from scrm.lib.errors import UserError
from scrm.lib.privacy import mask_text
from tenants import audit


@require_GET
@requires("contacts.view")
def contact_page(request: MemberRequest, pk: int) -> HttpResponse:
    """客户页. A guide sees the same page on her phone, for the customers she knows."""
    contact = get_contact_or_404(request, pk)
    if contact.pk != pk:
        return redirect("contacts:contact", pk=contact.pk)
    return render(request, "contacts/contact_detail.html", _page(request, contact))


def _page(request: MemberRequest, contact: Contact, **extra: Any) -> dict[str, Any]:
    now = clock.now()
    follows = list(follows_of(contact).select_related("member__account"))
    can_edit = "contacts.edit" in request.permissions
    shown = panels.shown_for(request, contact)
    friends = Member.objects.filter(pk__in=[f.member_id for f in follows if f.relation == Relation.ACTIVE])
    others = friends.exclude(pk=contact.owner_id) if contact.owner_id else friends
    is_phone = request.scope.is_own_only
    return {
        "shell": "phone.html" if is_phone else "base.html",
        "is_phone": is_phone,
        "phone_tab": "customers",
        "back_url": "/m/customers/",
        "contact": contact,
        "relation": relation_pill(contact, follows[0] if follows else None),
        "follows": _own_first([_follow(request, row) for row in follow_rows(request, contact, follows)]),
        "phones": [mask_text(show_phone(phone)) for phone in phones_of(contact)],
        "can_unmask": "contacts.unmask" in request.permissions,
        "memberships": list(memberships_of(contact)[:20]),
        "figures": panels.figures_for(request, contact),
        "main_panels": [one for one in shown if is_phone or one.panel.place == "main"],
        "aside_panels": [one for one in shown if not is_phone and one.panel.place == "aside"],
        "can_edit": can_edit,
        "can_merge": "contacts.merge" in request.permissions and not is_phone,
        "stage_form": StageForm(current_id=contact.stage_id) if can_edit else None,
        "owner_form": OwnerForm(members=others, current_id=contact.owner_id)
        if can_edit and not is_phone and others.exists()
        else None,
        "is_opted_out": is_opted_out(contact, now),
        **timeline_context(request, contact),
        **extra,
    }


def _own_first(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Beside a chat the page is about this guide and this customer, whoever else knows her."""
    return sorted(rows, key=lambda row: not row["is_own"])


def _follow(request: MemberRequest, row: dict[str, Any]) -> dict[str, Any]:
    follow: Follow = row["follow"]
    account = getattr(follow.member, "account", None)
    return {
        **row,
        "is_own": account is not None and account.user_id == request.user.pk,
        "way": add_way_label(follow.add_way),
        "label": Relation(follow.relation).label,
        "tone": "ok" if follow.relation == Relation.ACTIVE else "idle",
    }


@require_GET
@requires("contacts.view")
def contact_timeline(request: MemberRequest, pk: int) -> HttpResponse:
    """The timeline alone: one kind, one doer, or a further page."""
    contact = get_contact_or_404(request, pk)
    if not request.htmx:
        return contact_page(request, pk)
    response = render(
        request, "contacts/contact_detail.html#timeline", {"contact": contact, **timeline_context(request, contact)}
    )
    response["Vary"] = "HX-Request"
    return response


@require_POST
@requires("contacts.edit")
def change_contact_stage(request: MemberRequest, pk: int) -> HttpResponse:
    """生命周期阶段, by hand, with a reason."""
    contact = get_contact_or_404(request, pk)
    form = StageForm(request.POST, current_id=contact.stage_id)
    if not form.is_valid():
        return render(request, "contacts/contact_detail.html", _page(request, contact, stage_form=form), status=422)
    wanted = form.cleaned_data
    try:
        move_by_hand(
            contact.pk,
            wanted["stage"].pk,
            seen=wanted["seen"],
            reason=wanted["reason"],
            by=request.actor,
            at=clock.now(),
        )
    except UserError as refused:
        # A form of its own for the answer: whoever reads it sees the stage of now.
        again = StageForm(request.POST.dict() | {"seen": contact.stage_id}, current_id=contact.stage_id)
        again.add_error(None, refused.message)
        page = _page(request, contact, stage_form=again)
        return render(request, "contacts/contact_detail.html", page, status=refused.status)
    return redirect("contacts:contact", pk=contact.pk)


@require_POST
@requires("contacts.edit")
def change_contact_owner(request: MemberRequest, pk: int) -> HttpResponse:
    """业绩归属: to another guide who is her friend."""
    contact = get_contact_or_404(request, pk)
    if request.scope.is_own_only:
        raise PermissionDenied  # a guide does not decide whom a shared customer is credited to
    active = follows_of(contact).filter(relation=Relation.ACTIVE).values("member_id")
    friends = Member.objects.filter(pk__in=active)
    form = OwnerForm(request.POST, members=friends)
    if not form.is_valid():
        return render(request, "contacts/contact_detail.html", _page(request, contact, owner_form=form), status=422)
    wanted = form.cleaned_data
    try:
        credit_by_hand(contact.pk, wanted["member"], seen=wanted["seen"], by=request.actor, at=clock.now())
    except UserError as refused:
        # A form of its own for the answer, as for stages: whoever reads it sees the owner of now.
        again = OwnerForm(request.POST.dict() | {"seen": contact.owner_id}, members=friends)
        again.add_error(None, refused.message)
        page = _page(request, contact, owner_form=again)
        return render(request, "contacts/contact_detail.html", page, status=refused.status)
    return redirect("contacts:contact", pk=contact.pk)


@require_POST
@requires("contacts.edit")
def change_opt_out(request: MemberRequest, pk: int) -> HttpResponse:
    """免打扰: 30 or 90 days, forever, or no longer."""
    contact = get_contact_or_404(request, pk)
    span = request.POST.get("span", "")
    if span == "end":
        end_opt_out(contact.pk, by=request.actor, at=clock.now())
    else:
        set_opt_out(contact.pk, span, by=request.actor, at=clock.now())
    return redirect("contacts:contact", pk=contact.pk)


@require_POST
@requires("contacts.unmask")
def unmask_phones(request: MemberRequest, pk: int) -> HttpResponse:
    """The whole phone numbers, once, on record."""
    contact = get_contact_or_404(request, pk)
    phones = [show_phone(phone) for phone in phones_of(contact)]
    audit.record("contact.unmasked", contact, by=request.actor, count=len(phones))
    if request.htmx:
        return render(
            request, "contacts/contact_detail.html#phones", {"contact": contact, "phones": phones, "is_unmasked": True}
        )
    return render(request, "contacts/contact_detail.html", _page(request, contact, phones=phones, is_unmasked=True))
