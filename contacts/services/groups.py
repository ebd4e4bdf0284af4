"""Customer groups as read: who is in, who came, who left, whose they are."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet

from contacts import marks
from contacts.arrivals import NewKey
from contacts.models import GroupChat, GroupMembership, Identity, Member, TimelineEvent
from contacts.timeline import NewEvent, record_events, restate_events, roots_of
from scrm.lib import clock
from scrm.lib.db.bulk import clean_text, insert_rows, update_rows
from tenants import locks
from wecom_bridge.contracts import EventFact, GroupChatInfo, GroupMemberInfo, GroupsBatch, RemovalsBatch
from wecom_bridge.models import Corp

EXTERNAL = 2


@dataclass(frozen=True)
class _Who:
    """Who the people of the batch are, as far as we know."""

    contacts: dict[str, int]
    members: dict[str, Member]


def apply_groups(batch: GroupsBatch) -> None:
    """Groups, memberships with their periods, owners, counts and timeline. Idempotent, a constant number of statements.

    A read older than what we have (synced_at) changes nothing. Times: joining as WeCom says, leaving as the event says,
    else when we looked. What a lost callback would have told is found by the read, counted as a gap, and recorded as
    `reconcile`.
    """
    lock_groups()
    who = _who(batch)
    groups, gapped = _write_groups(batch, who)
    _write_memberships(batch, groups, who, gapped)
    dismiss_groups(batch.corp, batch.dismissed, at=_dismissed_at(batch), source=batch.source)


def apply_lost_groups(batch: RemovalsBatch) -> None:
    """Groups that a complete, validated read did not show."""
    lock_groups()
    # What began or was read again since is not spoken of by this reading.
    newer = Q(created_at__gt=batch.read_at) | Q(synced_at__gt=batch.read_at)
    seen = _of(batch.corp).filter(chat_id__in=batch.groups).exclude(newer)
    gone = sorted(seen.values_list("chat_id", flat=True))
    dismiss_groups(batch.corp, gone, at={}, source=batch.source, fallback=batch.read_at)


def _of(corp: Corp) -> QuerySet[GroupChat]:
    """The corp's groups by the ids it uses now."""
    return GroupChat.objects.filter(corp=corp, id_space=corp.id_space)


def _key(corp: Corp, chat_id: str) -> dict[str, Any]:
    return {"corp_id": corp.pk, "id_space": corp.id_space, "chat_id": chat_id}


def lock_groups() -> None:
    """One writer of groups at a time per merchant."""
    locks.lock_in_transaction("groups")


def _who(batch: GroupsBatch) -> _Who:
    userids = {one.userid for group in batch.groups for one in group.members}
    userids |= {group.owner_userid for group in batch.groups}
    unions = {one.unionid: one.userid for group in batch.groups for one in group.members if one.unionid}
    external = Identity.objects.filter(
        kind=Identity.Kind.EXTERNAL_USERID, scope=batch.corp.corp_id, id_space=batch.corp.id_space, value__in=userids
    )
    contacts = dict(external.values_list("value", "contact_id"))
    missing = [union for union, userid in unions.items() if userid not in contacts]
    if missing and batch.corp.open_account:
        known = Identity.objects.filter(kind=Identity.Kind.UNIONID, scope=batch.corp.open_account, value__in=missing)
        contacts |= {unions[value]: contact_id for value, contact_id in known.values_list("value", "contact_id")}
    members = {
        row.userid: row
        for row in Member.objects.filter(
            corp=batch.corp, id_space=batch.corp.id_space, userid__in=userids
        ).select_related("store")
    }
    return _Who(contacts, members)


def _write_groups(batch: GroupsBatch, who: _Who) -> tuple[dict[str, GroupChat], set[str]]:
    """(chat_id → group, for those whose read is news; chat_ids of which a callback was lost)."""
    infos = {info.chat_id: info for info in batch.groups}
    known = {row.chat_id: row for row in _of(batch.corp).filter(chat_id__in=infos)}
    fresh, changed, events = [], [], []
    gapped: set[str] = set()
    for chat_id, info in sorted(infos.items()):
        row, values = known.get(chat_id), _group_values(info, who, batch.read_at)
        if row is None:
            fresh.append({**_key(batch.corp, chat_id), "created_at": info.created_at} | values)
        elif row.synced_at is None or row.synced_at <= batch.read_at:
            if row.store_id is not None and row.owner_id == values["owner_id"]:
                values["store_id"] = row.store_id  # where a move of her owner left it
            gaps = _count_gaps(batch.events, row)
            gapped |= {chat_id} if gaps else set()
            noted = {
                "version_gaps": row.version_gaps + gaps,
                "version_gap_at": batch.read_at if gaps else row.version_gap_at,
            }
            changed.append({"id": row.pk} | values | noted)
            if row.owner_userid and row.owner_userid != values["owner_userid"]:
                events.append(_owner_changed(row, values, batch))
        else:
            infos.pop(chat_id)
    insert_rows(GroupChat, fresh, ignore_conflicts=True)
    update_rows(GroupChat, changed)
    record_events(events)
    rows = _of(batch.corp).filter(chat_id__in=infos)
    return {row.chat_id: row for row in rows}, gapped


def _count_gaps(events: Sequence[EventFact], row: GroupChat) -> int:
    """Changes of members that nothing told: a LastMemVer (reference 11.5) which is neither the version we have nor one that
    another event of the batch led to. Events from before our last read may be passed over by it, and say nothing."""
    after = {
        event.fields["LastMemVer"]: event.fields.get("CurMemVer", "")
        for event in events
        if event.fields.get("ChatId") == row.chat_id
        and event.fields.get("LastMemVer")
        and (row.synced_at is None or event.occurred_at > row.synced_at)
    }
    if not row.member_version:
        return 0
    heads = set(after) - set(after.values()) - {row.member_version}
    return sum(not _leads_to(row.member_version, head, after) for head in heads)


def _leads_to(version: str, head: str, after: Mapping[str, str]) -> bool:
    """Whether the events from a version on arrive at the one we have: then our read was ahead of them."""
    for _step in after:
        head = after.get(head, "")
        if head == version:
            return True
    return False


def _group_values(info: GroupChatInfo, who: _Who, read_at: datetime) -> dict[str, Any]:
    owner = who.members.get(info.owner_userid)
    known = {choice for choice, _label in GroupChat.Status.choices}
    return {
        "name": clean_text(info.name, 200),
        "notice": clean_text(info.notice),
        "owner_id": owner.pk if owner else None,
        "owner_userid": info.owner_userid,
        "store_id": owner.store_id if owner else None,
        "status": info.status if info.status in known else GroupChat.Status.NORMAL.value,
        "member_version": info.member_version,
        "member_count": len(info.members),
        "customer_count": sum(one.kind == EXTERNAL for one in info.members),
        "dismissed_at": None,
        "synced_at": read_at,
    }


def _owner_changed(row: GroupChat, values: dict[str, Any], batch: GroupsBatch) -> NewEvent:
    at = _event_time(batch.events, row.chat_id, "change_owner") or batch.read_at
    return NewEvent(
        "group.owner_changed", at, batch.source, f"group.owner:{row.pk}:{values['member_version']}:{values['owner_userid']}"[:160],
        group_id=row.pk, member_id=values["owner_id"], subject=f"group:{row.pk}",
        payload={"from": row.owner_userid, "to": values["owner_userid"]},
    )  # fmt: skip


def _write_memberships(batch: GroupsBatch, groups: dict[str, GroupChat], who: _Who, gapped: set[str]) -> None:
    ids = {group.pk: chat_id for chat_id, group in groups.items()}
    rows = GroupMembership.objects.filter(group_id__in=ids)
    standing: dict[int, dict[str, GroupMembership]] = defaultdict(dict)
    joinings: set[tuple[int, str, datetime]] = set()
    for row in rows:
        joinings.add((row.group_id, row.userid, row.joined_at))
        if row.left_at is None:
            standing[row.group_id][row.userid] = row
    fresh, closing, patched, named = [], [], [], []
    for info in batch.groups:
        group = groups.get(info.chat_id)
        if group is None or group.synced_at != batch.read_at:
            continue
        here = standing[group.pk]
        now_in = {one.userid: one for one in info.members}
        for userid, row in here.items():
            one = now_in.get(userid)
            if one is None or one.joined_at != row.joined_at:
                until = one.joined_at if one else _left_at(batch, info.chat_id, row)
                source = _source_of(batch, info.chat_id, userid, "del_member", gapped)
                closing.append(_closing(row, until, batch, info.chat_id, source))
            elif (changes := _patch(row, one, who)) is not None:
                patched.append({"id": row.pk} | changes)
                named += [changes] if changes["contact_id"] != row.contact_id else []
        for userid, one in now_in.items():
            is_known = userid in here and here[userid].joined_at == one.joined_at
            if not is_known and (group.pk, userid, one.joined_at) not in joinings:
                fresh.append(_membership(group, one, who))
            elif not is_known:
                patched.append(_reopened(rows, group, one))
    update_rows(GroupMembership, [row for row, _event in closing])
    update_rows(GroupMembership, [row for row in patched if "left_at" not in row])
    update_rows(GroupMembership, [row for row in patched if "left_at" in row])
    insert_rows(GroupMembership, fresh, ignore_conflicts=True)
    events = [event for _row, event in closing]
    for joining in fresh:
        source = _source_of(batch, ids[joining["group_id"]], joining["userid"], "add_member", gapped)
        events.append(_joined(joining, source))
    record_events([event for event in events if event.payload.pop("external")])
    back = [row for row in patched if "left_at" in row]
    _drop_leavings([row["id"] for row in back], rows)
    _mark([*fresh, *back, *named], [row for row, _event in closing], standing)


def _source_of(batch: GroupsBatch, chat_id: str, userid: str, detail: str, gapped: set[str]) -> str:
    """Of a coming or going: as the batch came, but found later where a callback was lost and none of those here tells it."""
    told = (
        event.fields.get("ChatId") == chat_id and event.fields.get("UpdateDetail") == detail and _names(event, userid)
        for event in batch.events
    )
    return "reconcile" if chat_id in gapped and not any(told) else batch.source


def _drop_leavings(ids: Sequence[int], rows: Iterable[GroupMembership]) -> None:
    """The facts of leavings that were none: each would swallow the real one's."""
    back = set(ids)
    keys = [f"group.left:{r.group_id}:{r.userid}:{int(r.joined_at.timestamp())}" for r in rows if r.pk in back]
    if keys:
        restate_events([], dropped=list(TimelineEvent.objects.filter(fact_key__in=keys)))


def _membership(group: GroupChat, one: GroupMemberInfo, who: _Who) -> dict[str, Any]:
    member = who.members.get(one.userid) if one.kind != EXTERNAL else None
    return {
        "group_id": group.pk, "kind": EXTERNAL if one.kind == EXTERNAL else 1, "userid": one.userid,
        "name": clean_text(one.name, 128), "group_nickname": clean_text(one.group_nickname, 128),
        "contact_id": who.contacts.get(one.userid) if one.kind == EXTERNAL else None,
        "member_id": member.pk if member else None, "joined_at": one.joined_at, "join_scene": one.join_scene,
        "invitor_userid": one.invitor_userid, "state": one.state[:64],
    }  # fmt: skip


def _patch(row: GroupMembership, one: GroupMemberInfo, who: _Who) -> dict[str, Any] | None:
    """Names that changed, and a contact that became known since."""
    changes = {
        "name": clean_text(one.name, 128) or row.name,
        "group_nickname": clean_text(one.group_nickname, 128),
        "contact_id": row.contact_id or (who.contacts.get(one.userid) if row.kind == EXTERNAL else None),
    }
    return changes if any(getattr(row, name) != value for name, value in changes.items()) else None


def _reopened(rows: Iterable[GroupMembership], group: GroupChat, one: GroupMemberInfo) -> dict[str, Any]:
    """We thought she had left; WeCom lists the same joining still."""
    row = next(r for r in rows if (r.group_id, r.userid, r.joined_at) == (group.pk, one.userid, one.joined_at))
    return {
        "id": row.pk,
        "name": row.name,
        "group_nickname": row.group_nickname,
        "contact_id": row.contact_id,
        "left_at": None,
    }


def _left_at(batch: GroupsBatch, chat_id: str, row: GroupMembership) -> datetime:
    event = _leaving(batch, chat_id, row)
    return event.occurred_at if event else batch.read_at


def _leaving(batch: GroupsBatch, chat_id: str, row: GroupMembership) -> EventFact | None:
    """The event that told of her leaving; one from before this joining, late or replayed, told of another."""
    for event in batch.events:
        if (
            event.fields.get("ChatId") == chat_id
            and event.fields.get("UpdateDetail") == "del_member"
            and event.occurred_at >= row.joined_at
            and _names(event, row.userid)
        ):
            return event
    return None


def _names(event: EventFact, userid: str) -> bool:
    """Whether the event's list names the person; older callbacks carry no list and mean anybody."""
    names = event.listed("MemChangeList")
    return not names or userid in names


def _quit_scene(event: EventFact | None) -> int | None:
    scene = event.fields.get("QuitScene", "") if event else ""
    return int(scene) if scene.isdecimal() and len(scene) < 5 else None


def _closing(
    row: GroupMembership, until: datetime, batch: GroupsBatch, chat_id: str, source: str
) -> tuple[dict[str, Any], NewEvent]:
    left_at = max(until, row.joined_at)
    change = {"id": row.pk, "left_at": left_at, "quit_scene": _quit_scene(_leaving(batch, chat_id, row))}
    return change, _left(row, left_at, source)


def _left(row: GroupMembership, left_at: datetime, source: str) -> NewEvent:
    return NewEvent(
        "group.left", left_at, source, f"group.left:{row.group_id}:{row.userid}:{int(row.joined_at.timestamp())}",
        contact_id=row.contact_id, group_id=row.group_id, member_id=row.member_id, subject=f"group:{row.group_id}",
        payload={"userid": row.userid, "external": row.kind == EXTERNAL},
    )  # fmt: skip


def _joined(row: dict[str, Any], source: str) -> NewEvent:
    return NewEvent(
        "group.joined", row["joined_at"], source, f"group.joined:{row['group_id']}:{row['userid']}:{int(row['joined_at'].timestamp())}",
        contact_id=row["contact_id"], group_id=row["group_id"], subject=f"group:{row['group_id']}",
        payload={"userid": row["userid"], "scene": row["join_scene"], "state": row["state"], "external": row["kind"] == EXTERNAL},
    )  # fmt: skip


def _mark(
    fresh: Sequence[dict[str, Any]], closing: Sequence[dict[str, Any]], standing: dict[int, dict[str, GroupMembership]]
) -> None:
    closed = {row["id"] for row in closing}
    people = {row["contact_id"] for row in fresh}
    people |= {row.contact_id for here in standing.values() for row in here.values() if row.pk in closed}
    marks.mark(roots_of(pk for pk in people if pk).values(), "group")


def on_new_keys(keys: Sequence[NewKey]) -> None:
    """People became known who were in groups already: their memberships and the facts of those become theirs."""
    homes = {key.value: key.contact_id for key in keys if key.kind == Identity.Kind.EXTERNAL_USERID}
    if not homes:
        return
    rows = list(GroupMembership.objects.filter(userid__any_of=set(homes), kind=EXTERNAL, contact__isnull=True))
    if not rows:
        return
    update_rows(GroupMembership, [{"id": row.pk, "contact_id": homes[row.userid]} for row in rows])
    stems = {f"{row.group_id}:{row.userid}:{int(row.joined_at.timestamp())}": homes[row.userid] for row in rows}
    update_rows(
        TimelineEvent,
        [
            {"fact_key": f"{kind}:{stem}", "contact_id": pk}
            for stem, pk in stems.items()
            for kind in ("group.joined", "group.left")
        ],
        key="fact_key",
    )
    marks.mark(roots_of(homes[row.userid] for row in rows).values(), "group", "event.group.joined", "event.group.left")


def _event_time(events: Sequence[EventFact], chat_id: str, detail: str) -> datetime | None:
    found = (
        e.occurred_at for e in events if e.fields.get("ChatId") == chat_id and e.fields.get("UpdateDetail") == detail
    )
    return next(found, None)


def _dismissed_at(batch: GroupsBatch) -> dict[str, datetime]:
    return {e.fields.get("ChatId", ""): e.occurred_at for e in batch.events if e.change_type == "dismiss"}


def dismiss_groups(
    corp: Corp, chat_ids: Sequence[str], *, at: dict[str, datetime], source: str, fallback: datetime | None = None
) -> None:
    """Groups that are gone: dismissed once, everybody's membership ended with them."""
    if not chat_ids:
        return
    now = fallback or clock.now()
    gone = {g.pk: at.get(g.chat_id, now) for g in _of(corp).filter(chat_id__in=chat_ids, dismissed_at__isnull=True)}
    update_rows(
        GroupChat,
        [{"id": pk, "dismissed_at": when, "member_count": 0, "customer_count": 0} for pk, when in gone.items()],
    )
    inside = list(GroupMembership.objects.filter(group_id__in=gone, left_at__isnull=True))
    update_rows(GroupMembership, [{"id": row.pk, "left_at": max(gone[row.group_id], row.joined_at)} for row in inside])
    events = [
        NewEvent(
            "group.dismissed",
            when,
            source,
            f"group.dismissed:{pk}:{int(when.timestamp())}",
            group_id=pk,
            subject=f"group:{pk}",
        )
        for pk, when in gone.items()
    ]
    events += [_left(row, max(gone[row.group_id], row.joined_at), source) for row in inside if row.kind == EXTERNAL]
    for event in events:
        event.payload.pop("external", None)
    record_events(events)
    marks.mark(roots_of({row.contact_id for row in inside if row.contact_id}).values(), "group")
