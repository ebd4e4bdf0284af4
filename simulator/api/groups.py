"""Customer groups (客户群)."""

from simulator.api import common, paging
from simulator.api.errors import WeComError
from simulator.api.fields import Field
from simulator.api.registry import Call, endpoint
from simulator.world.groups import Group, GroupMember

OWNERLESS_RANGE_MOST = 1000


@endpoint(
    "externalcontact/groupchat/list",
    Field("limit", int, missing=40058, least=1, most=1000),
    Field("status_filter", int, default=0, least=0, most=3),
    Field("owner_filter", dict),
    Field("cursor"),
)
def list_groups(call: Call) -> dict:
    """Ids and states of groups, of all owners or up to 100."""
    owners = (call["owner_filter"] or {}).get("userid_list") or []
    if not isinstance(owners, list) or len(owners) > 100:
        raise WeComError(40058, "invalid Request Parameter, userid_list")
    wanted = set(common.members(call, owners))
    if not owners and len(call.view.present()) > OWNERLESS_RANGE_MOST:
        raise WeComError(81017)
    book = call.corp.groups
    numbers = [n for n in book.living() if (book.owner(n) in wanted if wanted else common.owned_in_range(call, n))]
    if call["status_filter"]:
        numbers = [n for n in numbers if book.status(n) == call["status_filter"]]
    scope = ["groups", sorted(wanted), call["status_filter"]]
    rows, cursor = paging.page(numbers, call["cursor"], call["limit"], scope)
    listed = [{"chat_id": book.chat_id(n), "status": book.status(n)} for n in rows]
    return {"group_chat_list": listed} | ({"next_cursor": cursor} if cursor else {})


@endpoint(
    "externalcontact/groupchat/get",
    Field("chat_id", missing=40058),
    Field("need_name", int, default=0, least=0, most=1),
)
def get_group(call: Call) -> dict:
    """One group with its members; their names only with need_name 1."""
    group = call.corp.groups.get(common.group(call, call["chat_id"]))
    return {"group_chat": _shown(call, group)}


def _shown(call: Call, group: Group) -> dict:
    return {
        "chat_id": group.chat_id,
        "name": group.name,
        "owner": group.owner,
        "create_time": group.create_time,
        "notice": group.notice,
        "member_list": [_member_shown(call, row) for row in group.members.values()],
        "admin_list": [{"userid": userid} for userid in group.admins],
        "member_version": group.version,
    }


def _member_shown(call: Call, row: GroupMember) -> dict:
    shown: dict = {
        "userid": row.id,
        "type": row.kind,
        "join_time": row.join_time,
        "join_scene": row.join_scene,
        "group_nickname": "",
    }
    if row.invitor:
        shown["invitor"] = {"userid": row.invitor}
    if row.state:
        shown["state"] = row.state
    if row.kind == 1:
        found = call.corp.directory.find(row.id)
        return shown | ({"name": found.name if found else row.id} if call["need_name"] else {})
    number = call.corp.customers.number(row.id)
    person = call.corp.customers.customer(number) if number is not None else None
    if person and person.unionid and person.type == 1:
        shown["unionid"] = person.unionid
    return shown | ({"name": person.name} if person and call["need_name"] else {})
