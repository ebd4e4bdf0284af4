"""Checks that many endpoints share: the member, the customer, the relation, the group."""

from simulator.api.errors import WeComError
from simulator.api.registry import Call
from simulator.world.directory import LEFT, Member
from simulator.world.profiles import Follow


def known_member(call: Call, userid: str, unknown: int = 40003) -> Member:
    """A present member, in range or not. Raises WeComError `unknown`."""
    found = call.corp.directory.find(userid)
    if found is None or found.status == LEFT:
        raise WeComError(unknown)
    return found


def in_range(call: Call, found: Member) -> Member:
    """The member when the app sees her and she may serve customers. Raises WeComError 60011 or 84074."""
    if not call.view.sees(found):
        raise WeComError(60011)
    if not found.contact:
        raise WeComError(84074)
    return found


def member(call: Call, userid: str) -> Member:
    """A present member in visible range who may serve customers. Raises WeComError 40003, 60011 or 84074."""
    return in_range(call, known_member(call, userid))


def members(call: Call, userids: list[str]) -> list[str]:
    """Their userids as the directory spells them. Raises WeComError 40031 when one is unknown or out of range."""
    found = [call.view.find(userid) for userid in userids]
    if any(row is None for row in found):
        raise WeComError(40031)
    return [row.userid for row in found if row]


def customer(call: Call, external_userid: str) -> int:
    """The customer's number. Raises WeComError 40096 for an id this corp never saw."""
    number = call.corp.customers.number(external_userid)
    if number is None:
        raise WeComError(40096)
    return number


def relation(call: Call, userid: str, external_userid: str) -> tuple[str, int, Follow]:
    """(userid, number, relation). Raises WeComError 40003, 40096, 60011, 84074 or 84061, in this order."""
    owner, number = known_member(call, userid), customer(call, external_userid)
    in_range(call, owner)
    follow = call.corp.customers.usable(owner.userid, number)
    if follow is None:
        raise WeComError(84061)
    return owner.userid, number, follow


def group(call: Call, chat_id: str) -> int:
    """The group's number. Raises WeComError 90501 for an unknown id, then the code switched for an owner out of range,
    then 49008 for a dismissed group."""
    number = call.corp.groups.number(chat_id)
    if number is None:
        raise WeComError(90501)
    if not owned_in_range(call, number):
        raise WeComError(call.sim.switches.group_out_of_range_code)
    if call.corp.groups.get(number).dismissed:
        raise WeComError(49008)
    return number


def owned_in_range(call: Call, number: int) -> bool:
    """Whether the app sees the group's owner, who may have left."""
    owner = call.corp.directory.find(call.corp.groups.owner(number))
    return owner is None or call.view.sees(owner)
