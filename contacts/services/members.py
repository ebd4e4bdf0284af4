"""The directory of a corp: departments, members, who works where from when."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from contacts import marks
from contacts.models import Contact, Department, GroupChat, Member, MemberPlacement
from contacts.services import placements
from contacts.services.search import searchable
from scrm.lib.db.bulk import clean_text, insert_rows, lock_rows, update_rows
from tenants import locks
from wecom_bridge.contracts import DepartmentInfo, MemberInfo, MembersBatch
from wecom_bridge.models import Corp

_TEXTS = {"name": 64, "alias": 64, "position": 128, "mobile": 20, "avatar_url": 500}


def apply_members(batch: MembersBatch) -> None:
    """Departments and members as read; members who left. Idempotent, set-based.

    What follows for who works where is noticed by services.staffing, within the same lock.

    A full read that lacks a department marks it gone; a member is only ever marked left by name (left_userids).
    """
    locks.lock_in_transaction("people")
    _write_departments(batch)
    _write_members(batch)
    if batch.left_userids:
        leavers = _of(batch.corp).filter(userid__in=batch.left_userids).exclude(status=Member.Status.LEFT)
        leaving = set(leavers.values_list("pk", flat=True))
        leavers.update(
            status=Member.Status.LEFT, has_customer_contact=False, left_at=batch.read_at, synced_at=batch.read_at
        )
        _mark_customers(leaving)


def _mark_customers(member_ids: Collection[int]) -> None:
    """Conditions ask whether a customer's guide is still there."""
    if member_ids:
        marks.mark_customers("contact.owner_left", owner_id__any_of=set(member_ids))


def ensure_members(corp: Corp, userids: Iterable[str]) -> dict[str, int]:
    """userid → member id; a userid the directory did not show us gets a row of unknown status."""
    wanted = {userid for userid in userids if userid}
    found = dict(_of(corp).filter(userid__in=wanted).values_list("userid", "pk"))
    missing = sorted(wanted - set(found))
    if missing:
        rows = [_blank(corp, userid) for userid in missing]
        insert_rows(Member, rows, ignore_conflicts=True)
        found |= dict(_of(corp).filter(userid__in=missing).values_list("userid", "pk"))
    return found


def _of(corp: Corp) -> QuerySet[Member]:
    """The corp's members by the ids it uses now; the same userid in another id-space is somebody else."""
    return Member.objects.filter(corp=corp, id_space=corp.id_space)


def _key(corp: Corp, userid: str) -> dict[str, Any]:
    return {"corp_id": corp.pk, "id_space": corp.id_space, "userid": userid}


def _blank(corp: Corp, userid: str) -> dict[str, Any]:
    return {
        **_key(corp, userid), "name": "", "alias": "", "position": "", "mobile": "", "avatar_url": "",
        "department_ids": [], "status": Member.Status.UNKNOWN.value, "has_customer_contact": False, "search_text": userid.lower(),
    }  # fmt: skip


def _write_departments(batch: MembersBatch) -> None:
    known = {row.department_id: row for row in Department.objects.filter(corp=batch.corp)}
    fresh, changed = [], []
    for info in batch.departments:
        values = department_values(info)
        row = known.get(info.department_id)
        if row is None:
            fresh.append({"corp_id": batch.corp.pk, "department_id": info.department_id} | values)
        elif any(getattr(row, name) != value for name, value in values.items()):
            changed.append({"id": row.pk} | values)
    insert_rows(Department, fresh, ignore_conflicts=True)
    update_rows(Department, changed)
    if batch.is_full and batch.departments:
        seen = [info.department_id for info in batch.departments]
        Department.objects.filter(corp=batch.corp, is_gone=False).exclude(department_id__in=seen).update(is_gone=True)


def department_values(info: DepartmentInfo) -> dict[str, Any]:
    return {
        "name": clean_text(info.name, 64),
        "parent_department_id": info.parent_id,
        "order": info.order,
        "is_gone": False,
    }


def _write_members(batch: MembersBatch) -> None:
    infos = {info.userid: info for info in batch.members}
    known = {row.userid: row for row in _of(batch.corp).filter(userid__in=infos)}
    fresh, changed = [], []
    for userid, info in sorted(infos.items()):
        values, row = member_values(info), known.get(userid)
        if row is None:
            fresh.append(_key(batch.corp, userid) | values | {"synced_at": batch.read_at})
        elif (row.synced_at is None or row.synced_at <= batch.read_at) and _differs(row, values):
            changed.append({"id": row.pk} | values | {"left_at": None, "archived_at": None, "synced_at": batch.read_at})
    insert_rows(Member, fresh, ignore_conflicts=True)
    update_rows(Member, changed)
    statuses = {row.pk: row.status for row in known.values()}
    _mark_customers({row["id"] for row in changed if row["status"] != statuses[row["id"]]})


def member_values(info: MemberInfo) -> dict[str, Any]:
    values: dict[str, Any] = {name: clean_text(getattr(info, name), limit) for name, limit in _TEXTS.items()}
    return values | {
        "department_ids": list(info.department_ids),
        "status": info.status,
        "has_customer_contact": info.has_customer_contact,
        "search_text": searchable([info.name, info.alias, info.userid])[:400],
    }


def _differs(row: Member, values: Mapping[str, Any]) -> bool:
    return any(getattr(row, name) != value for name, value in values.items())


def department_stores(corp: Corp) -> dict[int, int]:
    """WeCom department id → the store it, or the nearest department above it, stands for."""
    rows = {row.department_id: row for row in Department.objects.filter(corp=corp, is_gone=False)}
    found: dict[int, int] = {}
    for department_id in rows:
        seen: set[int] = set()
        row = rows.get(department_id)
        while row is not None and row.store_id is None and row.department_id not in seen:
            seen.add(row.department_id)
            row = rows.get(row.parent_department_id)
        if row is not None and row.store_id is not None:
            found[department_id] = row.store_id
    return found


def move_members(moves: Sequence[tuple[Member, int | None]], *, now: datetime, follow: bool = True) -> None:
    """Members work at another store from now on: placements and their store of today.

    follow: their customers and groups of the store they leave come along; those that a decision of before left at another
    store stay there, as all do without it.
    """
    if not moves:
        return
    moved = lock_rows(Member, (member.pk for member, _store in moves))
    before = dict(Member.objects.filter(pk__in=moved).values_list("pk", "store_id"))
    placements.write(MemberPlacement, {
        member.pk: {"store_id": store_id} if store_id else None for member, store_id in moves
    }, now=now)  # fmt: skip
    update_rows(Member, [{"id": member.pk, "store_id": store_id} for member, store_id in moves])
    if follow:
        _take_along(before, {member.pk: store_id for member, store_id in moves})


def _take_along(before: Mapping[int, int | None], homes: Mapping[int, int | None]) -> None:
    owned = Contact.objects.filter(owner_id__in=before, root__isnull=True)
    # Locked: whoever is credited to another meanwhile has that one's store.
    locked = owned.select_for_update(of=("self",)).order_by("pk").values_list("pk", "owner_id", "store_id")
    going = [(pk, owner_id) for pk, owner_id, store_id in locked if store_id in (None, before[owner_id])]
    update_rows(Contact, [{"id": pk, "store_id": homes[owner_id]} for pk, owner_id in going])
    marks.mark([pk for pk, _owner in going], "contact.store")
    groups = GroupChat.objects.filter(owner_id__in=before).values_list("pk", "owner_id", "store_id")
    update_rows(GroupChat, [
        {"id": pk, "store_id": homes[owner_id]}
        for pk, owner_id, store_id in groups
        if store_id in (None, before[owner_id])
    ])  # fmt: skip
