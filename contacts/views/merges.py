"""合并客户: choosing the other one, both side by side with what would happen, the record of merges, and taking one apart again."""

from typing import Any

from django.contrib import messages
from django.db.models import Q, QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_http_methods

from accounts.access import MemberRequest, requires
from accounts.models import User
from accounts.scope import DataScope
from contacts import listing, panels
from contacts.filters import search_people
from contacts.models import Contact, ContactMerge, Duplicate, Member, Stage, Store
from contacts.phones import show_phone
from contacts.queries import follows_of, listed_contacts, memberships_of, phones_of
from contacts.services import hand_merging
from contacts.services.opt_out import is_opted_out
from contacts.views.duplicates import tabs_of
from contacts.views.people import get_contact_or_404
from scrm.lib import clock
from scrm.lib.errors import UserError
from scrm.lib.paging import keyset_page, pager
from scrm.lib.privacy import mask_text

OFFERED, FOLLOWS_SHOWN, GROUPS_SHOWN = 20, 10, 10
# Columns of the customer list that this page says in rows of its own.
OWN_COLUMNS = {"stage", "owner", "added", "relation"}
SAID = {
    "name": gettext_lazy("昵称"), "stage_id": gettext_lazy("阶段"), "owner_id": gettext_lazy("归属导购"), "store_id": gettext_lazy("门店"),
    "birthday": gettext_lazy("生日"), "opt_out_until": gettext_lazy("免打扰"),
}  # fmt: skip


@require_GET
@requires("contacts.merge")
def merge_pick(request: MemberRequest, pk: int) -> HttpResponse:
    """With whom? By name, remark, pinyin or phone, among the people the user sees."""
    person = get_contact_or_404(request, pk)
    text = request.GET.get("q", "").strip()[:60]
    found: list[Contact] = []
    if text:
        people = search_people(listed_contacts(request.scope).exclude(pk=person.pk), text)
        found = list(people.select_related("owner", "store").order_by("-last_added_at", "-pk")[: OFFERED + 1])
    proposed = Duplicate.objects.filter(Q(first=person) | Q(second=person), state=Duplicate.State.OPEN)
    ids = {one for pair in proposed[:OFFERED] for one in (pair.first_id, pair.second_id)} - {person.pk}
    context = {
        "person": person, "q": text, "found": found[:OFFERED], "has_more": len(found) > OFFERED,
        "proposed": listed_contacts(request.scope).filter(pk__in=ids).select_related("owner", "store"),
    }  # fmt: skip
    return render(request, "contacts/merge_pick.html", context)


@require_http_methods(["GET", "POST"])
@requires("contacts.merge")
def merge_page(request: MemberRequest, pk: int, other_pk: int) -> HttpResponse:
    """Both side by side, what would happen; a POST does it."""
    first, second = get_contact_or_404(request, pk), get_contact_or_404(request, other_pk)
    error, status = "", 200
    if request.method == "POST":
        try:
            merge = hand_merging.merge_by_hand(first.pk, second.pk, seen=request.POST.get("seen", ""), by=request.actor)
        except UserError as refused:
            error, status = refused.message, refused.status
            first, second = get_contact_or_404(request, pk), get_contact_or_404(request, other_pk)
        else:
            messages.success(request, _("已合并。30 天内可以在「合并记录」里撤销。"))
            return redirect("contacts:contact", pk=merge.kept_id)
    try:
        plan = hand_merging.plan_merge(first, second)
    except UserError as refused:
        context = {"error": error or refused.message, "person": first}
        return render(request, "contacts/merge.html", context, status=status if error else refused.status)
    both = [plan.kept, plan.gone]
    context = {
        "error": error, "person": first, "plan": plan, "sides": _sides(request, both), "changes": _changes(plan.kept, plan.after),
        "branches": len(plan.moved) - 1,
    }  # fmt: skip
    return render(request, "contacts/merge.html", context, status=status)


def _sides(request: MemberRequest, both: list[Contact]) -> list[dict[str, Any]]:
    """What is known of each, in the same rows. A constant number of queries."""
    columns = [one for one in listing.columns(request.permissions) if one.key not in OWN_COLUMNS]
    loaded = [(one, one.load(both)) for one in columns]
    now = clock.now()
    return [
        {
            "person": person,
            "follows": list(follows_of(person)[:FOLLOWS_SHOWN]),
            "phones": [mask_text(show_phone(phone)) for phone in phones_of(person)],
            "groups": [one.group for one in memberships_of(person)[:GROUPS_SHOWN] if one.left_at is None],
            "opt_out": _opt_out(person, now),
            "figures": panels.figures_for(request, person),
            "cells": [{"column": column, "value": values.get(person.pk)} for column, values in loaded],
        }
        for person in both
    ]


def _opt_out(person: Contact, now: Any) -> str:
    if not is_opted_out(person, now):
        return _("没有")
    if person.opt_out_until is None:
        return _("永久")
    return _("到 %(at)s") % {"at": f"{timezone.localtime(person.opt_out_until):%Y-%m-%d %H:%M}"}


def _changes(before: Contact, after: Contact) -> list[dict[str, str]]:
    """The columns that differ, in words."""
    differing = [key for key in SAID if getattr(before, key) != getattr(after, key)]
    if before.opt_out_since != after.opt_out_since and "opt_out_until" not in differing:
        differing.append("opt_out_until")
    if "owner_id" in differing and "store_id" in differing:
        differing.remove("store_id")  # it is the owner's
    return [{"label": str(SAID[key]), "before": _word(before, key), "after": _word(after, key)} for key in differing]


def _word(person: Contact, key: str) -> str:
    value = getattr(person, key)
    if key == "opt_out_until":
        return _opt_out(person, clock.now())
    if value in (None, ""):
        return "—"
    models: dict[str, Any] = {"stage_id": Stage, "owner_id": Member, "store_id": Store}
    return str(models[key].objects.get(pk=value)) if key in models else str(value)


# --- The record, and undoing ----------------------------------------------------------------------------------------


def visible_merges(scope: DataScope) -> QuerySet[ContactMerge]:
    """Merges of people the user sees, as they count now."""
    rows = ContactMerge.objects.all()
    if scope.sees_all:
        return rows
    people = listed_contacts(scope).values("pk")
    kept = Q(kept__in=people) | Q(kept__root__in=people)
    return rows.filter(kept, Q(gone__in=people) | Q(gone__root__in=people))


@require_GET
@requires("contacts.merge")
def merge_list(request: MemberRequest) -> HttpResponse:
    """合并记录: who became whom, by whom, and whether it can be undone."""
    found = visible_merges(request.scope)
    page = keyset_page(found.select_related("kept", "gone"), ("-merged_at", "-pk"), request.GET.get("cursor", ""))
    people = User.objects.in_bulk(
        {pk for row in page.rows for pk in (row.actor_id, row.undone_by_id) if pk is not None}
    )
    now = clock.now()
    rows = [
        {
            "merge": row,
            "who": people.get(row.actor_id or 0) or (_("企业微信(同一 unionid)") if row.source != hand_merging.BY_HAND else "—"),
            "undone_by": people.get(row.undone_by_id or 0),
            "until": hand_merging.undo_by(row),
            "can_undo": row.undone_at is None and now <= hand_merging.undo_by(row) and row.kept.root_id is None,
        }
        for row in page.rows
    ]  # fmt: skip
    context = {"tabs": tabs_of(request, "merges"), "rows": rows, "total": found.count(), **pager(request, page)}
    return render(request, "contacts/merge_list.html", context)


@require_http_methods(["GET", "POST"])
@requires("contacts.merge")
def merge_undo(request: MemberRequest, pk: int) -> HttpResponse:
    """What would come back; a POST does it."""
    merge = get_object_or_404(visible_merges(request.scope).select_related("kept", "gone"), pk=pk)
    error, status = "", 200
    if request.method == "POST":
        try:
            hand_merging.undo_by_hand(merge.pk, seen=request.POST.get("seen", ""), by=request.actor)
        except UserError as refused:
            error, status = refused.message, refused.status
            merge.refresh_from_db()
        else:
            messages.success(request, _("已撤销合并,两位客户各自恢复。"))
            return redirect("contacts:merge_list")
    context: dict[str, Any] = {"merge": merge, "error": error}
    try:
        plan = hand_merging.plan_undo(merge)
    except UserError as refused:
        context["error"] = error or refused.message
        return render(request, "contacts/merge_undo.html", context, status=status if error else refused.status)
    context |= {
        "plan": plan,
        "who": hand_merging.who_merged(merge),
        "changes": _changes(plan.now, plan.kept),
        "stays": [str(SAID[key]) for key in SAID if key in plan.stays],
        "gone_owner": _word(plan.gone, "owner_id"),
        "gone_stage": _word(plan.gone, "stage_id"),
    }
    return render(request, "contacts/merge_undo.html", context, status=status)
