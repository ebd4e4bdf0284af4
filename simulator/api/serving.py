"""Whom a code may lead to: the checks that contact ways and acquisition links share, and their addresses."""

from simulator.api import common
from simulator.api.errors import WeComError
from simulator.api.registry import Call
from simulator.world.contactways import who_serves
from simulator.world.directory import ACTIVE


def chosen(call: Call, users: list[str], parties: list[int]) -> list[str]:
    """The userids as the directory spells them.

    Raises WeComError, in this order: 40003 unknown member, 60003 unknown department, 60011 out of the visible range, 41054
    not activated, 40098 without real name, 84083 without customer contact. Of a department only who may serve is taken.
    """
    found = [common.known_member(call, userid) for userid in users]
    if any(party not in call.corp.directory.departments for party in parties):
        raise WeComError(60003)
    if not all(call.view.sees(member) for member in found):
        raise WeComError(60011)
    for code, fits in CHECKS:
        if not all(fits(member) for member in found):
            raise WeComError(code)
    return list(dict.fromkeys(member.userid for member in found))


CHECKS = (
    (41054, lambda member: member.status == ACTIVE),
    (40098, lambda member: member.verified),
    (84083, lambda member: member.contact),
)


def count(call: Call, users: list[str], parties: list[int]) -> int:
    """How many members these are, departments expanded."""
    return len(who_serves(call.corp.directory, users, parties))


def address(call: Call, path: str) -> str:
    """An address this simulator serves, by the name the caller knows it under."""
    return f"{call.request.url.origin()}/{path}"
