"""成员门店: who works at which store, from which day on. What lies before her latest placement is history and stays."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import Count
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from contacts.models import Contact, GroupChat, ImportRow, Member, MemberPlacement, Store
from contacts.services.imports import cells
from contacts.services.imports.registry import BadCell, Column, Kind, Slice
from contacts.services.imports.rows import SLICE, Verdict, save, to_do, write_verdicts
from contacts.services.members import move_members
from scrm.lib import clock
from scrm.lib.db.bulk import clean_text, lock_rows
from tenants import audit
from tenants.audit import Actor
from tenants.context import current_tenant

CUSTOMERS = 5_000  # who follow within one slice: some seconds, and locked no longer
_LONG_AGO = datetime(1970, 1, 1, tzinfo=ZoneInfo("UTC"))


def columns(heads: Sequence[str]) -> list[Column]:
    """What a file may say of where members work."""
    return [
        Column("userid", (_("成员账号"), "账号", "导购账号", "userid"), lambda: _userid, is_key=True, sample="zhangsan"),
        Column("store", (_("门店编码"), "门店", "store"), cells.choice(_("门店"), _stores, _("请先新增门店")), is_required=True, sample="S001"),
        Column("since", (_("生效日期"), "调店日期", "from"), cells.day(_("生效日期"), last=_today), sample="2026-01-01"),
    ]  # fmt: skip


def _userid(value: Any) -> str:
    text = clean_text(str(value))
    if len(text) > 64:
        raise BadCell(_("%(label)s超过 %(limit)d 个字") % {"label": _("成员账号"), "limit": 64})
    return text


def _stores() -> dict[str, Any]:
    return cells.by_name(Store.objects.filter(archived_at__isnull=True).values_list("pk", "code", "name"))


def _today() -> date:
    return clock.now().astimezone(ZoneInfo(current_tenant().time_zone)).date()


class Staffing:
    """The worker: moves by move_members, those of one day together."""

    def lock(self, part: Slice) -> None:
        lock_rows(Member, part.rows().filter(target_id__isnull=False).values_list("target_id", flat=True))

    def judge(self, part: Slice) -> None:
        members: dict[str, list[Member]] = defaultdict(list)
        for member in Member.objects.filter(userid__in=part.rows().values("key"), archived_at__isnull=True):
            members[member.userid].append(member)
        latest = _latest(member.pk for found in members.values() for member in found)
        zone = ZoneInfo(current_tenant().time_zone)
        gone = dict(Store.objects.filter(archived_at__isnull=False).values_list("pk", "name"))
        write_verdicts(
            part,
            lambda row: _verdict(row, members.get(row.key, []), latest, zone, gone),
            _("与第 %(line)d 行是同一位成员"),
        )

    def confirm(self, part: Slice) -> None:
        self.judge(part)

    def apply(self, part: Slice, *, by: Actor, now: datetime) -> None:
        rows = to_do(part)
        members = Member.objects.in_bulk([row.target_id for row in rows])
        before = _latest(members)
        days: dict[str, list[ImportRow]] = defaultdict(list)
        for row in rows:
            days[row.changes["since"][1] or ""].append(row)
        for since, moved in sorted(days.items()):
            moves = [(members[row.target_id or 0], row.changes["store"][1]) for row in moved]
            move_members(moves, now=datetime.fromisoformat(since) if since else now)
        after = _latest(members)
        for row in rows:
            old, new = before.get(row.target_id or 0), after[row.target_id or 0]
            row.changes["placement"] = [old.pk if old and old.placed_to is None else None, new.pk]
        save(rows)
        _audit(rows, by)

    def undo(self, part: Slice, *, by: Actor, now: datetime) -> None:
        rows = to_do(part)
        self.lock(part)
        members = Member.objects.in_bulk([row.target_id for row in rows])
        latest = _latest(members)
        moves = []
        for row in rows:
            member = members.get(row.target_id or 0)
            row.is_kept = member is None or not _give_back(member, latest.get(member.pk), row.changes)
            if member is not None and not row.is_kept:
                moves.append((member, row.changes["store"][0]))
        # The placements stand as they did; behind them, the store of today of each and of the customers she owns.
        move_members(moves, now=_LONG_AGO)
        save(rows)
        _audit([row for row in rows if not row.is_kept], by)


def narrow(part: Slice) -> int:
    """The line at which the customers and groups of the members so far are as many as one transaction should move; a single member's
    go together, however many they are."""
    rows = list(part.rows().values_list("line", "target_id"))
    members = {member_id for _line, member_id in rows if member_id}
    owned = Contact.objects.filter(owner_id__in=members, root__isnull=True).order_by()
    followers = Counter(dict(owned.values_list("owner_id").annotate(n=Count("pk"))))
    groups = GroupChat.objects.filter(owner_id__in=members).order_by()
    followers.update(dict(groups.values_list("owner_id").annotate(n=Count("pk"))))
    until, total = part.until, 0
    for at, (line, member_id) in enumerate(rows):
        total += followers[member_id or 0]
        if total > CUSTOMERS and at:
            return until
        until = line
    return until


def _verdict(
    row: ImportRow, found: list[Member], latest: dict[int, MemberPlacement], zone: ZoneInfo, gone: dict[int, str]
) -> Verdict:
    """gone: the stores that were archived, some of them since the file was read."""
    if not found:
        return Verdict(problem=_("没有这个成员账号"))
    if len(found) > 1:
        return Verdict(problem=_("这个账号在几个企业都有,请在成员页调店"))
    member, store_id, day = found[0], row.values["store"], row.values.get("since")
    if member.store_id == store_id:
        return Verdict(member.pk)
    if store_id in gone:
        return Verdict(
            member.pk, problem=_("门店「%(name)s」已归档,请先恢复它,或改成另一家") % {"name": gone[store_id]}
        )
    since = datetime.combine(date.fromisoformat(day), time(), zone) if day else None
    last = latest.get(member.pk)
    if since and last and (since <= last.placed_from or (last.placed_to and since < last.placed_to)):
        return Verdict(member.pk, problem=_("生效日期早于她现有的在店记录,历史不改写"))
    return Verdict(
        member.pk, {"store": [member.store_id, store_id], "since": [None, since.isoformat() if since else None]}
    )


def _latest(member_ids: Iterable[int]) -> dict[int, MemberPlacement]:
    rows = MemberPlacement.objects.filter(member_id__in=list(member_ids)).order_by("placed_from")
    return {row.member_id: row for row in rows}


def _give_back(member: Member, latest: MemberPlacement | None, changes: dict[str, list[Any]]) -> bool:
    """Take the placement of the file away and open the one before it again; False when she was moved since."""
    closed, made = changes.get("placement", (None, None))
    if latest is None or latest.pk != made or member.store_id != changes["store"][1] or latest.placed_to is not None:
        return False
    latest.delete()
    if closed is not None:
        MemberPlacement.objects.filter(pk=closed).update(placed_to=None)
    return True


def _audit(rows: Sequence[ImportRow], by: Actor) -> None:
    if rows:
        audit.record("members.placed", by=by, members=[row.target_id for row in rows][:100], count=len(rows))


KIND = Kind(
    "staffing",
    gettext_lazy("成员门店"),
    gettext_lazy("按成员账号写明在哪家门店,可写从哪天起。她名下客户的门店跟着变,过去的记录不变。"),
    "org.edit",
    columns,
    Staffing(),
    order=30,
    slice_rows=SLICE,
    narrow=narrow,
)
