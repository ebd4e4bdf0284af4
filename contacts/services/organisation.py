"""Stores, regions, dealers, who works where, which log-in is whom. Moves are placements: history stays where it happened."""

from collections.abc import Collection
from datetime import datetime

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.services import granting
from contacts import marks
from contacts.models import Dealer, Department, Member, MemberAccount, Region, Store, StorePlacement
from contacts.services import placements
from contacts.services.members import move_members
from contacts.services.staffing.deciding import settle_by_hand
from contacts.services.staffing.noticing import notice
from scrm.lib import clock
from scrm.lib.errors import Conflict, UserError
from tenants import audit, locks
from tenants.audit import Actor
from wecom_bridge.models import Corp

_OPENING = ("is_open", "opened_on", "closed_on")  # what says whether a store is in use


@transaction.atomic
def save_store(store: Store, *, by: Actor, seen: str | None = None) -> Store:
    """Create or change a store; another region or dealer begins a new placement now. Whether it is archived stays as it is.

    seen: Store.digest as the person saw it. Raises Conflict when somebody changed the store meanwhile, or took its code, UserError
    for a region or dealer that a colleague archived meanwhile.
    """
    now = clock.now()
    is_new = store.pk is None
    before = None if is_new else Store.objects.select_for_update(of=("self",)).get(pk=store.pk)
    if before is not None and seen not in (None, before.digest):
        text = _("您打开页面之后,门店「%(name)s」的资料被同事改过或归档了。请重新打开这一页,看过再改。")
        raise Conflict(text % {"name": before.name})
    _refuse_archived("region", Region, store.region_id, before.region_id if before else None)
    _refuse_archived("dealer", Dealer, store.dealer_id, before.dealer_id if before else None)
    _write_store(store, is_new)
    if is_new:
        # A first placement reaches back: facts from before the merchant joined us belong to it.
        _place_store(store, now)
    elif before and (before.region_id, before.dealer_id) != (store.region_id, store.dealer_id):
        _place_store(store, now)
        marks.mark_customers("contact.store", store=store)
    if before and any(getattr(before, name) != getattr(store, name) for name in _OPENING):
        marks.mark_customers("contact.store_open", store=store)
    audit.record("store.created" if is_new else "store.changed", store, by=by, code=store.code,
                 region=store.region_id, dealer=store.dealer_id)  # fmt: skip
    return store


def _write_store(store: Store, is_new: bool) -> None:
    try:
        with transaction.atomic():
            store.save(update_fields=None if is_new else _columns(store))
    except IntegrityError:
        if not Store.objects.filter(code=store.code).exclude(pk=store.pk).exists():
            raise
        message = _("编码 %(code)s 刚被另一家门店使用,请换一个。") % {"code": store.code}
        raise Conflict(message, fields={"code": message}) from None


def _refuse_archived(field: str, model: type[Region] | type[Dealer], now: int | None, before: int | None) -> None:
    """A place a store newly comes to is in use. Locked, since archiving looks for stores only once."""
    if now is None or now == before:
        return
    place = model.objects.select_for_update(of=("self",), no_key=True).get(pk=now)
    if place.archived_at is not None:
        message = _("「%(name)s」刚被归档,请先恢复它,或选另一个。") % {"name": place.name}
        raise UserError(message, code="archived", fields={field: message})


def _place_store(store: Store, now: datetime) -> None:
    spot = {"region_id": store.region_id, "dealer_id": store.dealer_id}
    placements.write(StorePlacement, {store.pk: spot}, now=now)


@transaction.atomic
def save_region(region: Region, *, by: Actor) -> Region:
    """Create or rename a region. Raises Conflict for a name that was taken meanwhile."""
    action = "region.created" if region.pk is None else "region.changed"
    _save_named(region)
    audit.record(action, region, by=by, name=region.name)
    return region


@transaction.atomic
def save_dealer(dealer: Dealer, *, by: Actor) -> Dealer:
    """Create or rename a dealer. Raises Conflict for a name that was taken meanwhile."""
    action = "dealer.created" if dealer.pk is None else "dealer.changed"
    _save_named(dealer)
    audit.record(action, dealer, by=by, name=dealer.name)
    return dealer


@transaction.atomic
def map_departments(stores: dict[int, int | None], *, by: Actor, new: Collection[int] = ()) -> int:
    """Say which store each department (by row id) stands for. Its newcomers, and those of departments below without a store of
    their own, work there from now on; who stands at another store waits in 人员变动 for a decision. How many departments
    changed. new: departments (by row id) for which a store of their name is made first.

    Raises UserError for a store that is archived, and for a department whose name is no name for a new store.
    """
    locks.lock_in_transaction("people")
    made = [_store_for(row, by=by) for row in Department.objects.filter(pk__in=new).order_by("pk")]
    stores = stores | dict(made)
    _refuse_archived_stores(stores)
    changed = []
    for row in Department.objects.select_for_update(of=("self",)).filter(pk__in=stores).select_related("corp"):
        if row.store_id != stores[row.pk]:
            row.store_id = stores[row.pk]
            row.save(update_fields=["store"])
            changed.append(row)
    now = clock.now()
    for corp in Corp.objects.filter(pk__in={row.corp_id for row in changed}):
        notice(corp, now=now)
    if changed:
        audit.record("departments.mapped", by=by, departments={str(row.pk): row.store_id for row in changed})
    return len(changed)


def _store_for(department: Department, *, by: Actor) -> tuple[int, int]:
    """A new store named like the department; its code is the department's number until somebody gives it another."""
    name = department.name.strip()[:60]
    if not name:
        raise UserError(
            _("部门 %(number)d 没有名称,请先在「门店」里新建,再选它。") % {"number": department.department_id}
        )
    if Store.objects.filter(name=name, archived_at__isnull=True).exists():
        raise UserError(_("已有门店「%(name)s」,请直接选它;确实是另一家的,请先在「门店」里新建。") % {"name": name})
    code = f"D{department.department_id}"
    if Store.objects.filter(code=code).exists():
        code = f"D{department.corp_id}-{department.department_id}"
    store = save_store(Store(code=code, name=name), by=by)
    return department.pk, store.pk


def _refuse_archived_stores(stores: dict[int, int | None]) -> None:
    """A department that stands for an archived store already is let be: the page sends every row."""
    standing = dict(Department.objects.filter(pk__in=stores).values_list("pk", "store_id"))
    fresh = {store_id for pk, store_id in stores.items() if store_id and store_id != standing.get(pk)}
    gone = Store.objects.filter(pk__in=fresh, archived_at__isnull=False).first()
    if gone is not None:
        raise UserError(_("「%(name)s」已归档,请先恢复它,或选另一家门店。") % {"name": gone.name}, code="archived")


@transaction.atomic
def move_member(member_id: int, store: Store | None, *, by: Actor, seen: str | None = None) -> Member:
    """调店 by hand: the guide works at another store from now on; her customers of the old store follow.

    seen: the id of the store the person saw her at, empty for none. Raises Conflict when somebody moved her meanwhile.
    """
    locks.lock_in_transaction("people")
    member = Member.objects.select_for_update(of=("self",)).get(pk=member_id)
    if member.store_id == (store.pk if store else None):
        return member
    if seen is not None and seen != str(member.store_id or ""):
        where = member.store or _("不属于门店")
        raise Conflict(_("您打开页面之后,她的门店已改为「%(store)s」。请看过再改。") % {"store": where})
    old = member.store_id
    move_members([(member, store.pk if store else None)], now=clock.now())
    audit.record("member.moved", member, by=by, old=old, new=store.pk if store else None)
    member.refresh_from_db()
    settle_by_hand(member, by=by)
    notice(member.corp, now=clock.now())
    settle_by_hand(member, by=by)  # her department proposes another store still: she was moved knowing it
    return member


@transaction.atomic
def link_member(user: User, member: Member, *, by: Actor) -> MemberAccount:
    """This log-in is that member. A member is one log-in's at most; a log-in may be several members (one per corp).

    Raises UserError when the member, or the user within that corp, is linked otherwise, NotAllowed for a log-in that holds more than
    the actor: who the member is in WeCom could come in as it.
    """
    granting.refuse_standing_for(by, user)
    # The member first, as the log-in by WeCom does.
    Member.objects.select_for_update(of=("self",), no_key=True).get(pk=member.pk)
    User.objects.select_for_update(of=("self",), no_key=True).get(pk=user.pk)
    taken = MemberAccount.objects.filter(member=member).select_related("user").first()
    if taken is not None:
        if taken.user_id == user.pk:
            return taken
        raise UserError(_("%(member)s 已关联账号 %(user)s,请先解除。") % {"member": member, "user": taken.user})
    if MemberAccount.objects.filter(user=user, member__corp=member.corp_id).exists():
        raise UserError(_("账号 %(user)s 在该企业已关联了另一位成员。") % {"user": user})
    account = MemberAccount.objects.create(user=user, member=member)
    audit.record("member.linked", member, by=by, user=user.pk)
    return account


@transaction.atomic
def unlink_member(member_id: int, *, by: Actor) -> None:
    """The member has no log-in any more."""
    account = MemberAccount.objects.filter(member_id=member_id).select_related("member").first()
    if account is not None:
        account.delete()
        audit.record("member.unlinked", account.member, by=by, user=account.user_id)


def _save_named(row: Region | Dealer) -> None:
    """A new row, or its new name. Raises Conflict for a name that was taken meanwhile."""
    try:
        with transaction.atomic():
            row.save(update_fields=None if row.pk is None else _columns(row))
    except IntegrityError:
        if not type(row).objects.filter(name=row.name).exclude(pk=row.pk).exists():
            raise
        message = _("名称「%(name)s」刚被使用,请换一个。") % {"name": row.name}
        raise Conflict(message, fields={"name": message}) from None


def _columns(row: Region | Dealer | Store) -> list[str]:
    """What is written of a row that was read earlier. Archiving is its own: who saves a form brings nothing back."""
    names = [field.name for field in row._meta.concrete_fields if not field.primary_key]
    return [name for name in names if name != "archived_at"]
