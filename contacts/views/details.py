"""客户资料: the custom fields of one person, shown and changed as each field's permission says."""

from collections.abc import Iterable, Sequence
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from accounts.access import MemberRequest, requires
from contacts import custom
from contacts.customforms import DetailsForm
from contacts.models import Contact, CustomField, DetailChange, TimelineEvent
from contacts.phones import show_phone
from contacts.services.custom_values import BIRTHDAY, CHANGED, PHONE
from contacts.services.details import UNSET, change_details
from contacts.views.people import get_contact_or_404
from scrm.lib.errors import Conflict, UserError
from scrm.lib.privacy import mask_text
from tenants import audit

EDIT = "contacts.edit"


def details_panel(request: Any, contact: Contact, *, is_unmasked: bool = False) -> dict[str, Any] | None:
    """Her values of the fields the user may see, by section; then what stands under keys that nobody defined. None for who may
    neither see nor fill in anything."""
    reader = custom.reader_of(request, contact)
    known = list(CustomField.objects.all())
    seen = [field for field in known if field.archived_at is None and reader.sees(field)]
    tell = custom.shown if is_unmasked else custom.masked
    sections: dict[str, list[dict[str, str]]] = {
        "": []
    }  # fields without a section stand first, under no heading of another
    for field in seen:
        row = {"label": field.label, "text": tell(field, contact.custom.get(field.key)), "type": field.type}
        sections.setdefault(field.section, []).append(row)
    defined = {field.key for field in known}
    loose = [
        {"label": key, "text": custom.shown(None, value), "type": ""}
        for key, value in sorted(contact.custom.items())
        if key not in defined
    ]
    if not seen and not loose and not reader.may_edit:
        return None
    has_masked = any(field.is_masked and contact.custom.get(field.key) is not None for field in seen)
    return {
        "sections": [
            *((name, rows) for name, rows in sections.items() if rows),
            *([(_("其他"), loose)] if loose else []),
        ],
        "can_edit": reader.may_edit,
        "can_unmask": has_masked and reader.may_unmask and not is_unmasked,
    }


@require_http_methods(["GET", "POST"])
@requires(EDIT)
def details_edit(request: MemberRequest, pk: int) -> HttpResponse:
    """The form of the fields the user may edit."""
    contact = get_contact_or_404(request, pk)
    reader = custom.reader_of(request, contact)
    editable = [field for field in custom.fields_in_use() if reader.edits(field)]
    form = DetailsForm(request.POST if request.method == "POST" else None, contact, editable)
    if request.method == "POST" and form.is_valid():
        refused = _save(request, contact, reader, form)
        if refused is None:
            messages.success(request, _("客户资料已保存。"))
            return redirect("contacts:contact", pk=contact.pk)
        form = refused
    context = {
        "shell": "phone.html" if request.scope.is_own_only else "base.html",
        "phone_tab": "customers",
        "back_url": f"/contacts/{contact.pk}/",
        "contact": contact,
        "form": form,
        "sections": _sections(form),
    }
    return render(request, "contacts/details_edit.html", context, status=422 if form.errors else 200)


def _save(request: MemberRequest, contact: Contact, reader: custom.Reader, form: DetailsForm) -> DetailsForm | None:
    """None when it is done, else the form with what is wrong."""
    birthday = form.cleaned_data["birthday"] if form.birthday_changed else UNSET
    try:
        change_details(
            contact.pk, by=request.actor, custom=form.changed, birthday=birthday, seen=form.seen, may=reader.edits
        )
    except Conflict as error:
        if not error.fields:
            form.add_error(None, error.message)
            return form
        contact.refresh_from_db(fields=["custom", "birthday"])
        form = form.with_fresh_eyes(contact)
        form.is_valid()
        _say_standing(form, contact, error)
        return form
    except UserError as error:
        for key in error.fields or ("",):
            name = f"f-{key}" if f"f-{key}" in form.fields else key
            form.add_error(name if name in form.fields else None, error.message)
        return form
    return None


def _say_standing(form: DetailsForm, contact: Contact, error: Conflict) -> None:
    """What stands now in each field that somebody else changed; saving again means to have it otherwise."""
    fields = {field.key: field for field in form.editable}
    for key in error.fields:
        if key == BIRTHDAY:
            text = contact.birthday.isoformat() if contact.birthday else ""
        else:
            text = custom.masked(fields[key], contact.custom.get(key))
        name = "birthday" if key == BIRTHDAY else f"f-{key}"
        words = _("刚刚被别人改为「%(text)s」。仍要改成您填的,请再保存一次。") % {"text": text or _("未填")}
        form.add_error(name, words)


def _sections(form: DetailsForm) -> list[tuple[str, list[tuple[Any, bool]]]]:
    """By section: (bound field, whether to say that it may be left empty)."""
    found: dict[str, list[tuple[Any, bool]]] = {"": [(form["birthday"], True)]}
    for field in form.editable:
        rows = found.setdefault(field.section, [])
        rows.append((form[f"f-{field.key}"], not field.is_required))
        if f"clear-{field.key}" in form.fields:
            rows.append((form[f"clear-{field.key}"], False))
    return list(found.items())


@require_POST
@requires("contacts.unmask")
def details_unmask(request: MemberRequest, pk: int) -> HttpResponse:
    """The whole of masked values, once, on record."""
    contact = get_contact_or_404(request, pk)
    reader = custom.reader_of(request, contact)
    keys = [field.key for field in custom.fields_in_use() if field.is_masked and reader.sees(field)]
    audit.record("contact.details_unmasked", contact, by=request.actor, fields=keys)
    page = {"contact": contact, "panel": details_panel(request, contact, is_unmasked=True)}
    if request.htmx:
        return render(request, "contacts/_details_panel.html", page)
    shell = {"shell": "phone.html" if request.scope.is_own_only else "base.html", "phone_tab": "customers"}
    return render(request, "contacts/panel_alone.html", page | shell | {"template": "contacts/_details_panel.html"})


# --- In the timeline -------------------------------------------------------------------------------------------------


def details_words(request: Any, contact: Contact, rows: Sequence[TimelineEvent]) -> dict[str, str]:
    """Fact key → what changed, as far as the user may see: of other fields only that they changed. No query without such facts."""
    facts = {(row.contact_id, row.occurred_at): row.fact_key for row in rows if row.kind == CHANGED}
    if not facts:
        return {}
    reader = custom.reader_of(request, contact)
    fields = {field.key: field for field in CustomField.objects.all()}
    times = {at for _contact, at in facts}
    changes = DetailChange.objects.filter(contact_id__in={pk for pk, _at in facts}, changed_at__in=times).order_by("pk")
    places = {field.key: place for place, field in enumerate(fields.values())}
    found: dict[str, list[str]] = {}
    for change in sorted(changes, key=lambda one: places.get(one.key, len(places))):
        key = facts.get((change.contact_id, change.changed_at))
        if key is not None:
            found.setdefault(key, []).append(_change_in_words(change, fields, reader))
    return {key: ";".join(_short(parts)) for key, parts in found.items()}


def _change_in_words(change: DetailChange, fields: dict[str, CustomField], reader: custom.Reader) -> str:
    field = fields.get(change.key)
    if change.key == PHONE:
        phone = mask_text(show_phone(str(change.before or change.after)))
        return (_("新增手机号 %(phone)s") if change.after else _("去掉手机号 %(phone)s")) % {"phone": phone}
    label = _("生日") if change.key == BIRTHDAY else field.label if field else change.key
    if field is not None and not reader.sees(field):
        return _("%(label)s 已修改") % {"label": label}
    before, after = (custom.masked(field, value)[:40] or _("未填") for value in (change.before, change.after))
    return f"{label} {before} → {after}"


def _short(parts: Iterable[str]) -> list[str]:
    shown = list(parts)
    return shown if len(shown) <= 6 else [*shown[:5], _("等 %(count)d 项") % {"count": len(shown)}]
