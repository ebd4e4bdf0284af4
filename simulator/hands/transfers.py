"""Hand-overs take their course: each is completed when its time has come, unless the customer refuses."""

from typing import TYPE_CHECKING

from simulator.callbacks import events
from simulator.hands.errors import HandError
from simulator.world.directory import LEFT
from simulator.world.groups import GroupMember
from simulator.world.profiles import Follow
from simulator.world.transfers import DONE, INHERITED, LIMIT, NO_RECORD, REFUSED, GroupHandover, Handover

if TYPE_CHECKING:
    from simulator.corp import Corp
    from simulator.simulator import Simulator

ASSIGNED = 202  # add_way
DEFAULT_MESSAGE = "您好,以后由我为您服务。"
REFUSAL, FULL = "customer_refused", "customer_limit_exceed"


def next_due(corp: "Corp") -> int | None:
    """When the next hand-over of a corp is decided."""
    return corp.transfers.next_due()


def complete_due(sim: "Simulator", corp: "Corp") -> None:
    """Decide every hand-over of the instant that comes next."""
    at = next_due(corp) or 0
    for row in [row for row in corp.transfers.open.values() if row.at <= at]:
        complete(sim, corp, row)
    for group in [row for row in corp.transfers.groups if not row.done and row.at <= at]:
        complete_group(sim, corp, group)


def complete(sim: "Simulator", corp: "Corp", row: Handover) -> None:
    """The customer goes over: the relation ends here and begins there, with the notes and tags.

    Nothing comes of it when there is nobody to give or to take any more.
    """
    book, number = corp.customers, row.number
    old, takeover = book.follow(row.handover, number), corp.directory.find(row.takeover)
    if old is None or takeover is None or takeover.status == LEFT:
        corp.transfers.decide(row, NO_RECORD, row.at)
        return
    external_userid, known = book.external_userid(number), book.follow(row.takeover, number)
    if known is None and book.count(row.takeover) >= sim.switches.transfer_customers_most:
        corp.transfers.decide(row, LIMIT, row.at)
        sim.emit(corp, events.transfer_fail(row.takeover, external_userid, FULL), row.at)
        return
    corp.transfers.decide(row, DONE, row.at)
    book.end(row.handover, number)
    sim.emit(corp, events.delete_contact(row.handover, external_userid, source="DELETE_BY_TRANSFER"), row.at)
    if known is None:
        book.start(row.takeover, number, _follow_of(old, row.at, tags=sim.switches.transfer_carries_tags))
        corp.days.gained(row.takeover, row.at)
        if (row.takeover, number) not in corp.transfers.away:
            sim.emit(corp, events.add_contact(row.takeover, external_userid), row.at)
    corp.transfers.away.add((row.handover, number))
    if not row.resigned:
        content = {"text": {"content": row.message or DEFAULT_MESSAGE}, "attachments": []}
        corp.masses.deliver(number, {"kind": "transfer", "at": row.at, "userid": row.takeover, "content": content})


def _follow_of(old: Follow, at: int, *, tags: bool) -> Follow:
    return Follow(
        createtime=at, add_way=ASSIGNED, remark=old.remark, description=old.description, mobiles=list(old.mobiles),
        company=old.company, tags=list(old.tags) if tags else [], deleted_by_customer=old.deleted_by_customer, last_contact=at,
    )  # fmt: skip


def refuse(sim: "Simulator", corp: "Corp", external_userid: str) -> dict:
    """The customer refuses the hand-over she is in."""
    number = corp.customers.number(external_userid)
    row = None if number is None else corp.transfers.waiting(number)
    if row is None:
        raise HandError("该客户没有待接替的转接")
    corp.transfers.decide(row, REFUSED, sim.clock.now())
    sim.emit(corp, events.transfer_fail(row.takeover, external_userid, REFUSAL), row.at)
    return {"handover": row.handover, "takeover": row.takeover}


def complete_group(sim: "Simulator", corp: "Corp", row: GroupHandover) -> None:
    """The group has its new owner, who joins it if need be."""
    row.done = True
    number = corp.groups.number(row.chat_id)
    if number is None or corp.groups.get(number).dismissed:
        return
    group = corp.groups.edit(number)
    group.inheriting = INHERITED if row.resigned else 0
    if row.new_owner not in group.members:
        group.members[row.new_owner] = GroupMember(row.new_owner, 1, row.at)
        group.changes += 1
    group.owner = row.new_owner
    if sim.switches.group_transfer_event:
        sim.emit(corp, events.update_chat(group.chat_id, "change_owner"), row.at)


def set_account(corp: "Corp", userid: str, given: dict) -> dict:
    """What WeCom knows of a member's account: last_login (an instant), verified (real name), banned, wechat (bound)."""
    found = corp.directory.find(userid)
    if found is None:
        raise HandError(f"没有成员 {userid}")
    if "last_login" in given:
        found.last_login = None if given["last_login"] is None else int(given["last_login"])
    for name in ("verified", "banned", "wechat"):
        if name in given:
            setattr(found, name, bool(given[name]))
    return {}
