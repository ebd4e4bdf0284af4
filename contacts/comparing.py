"""People and places as we have them, against what a batch says: what is missing, too much, or different.

The masks are those of scrm.lib.privacy; nobody's name or phone is kept with a difference.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from django.utils.translation import gettext_lazy as _

from contacts.kinds import ADD_WAYS
from contacts.models import Contact, Department, Follow, GroupChat, GroupMembership, Identity, Member, Relation
from contacts.services.forgotten import screen_groups, screen_people
from contacts.services.groups import lock_groups
from contacts.services.inbound import lock_people
from contacts.services.members import department_values, member_values
from contacts.services.people import detail_values
from scrm.lib.db.bulk import clean_text
from wecom_bridge.comparing import Difference, differing, name_columns, on_compare
from wecom_bridge.contracts import FollowInfo, GroupChatInfo, GroupsBatch, MembersBatch, PeopleBatch

# Whom WeCom lists for a guide: her friends, and those who deleted her (a one-way relation stays).
LISTED = (Relation.ACTIVE, Relation.DELETED_BY_CUSTOMER)
GENDERS = {0: _("未知"), 1: _("男"), 2: _("女")}
COLUMNS = {
    "name": _("名称"),
    "avatar_url": _("头像"),
    "gender": _("性别"),
    "kind": _("客户类型"),
    "corp_name": _("客户所在企业"),
    "remark": _("备注"),
    "description": _("描述"),
    "remark_company": _("备注企业"),
    "remark_mobiles": _("备注手机号"),
    "relation": _("关系"),
    "added_at": _("添加时间"),
    "add_way": _("添加方式"),
    "state": _("渠道参数"),
    "alias": _("别名"),
    "position": _("职务"),
    "mobile": _("手机号"),
    "department_ids": _("部门"),
    "status": _("状态"),
    "has_customer_contact": _("客户联系"),
    "parent_department_id": _("上级部门"),
    "order": _("排序"),
    "is_gone": _("已删除"),
    "notice": _("群公告"),
    "owner_userid": _("群主"),
    "dismissed_at": _("解散时间"),
    "joined_at": _("入群时间"),
    "group_nickname": _("群昵称"),
}


def compare_people(batch: PeopleBatch) -> Iterator[Difference]:
    """Contacts and their relations."""
    lock_people()
    batch = screen_people(batch)
    follows = _follows_of(batch)
    newer = {row.contact_id for row in follows.values() if row.synced_at and row.synced_at > batch.read_at}
    yield from _compare_contacts(batch, newer)
    for row in batch.rows:
        external = row.person.external_userid
        for info in row.follows:
            found = _compare_follow(f"{external}/{info.userid}", follows.get((external, info.userid)), info, batch)
            if found is not None:
                yield found
    for pair in batch.gone:
        follow = follows.get(pair)
        if follow is not None and follow.relation == Relation.ACTIVE and not _is_newer(follow, batch):
            yield Difference("follow", "/".join(pair), "extra")


def _follows_of(batch: PeopleBatch) -> dict[tuple[str, str], Follow]:
    wanted = {row.person.external_userid for row in batch.rows} | {external for external, _userid in batch.gone}
    rows = Follow.objects.filter(corp=batch.corp, **Identity.named(batch.corp, wanted)).select_related(
        "identity", "member"
    )
    return {(row.identity.value, row.member.userid): row for row in rows}


def _is_newer(follow: Follow, batch: PeopleBatch) -> bool:
    """Told since the batch was read: what we have is the later word."""
    return follow.relation_since > batch.read_at or bool(follow.synced_at and follow.synced_at > batch.read_at)


def _compare_follow(key: str, follow: Follow | None, info: FollowInfo, batch: PeopleBatch) -> Difference | None:
    """The notes, and the relation itself. A relation we know as ended by its customer is listed by WeCom all the same."""
    if follow is None:
        is_younger = info.created_at > batch.read_at
        return (
            None if is_younger else Difference("follow", key, "missing", {}, {"added_at": info.created_at.isoformat()})
        )
    if _is_newer(follow, batch):
        return None
    values: dict[str, Any] = {
        "remark": clean_text(info.remark, 64),
        "description": clean_text(info.description, 400),
        "remark_company": clean_text(info.remark_company, 64),
        "remark_mobiles": [clean_text(mobile, 40) for mobile in info.remark_mobiles if mobile],
    }
    if follow.relation not in LISTED:
        values["relation"] = Relation.ACTIVE.value
    if info.created_at > follow.added_at:  # an adding we did not hear of
        values["added_at"] = info.created_at
    elif info.created_at == follow.added_at:
        values |= {"add_way": info.add_way, "state": clean_text(info.state, 64)}
    sides = differing(Follow, follow, values)
    return Difference("follow", key, "different", *sides) if sides else None


def _compare_contacts(batch: PeopleBatch, newer: set[int]) -> Iterator[Difference]:
    """newer: contacts that were read again since."""
    infos = {row.person.external_userid: row.person for row in batch.rows}
    rows = Identity.objects.filter(
        kind=Identity.Kind.EXTERNAL_USERID,
        scope=batch.corp.corp_id,
        id_space=batch.corp.id_space,
        value__any_of=set(infos),
    )
    known = {row.value: row.contact for row in rows.select_related("contact")}
    shared = _known_by_several({contact.pk for contact in known.values()})
    for external, info in infos.items():
        contact = known.get(external)
        if contact is None:
            yield Difference("contact", external, "missing")
        elif contact.pk not in shared | newer:
            sides = differing(Contact, contact, detail_values(info))
            if sides:
                yield Difference("contact", external, "different", *sides)


def _known_by_several(contact_ids: set[int]) -> set[int]:
    """Contacts with several external_userids: each corp says its own, and the last word stands."""
    rows = Identity.objects.filter(kind=Identity.Kind.EXTERNAL_USERID, contact_id__any_of=contact_ids)
    return {pk for pk, count in Counter(rows.values_list("contact_id", flat=True)).items() if count > 1}


def compare_members(batch: MembersBatch) -> Iterator[Difference]:
    """Departments and members; what a full read lacks is too much with us."""
    departments = {row.department_id: row for row in Department.objects.filter(corp=batch.corp)}
    for info in batch.departments:
        row = departments.get(info.department_id)
        yield from _compare_row("department", str(info.department_id), Department, row, department_values(info))
    if batch.is_full and batch.departments:
        told = {info.department_id for info in batch.departments}
        standing = (pk for pk, row in departments.items() if not row.is_gone)
        yield from (Difference("department", str(pk), "extra") for pk in standing if pk not in told)
    userids = {info.userid for info in batch.members} | set(batch.left_userids)
    ours = Member.objects.filter(corp=batch.corp, id_space=batch.corp.id_space, userid__in=userids)
    members = {row.userid: row for row in ours}
    for one in batch.members:
        member = members.get(one.userid)
        if member is None or member.synced_at is None or member.synced_at <= batch.read_at:
            values = {name: value for name, value in member_values(one).items() if name != "search_text"}
            yield from _compare_row("member", one.userid, Member, member, values)
    for userid in batch.left_userids:
        if userid in members and members[userid].status != Member.Status.LEFT:
            yield Difference("member", userid, "extra")


def _compare_row(entity: str, key: str, model: Any, row: Any, values: dict[str, Any]) -> Iterable[Difference]:
    if row is None:
        return [Difference(entity, key, "missing")]
    sides = differing(model, row, values)
    return [Difference(entity, key, "different", *sides)] if sides else []


def compare_groups(batch: GroupsBatch) -> Iterator[Difference]:
    """Groups and who is in them."""
    lock_groups()
    batch = screen_groups(batch)
    chat_ids = {info.chat_id for info in batch.groups} | set(batch.dismissed)
    ours = GroupChat.objects.filter(corp=batch.corp, id_space=batch.corp.id_space, chat_id__in=chat_ids)
    known = {row.chat_id: row for row in ours}
    inside: dict[int, dict[str, GroupMembership]] = {group.pk: {} for group in known.values()}
    for row in GroupMembership.objects.filter(group_id__in=inside, left_at__isnull=True):
        inside[row.group_id][row.userid] = row
    for info in batch.groups:
        group = known.get(info.chat_id)
        if group is None:
            yield Difference("group", info.chat_id, "missing")
        elif group.synced_at is None or group.synced_at <= batch.read_at:
            yield from _compare_group(group, info, inside[group.pk])
    for chat_id in batch.dismissed:
        if chat_id in known and known[chat_id].dismissed_at is None:
            yield Difference("group", chat_id, "extra")


def _compare_group(group: GroupChat, info: GroupChatInfo, inside: dict[str, GroupMembership]) -> Iterator[Difference]:
    columns: dict[str, Any] = {"name": clean_text(info.name, 200), "notice": clean_text(info.notice), "owner_userid": info.owner_userid,
              "dismissed_at": None}  # fmt: skip
    yield from _compare_row("group", info.chat_id, GroupChat, group, columns)
    told = {one.userid: one for one in info.members}
    for userid, one in told.items():
        row = inside.get(userid)
        values: dict[str, Any] = {"joined_at": one.joined_at, "group_nickname": clean_text(one.group_nickname, 128)}
        if one.name:
            values["name"] = clean_text(one.name, 128)
        yield from _compare_row("group_member", f"{info.chat_id}/{userid}", GroupMembership, row, values)
    gone = (userid for userid in inside if userid not in told)
    yield from (Difference("group_member", f"{info.chat_id}/{userid}", "extra") for userid in gone)


def register() -> None:
    """Tell the bridge."""
    name_columns(
        COLUMNS,
        {
            "relation": dict(Relation.choices),
            "gender": GENDERS,
            "add_way": ADD_WAYS,
            "status": dict(Member.Status.choices),
        },
    )
    on_compare("people", name="contacts", compare=compare_people)
    on_compare("members", name="contacts", compare=compare_members)
    on_compare("groups", name="contacts", compare=compare_groups)
