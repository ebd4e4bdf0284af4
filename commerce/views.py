"""Orders: list, unbound ones, and bringing them in from files."""

import csv
import io
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import FileResponse, Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.access import MemberRequest, requires
from commerce.forms import ImportForm
from commerce.models import Order, OrderImport
from commerce.queries import visible_orders
from commerce.services.binding import bind_by_hand, bind_waiting, phones_on_two_people
from commerce.services.columns import COLUMNS
from commerce.services.imports import start_import
from contacts.filters import search_people
from contacts.phones import normalise_phone, show_phone
from contacts.queries import visible_contacts, visible_stores
from contacts.services.exports import stored_file
from contacts.views.exports import job_status
from scrm.lib import clock
from scrm.lib.errors import UserError
from scrm.lib.paging import keyset_page
from scrm.lib.privacy import mask_text
from tenants import audit
from tenants.context import current_tenant
from tenants.ledger.models import Job

ORDERING = ("-ordered_at", "-pk")


@require_GET
@requires("orders.view")
def order_list(request: MemberRequest) -> HttpResponse:
    """Orders by number or phone, source, store, day; a tab for those that belong to nobody yet."""
    everything = visible_orders(request.scope)
    orders = _filtered(everything, request)
    page = keyset_page(orders.select_related("contact", "store", "member"), ORDERING, request.GET.get("cursor", ""))
    is_unbound = request.GET.get("bound") == "no"
    unbound = everything.filter(contact__isnull=True).count()
    context = {
        "rows": _rows(request, page.rows, shared=is_unbound),
        "total": orders.count(),
        "shown": len(page.rows),
        "tabs": [
            {"label": _("全部订单"), "url": reverse("commerce:order_list"), "active": not is_unbound},
            {
                "label": _("未绑定客户"),
                "url": reverse("commerce:order_list") + "?bound=no",
                "active": is_unbound,
                "count": unbound,
            },
        ],
        "is_unbound": is_unbound,
        "sources": Order.objects.order_by("source").values_list("source", flat=True).distinct(),
        "stores": visible_stores(request.scope).order_by("name"),
        "is_filtered": any(request.GET.get(key) for key in ("q", "source", "store", "since", "until", "bound")),
        "can_import": "orders.import" in request.permissions,
        "as_of": clock.now(),
        "next_url": _url(request, page.next_cursor),
        "previous_url": _url(request, page.previous_cursor),
    }
    return render(request, "commerce/order_list.html", context)


def _filtered(orders: QuerySet[Order], request: MemberRequest) -> QuerySet[Order]:
    text, source, store = (request.GET.get(key, "").strip() for key in ("q", "source", "store"))
    if text:
        phone = normalise_phone(text)
        orders = (
            orders.filter(Q(number=text) | Q(buyer_phone=phone)) if phone else orders.filter(number__startswith=text)
        )
    if source:
        orders = orders.filter(source=source)
    if store:
        orders = orders.filter(store_id=int(store)) if store.isdecimal() and len(store) < 19 else orders.none()
    if request.GET.get("bound") == "no":
        orders = orders.filter(contact__isnull=True)
    since, until = _midnight(request.GET.get("since", "")), _midnight(request.GET.get("until", ""))
    if since:
        orders = orders.filter(ordered_at__gte=since)
    if until:
        orders = orders.filter(ordered_at__lt=until + timedelta(days=1))
    return orders


def _midnight(text: str) -> datetime | None:
    try:
        return datetime.combine(date.fromisoformat(text), time(), ZoneInfo(current_tenant().time_zone))
    except ValueError:
        return None


def _rows(request: MemberRequest, orders: list[Order], *, shared: bool) -> list[dict[str, Any]]:
    people = {order.contact.root_pk for order in orders if order.contact}
    visible = (
        set(visible_contacts(request.scope).filter(pk__in=people).values_list("pk", flat=True)) if people else set()
    )
    twice = phones_on_two_people(order.buyer_phone for order in orders if order.buyer_phone) if shared else set()
    return [
        {
            "order": order,
            "contact_id": root if (root := order.contact and order.contact.root_pk) in visible else None,
            "phone": mask_text(show_phone(order.buyer_phone)) if order.buyer_phone else "",
            "why": _why_unbound(order, twice) if shared else "",
        }
        for order in orders
    ]


def _why_unbound(order: Order, twice: set[str]) -> str:
    if order.buyer_phone in twice:
        return _("手机号属于多位客户,待合并")
    if order.buyer_phone or order.buyer_unionid or order.buyer_external_userid:
        return _("还没有这位客户")
    return _("文件里没有手机号、unionid 或 external_userid")


def _url(request: MemberRequest, cursor: str | None) -> str:
    query = request.GET.copy()
    query["cursor"] = cursor or ""
    return f"?{query.urlencode()}" if cursor else ""


@require_GET
@requires("orders.view")
def order_page(request: MemberRequest, pk: int) -> HttpResponse:
    """One order with lines and refunds; an unbound one can be given to a customer by hand."""
    order = get_object_or_404(
        visible_orders(request.scope).select_related("contact", "store", "member", "region", "dealer"), pk=pk
    )
    text = request.GET.get("q", "").strip()
    can_bind = order.contact_id is None and "orders.import" in request.permissions
    found = search_people(visible_contacts(request.scope), text)[:20] if can_bind and text else []
    context = {
        "order": order, "lines": order.lines.select_related("product").order_by("position"), "refunds": order.refunds.order_by("refunded_at"),
        "phone": mask_text(show_phone(order.buyer_phone)) if order.buyer_phone else "",
        "can_bind": can_bind, "q": text, "found": found,
        "contact_id": order.contact.root_pk if order.contact and visible_contacts(request.scope).filter(pk=order.contact.root_pk).exists() else None,
    }  # fmt: skip
    return render(request, "commerce/order_detail.html", context)


@require_POST
@requires("orders.import")
def order_bind(request: MemberRequest, pk: int) -> HttpResponse:
    """Give an unbound order to a customer."""
    order = get_object_or_404(visible_orders(request.scope), pk=pk)
    contact_id = request.POST.get("contact", "")
    contact = get_object_or_404(visible_contacts(request.scope), pk=contact_id if contact_id.isdecimal() else 0)
    bind_by_hand(order.pk, contact.pk, by=request.actor)
    return redirect("commerce:order", pk=pk)


@require_POST
@requires("orders.import")
def bind_again(request: MemberRequest) -> HttpResponse:
    """Try the unbound orders again, a batch per click at most ten."""
    after: int | None = 0
    for _batch in range(10):
        if after is None:
            break
        _seen, _bound, after = bind_waiting(after)
    return redirect(reverse("commerce:order_list") + "?bound=no")


@require_http_methods(["GET", "POST"])
@requires("orders.import")
def import_page(request: MemberRequest) -> HttpResponse:
    """Bring in a file; the imports so far."""
    form = ImportForm(request.POST or None, request.FILES or None, initial={"source": _last_source()})
    if request.method == "POST" and form.is_valid():
        try:
            record = start_import(form.cleaned_data["file"], form.cleaned_data["source"].strip(), by=request.actor)
        except UserError as error:
            form.add_error("file", error.message)
        else:
            return redirect("commerce:import", pk=record.pk)
    context = {"form": form, "imports": OrderImport.objects.order_by("-pk")[:30], "columns": COLUMNS}
    return render(request, "commerce/import_form.html", context, status=422 if request.method == "POST" else 200)


def _last_source() -> str:
    return OrderImport.objects.order_by("-pk").values_list("source", flat=True).first() or ""


def _job_of(record: OrderImport) -> Job | None:
    return Job.objects.filter(pk=record.job_id).first() if record.job_id else None


@require_GET
@requires("orders.import")
def import_result(request: MemberRequest, pk: int) -> HttpResponse:
    """What became of a file."""
    record = get_object_or_404(OrderImport, pk=pk)
    return render(request, "commerce/import_result.html", {"record": record, "status": _status(record)})


@require_GET
@requires("orders.import")
def import_status(request: MemberRequest, pk: int) -> HttpResponse:
    """Progress and numbers, polled."""
    record = get_object_or_404(OrderImport, pk=pk)
    return render(request, "commerce/import_result.html#numbers", {"record": record, "status": _status(record)})


def _status(record: OrderImport) -> dict[str, Any]:
    job = _job_of(record)
    if job is None:
        return {
            "state": "done",
            "done": record.rows_read,
            "total": record.rows_read,
            "title": record.file_name,
            "result": "",
        }
    return {**job_status(job), "result": job.last_error}


@require_GET
@requires("orders.import")
def import_rejects(request: MemberRequest, pk: int) -> HttpResponse:
    """The rows that did not come in, with the reasons; it holds what the file held, so the download is audited."""
    record = get_object_or_404(OrderImport, pk=pk)
    job = _job_of(record)
    path = stored_file(job) if job else None
    if path is None or not record.reject_path:
        raise Http404
    if record.created_by_id != request.user.pk and "contacts.unmask" not in request.permissions:
        raise PermissionDenied  # whole phone numbers of a file that somebody else brought
    audit.record("orders.rejects_downloaded", record, by=request.actor)
    return FileResponse(  # type: ignore[return-value]  # the stubs keep streaming answers apart
        path.open("rb"), as_attachment=True, filename=f"rejects-{pk}.csv", content_type="text/csv; charset=utf-8"
    )


@require_GET
@requires("orders.import")
def import_template(request: MemberRequest) -> HttpResponse:
    """An example file with every column."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([names[0] for names in COLUMNS.values()])
    sample = {
        "number": "20260131-0001",
        "ordered_at": "2026-01-31 18:30:00",
        "total": "299.00",
        "phone": "13800000000",
        "status": "已支付",
    }
    writer.writerow([sample.get(key, "") for key in COLUMNS])
    response = HttpResponse("\ufeff" + text.getvalue(), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="orders-template.csv"'
    return response
