"""The page the chat toolbar of WeCom opens: it asks the JS-SDK whose chat this is, and goes on to her page."""

from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import urlsplit

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from accounts.access import MemberRequest, requires
from accounts.scope import data_scope
from contacts.models import Member
from contacts.services import toolbar as service
from contacts.views.wecom_login import MEMBERS, start_url
from scrm.lib.errors import UserError
from wecom_bridge import weblinks
from wecom_bridge.services.jssdk import sign_page

LONGEST_URL = 2_000
View = Callable[..., HttpResponse]


def through_wecom(view: View) -> View:
    """Nobody types a password beside a chat: who is not logged in goes through WeCom, and comes back here."""

    @wraps(view)
    def opened(request: HttpRequest, pk: int) -> HttpResponse:
        if not request.user.is_authenticated and weblinks.app_of(pk) is not None:
            return redirect(start_url(pk, request.path))
        return view(request, pk)

    return opened


@require_GET
@requires("contacts.view")
def toolbar_home(request: MemberRequest) -> HttpResponse:
    """Without a corp in the address: the only one there is, or a choice."""
    apps = weblinks.connected_apps()
    if len(apps) == 1:
        return redirect("contacts:toolbar", pk=apps[0].corp.pk)
    return render(request, "contacts/toolbar_corps.html", {"apps": apps, "phone_tab": "customers"})


@never_cache
@require_GET
@through_wecom
@requires("contacts.view")
def toolbar(request: MemberRequest, pk: int) -> HttpResponse:
    """The page itself. A session that WeCom did not open for this corp goes through WeCom first: the guide of the page is who
    holds the chat."""
    app = _app_or_404(pk)
    if _member(request, pk) is None:
        return redirect(start_url(pk, request.path))
    request.csp_scripts = (weblinks.script_origin(),)  # type: ignore[attr-defined]  # read by the content policy, for this page alone
    context = {"app": app, "script": weblinks.script_url(), "phone_tab": "customers", "back_url": "/m/customers/"}
    return render(request, "contacts/toolbar.html", context)


@require_POST
@requires("contacts.view")
def toolbar_sign(request: MemberRequest, pk: int) -> HttpResponse:
    """The two signatures of a page of this very host."""
    app, url = _app_or_404(pk), request.POST.get("url", "")
    parts = urlsplit(url)
    if (parts.scheme, parts.netloc) != (request.scheme, request.get_host()) or len(url) > LONGEST_URL:
        return JsonResponse({"error": "not_ours"}, status=400)
    try:
        corp, agent = sign_page(app, url)
    except UserError as error:
        answer = {"error": error.code, "message": str(error.message)}
        return JsonResponse(answer, status=error.status, json_dumps_params={"ensure_ascii": False})
    return JsonResponse({"config": corp.shown(), "agentConfig": agent.shown()})


@require_POST
@requires("contacts.view")
def toolbar_open(request: MemberRequest, pk: int) -> HttpResponse:
    """The customer or the group the SDK named: off to the page, or what stands against it."""
    app = _app_or_404(pk)
    if _member(request, pk) is None:
        return _go(start_url(pk, reverse("contacts:toolbar", args=[pk])))
    if chat_id := request.POST.get("chat_id", ""):
        return _open_group(request, app, chat_id)
    try:
        found = service.find_customer(app.corp, request.POST.get("external_userid", ""), request.scope)
    except UserError as error:
        return _outcome(request, pk, "no_answer", words=str(error.message))
    if found.contact_id is None:
        return _outcome(request, pk, found.why)
    return _go(reverse("contacts:contact", args=[found.contact_id]))


def _open_group(request: MemberRequest, app: weblinks.App, chat_id: str) -> HttpResponse:
    scope = data_scope(request.user, "groups.view", grants=request.grants)
    group = service.find_group(app.corp, chat_id, scope)
    if group is None:
        return _outcome(request, app.corp.pk, "no_group")
    return _go(reverse("contacts:group", args=[group.pk]))


def _app_or_404(pk: int) -> weblinks.App:
    app = weblinks.app_of(pk)
    if app is None:
        raise Http404
    return app


def _member(request: MemberRequest, corp_pk: int) -> Member | None:
    """The member of this corp as whom WeCom let her in, while she is still this log-in's and has not left."""
    pk = request.session.get(MEMBERS, {}).get(str(corp_pk))
    hers = Member.objects.filter(corp_id=corp_pk, account__user=request.user).exclude(status=Member.Status.LEFT)
    return hers.filter(pk=pk).first() if pk else None


def _go(url: str) -> HttpResponse:
    response = HttpResponse(status=204)
    response["HX-Redirect"] = url
    return response


def _outcome(request: MemberRequest, pk: int, why: str, **more: Any) -> HttpResponse:
    return render(request, "contacts/_toolbar_outcome.html", {"why": why, "corp_pk": pk, **more})
