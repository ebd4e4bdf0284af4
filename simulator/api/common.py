"""Checks that many endpoints share: the member, the customer, the relation, the group."""

from simulator.api.errors import WeComError
from simulator.api.registry import Call
from simulator.world.directory import LEFT, Member
from simulator.world.profiles import Follow


def member(call: Call, userid: str) -> Member:
    """A present member in visible range who may serve customers. Raises WeComError 40003, 60011 or 84074."""
    found = call.corp.directory.find(userid)
    if found is None or found.status == LEFT:
        raise WeComError(40003)
    if not found.visible:
        raise WeComError(60011)
    if not found.contact:
        raise WeComError(84074)
    return found


def members(call: Call, userids: list[str]) -> list[str]:
    """Their userids as the directory spells them. Raises WeComError 40031 when one is unknown or out of range."""
    found = [call.corp.directory.find(userid) for userid in userids]
    if any(row is None or row.status == LEFT or not row.visible for row in found):
        raise WeComError(40031)
    return [row.userid for row in found if row]


def customer(call: Call, external_userid: str) -> int:
    """The customer's number. Raises WeComError 40096 for an id this corp never saw."""
    number = call.corp.customers.number(external_userid)
    if number is None:
        raise WeComError(40096)
    return number


def relation(call: Call, userid: str, external_userid: str) -> tuple[str, int, Follow]:
    """(userid, number, relation). Raises WeComError 40003, 40096 or 84061, in this order."""
    owner = member(call, userid)
    number = customer(call, external_userid)
    follow = call.corp.customers.usable(owner.userid, number)
    if follow is None:
        raise WeComError(84061)
    return owner.userid, number, follow


def group(call: Call, chat_id: str) -> int:
    """The group's number. Raises WeComError 90501 for an unknown id, 49008 for a dismissed group."""
    number = call.corp.groups.number(chat_id)
    if number is None:
        raise WeComError(90501)
    if call.corp.groups.get(number).dismissed:
        raise WeComError(49008)
    return number
