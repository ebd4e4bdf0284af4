"""预打标签 from a file: whose (phone or unionid), which tags, for how long it waits."""

import re
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.scope import scope_from_json
from contacts.models import ContactPhone, ImportRow
from contacts.phones import show_phone
from contacts.services.forgotten import find_forgotten
from contacts.services.imports import cells
from contacts.services.imports.registry import BadCell, Column, Kind, Read, Slice
from contacts.services.imports.rows import Verdict, save, to_do, write_verdicts
from contacts.services.inbound import lock_people
from contacts.timeline import roots_of
from scrm.lib.db.bulk import insert_rows
from scrm.lib.numbers import whole_number
from tagging.models import FollowTag, PreTag, TagGroup
from tagging.queries import live_tags
from tagging.services import pretags
from tagging.services.exclusive import rivals_among
from tagging.services.marks import mark_tags
from tagging.similar import LONGEST
from tenants.audit import Actor

SLICE = 2_000
DAYS, MOST_DAYS = 180, 730
_BETWEEN = re.compile(r"([、,,;;|]+)")
MOST_PIECES = 200  # of one cell


def columns(heads: Sequence[str]) -> list[Column]:
    """What a file may say."""
    return [
        Column("phone", (_("手机号"), "手机", "电话", "phone", "mobile"), lambda: cells.phone, is_key=True, sample="13800138000"),
        Column("unionid", ("unionid", "union_id"), lambda: _unionid, is_key=True),
        Column("tags", (_("标签"), "tags", "tag"), _tags, is_required=True, sample="敏感肌、老会员"),
        Column("days", (_("有效天数"), "天数", "days"), lambda: _days, sample="180"),
    ]  # fmt: skip


def _unionid(value: Any) -> str:
    text = str(value).strip()
    if not 6 <= len(text) <= 128 or not text.isascii() or " " in text:
        raise BadCell(_("unionid「%(value)s」不像一个 unionid") % {"value": text[:20]})
    return text


def _days(value: Any) -> int:
    days = whole_number(str(value).strip())
    if days is None or not 1 <= days <= MOST_DAYS:
        raise BadCell(_("有效天数请填 1 到 %(most)d") % {"most": MOST_DAYS})
    return days


def _tags() -> Read:
    """Names of standing tags, several parted by 、; a name that two groups have is written 组/标签."""
    known: dict[str, list[int]] = {}
    exclusive: dict[int, int] = {}  # tag → its group, of which a person has one tag only
    for tag in live_tags().exclude(group__kind=TagGroup.Kind.PERSONAL):
        if tag.group.kind == TagGroup.Kind.INTERNAL or tag.wecom_tag_id:
            known.setdefault(tag.name, []).append(tag.pk)
            known.setdefault(f"{tag.group.name}/{tag.name}", []).append(tag.pk)
            if tag.group.is_exclusive:
                exclusive[tag.pk] = tag.group_id

    def read(value: Any) -> list[int]:
        names = _names(str(value), known)
        found = []
        for name in names:
            ids = known.get(name, [])
            if not ids:
                raise BadCell(_("没有标签「%(name)s」,请先新建") % {"name": name[:30]})
            if len(set(ids)) > 1:
                raise BadCell(_("几个标签组里都有「%(name)s」,请写成 组名/标签") % {"name": name[:30]})
            found.append(ids[0])
        chosen = sorted(set(found))
        groups = [exclusive[pk] for pk in chosen if pk in exclusive]
        if len(groups) > len(set(groups)):
            raise BadCell(rivals_among(chosen))
        return chosen

    return read


def _names(cell: str, known: Collection[str]) -> list[str]:
    """The names of a cell. A name may hold what parts names: from each place on, the longest that is known counts as one."""
    pieces = _BETWEEN.split(cell)[: 2 * MOST_PIECES]  # names at even places, what parts them at odd ones
    names, place = [], 0
    while place < len(pieces):
        ends = range(min(len(pieces), place + 2 * LONGEST), place, -1)
        joined = ((end, "".join(pieces[place:end]).strip()) for end in ends)
        end, name = next(((end, name) for end, name in joined if name in known), (place + 1, pieces[place].strip()))
        if name and not (end == place + 1 and place % 2):
            names.append(name)
        place = end
    return names


class PreTagging:
    """The worker."""

    def lock(self, part: Slice) -> None:
        # Nobody arrives between the look and the writing.
        lock_people()

    def judge(self, part: Slice) -> None:
        phones = set(part.rows().filter(is_broken=False, key_kind="phone").values_list("key", flat=True))
        sees_all = scope_from_json(part.run.scope).sees_all
        forgotten = find_forgotten(sorted(phones)).since
        shared = _shared(phones)

        def verdict(row: ImportRow) -> Verdict:
            if not sees_all:
                return Verdict(problem=_("预打标签可能打在任何门店的客户身上,要由看得到全部门店的人导入"))
            if row.key in forgotten:
                return Verdict(problem=_("这位客户要求删除过个人信息,不能打标签"))
            if row.key in shared:
                return Verdict(problem=_("有多位客户用这个号码,分不清是谁"))
            shown = show_phone(row.key) if row.key_kind == "phone" else row.key
            return Verdict(None, {row.key_kind: [None, shown]}, is_new=True)

        write_verdicts(part, verdict, _("与第 %(line)d 行是同一位客户"))

    def confirm(self, part: Slice) -> None:
        self.judge(part)

    def apply(self, part: Slice, *, by: Actor, now: datetime) -> None:
        rows = to_do(part)
        written = insert_rows(
            PreTag, [_row(row, now) for row in rows], ignore_conflicts=True, returning=("id", "kind", "value")
        )
        ids = {(kind, value): pk for pk, kind, value in written}
        for row in rows:
            row.target_id = ids.get((row.key_kind, row.key))
        save(rows)
        pretags.apply({(row.key_kind, row.key) for row in rows})

    def undo(self, part: Slice, *, by: Actor, now: datetime) -> None:
        """What still waits goes; a tag it put goes while it is the one that stands."""
        rows = to_do(part)
        ours = (
            PreTag.objects.select_for_update(of=("self",)).filter(pk__in=[row.target_id for row in rows]).order_by("pk")
        )
        standing = {one.pk: one for one in ours}
        kept = _take_off([one for one in standing.values() if one.contact_id], by=by)
        for row in rows:
            row.is_kept = row.target_id in kept
        PreTag.objects.filter(pk__in=standing.keys() - kept).delete()
        save(rows)


def _take_off(applied: Sequence[PreTag], *, by: Actor) -> set[int]:
    """Take back what these put; those of whom nothing of it stands any more."""
    via = {f"{pretags.VIA}{one.import_id}" for one in applied}
    people = roots_of({one.contact_id for one in applied if one.contact_id})
    marks = FollowTag.objects.filter(
        via__in=via, state__in=("on", "adding"), contact_id__in={*people, *people.values()}
    )
    found: dict[int, list[tuple[int, int]]] = {}
    for contact_id, follow_id, tag_id in marks.values_list("contact_id", "follow_id", "tag_id"):
        found.setdefault(contact_id, []).append((follow_id, tag_id))
    kept, by_tag = set(), dict[int, list[int]]()
    for one in applied:
        hers = found.get(one.contact_id or 0, [])
        for follow_id, tag_id in hers:
            by_tag.setdefault(tag_id, []).append(follow_id)
        if not hers:
            kept.add(one.pk)
    for tag_id, follows in by_tag.items():
        mark_tags(follows, remove=[tag_id], origin=FollowTag.Origin.OPERATOR, by=by)
    return kept


def _shared(phones: set[str]) -> set[str]:
    """Phones that several people have."""
    rows = list(ContactPhone.objects.filter(phone__any_of=phones).values_list("phone", "contact_id").distinct())
    roots, people = roots_of({pk for _phone, pk in rows}), dict[str, set[int]]()
    for phone, pk in rows:
        people.setdefault(phone, set()).add(roots[pk])
    return {phone for phone, found in people.items() if len(found) > 1}


def _row(row: ImportRow, now: datetime) -> dict[str, Any]:
    return {
        "import_id": row.run_id, "kind": row.key_kind, "value": row.key, "tag_ids": row.values["tags"],
        "state": PreTag.State.WAITING.value, "contact_id": None, "created_at": now,
        "expires_at": now + timedelta(days=row.values.get("days", DAYS)), "consumed_at": None,
    }  # fmt: skip


KIND = Kind(
    "pretags",
    gettext_lazy("预打标签"),
    gettext_lazy(
        "先写好手机号或 unionid 和标签,客户一加上导购就打上,已经是好友的马上打上。每位只打一次;一个号码有多位客户的不打,列出来。"
        "几个标签用顿号隔开;有效天数不写就是 180 天。"
    ),
    "tags.edit",
    columns,
    PreTagging(),
    order=50,
    slice_rows=SLICE,
    may_act=True,
)
