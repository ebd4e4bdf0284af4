"""What a person allowed, and her removal on request: the panel of the customer page, and the pages of the requests."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.access import MemberRequest, requires
from contacts.forms import ConsentForm, ErasureForm
from contacts.models import ConsentRecord, Contact, ErasureRequest
from contacts.services import erasing
from contacts.services.consents import record_consent, standing_of
from contacts.views.people import get_contact_or_404
from scrm.lib import clock
from scrm.lib.errors import UserError
from scrm.lib.paging import keyset_page, pager
from tenants import erasure
from tenants.context import current_tenant

ERASE = "contacts.erase"
SHOWN = 10
TONES = {"done": "ok", "left": "bad", "taken": "idle"}


# --- 同意记录 ---------------------------------------------------------------------------------------------------


def consents_panel(request: Any, contact: Contact, form: ConsentForm | None = None) -> dict[str, Any]:
    """The last word on each purpose, the record behind it, and the form of who may add to it."""
    rows = ConsentRecord.objects.filter(contact_id__in=contact.family_ids).order_by("-decided_at", "-pk")
    can_edit = "contacts.edit" in request.permissions
    today = clock.local_day(clock.now(), current_tenant().time_zone)
    return {
        "standing": standing_of(contact.family_ids),
        "records": list(rows[:SHOWN]),
        "form": (form or ConsentForm(auto_id="consent_%s", initial={"on": today})) if can_edit else None,
        "can_erase": ERASE in request.permissions,
    }


@require_POST
@requires("contacts.edit")
def consent_add(request: MemberRequest, pk: int) -> HttpResponse:
    """Write down a consent, or that it was withdrawn."""
    contact = get_contact_or_404(request, pk)
    form = ConsentForm(request.POST, auto_id="consent_%s")
    if form.is_valid():
        try:
            record_consent(contact.pk, by=request.actor, at=clock.now(), **form.cleaned_data)
            return redirect(reverse("contacts:contact", args=[contact.pk]) + "#panel-consents")
        except UserError as error:
            form.add_error(None, str(error.message))
    page = {
        "contact": contact,
        "panel": consents_panel(request, contact, form),
        "template": "contacts/_consents_panel.html",
        "shell": "phone.html" if request.scope.is_own_only else "base.html",
        "phone_tab": "customers",
    }
    return render(request, "contacts/panel_alone.html", page, status=422)


# --- 删除个人信息 -------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "POST"])
@requires(ERASE)
def contact_erase(request: MemberRequest, pk: int) -> HttpResponse:
    """What would be removed of a person, and the request to do it."""
    contact = get_contact_or_404(request, pk)
    running = erasing.open_request_of(contact)
    if running is not None:
        return redirect("contacts:erasure", pk=running.pk)
    form = ErasureForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            made = erasing.request_erasure(contact.pk, by=request.actor, at=clock.now(), **form.cleaned_data)
            return redirect("contacts:erasure", pk=made.pk)
        except UserError as error:
            form.add_error(None, str(error.message))
    context = {
        "contact": contact,
        "form": form,
        "rows": erasing.preview(contact, clock.now()),
        "searched": erasing.searched_tables(),
        "branches": len(contact.family_ids) - 1,
    }
    return render(request, "contacts/erase.html", context, status=422 if form.errors else 200)


@require_GET
@requires(ERASE)
def erasure_list(request: MemberRequest) -> HttpResponse:
    """Every request, newest first."""
    page = keyset_page(ErasureRequest.objects.all(), ("-requested_at", "-pk"), request.GET.get("cursor", ""), size=50)
    rows = [{"one": one, "tone": TONES.get(one.state, "run"), "total": sum(one.counts.values())} for one in page.rows]
    return render(request, "contacts/erasure_list.html", {"rows": rows, **pager(request, page)})


@require_GET
@requires(ERASE)
def erasure_page(request: MemberRequest, pk: int) -> HttpResponse:
    """How far a request is; when it is over, the proof: tables, counts, times, and nothing of the person."""
    one = get_object_or_404(ErasureRequest, pk=pk)
    return render(request, "contacts/erasure.html", _certificate(one))


@require_GET
@requires(ERASE)
def erasure_status(request: MemberRequest, pk: int) -> HttpResponse:
    """The same, for a page that waits."""
    one = get_object_or_404(ErasureRequest, pk=pk)
    return render(request, "contacts/erasure.html#status", _certificate(one))


@require_POST
@requires(ERASE)
def erasure_take_back(request: MemberRequest, pk: int) -> HttpResponse:
    """While it waits, a request may be taken back."""
    erasing.take_back(get_object_or_404(ErasureRequest, pk=pk).pk, by=request.actor, at=clock.now())
    return redirect("contacts:erasure", pk=pk)


def _certificate(one: ErasureRequest) -> dict[str, Any]:
    waits = {holdup.name: holdup.label for holdup in erasure.holdups()}
    waits[erasing.MERGED] = _("合并后的客户的另一个删除请求")
    return {
        "one": one,
        "tone": TONES.get(one.state, "run"),
        "is_waiting": one.state == ErasureRequest.State.WAITING,
        "rows": _named(one.counts),
        "total": sum(one.counts.values()),
        "left": _named(one.left.get("keys", {})),
        "echoes": sum(one.left.get("words", {}).values()),
        "tables": one.left.get("tables", 0),
        "waits": [(waits.get(name, name), count) for name, count in one.waits_for.items()],
    }


def _named(counts: dict[str, int]) -> list[tuple[str, int]]:
    files = {"files": _("导出与导入文件")}
    return sorted((files.get(label) or erasure.name_of(label), count) for label, count in counts.items())
