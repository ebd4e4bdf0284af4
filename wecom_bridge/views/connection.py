"""The connection pages: overview, a corp's keys, the test."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import MemberRequest, requires
from scrm.lib.errors import UserError
from wecom_bridge import queries
from wecom_bridge.forms import CorpForm
from wecom_bridge.models import Corp, CorpCredential, InboundEvent, OutboundCommand
from wecom_bridge.services import corps


@require_safe
@requires("bridge.view")
def home(request: MemberRequest) -> HttpResponse:
    """Corps, their health, and what waits in both directions."""
    context = {
        "cards": queries.list_corps(),
        "inbox": queries.count_by_state(InboundEvent),
        "outbox": queries.count_by_state(OutboundCommand),
        "can_manage": "bridge.manage" in request.permissions,
    }
    return render(request, "wecom_bridge/home.html", context)


@require_http_methods(["GET", "POST"])
@requires("bridge.manage")
def corp_new(request: MemberRequest) -> HttpResponse:
    """Connect a corp."""
    form = CorpForm(request.POST or None, is_new=True)
    return _save(request, form, None)


@require_http_methods(["GET", "POST"])
@requires("bridge.manage")
def corp_edit(request: MemberRequest, pk: int) -> HttpResponse:
    """Change a corp's keys. What is secret is never shown back."""
    corp = get_object_or_404(Corp, pk=pk)
    credential = CorpCredential.objects.filter(corp=corp).only("agent_id", "corp_id").first()
    initial = {
        "name": corp.name,
        "corp_id": corp.corp_id,
        "open_account": corp.open_account,
        "agent_id": credential.agent_id if credential else "",
    }
    return _save(request, CorpForm(request.POST or None, initial=initial, is_new=False), corp)


def _save(request: MemberRequest, form: CorpForm, corp: Corp | None) -> HttpResponse:
    context: dict[str, Any] = {"form": form, "corp": corp}
    if request.method != "POST":
        return render(request, "wecom_bridge/corp_form.html", context)
    if form.is_valid():
        if corp is None and Corp.objects.filter(corp_id=form.cleaned_data["corp_id"]).exists():
            form.add_error("corp_id", _("这家企业已经接入,请在列表里修改。"))
        else:
            try:
                connection = corps.connect_corp(**form.cleaned_data, by=request.actor)
            except UserError as error:
                _show_error(form, error)
            else:
                shows_keys = corp is None or bool(form.cleaned_data["token"] or form.cleaned_data["encoding_aes_key"])
                return render(request, "wecom_bridge/keys.html", {"connection": connection, "shows_keys": shows_keys})
    return render(request, "wecom_bridge/corp_form.html", context, status=422)


def _show_error(form: CorpForm, error: UserError) -> None:
    field = next((name for name in error.fields if name in form.fields), None)
    form.add_error(field, error.message)


@require_POST
@requires("bridge.manage")
def corp_keys(request: MemberRequest, pk: int) -> HttpResponse:
    """New callback keys, shown once."""
    corp = get_object_or_404(Corp, pk=pk)
    connection = corps.renew_callback_keys(corp, by=request.actor)
    return render(request, "wecom_bridge/keys.html", {"connection": connection, "shows_keys": True})
