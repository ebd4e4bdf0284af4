"""Customer groups as guides and customers use them."""

from typing import TYPE_CHECKING

from simulator.callbacks import events
from simulator.hands.errors import HandError
from simulator.hands.people import guide_of, number_of
from simulator.world.groups import Group, GroupMember
from simulator.world.statistics import Departure

if TYPE_CHECKING:
    from simulator.corp import Corp
    from simulator.simulator import Simulator


def _open_group(corp: "Corp", chat_id: str) -> Group:
    number = corp.groups.number(chat_id)
    if number is None:
        raise HandError(f"没有客户群 {chat_id}")
    group = corp.groups.edit(number)
    if group.dismissed:
        raise HandError("该群已解散")
    return group


def create(sim: "Simulator", corp: "Corp", owner: str, name: str, members: list[str]) -> dict:
    """A guide opens a group, with members from the start if given."""
    found = guide_of(corp, owner)
    people = [_member(sim, corp, who, 1, found.userid, "") for who in members]
    number = corp.groups.create(name, found.userid, sim.clock.now())
    group = corp.groups.edit(number)
    group.members |= {row.id: row for row in people}
    sim.emit(corp, events.change_chat(group.chat_id, "create"))
    return {"chat_id": group.chat_id}


def _member(sim: "Simulator", corp: "Corp", who: str, scene: int, invitor: str, state: str) -> GroupMember:
    if who[:2] in ("wm", "wo") and corp.customers.number(who) is not None:
        return GroupMember(who, 2, sim.clock.now(), scene, invitor if scene < 3 else "", state)
    return GroupMember(guide_of(corp, who).userid, 1, sim.clock.now(), 1, invitor)


def join(
    sim: "Simulator",
    corp: "Corp",
    chat_id: str,
    members: list[str],
    *,
    scene: int = 3,
    invitor: str = "",
    state: str = "",
) -> dict:
    """Customers or colleagues join: scene 1 invited, 2 by link, 3 by QR. The event says 0 for the first two."""
    group = _open_group(corp, chat_id)
    fresh = [_member(sim, corp, who, scene, invitor or group.owner, state) for who in members]
    fresh = [row for row in fresh if row.id not in group.members]
    if not fresh:
        raise HandError("都已在群里")
    before, group.changes = group.version, group.changes + 1
    group.members |= {row.id: row for row in fresh}
    _greet(sim, corp, group, fresh)
    shown = 3 if scene == 3 else 0
    sim.emit(
        corp,
        events.change_members(group.chat_id, "add_member", shown, [r.id for r in fresh], (before, group.version)),
    )
    return {"member_version": group.version}


def _greet(sim: "Simulator", corp: "Corp", group: Group, fresh: list[GroupMember]) -> None:
    """The group's welcome, if its owner chose one, to every customer who joined."""
    template = corp.group_welcomes.of(group.chat_id)
    for row in fresh if template else ():
        number = corp.customers.number(row.id) if row.kind == 2 else None
        if template and number is not None:
            content = template.greeting(corp.customers.customer(number).name)
            message = {"kind": "group_welcome", "at": sim.clock.now(), "chat_id": group.chat_id, "content": content}
            corp.masses.deliver(number, message)


def choose_welcome(corp: "Corp", chat_id: str, template_id: str) -> dict:
    """The owner chooses what the group greets newcomers with; an empty id: nothing."""
    _open_group(corp, chat_id)
    if template_id and template_id not in corp.group_welcomes.rows:
        raise HandError("没有这个入群欢迎语")
    corp.group_welcomes.chosen[chat_id] = template_id
    return {}


def speak(sim: "Simulator", corp: "Corp", chat_id: str, who: str, messages: int) -> dict:
    """Somebody in the group writes so many messages."""
    if who not in _open_group(corp, chat_id).members:
        raise HandError("不在群里")
    corp.days.words.append((chat_id, who, sim.clock.now(), messages))
    return {}


def leave(sim: "Simulator", corp: "Corp", chat_id: str, members: list[str], *, removed: bool = False) -> dict:
    """Members leave by themselves, or are `removed` by the owner."""
    group = _open_group(corp, chat_id)
    gone = [who for who in members if who in group.members and who != group.owner]
    if not gone:
        raise HandError("不在群里,或是群主")
    before, group.changes = group.version, group.changes + 1
    for who in gone:
        corp.days.departures.append(Departure(chat_id, who, group.members.pop(who).join_time, sim.clock.now()))
    versions = (before, group.version)
    sim.emit(corp, events.change_members(group.chat_id, "del_member", int(removed), gone, versions))
    return {"member_version": group.version}


def change(sim: "Simulator", corp: "Corp", chat_id: str, *, name: str = "", owner: str = "", notice: str = "") -> dict:
    """Rename, hand over, or post a notice; one event each."""
    group = _open_group(corp, chat_id)
    if owner:
        found = guide_of(corp, owner)
        if found.userid not in group.members:
            raise HandError("新群主不在群里")
        group.owner = found.userid
        sim.emit(corp, events.update_chat(group.chat_id, "change_owner"))
    if name:
        group.name = name
        sim.emit(corp, events.update_chat(group.chat_id, "change_name"))
    if notice:
        group.notice = notice
        sim.emit(corp, events.update_chat(group.chat_id, "change_notice"))
    return {}


def dismiss(sim: "Simulator", corp: "Corp", chat_id: str) -> dict:
    """The owner dissolves the group."""
    group = _open_group(corp, chat_id)
    group.dismissed = True
    corp.days.departures.append(Departure(chat_id, "", group.create_time, sim.clock.now()))
    sim.emit(corp, events.change_chat(group.chat_id, "dismiss"))
    return {}


def inbox_of(corp: "Corp", external_userid: str) -> list[dict]:
    """Group messages that reached the customer: sent while in the group."""
    number_of(corp, external_userid)
    found = []
    for chat_id in corp.masses.chats:
        messages, group_number = corp.masses.inbox[chat_id], corp.groups.number(chat_id)
        if group_number is None:
            continue
        row = corp.groups.get(group_number).members.get(external_userid)
        if row:
            found += [message | {"chat_id": chat_id} for message in messages if message["at"] >= row.join_time]
    return found
