"""WeCom's rows as values of contracts.py. A row without the ids that make it usable raises Malformed."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import TypeVar

from wecom_bridge import contracts as c
from wecom_bridge.gateway.errors import from_failure
from wecom_bridge.shapes.pieces import (
    INT16,
    INT53,
    LONGEST_ID,
    Malformed,
    Row,
    flag,
    identifier,
    instant,
    integer,
    items,
    needed_instant,
    needed_integer,
    needed_part,
    rows,
    text,
    texts,
)

T = TypeVar("T")
# user/get `status`: 1 active, 2 disabled, 4 not activated, 5 left.
MEMBER_STATUS = {1: "active", 2: "disabled", 4: "inactive", 5: "left"}


def kept(read: Callable[[], T]) -> T:
    """Read rows kept from an earlier answer. Raises CallError, as if they came just now, instead of Malformed."""
    try:
        return read()
    except Malformed as error:
        raise from_failure(error) from None


def department(row: Row) -> c.DepartmentInfo:
    order = integer(row, "order", most=INT53)
    return c.DepartmentInfo(
        _department_id(row, "id"), text(row, "name", 64), integer(row, "parentid", most=INT53), order
    )


def _department_id(row: Row, name: str) -> int:
    found = needed_integer(row, name)
    if found < 0:
        raise Malformed(name)
    return found


def member(row: Row, *, serves: bool) -> c.MemberInfo:
    """A row of user/list or user/get; `serves`: she appears in get_follow_user_list."""
    return c.MemberInfo(
        userid=identifier(row, "userid"),
        name=text(row, "name", 64),
        department_ids=tuple(_department_id({"department": one}, "department") for one in items(row, "department")),
        status=MEMBER_STATUS.get(integer(row, "status"), "unknown"),
        has_customer_contact=serves,
        alias=text(row, "alias", 64),
        position=text(row, "position", 128),
        mobile=text(row, "mobile", 20),
        avatar_url=text(row, "avatar", 500),
    )


def tag_group(row: Row) -> c.TagGroupInfo:
    tags = tuple(
        c.TagInfo(
            identifier(tag, "id"),
            text(tag, "name", 40),
            integer(tag, "order", most=INT53),
            instant(tag, "create_time"),
            flag(tag, "deleted"),
        )
        for tag in rows(row, "tag")
    )
    name, order = text(row, "group_name", 40), integer(row, "order", most=INT53)
    return c.TagGroupInfo(identifier(row, "group_id"), name, order, tags, flag(row, "deleted"))


def external_contact(row: Row) -> c.ExternalContactInfo:
    return c.ExternalContactInfo(
        external_userid=identifier(row, "external_userid"),
        name=text(row, "name", 128),
        kind=integer(row, "type", 1, INT16),
        avatar_url=text(row, "avatar", 500),
        gender=integer(row, "gender", most=INT16),
        unionid=text(row, "unionid", 64),
        corp_name=text(row, "corp_name", 128),
    )


def follow(row: Row) -> c.FollowInfo:
    """An entry of follow_user (tags as objects) or a follow_info of a batch page (tag_id as a list of corp tags)."""
    personal: tuple[str, ...] | None = None
    if row.get("tags") is None:
        tag_ids = texts(row, "tag_id", LONGEST_ID)
    else:
        tags = rows(row, "tags")
        tag_ids = tuple(identifier(tag, "tag_id") for tag in tags if tag.get("tag_id"))
        personal = tuple(text(tag, "tag_name", 40) for tag in tags if not tag.get("tag_id"))
    return c.FollowInfo(
        userid=identifier(row, "userid"),
        created_at=needed_instant(row, "createtime"),
        remark=text(row, "remark", 64),
        description=text(row, "description", 400),
        remark_company=text(row, "remark_corp_name", 64),
        remark_mobiles=texts(row, "remark_mobiles", 40),
        tag_ids=tag_ids,
        personal_tags=personal,
        add_way=integer(row, "add_way"),
        state=text(row, "state", 64),
        oper_userid=text(row, "oper_userid", 64),
    )


def batch_entry(row: Row) -> tuple[c.ExternalContactInfo, c.FollowInfo]:
    """An item of batch/get_by_user."""
    return external_contact(needed_part(row, "external_contact")), follow(needed_part(row, "follow_info"))


def group_chat(row: Row, status: int = 0) -> c.GroupChatInfo:
    created = needed_instant(row, "create_time")
    return c.GroupChatInfo(
        chat_id=identifier(row, "chat_id"),
        name=text(row, "name", 128),
        owner_userid=text(row, "owner", 64),
        created_at=created,
        notice=text(row, "notice"),
        members=tuple(_group_members(rows(row, "member_list"), created)),
        admin_userids=tuple(identifier(admin, "userid") for admin in rows(row, "admin_list")),
        member_version=text(row, "member_version", 64),
        status=status,
    )


def _group_members(found: Iterable[Row], created: datetime) -> Iterable[c.GroupMemberInfo]:
    for row in found:
        invitor = row.get("invitor")
        yield c.GroupMemberInfo(
            userid=identifier(row, "userid"),
            kind=integer(row, "type", 1, INT16),
            joined_at=instant(row, "join_time") or created,
            join_scene=integer(row, "join_scene"),
            name=text(row, "name", 128),
            group_nickname=text(row, "group_nickname", 128),
            unionid=text(row, "unionid", 64),
            invitor_userid=text(invitor, "userid", 64) if isinstance(invitor, Mapping) else "",
            state=text(row, "state", 64),
        )
