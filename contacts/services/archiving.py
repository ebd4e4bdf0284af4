"""Places and members leave the lists without leaving history: they are archived, and may come back."""

from collections.abc import Callable
from typing import Any

from django.db import transaction
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from contacts import marks
from contacts.models import Contact, Dealer, Department, Member, Region, Store
from scrm.lib import clock
from scrm.lib.errors import UserError
from tenants import audit
from tenants.audit import Actor

Place = Region | Dealer | Store | Member


@transaction.atomic
def archive(row: Place, *, by: Actor) -> None:
    """Take a place or member out of lists and pickers; facts keep naming it. Nothing happens to one archived already.

    Raises UserError while something of today stands there: stores of a region or dealer, members and departments of a
    store, customers of a member, or a member who still works with the merchant.
    """
    row = _locked(row)
    if row.archived_at is not None:
        return
    for holds, sentence in _HOLDS[type(row)]:
        if holds(row):
            raise UserError(str(sentence), code="in_use")
    row.archived_at = clock.now()
    row.save(update_fields=["archived_at"])
    _mark(row)
    audit.record(f"{row._meta.model_name}.archived", row, by=by)


@transaction.atomic
def restore(row: Place, *, by: Actor) -> None:
    """Bring an archived place or member back. Raises UserError for a store whose region or dealer is archived itself."""
    row = _locked(row)
    if row.archived_at is None:
        return
    gone = next((place for place in _above(row) if place.archived_at is not None), None)
    if gone is not None:
        raise UserError(
            gettext("它所属的「%(name)s」也已归档,请先恢复「%(name)s」。") % {"name": gone.name}, code="in_use"
        )
    row.archived_at = None
    row.save(update_fields=["archived_at"])
    _mark(row)
    audit.record(f"{row._meta.model_name}.restored", row, by=by)


def _mark(row: Place) -> None:
    """Conditions ask whether a customer's store is in use."""
    if isinstance(row, Store):
        marks.mark_customers("contact.store_open", store=row)


def _above(row: Any) -> list[Region | Dealer]:
    return [place for place in (row.region, row.dealer) if place] if isinstance(row, Store) else []


def _locked(row: Any) -> Any:
    return type(row)._default_manager.select_for_update(of=("self",)).get(pk=row.pk)


def _has_stores(row: Region | Dealer) -> bool:
    return row.stores.filter(archived_at__isnull=True).exists()


def _has_members(store: Store) -> bool:
    return store.members.filter(archived_at__isnull=True).exclude(status=Member.Status.LEFT).exists()


def _has_departments(store: Store) -> bool:
    return Department.objects.filter(store=store, is_gone=False).exists()


def _works_here(member: Member) -> bool:
    return member.status == Member.Status.ACTIVE


def _has_customers(member: Member) -> bool:
    return Contact.objects.filter(owner=member, root__isnull=True).exists()


_HOLDS: dict[type, list[tuple[Callable[[Any], bool], str | Promise]]] = {
    Region: [(_has_stores, _("这个大区还有门店,请先把门店调到其他大区。"))],
    Dealer: [(_has_stores, _("这个经销商还有门店,请先调整门店的归属。"))],
    Store: [
        (_has_members, _("这家门店还有成员,请先调店。")),
        (_has_departments, _("还有企业微信部门对应这家门店,请先修改部门对应。")),
    ],
    Member: [
        (_works_here, _("成员仍在企业微信中,离职后才能归档。")),
        (_has_customers, _("还有客户归属这位成员,请先更改业绩归属。")),
    ],
}
