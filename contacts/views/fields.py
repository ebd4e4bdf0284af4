"""自定义字段: which a merchant has, what each wants and who may see it, in which order; and another type for one."""

from collections.abc import Mapping
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.access import MemberRequest, requires
from accounts.models import Role
from contacts.customforms import TYPE_HELP, FieldForm
from contacts.models import CustomField
from contacts.services import custom_fields
from scrm.lib.errors import UserError
from scrm.lib.numbers import whole_number

EDIT = "fields.edit"
Type = CustomField.Type


@require_GET
@requires(EDIT)
def field_list(request: MemberRequest) -> HttpResponse:
    """All of them, those in use in their order. Two queries, whatever people have in them."""
    roles = dict(Role.objects.values_list("pk", "name"))
    fields = list(CustomField.objects.all())
    context = {
        "rows": [_row(field, roles) for field in fields if field.archived_at is None],
        "archived": [_row(field, roles) for field in fields if field.archived_at is not None],
        "most": custom_fields.MOST,
    }
    return render(request, "contacts/field_list.html", context)


def _row(field: CustomField, roles: Mapping[int, str]) -> dict[str, Any]:
    return {
        "field": field,
        "seen_by": [roles.get(pk, _("已删除的角色")) for pk in field.see_roles],
        "edited_by": [roles.get(pk, _("已删除的角色")) for pk in field.edit_roles],
        "options": [option["label"] for option in field.standing_options],
    }


@require_http_methods(["GET", "POST"])
@requires(EDIT)
def field_new(request: MemberRequest) -> HttpResponse:
    """First the type, then what a field of that type may say."""
    type_ = request.GET.get("type", "")
    if type_ not in Type.values:
        types = [{"key": one.value, "label": one.label, "help": TYPE_HELP[one]} for one in Type]
        return render(request, "contacts/field_types.html", {"types": types})
    form = FieldForm(request.POST if request.method == "POST" else None, type_)
    if request.method == "POST" and form.is_valid():
        try:
            custom_fields.add_field(type_, form.settings(), key=form.cleaned_data["key"], by=request.actor)
            return redirect("contacts:field_list")
        except UserError as error:
            _refuse(form, error)
    return _form_page(request, form, None, Type(type_))


@require_http_methods(["GET", "POST"])
@requires(EDIT)
def field_edit(request: MemberRequest, pk: int) -> HttpResponse:
    """Anything but key and type."""
    field = get_object_or_404(CustomField, pk=pk)
    form = FieldForm(request.POST if request.method == "POST" else None, field.type, field=field)
    if request.method == "POST" and form.is_valid():
        try:
            custom_fields.change_field(field.pk, form.settings(), by=request.actor)
            return redirect("contacts:field_list")
        except UserError as error:
            _refuse(form, error)
    return _form_page(request, form, field, Type(field.type))


def _refuse(form: FieldForm, error: UserError) -> None:
    names = {"options": "new_options"}
    for key in error.fields or ("",):
        name = names.get(key, key)
        form.add_error(name if name in form.fields else None, error.message)


def _form_page(request: MemberRequest, form: FieldForm, field: CustomField | None, type_: Type) -> HttpResponse:
    context = {"form": form, "field": field, "type": type_}
    return render(request, "contacts/field_edit.html", context, status=422 if form.errors else 200)


@require_http_methods(["GET", "POST"])
@requires(EDIT)
def field_type(request: MemberRequest, pk: int) -> HttpResponse:
    """Another type: first how many values there are and which would be lost, then the deed."""
    field = get_object_or_404(CustomField, pk=pk)
    wanted = (request.POST if request.method == "POST" else request.GET).get("type", "")
    error, status, preview = "", 200, None
    try:
        if request.method == "POST":
            expected = whole_number(request.POST.get("expected"))
            custom_fields.change_type(pk, wanted, expected=-1 if expected is None else expected, by=request.actor)
            messages.success(request, _("「%(label)s」的类型已更改") % {"label": field.label})
            return redirect("contacts:field_list")
    except UserError as refused:
        error, status = refused.message, refused.status
    try:
        preview = custom_fields.preview_type(field, wanted) if wanted else None
    except UserError as refused:
        error, status = error or refused.message, 422
    context = {
        "field": field,
        "types": [(one.value, one.label) for one in Type if one != field.type],
        "wanted": wanted if wanted in Type.values else "",
        "wanted_label": Type(wanted).label if wanted in Type.values else "",
        "preview": preview,
        "most": custom_fields.REWRITTEN,
        "error": error,
    }
    return render(request, "contacts/field_type.html", context, status=status)


@require_POST
@requires(EDIT)
def field_shift(request: MemberRequest, pk: int) -> HttpResponse:
    """One place up or down."""
    field = get_object_or_404(CustomField, pk=pk)
    custom_fields.shift_field(field.pk, later=request.POST.get("to") == "later", by=request.actor)
    return redirect("contacts:field_list")


@require_http_methods(["GET", "POST"])
@requires(EDIT)
def field_archive(request: MemberRequest, pk: int) -> HttpResponse:
    """Out of use: first how many have a value, then the deed."""
    field = get_object_or_404(CustomField, pk=pk)
    if request.method == "POST":
        custom_fields.archive_field(field.pk, by=request.actor)
        messages.success(request, _("「%(label)s」已停用,填过的内容都还在") % {"label": field.label})
        return redirect("contacts:field_list")
    context = {"field": field, "count": custom_fields.count_values(field.key)}
    return render(request, "contacts/field_archive.html", context)


@require_POST
@requires(EDIT)
def field_restore(request: MemberRequest, pk: int) -> HttpResponse:
    """In use again, as the last one."""
    field = get_object_or_404(CustomField, pk=pk)
    custom_fields.restore_field(field.pk, by=request.actor)
    return redirect("contacts:field_list")
