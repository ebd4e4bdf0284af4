"""The platform operator's pages: merchants and their health, open, suspend, resume, delete."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.access import MemberRequest, requires
from accounts.audit_words import action_label
from console.forms import TenantForm
from console.queries import health_of, list_tenants
from console.services.opening import issue_admin_link, order_drop, order_opening, send_provision
from scrm.lib.errors import Conflict, UserError
from scrm.lib.paging import keyset_page
from tenants.models import Domain, PlatformAudit, Tenant, TenantState
from tenants.services import domains, lifecycle


@require_GET
@requires("platform.view")
def tenant_list(request: MemberRequest) -> HttpResponse:
    """Every merchant with its state, backlog, last sync and schema."""
    rows = list_tenants(request.GET.get("q", "").strip())
    page = keyset_page(rows, ("-pk",), request.GET.get("cursor", ""))
    context = {"page": page, "health": health_of(page.rows), "total": rows.count()}
    return render(request, "console/tenants.html", context)


@require_GET
@requires("platform.view")
def tenant_detail(request: MemberRequest, pk: int) -> HttpResponse:
    """One merchant: health, hosts, what the platform did to it."""
    tenant = get_object_or_404(Tenant, pk=pk)
    deeds = list(PlatformAudit.objects.filter(tenant_id=pk).order_by("-at", "-pk")[:30])
    context = {
        "health": health_of([tenant])[0],
        "hosts": Domain.objects.filter(tenant=tenant).order_by("-is_primary", "domain"),
        "events": [{"at": row.at, "title": action_label(row.action), "text": row.operator_name} for row in deeds],
        "may_manage": "platform.manage" in request.permissions,
        "is_active": tenant.state == TenantState.ACTIVE,
        "is_suspended": tenant.state == TenantState.SUSPENDED,
        "is_opening": tenant.state == TenantState.PROVISIONING,
        "may_drop": tenant.state in (TenantState.SUSPENDED, TenantState.DROPPING),
    }
    return render(request, "console/tenant.html", context)


@require_http_methods(["GET", "POST"])
@requires("platform.manage")
def tenant_create(request: MemberRequest) -> HttpResponse:
    """A new merchant; a worker builds its schema while the page of the merchant shows how far it is."""
    form = TenantForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            tenant = order_opening(
                data["slug"], data["name"], by=request.actor, time_zone=data["time_zone"], is_sandbox=data["is_sandbox"]
            )
        except UserError as error:
            field = next((name for name in error.fields if name in form.fields), None)
            form.add_error(field, error.fields.get(field, str(error.message)) if field else str(error.message))
        else:
            return redirect("console_tenant", pk=tenant.pk)
    return render(request, "console/tenant_form.html", {"form": form}, status=422 if form.errors else 200)


@require_POST
@requires("platform.manage")
def tenant_retry(request: MemberRequest, pk: int) -> HttpResponse:
    """Go on with a merchant whose opening stopped."""
    tenant = get_object_or_404(Tenant, pk=pk)
    if not send_provision(tenant.pk):
        raise Conflict(_("任务队列连不上,请稍后再试。"))
    messages.success(request, _("已交给后台继续开通。"))
    return redirect("console_tenant", pk=pk)


@never_cache
@require_POST
@requires("platform.manage")
def tenant_admin_link(request: MemberRequest, pk: int) -> HttpResponse:
    """The one-time link of the merchant's administrator, shown once."""
    tenant = get_object_or_404(Tenant, pk=pk)
    if tenant.state != TenantState.ACTIVE:
        raise Conflict(_("商户正常时才能发登录链接。"))
    link = issue_admin_link(tenant, by=request.actor)
    return render(request, "console/admin_link.html", {"subject": tenant, "link": link})


@require_POST
@requires("platform.manage")
def tenant_suspend(request: MemberRequest, pk: int) -> HttpResponse:
    """Close a merchant's door."""
    tenant = get_object_or_404(Tenant, pk=pk)
    lifecycle.suspend(tenant.pk, by=request.actor, reason=request.POST.get("reason", "")[:200])
    messages.success(request, _("%(name)s 已停用,数据都还在。") % {"name": tenant.name})
    return redirect("console_tenant", pk=pk)


@require_POST
@requires("platform.manage")
def tenant_resume(request: MemberRequest, pk: int) -> HttpResponse:
    """Open it again."""
    tenant = get_object_or_404(Tenant, pk=pk)
    lifecycle.resume(tenant.pk, by=request.actor)
    messages.success(request, _("%(name)s 已恢复。") % {"name": tenant.name})
    return redirect("console_tenant", pk=pk)


@require_POST
@requires("platform.manage")
def tenant_drop(request: MemberRequest, pk: int) -> HttpResponse:
    """Delete a suspended merchant for good, after a dump."""
    tenant = order_drop(get_object_or_404(Tenant, pk=pk).pk, request.POST.get("typed", "").strip(), by=request.actor)
    messages.success(request, _("后台正在备份并删除 %(name)s,备份的文件名会写进平台操作记录。") % {"name": tenant.name})
    return redirect("console_tenants")


@require_POST
@requires("platform.manage")
def domain_add(request: MemberRequest, pk: int) -> HttpResponse:
    """Let a merchant answer on a host of its own."""
    row = domains.add_domain(get_object_or_404(Tenant, pk=pk), request.POST.get("host", ""), by=request.actor)
    messages.success(request, _("%(host)s 已加上。请确认代理的证书也包含它。") % {"host": row.domain})
    return redirect("console_tenant", pk=pk)


@require_POST
@requires("platform.manage")
def domain_remove(request: MemberRequest, pk: int, domain_pk: int) -> HttpResponse:
    """Stop answering on a host."""
    row = get_object_or_404(Domain.objects.select_related("tenant"), pk=domain_pk, tenant_id=pk)
    domains.remove_domain(row.tenant, row.pk, by=request.actor)
    return redirect("console_tenant", pk=pk)


@require_GET
@requires("platform.view")
def audit_list(request: MemberRequest) -> HttpResponse:
    """What the platform's operators did."""
    page = keyset_page(PlatformAudit.objects.all(), ("-at", "-pk"), request.GET.get("cursor", ""))
    for row in page.rows:
        row.label = action_label(row.action)  # type: ignore[attr-defined]  # set here for the page or the sweep, no column of the model
    return render(request, "console/audit.html", {"page": page})
