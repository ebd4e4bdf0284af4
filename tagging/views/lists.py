"""固定名单: made of a file or of chosen customers; and people put into a segment, or kept out of it, by hand."""

from typing import Any

from django import forms
from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST

from accounts.access import MemberRequest, requires
from contacts import listing
from contacts.models import ImportRun
from contacts.queries import visible_contacts
from contacts.services import bulk
from contacts.services.imports import running
from contacts.views.people import selected_people, selection_of
from scrm.lib.errors import NotAllowed, UserError
from scrm.lib.numbers import whole_number
from tagging.models import Segment
from tagging.queries import live_segments
from tagging.services import list_imports, segments
from tagging.services.bulk_lists import standing_lists
from tagging.services.segment_pins import pin, unpin
from tagging.services.static_lists import fill_static

IMPORT = "contacts.import"


class ListForm(forms.Form):
    """A new fixed list, with a file of its people or empty."""

    name = forms.CharField(label=gettext_lazy("名单名称"), max_length=60)
    file = forms.FileField(
        label=gettext_lazy("名单文件"),
        required=False,
        help_text=gettext_lazy(
            "CSV 或 XLSX,一列就够:客户编号、external_userid、unionid 或手机号。先试运行,再导入;不选就先建空名单。"
        ),
    )


@require_http_methods(["GET", "POST"])
@requires("segments.edit")
def list_new(request: MemberRequest) -> HttpResponse:
    """A new list; with a file the way goes on through the import's trial."""
    form = ListForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        try:
            return _made(request, form)
        except UserError as error:
            form.add_error(None, str(error.message))
    status = 422 if request.method == "POST" else 200
    return render(
        request, "tagging/list_new.html", {"form": form, "can_import": IMPORT in request.permissions}, status=status
    )


@transaction.atomic
def _made(request: MemberRequest, form: ListForm) -> HttpResponse:
    """A file that cannot be read makes no list."""
    segment = segments.create_list(name=form.cleaned_data["name"], by=request.actor)
    if form.cleaned_data["file"]:
        return redirect("contacts:import", _taken(request, segment, form.cleaned_data["file"]).pk)
    return redirect("tagging:segment_detail", segment.pk)


def _taken(request: MemberRequest, segment: Segment, upload: Any) -> ImportRun:
    if IMPORT not in request.permissions:
        raise NotAllowed(_("上传名单需要「导入」权限,请联系管理员;也可以在客户列表勾选客户加入名单。"))
    return running.take_upload(list_imports.KIND, upload, request.scope, by=request.actor, aim=segment.pk)


@require_POST
@requires("segments.edit")
def list_upload(request: MemberRequest, pk: int) -> HttpResponse:
    """More people for a list, by a file."""
    segment = get_object_or_404(standing_lists(), pk=pk)
    if "file" not in request.FILES:
        raise UserError(_("请选择一个 CSV 或 XLSX 文件。"))
    return redirect("contacts:import", _taken(request, segment, request.FILES["file"]).pk)


@require_POST
@requires("segments.edit")
def list_remove(request: MemberRequest, pk: int, contact_pk: int) -> HttpResponse:
    """Take one customer off a list."""
    segment = get_object_or_404(standing_lists(), pk=pk)
    contact = get_object_or_404(visible_contacts(request.scope), pk=contact_pk)
    fill_static(segment, [contact.pk], how="remove", by=request.actor)
    messages.success(request, _("已把「%(name)s」移出名单") % {"name": contact.name})
    return redirect("tagging:segment_detail", segment.pk)


@require_POST
@requires("segments.edit")
def segment_pin(request: MemberRequest, pk: int, contact_pk: int) -> HttpResponse:
    """In for good, out for good, or as the condition says."""
    segment = get_object_or_404(live_segments(), pk=pk)
    contact = get_object_or_404(visible_contacts(request.scope), pk=contact_pk)
    wish = request.POST.get("pin", "")
    if wish == "none":
        unpin(segment, [contact.pk], by=request.actor)
    elif wish in ("in", "out"):
        pin(segment, [contact.pk], is_in=wish == "in", reason=request.POST.get("reason", ""), by=request.actor)
    else:
        raise UserError(_("请选择固定在内、固定排除或按条件。"))
    return redirect("tagging:segment_why", segment.pk, contact.pk)


# --- Many at once ---------------------------------------------------------------------------------------------------


def ask(request: HttpRequest, people: Any, chosen: listing.Selection) -> HttpResponse:
    """Which list, on or off."""
    context = {"chosen": chosen, "lists": standing_lists(), "count": people.count()}
    return render(request, "tagging/bulk_list.html", context)


@require_POST
@requires("segments.edit", many=True)
def bulk_list(request: MemberRequest) -> HttpResponse:
    """Do it, or begin to."""
    chosen = selection_of(request)
    people = selected_people(request, chosen)
    segment = standing_lists().filter(pk=whole_number(request.POST.get("segment", "")) or 0).first()
    if segment is None and request.POST.get("name", "").strip():
        segment = segments.create_list(name=request.POST["name"], by=request.actor)
    if segment is None:
        raise UserError(_("请选择一个名单,或给新名单起个名字。"))
    params = {"segment": segment.pk, "how": "remove" if request.POST.get("how") == "remove" else "add"}
    change = bulk.start("list", people, params, request.scope, by=request.actor, expected=chosen.expected)
    return redirect("contacts:bulk_change", pk=change.pk)
