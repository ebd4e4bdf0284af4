"""WeCom's JSON as values of contracts.py. Fields that do not apply are absent or empty there; unknown ones are ignored.

A row without the ids that make it usable raises KeyError: half a row must not look like a whole one.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from scrm.lib import clock
from wecom_bridge import contracts as c

# user/get `status`: 1 active, 2 disabled, 4 not activated, 5 left.
MEMBER_STATUS = {1: "active", 2: "disabled", 4: "inactive", 5: "left"}
Row = Mapping[str, Any]


def text(row: Row, name: str, most: int | None = None) -> str:
    """A text without NUL (PostgreSQL refuses it), cut to `most` characters; absent and null are empty."""
    value = row.get(name)
    clean = "" if value is None else str(value).replace("\x00", "")
    return clean[:most] if most else clean


def integer(row: Row, name: str, default: int = 0) -> int:
    """A number, also where it comes as text."""
    try:
        return int(row.get(name) or default)
    except (TypeError, ValueError, OverflowError):
        return default


def instant(row: Row, name: str) -> datetime | None:
    seconds = integer(row, name)
    return clock.from_unix(seconds) if 0 < seconds < 2**33 else None


def department(row: Row) -> c.DepartmentInfo:
    return c.DepartmentInfo(int(row["id"]), text(row, "name", 64), integer(row, "parentid"), integer(row, "order"))


def member(row: Row, *, serves: bool) -> c.MemberInfo:
    """A row of user/list or user/get; `serves`: she appears in get_follow_user_list."""
    return c.MemberInfo(
        userid=str(row["userid"]),
        name=text(row, "name", 64),
        department_ids=tuple(int(value) for value in row.get("department") or ()),
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
            str(tag["id"]),
            text(tag, "name", 40),
            integer(tag, "order"),
            instant(tag, "create_time"),
            bool(tag.get("deleted")),
        )
        for tag in row.get("tag") or ()
    )
    name, order = text(row, "group_name", 40), integer(row, "order")
    return c.TagGroupInfo(str(row["group_id"]), name, order, tags, bool(row.get("deleted")))


def external_contact(row: Row) -> c.ExternalContactInfo:
    return c.ExternalContactInfo(
        external_userid=str(row["external_userid"]),
        name=text(row, "name", 128),
        kind=integer(row, "type", 1),
        avatar_url=text(row, "avatar", 500),
        gender=integer(row, "gender"),
        unionid=text(row, "unionid", 64),
        corp_name=text(row, "corp_name", 128),
    )


def follow(row: Row) -> c.FollowInfo:
    """An entry of follow_user (tags as objects) or a follow_info of a batch page (tag_id as a list of corp tags)."""
    tags = row.get("tags")
    if tags is None:
        tag_ids, personal = tuple(map(str, row.get("tag_id") or ())), None
    else:
        tag_ids = tuple(str(tag["tag_id"]) for tag in tags if tag.get("tag_id"))
        personal = tuple(text(tag, "tag_name", 40) for tag in tags if not tag.get("tag_id"))
    return c.FollowInfo(
        userid=str(row["userid"]),
        created_at=clock.from_unix(row["createtime"]),
        remark=text(row, "remark", 64),
        description=text(row, "description", 400),
        remark_company=text(row, "remark_corp_name", 64),
        remark_mobiles=tuple(str(phone)[:40] for phone in row.get("remark_mobiles") or () if phone),
        tag_ids=tag_ids,
        personal_tags=personal,
        add_way=integer(row, "add_way"),
        state=text(row, "state", 64),
        oper_userid=text(row, "oper_userid", 64),
    )


def batch_entry(row: Row) -> tuple[c.ExternalContactInfo, c.FollowInfo]:
    """An item of batch/get_by_user."""
    return external_contact(row["external_contact"]), follow(row["follow_info"])


def group_chat(row: Row, status: int = 0) -> c.GroupChatInfo:
    created = clock.from_unix(row["create_time"])
    return c.GroupChatInfo(
        chat_id=str(row["chat_id"]),
        name=text(row, "name", 128),
        owner_userid=text(row, "owner", 64),
        created_at=created,
        notice=text(row, "notice"),
        members=tuple(_group_members(row.get("member_list") or (), created)),
        admin_userids=tuple(str(admin["userid"]) for admin in row.get("admin_list") or ()),
        member_version=text(row, "member_version", 64),
        status=status,
    )


def _group_members(rows: Iterable[Row], created: datetime) -> Iterable[c.GroupMemberInfo]:
    for row in rows:
        yield c.GroupMemberInfo(
            userid=str(row["userid"]),
            kind=integer(row, "type", 1),
            joined_at=instant(row, "join_time") or created,
            join_scene=integer(row, "join_scene"),
            name=text(row, "name", 128),
            group_nickname=text(row, "group_nickname", 128),
            unionid=text(row, "unionid", 64),
            invitor_userid=text(row.get("invitor") or {}, "userid", 64),
            state=text(row, "state", 64),
        )
