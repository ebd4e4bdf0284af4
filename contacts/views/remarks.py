"""修改备注: the page on which a guide, or who answers for her, changes what stands on a follow."""

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from accounts.access import MemberRequest, requires
from accounts.scope import data_scope
from contacts.forms import RemarkForm
from contacts.models import Contact, Follow, Relation, RemarkEdit
from contacts.queries import editable_follows
from contacts.services import remarks
from contacts.views.people import get_contact_or_404
from scrm.lib import clock
from scrm.lib.errors import Conflict, UserError

EDIT = "contacts.edit"


@requires(EDIT)
def remark_edit(request: MemberRequest, pk: int, follow_pk: int) -> HttpResponse:
    """The form; what is sent goes to WeCom as a command."""
    contact = get_contact_or_404(request, pk)
    follow = _follow_or_404(request, contact, follow_pk)
    edits = remarks.open_edits([follow.pk]).get(follow.pk, [])
    standing = remarks.wished(follow, edits)
    is_wechat = follow.contact.kind == remarks.WECHAT_CUSTOMER
    form = RemarkForm(request.POST or None, standing=standing, has_company=is_wechat)
    if request.method == "POST":
        answer = _answer(request, contact, follow, form)
        if answer is not None:
            return answer
    context = {
        "shell": "phone.html" if request.scope.is_own_only else "base.html",
        "phone_tab": "customers",
        "back_url": f"/contacts/{contact.pk}/",
        "contact": contact,
        "follow": follow,
        "form": form,
        "failed": next((edit for edit in edits if edit.state == RemarkEdit.State.FAILED), None),
        "is_waiting": any(edit.state == RemarkEdit.State.WAITING for edit in edits),
        "is_friend": follow.relation == Relation.ACTIVE,
    }
    return render(request, "contacts/remark_edit.html", context, status=422 if form.errors else 200)


def _answer(request: MemberRequest, contact: Contact, follow: Follow, form: RemarkForm) -> HttpResponse | None:
    """Where to go on, or None to show the form again with what is wrong and all that was typed."""
    try:
        if request.POST.get("seen") != form.standing.digest:
            raise Conflict(remarks.changed_meanwhile())
        if not form.is_valid():
            return None
        edit = remarks.edit_remark(
            follow.pk, form.wanted(), seen=form.standing.digest, by=request.actor, at=clock.now()
        )
    except Conflict as error:
        messages.warning(request, error.message)
        return redirect("contacts:remark_edit", pk=contact.pk, follow_pk=follow.pk)
    except UserError as error:
        form.add_error(None, error.message)
        return None
    messages.info(request, _("已提交,正在同步到企业微信。") if edit else _("没有改动。"))
    return redirect("contacts:contact", pk=contact.pk)


@require_POST
@requires(EDIT)
def remark_retry(request: MemberRequest, pk: int, follow_pk: int) -> HttpResponse:
    """Once more what WeCom refused."""
    contact = get_contact_or_404(request, pk)
    follow = _follow_or_404(request, contact, follow_pk)
    failed = get_object_or_404(RemarkEdit, follow=follow, state=RemarkEdit.State.FAILED)
    remarks.retry_remark(failed.pk, by=request.actor, at=clock.now())
    return redirect("contacts:contact", pk=contact.pk)


def _follow_or_404(request: MemberRequest, contact: Contact, follow_pk: int) -> Follow:
    follows = editable_follows(contact, request.scope).select_related("contact", "member__store")
    found: Follow = get_object_or_404(follows, pk=follow_pk)
    return found


def follow_rows(request: Any, contact: Contact, follows: list[Follow]) -> list[dict[str, Any]]:
    """Each relation with its notes as wished, what is under way, and whether the user may change them. Two queries."""
    edits = remarks.open_edits([follow.pk for follow in follows])
    mine: set[int] = set()
    if EDIT in request.permissions:
        scope = data_scope(request.user, EDIT, grants=request.grants)
        mine = set(editable_follows(contact, scope).order_by().values_list("pk", flat=True))
    return [
        {
            "follow": follow,
            "shown": remarks.wished(follow, edits.get(follow.pk, [])),
            "is_waiting": any(one.state == RemarkEdit.State.WAITING for one in edits.get(follow.pk, [])),
            "failed": next((one for one in edits.get(follow.pk, []) if one.state == RemarkEdit.State.FAILED), None),
            "can_edit": follow.pk in mine and follow.relation == Relation.ACTIVE,
        }
        for follow in follows
    ]
