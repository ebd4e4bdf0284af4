"""API tokens, how long records are kept, and the audit."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.access import MemberRequest, requires
from accounts.audit_words import action_label
from accounts.forms import AuditFilterForm, RetentionForm, TokenForm
from accounts.models import ApiToken
from accounts.queries import list_audit
from accounts.services import tokens
from scrm.lib import clock
from scrm.lib.errors import UserError
from scrm.lib.paging import keyset_page
from tenants import retention
from tenants.ledger.models import RetentionRule


@never_cache
@require_http_methods(["GET", "POST"])
@requires("tokens.manage")
def token_list(request: MemberRequest) -> HttpResponse:
    """Tokens in use, and the form for another; the answer to the form is the only page that shows the token."""
    form, shown = TokenForm(request.POST or None), ""
    if request.method == "POST" and form.is_valid():
        try:
            _token, shown = tokens.create_token(
                form.cleaned_data["name"], form.cleaned_data["scopes"], by=request.actor, expires_at=form.expires_at()
            )
            form = TokenForm()
        except UserError as error:
            form.add_error("scopes", str(error.message))
    rows = ApiToken.objects.select_related("created_by").order_by("-pk")
    context = {"form": form, "rows": rows, "shown": shown, "now": clock.wall()}
    return render(request, "accounts/tokens.html", context, status=422 if form.errors else 200)


@require_POST
@requires("tokens.manage")
def token_revoke(request: MemberRequest, pk: int) -> HttpResponse:
    """Stop a token for good."""
    token = tokens.revoke_token(get_object_or_404(ApiToken, pk=pk).pk, by=request.actor)
    messages.success(request, _("令牌“%(name)s”已撤销。") % {"name": token.name})
    return redirect("tokens")


@require_http_methods(["GET", "POST"])
@requires("retention.edit")
def retention_page(request: MemberRequest) -> HttpResponse:
    """How long each kind of record is kept, what went last, and the form to change the days."""
    kinds = sorted(retention.all_kinds(), key=lambda kind: str(kind.label))
    rules = {rule.kind: rule for rule in RetentionRule.objects.all()}
    days = {key: rule.keep_days for key, rule in rules.items()}
    form = RetentionForm(request.POST or None, kinds=kinds, days=days)
    if request.method == "POST" and form.is_valid():
        changed = retention.set_days(form.cleaned_data, by=request.actor)
        said = ngettext("已修改 %(n)d 项,今晚起生效。", "已修改 %(n)d 项,今晚起生效。", len(changed)) % {
            "n": len(changed)
        }
        messages.success(request, said if changed else _("没有改动。"))
        return redirect("retention")
    rows = [{"kind": kind, "rule": rules.get(kind.key), "field": form[kind.key]} for kind in kinds]
    context = {"form": form, "rows": rows, "next_due": retention.next_due()}
    return render(request, "accounts/retention.html", context, status=422 if form.errors else 200)


@require_GET
@requires("audit.view")
def audit_list(request: MemberRequest) -> HttpResponse:
    """Who did what, newest first."""
    form = AuditFilterForm(request.GET or None)
    filters = form.cleaned_data if form.is_bound and form.is_valid() else {}
    page = keyset_page(list_audit(filters), ("-at", "-pk"), request.GET.get("cursor", ""))
    for row in page.rows:
        row.label = action_label(row.action)  # type: ignore[attr-defined]  # set here for the page or the sweep, no column of the model
    return render(request, "accounts/audit.html", {"form": form, "page": page})
