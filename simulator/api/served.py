"""Everybody served from outside (已服务的外部联系人): customers with what identifies them, others masked."""

from collections.abc import Iterator

from simulator.api import paging
from simulator.api.fields import Field
from simulator.api.registry import Call, endpoint
from simulator.clock import wall


def _follows(call: Call) -> Iterator[tuple]:
    """(member, number) of every relation."""
    for found in call.corp.directory.servants():
        for number in call.corp.customers.numbers(found.userid)[0]:
            yield "follow", found.userid, number


def _seats(call: Call) -> Iterator[tuple]:
    """(group, id) of everybody from outside in a group of a member in range."""
    present = {m.userid for m in call.corp.directory.present()}
    for one in call.corp.groups.living():
        if call.corp.groups.owner(one) in present:
            yield from (("seat", one, row.id) for row in call.corp.groups.get(one).members.values() if row.kind == 2)


def _follow_shown(call: Call, userid: str, number: int) -> dict:
    follow, external_userid = call.corp.customers.follow(userid, number), call.corp.customers.external_userid(number)
    return {
        "is_customer": True,
        "tmp_openid": call.corp.crossings.lend_temporary(external_userid, wall()),
        "external_userid": external_userid,
        "follow_userid": userid,
        "add_time": follow.createtime if follow else 0,
    }


def _seat_shown(call: Call, group_number: int, external_userid: str) -> dict:
    """A customer by id and chat_id; anybody else by a masked name and the group's name."""
    book, group = call.corp.customers, call.corp.groups.get(group_number)
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
    """Relations first, then seats in groups."""
    rows = [*_follows(call), *_seats(call)]
    page, cursor = paging.page(rows, call["cursor"], call["limit"], "contact_list")
    shown = [_follow_shown(call, *rest) if kind == "follow" else _seat_shown(call, *rest) for kind, *rest in page]
    return {"info_list": shown, "next_cursor": cursor}
