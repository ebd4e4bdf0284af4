"""批量加好友: phones to add. A guide named in the row gets it, else the guides of its store evenly; the rest waits as 待分配."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.scope import scope_from_json
from contacts.models import Contact, ContactPhone, ImportRow, ImportRun, Member, PhoneBatch, PhoneToAdd, Store
from contacts.phones import show_phone
from contacts.queries import stores_of
from contacts.services import adding
from contacts.services.forgotten import find_forgotten
from contacts.services.imports import cells
from contacts.services.imports.registry import Column, Kind, Slice
from contacts.services.imports.rows import Verdict, save, to_do, write_verdicts
from contacts.services.inbound import lock_people
from contacts.services.opt_out import is_opted_out
from scrm.lib import clock
from scrm.lib.db.bulk import insert_rows
from tenants.audit import Actor

SLICE = 2000


def columns(heads: Sequence[str]) -> list[Column]:
    """What a file may say of phones to add."""
    return [
        Column("phone", (_("手机号"), "手机", "电话", "phone", "mobile"), lambda: cells.phone, is_key=True, sample="13800138000"),
        Column("name", (_("称呼"), "姓名", "客户姓名", "name"), cells.text(60, _("称呼")), sample="王女士"),
        Column("remark", (_("备注"), "说明", "remark"), cells.text(200, _("备注")), sample="周年庆到店,想试香"),
        Column("source", (_("来源"), "渠道", "source"), cells.text(60, _("来源")), sample="周年庆"),
        Column("store", (_("门店编码"), "门店", "store"), cells.choice(_("门店"), _stores, _("请先新增门店")), sample="S001"),
        Column("member", (_("导购账号"), "导购", "成员账号", "userid"), cells.choice(_("导购"), _members, _("请写成员账号"))),
    ]  # fmt: skip


def _stores() -> dict[str, Any]:
    return cells.by_name(Store.objects.filter(archived_at__isnull=True).values_list("pk", "code", "name"))


def _members() -> dict[str, Any]:
    rows = Member.objects.filter(archived_at__isnull=True)
    return cells.by_name(rows.values_list("pk", "userid", "name"))


class Adding:
    """The worker."""

    def lock(self, part: Slice) -> None:
        # Nobody is added between the look and the writing.
        lock_people()

    def judge(self, part: Slice) -> None:
        phones = list(part.rows().filter(is_broken=False).values_list("key", flat=True))
        known = _Known(part.run, phones)
        write_verdicts(part, known.verdict, _("与第 %(line)d 行是同一个号码"))

    def confirm(self, part: Slice) -> None:
        self.judge(part)

    def apply(self, part: Slice, *, by: Actor, now: datetime) -> None:
        rows = to_do(part)
        if not rows:
            return
        batch = _batch(part.run, now)
        written = insert_rows(
            PhoneToAdd,
            [_row(batch, row, now) for row in rows],
            ignore_conflicts=True,
            returning=("id", "phone"),
        )
        ids = {phone: pk for pk, phone in written}
        for row in rows:
            row.target_id = ids.get(row.key)
            if row.target_id is None:  # another file was quicker
                row.outcome, row.problem, row.changes = "rejected", _("这个号码已在别的批次里"), {}
        save(rows)
        _give_out(part.run, rows, ids, now)

    def undo(self, part: Slice, *, by: Actor, now: datetime) -> None:
        """What nobody took up goes; a number that a guide copied or that was added stays."""
        rows = to_do(part)
        untouched = PhoneToAdd.objects.filter(
            pk__in=[row.target_id for row in rows], state__in=(PhoneToAdd.State.UNASSIGNED, PhoneToAdd.State.TO_ADD)
        ).exclude(copied_at__isnull=False)
        gone = set(untouched.select_for_update(of=("self",)).order_by("pk").values_list("pk", flat=True))
        PhoneToAdd.objects.filter(pk__in=gone).delete()
        for row in rows:
            row.is_kept = row.target_id not in gone
        save(rows)


class _Known:
    """What speaks against phones of a slice, in a constant number of queries."""

    def __init__(self, run: ImportRun, phones: Collection[str]) -> None:
        self.scope = scope_from_json(run.scope)
        self.open = set(
            PhoneToAdd.objects.filter(phone__any_of=set(phones), state__in=adding.OPEN).values_list("phone", flat=True)
        )
        people = _people(phones)
        self.friends = {phone for phone, active, _quiet in people if active}
        self.quiet = {phone for phone, _active, is_quiet in people if is_quiet}
        self.forgotten = find_forgotten(phones).since
        self.members = dict(adding.takers(self.scope).values_list("pk", "store_id"))
        stores = Store.objects.filter(archived_at__isnull=True)
        within = stores if self.scope.sees_all else stores.filter(stores_of(self.scope))
        self.stores = set(within.values_list("pk", flat=True))

    def verdict(self, row: ImportRow) -> Verdict:
        phone, store, member = row.key, row.values.get("store"), row.values.get("member")
        problem = ""
        if phone in self.forgotten:
            problem = _("这位客户要求删除过个人信息,不能再添加")
        elif phone in self.friends:
            problem = _("这个号码已经是导购的好友,不用再添加")
        elif phone in self.quiet:
            problem = _("这位客户设了免打扰")
        elif phone in self.open:
            problem = _("这个号码已在别的批次里,还没有加完")
        elif store and store not in self.stores:
            problem = _("门店不在您的管辖范围内")
        elif member and member not in self.members:
            problem = _("这位导购不能添加客户:不在您的管辖范围内、没有激活,或没有客户联系权限")
        elif not store and not member and not self.scope.sees_all:
            problem = _("请写明门店或导购(只能分给您管辖的)")
        if problem:
            return Verdict(problem=problem)
        return Verdict(None, {"phone": [None, show_phone(phone)]}, is_new=True)


def _people(phones: Collection[str]) -> list[tuple[str, int, bool]]:
    """(phone, how many guides are her friends, 免打扰) of whoever has one of these phones."""
    held = list(
        ContactPhone.objects.filter(phone__any_of=set(phones))
        .order_by()
        .values_list("phone", "contact_id", "contact__root_id")
    )
    now = clock.now()
    people = Contact.objects.in_bulk({root or contact_id for _phone, contact_id, root in held})
    return [
        (phone, person.active_follows, is_opted_out(person, now))
        for phone, contact_id, root in held
        if (person := people.get(root or contact_id))
    ]


def _batch(run: ImportRun, now: datetime) -> PhoneBatch:
    batch, _made = PhoneBatch.objects.get_or_create(
        import_id=run.pk, defaults={"name": run.file_name, "created_at": now, "created_by_id": run.created_by_id}
    )
    return batch


def _row(batch: PhoneBatch, row: ImportRow, now: datetime) -> dict[str, Any]:
    values = row.values
    return {
        "batch_id": batch.pk, "phone": row.key, "name": values.get("name", ""), "remark": values.get("remark", ""),
        "source": values.get("source", ""), "store_id": values.get("store"), "member_id": None, "had": [],
        "state": PhoneToAdd.State.UNASSIGNED.value, "reason": "", "created_at": now, "state_at": now, "recycle_at": None,
        "copied_at": None, "contact_id": None, "added_by_id": None, "add_way": None,
    }  # fmt: skip


def _give_out(run: ImportRun, rows: Sequence[ImportRow], ids: dict[str, int], now: datetime) -> None:
    """To the guide the row names, else within its store. Rows that name neither wait for a manager."""
    named = {ids[row.key]: row.values["member"] for row in rows if row.values.get("member") and row.key in ids}
    wanted = [ids[row.key] for row in rows if row.key in ids and (row.values.get("store") or row.values.get("member"))]
    phones = list(PhoneToAdd.objects.filter(pk__in=wanted).order_by("pk"))
    within = adding.by_store(phones, adding.takers(scope_from_json(run.scope)))
    adding.give(phones, lambda phone: {named[phone.pk]} if phone.pk in named else within(phone), at=now)


KIND = Kind(
    "adding",
    gettext_lazy("批量加好友"),
    gettext_lazy(
        "要导购去添加的手机号。写了导购的给这位导购,只写门店的在店里平均分,都没写的先放在待分配,由您在批量加好友页分给门店或导购。"
        "企业微信没有替导购加好友的接口:号码由导购自己复制、搜索、添加。"
    ),
    "phones.manage",
    columns,
    Adding(),
    order=40,
    slice_rows=SLICE,
)
