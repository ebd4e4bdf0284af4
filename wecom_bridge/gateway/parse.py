"""WeCom's JSON as values of contracts.py. Fields that do not apply are absent or empty there; unknown ones are ignored.

A row without the ids that make it usable, or with a field of a shape that WeCom does not give it, raises Malformed: half a
row must not look like a whole one.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from scrm.lib import clock
from wecom_bridge import contracts as c
from wecom_bridge.gateway.errors import CallError

# user/get `status`: 1 active, 2 disabled, 4 not activated, 5 left.
MEMBER_STATUS = {1: "active", 2: "disabled", 4: "inactive", 5: "left"}
LONGEST_ID = 64
INT16, INT32, INT53 = 2**15 - 1, 2**31 - 1, 2**53
Row = Mapping[str, Any]


class Malformed(CallError):
    """WeCom answered, and not in the form it documents. The message names the field and never its content."""

    def __init__(self, name: str) -> None:
        super().__init__(f"broken answer: {name}", retryable=True)


def text(row: Row, name: str, most: int | None = None) -> str:
    """A text that PostgreSQL takes (no NUL, no lone surrogates), cut to `most` characters; absent and null are empty."""
    value = row.get(name)
    if value is None:
        return ""
    if not isinstance(value, str | int | float):
        raise Malformed(name)
    clean = str(value).replace("\x00", "").encode("utf-8", "ignore").decode()
    return clean[:most] if most else clean


def integer(row: Row, name: str, default: int = 0, most: int = INT32) -> int:
    """A number, also where it comes as text; the default for what is none, or for one that cannot be (beyond ±most)."""
    try:
        value = int(row.get(name) or default)
    except (TypeError, ValueError, OverflowError):
        return default
    return value if abs(value) <= most else default


def identifier(row: Row, name: str) -> str:
    """An id without which the row says nothing. Raises Malformed for an absent, empty, overlong or unprintable one."""
    value = row.get(name)
    found = value if isinstance(value, str) else str(value) if type(value) is int else ""
    if not 0 < len(found) <= LONGEST_ID or not found.isprintable():
        raise Malformed(name)
    return found


def number(row: Row, name: str) -> int:
    """A number without which the row says nothing. Raises Malformed."""
    found = integer(row, name, -1, INT53)
    if found < 0:
        raise Malformed(name)
    return found


def part(row: Row, name: str) -> Row:
    """An object within. Raises Malformed."""
    value = row.get(name)
    if not isinstance(value, Mapping):
        raise Malformed(name)
    return value


def items(row: Row, name: str) -> list[Any]:
    """A list within; absent and null are empty. Raises Malformed for anything else."""
    value = row.get(name)
    if value is None:
        return []
    if not isinstance(value, list | tuple):
        raise Malformed(name)
    return list(value)


def rows(row: Row, name: str) -> list[Row]:
    """A list of objects within; absent and null are empty. Raises Malformed."""
    found = items(row, name)
    if not all(isinstance(one, Mapping) for one in found):
        raise Malformed(name)
    return found


def texts(row: Row, name: str, most: int | None = None) -> tuple[str, ...]:
    """A list of texts within, the empty ones left out. Raises Malformed."""
    found = (text({name: one}, name, most) for one in items(row, name))
    return tuple(one for one in found if one)


def instant(row: Row, name: str) -> datetime | None:
    seconds = integer(row, name, most=INT53)
    return clock.from_unix(seconds) if 0 < seconds < 2**33 else None


def moment(row: Row, name: str) -> datetime:
    """An instant without which the row says nothing. Raises Malformed."""
    found = instant(row, name)
    if found is None:
        raise Malformed(name)
    return found


def department(row: Row) -> c.DepartmentInfo:
    order = integer(row, "order", most=INT53)
    return c.DepartmentInfo(number(row, "id"), text(row, "name", 64), integer(row, "parentid", most=INT53), order)


def member(row: Row, *, serves: bool) -> c.MemberInfo:
    """A row of user/list or user/get; `serves`: she appears in get_follow_user_list."""
    return c.MemberInfo(
        userid=identifier(row, "userid"),
        name=text(row, "name", 64),
        department_ids=tuple(number({"department": value}, "department") for value in items(row, "department")),
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
            bool(tag.get("deleted")),
        )
        for tag in rows(row, "tag")
    )
    name, order = text(row, "group_name", 40), integer(row, "order", most=INT53)
    return c.TagGroupInfo(identifier(row, "group_id"), name, order, tags, bool(row.get("deleted")))


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
        created_at=moment(row, "createtime"),
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
    return external_contact(part(row, "external_contact")), follow(part(row, "follow_info"))


def group_chat(row: Row, status: int = 0) -> c.GroupChatInfo:
    created = moment(row, "create_time")
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
