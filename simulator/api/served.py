"""Everybody served from outside (已服务的外部联系人): customers with what identifies them, others masked."""

from simulator.api import paging
from simulator.api.fields import Field
from simulator.api.registry import Call, endpoint
from simulator.clock import wall
from simulator.world.groups import Group


def _seats(call: Call, group: Group) -> list[str]:
    """Everybody from outside in a group of a member in range."""
    if call.view.find(group.owner) is None:
        return []
    return [row.id for row in group.members.values() if row.kind == 2]


def _follow_shown(call: Call, userid: str, number: int) -> dict:
    follow, external_userid = call.corp.customers.follow(userid, number), call.corp.customers.external_userid(number)
    return {
        "is_customer": True,
        "tmp_openid": call.corp.crossings.lend_temporary(external_userid, wall()),
        "external_userid": external_userid,
        "follow_userid": userid,
        "add_time": follow.createtime if follow else 0,
    }


def _seat_shown(call: Call, group: Group, external_userid: str) -> dict:
    """A customer by id and chat_id; anybody else by a masked name and the group's name."""
    book = call.corp.customers
    shown = {
        "tmp_openid": call.corp.crossings.lend_temporary(external_userid, wall()),
        "add_time": group.members[external_userid].join_time,
    }
    number = book.number(external_userid)
    if number is not None and book.followers(number):
        return shown | {"is_customer": True, "external_userid": external_userid, "chat_id": group.chat_id}
    name = book.customer(number).name if number is not None else external_userid
    return shown | {"is_customer": False, "name": "***" + name[-1:], "chat_name": group.name}


@endpoint(
    "externalcontact/contact_list",
    Field("cursor"),
    Field("limit", int, default=1000, least=1, most=1000, clamp=True),
)
def list_served(call: Call) -> dict:
    """Relations first, then seats in groups; the cursor says which member or group comes next, and from where."""
    guides, groups = call.view.servants(), call.corp.groups.living()
    source, position = paging.read(call["cursor"], "contact_list", parts=2)
    shown: list[dict] = []
    while source < len(guides) + len(groups) and len(shown) < call["limit"]:
        room = call["limit"] - len(shown)
        if source < len(guides):
            userid = guides[source].userid
            numbers, position = call.corp.customers.numbers(userid, position, room)
            shown += [_follow_shown(call, userid, number) for number in numbers]
            is_over = position >= call.corp.customers.size(userid)
        else:
            group = call.corp.groups.get(groups[source - len(guides)])
            seats = _seats(call, group)
            shown += [_seat_shown(call, group, one) for one in seats[position : position + room]]
            position += room
            is_over = position >= len(seats)
        source, position = (source + 1, 0) if is_over else (source, position)
    is_last = source >= len(guides) + len(groups)
    return {"info_list": shown, "next_cursor": "" if is_last else paging.make([source, position], "contact_list")}
