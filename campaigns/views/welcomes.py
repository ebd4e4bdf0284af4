"""欢迎语: templates with a preview, and what became of each."""

import json
from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db import IntegrityError, transaction
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _

from accounts.access import MemberRequest, require_also, requires
from campaigns.forms.parts import link_initial
from campaigns.forms.welcomes import WelcomeForm
from campaigns.models import WelcomeSend, WelcomeTemplate
from campaigns.queries import welcomes as queries
from campaigns.rendering import allowed_variables, preview, sample_values
from campaigns.services import welcomes
from scrm.lib import clock
from scrm.lib.errors import UserError

SHOWN_DAYS = 30


@requires("welcomes.edit")
def welcome_list(request: MemberRequest) -> HttpResponse:
    since = clock.wall() - timedelta(days=SHOWN_DAYS)
    found = queries.outcomes_since(since)
    used = queries.counts_by_template(since)
    templates = WelcomeTemplate.objects.select_related("store").order_by("-is_default", "-priority", "name")
    context = {
        "templates": [(row, preview(row.text), used.get(row.pk, 0)) for row in templates],
        "outcomes": [(state, label, found.counts.get(state, 0)) for state, label in WelcomeSend.State.choices],
        "found": found,
        "p50": None if found.p50 is None else found.p50 / 1000,
        "p95": None if found.p95 is None else found.p95 / 1000,
        "has_default": any(row.is_default and row.is_enabled for row in templates),
        "now": clock.wall(),
    }
    return render(request, "campaigns/welcome_list.html", context)


@requires("welcomes.edit")
def welcome_rows(request: MemberRequest) -> HttpResponse:
    """The welcomes behind a number."""
    require_also(request, "contacts.view")
    state = request.GET.get("state", "")
    rows = WelcomeSend.objects.filter(received_at__gte=clock.wall() - timedelta(days=SHOWN_DAYS))
    rows = rows.select_related("template", "period__follow__contact", "period__follow__member").order_by("-received_at")
    page = Paginator(rows.filter(state=state) if state else rows, 50).get_page(request.GET.get("page"))
    return render(request, "campaigns/welcome_rows.html", {"page": page, "state": state})


@requires("welcomes.edit")
def welcome_edit(request: MemberRequest, pk: int | None = None) -> HttpResponse:
    template = get_object_or_404(WelcomeTemplate, pk=pk) if pk else None
    form = WelcomeForm(request.POST or None, initial=_initial(template))
    if request.method == "POST" and form.is_valid():
        data = {key: value for key, value in form.cleaned_data.items() if not key.startswith("link_")}
        try:
            with transaction.atomic():
                welcomes.save_template(template, attachments=form.attachments(), by=request.actor, **data)
        except UserError as error:
            field = next((name for name in error.fields if name in form.fields), None)
            form.add_error(field, error.message)
        except IntegrityError:
            form.add_error("name", _("已有同名的欢迎语,请换个名字。"))
        else:
            messages.success(request, _("已保存,下一位添加的客户就用它。"))
            return redirect("campaigns:welcome_list")
    context = {
        "form": form,
        "template": template,
        "variables": allowed_variables("welcome"),
        "sample_sender": sample_values()["导购名"],
        "sample_json": json.dumps(sample_values(), ensure_ascii=False),
    }
    return render(request, "campaigns/welcome_edit.html", context, status=422 if form.errors else 200)


def _initial(template: WelcomeTemplate | None) -> dict[str, Any]:
    if template is None:
        return {"is_enabled": True, "is_default": not WelcomeTemplate.objects.filter(is_default=True).exists()}
    names = ("name", "text", "neutral_text", "store", "state", "priority", "is_default", "is_enabled")
    return {name: getattr(template, name) for name in names} | link_initial(template.attachments)
