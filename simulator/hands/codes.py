"""Customers who scan a contact way or a group's code, or open an acquisition link."""

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit

from simulator.hands import acquisition, groups, people
from simulator.hands.errors import HandError
from simulator.world.acquisition import Link
from simulator.world.contactways import ContactWay, TempChat, who_serves
from simulator.world.directory import LEFT, Member
from simulator.world.draw import draw
from simulator.world.joinways import JoinWay

if TYPE_CHECKING:
    from simulator.corp import Corp
    from simulator.simulator import Simulator

PROFILE = "weixin://biz/ww/profile/"
CHANNEL_BYTES = 64
LINK_ADD_WAY, CODE_ADD_WAY = 16, 1


@dataclass
class Found:
    """What a code leads to, and the channel its address carried."""

    corp: "Corp"
    row: ContactWay | JoinWay | Link
    channel: str = ""


def find_url(sim: "Simulator", url: str) -> Found | None:
    """The living code behind an address of ours, also in the `weixin://biz/ww/profile/` form; None for a dead one."""
    plain = unquote(url.removeprefix(PROFILE)) if url.startswith(PROFILE) else url
    parts = urlsplit(plain)
    place, _, code = parts.path.strip("/").rpartition("/")
    channel = (parse_qs(parts.query).get("customer_channel") or [""])[0]
    return find_code(sim, place, code, channel)


def find_code(sim: "Simulator", place: str, code: str, channel: str = "") -> Found | None:
    """The living code of an address `/<place>/<code>`."""
    for corp in sim.corps.values():
        if place == "ca":
            link = corp.acquisition.by_code(code)
            if link and not link.unavailable:
                return Found(corp, link, channel)
        elif place == "qr":
            row = corp.contact_ways.by_code(code) or corp.join_ways.by_code(code)
            if row and not (isinstance(row, ContactWay) and row.expired(sim.clock.now())):
                return Found(corp, row)
    return None


def find_config(corp: "Corp", config_id: str) -> Found:
    """The code of a config_id. Raises HandError."""
    row = corp.contact_ways.ways.get(config_id) or corp.join_ways.ways.get(config_id)
    if row is None:
        raise HandError("二维码已失效")
    return Found(corp, row)


def scan(
    sim: "Simulator",
    found: Found,
    *,
    external_userid: str = "",
    name: str = "",
    wecom_user: bool = False,
    customer_channel: str = "",
) -> dict:
    """A customer, known or new, follows a code. Raises HandError when it leads nowhere."""
    corp, row = found.corp, found.row
    number = _who(corp, external_userid, name, wecom_user=wecom_user)
    if isinstance(row, ContactWay):
        return {"kind": "contact_way"} | _scan_way(sim, corp, row, number)
    if isinstance(row, JoinWay):
        return {"kind": "join_way"} | _scan_join(sim, corp, row, number)
    return {"kind": "link"} | open_link(sim, corp, row, number, customer_channel or found.channel)


def _who(corp: "Corp", external_userid: str, name: str, *, wecom_user: bool) -> int:
    if external_userid:
        return people.number_of(corp, external_userid)
    return corp.customers.new_customer(name, 2 if wecom_user else 1)


def _is_friend(corp: "Corp", userid: str, number: int) -> bool:
    follow = corp.customers.follow(userid, number)
    return follow is not None and not follow.deleted_by_customer


def _pick(sim: "Simulator", corp: "Corp", members: list[Member], number: int, *lot: object) -> Member:
    """A member who is a friend already (switch), else one drawn. Raises HandError without any."""
    if not members:
        raise HandError("没有可添加的成员")
    friends = [member for member in members if _is_friend(corp, member.userid, number)]
    if friends and sim.switches.friend_scan_causes_nothing:
        return friends[0]
    return members[draw(corp.key, *lot) % len(members)]


def _befriend(
    sim: "Simulator", corp: "Corp", member: Member, number: int, *, state: str, add_way: int, skip_verify: bool
) -> dict:
    """Add her, at once or, where the guide has to accept, as a half-add that is told or (switch) not."""
    who = corp.customers.external_userid(number)
    told = skip_verify or sim.switches.unverified_scan_is_half
    made = people.add(sim, corp, member.userid, who, state=state, add_way=add_way, half=not skip_verify, is_told=told)
    return {"userid": member.userid, "half": not skip_verify} | made


# -- contact ways --------------------------------------------------------------------------------------------------


def _scan_way(sim: "Simulator", corp: "Corp", way: ContactWay, number: int) -> dict:
    if way.expired(sim.clock.now()):
        raise HandError("二维码已失效")
    person = corp.customers.customer(number)
    if way.unionid and person.unionid != way.unionid:
        raise HandError("该二维码只供指定的微信用户使用")
    members = who_serves(corp.directory, way.user, way.party)
    member = _kept_for(corp, way, members, number) or _pick(sim, corp, members, number, way.config_id, way.scans)
    way.scans += 1
    made = _befriend(sim, corp, member, number, state=way.state, add_way=CODE_ADD_WAY, skip_verify=way.skip_verify)
    if way.is_exclusive and person.corp_name:
        way.corps.setdefault(person.corp_name, member.userid)
    if way.is_temp and not made["already_friends"]:
        way.used = True
        until = sim.clock.now() + way.chat_expires_in
        corp.contact_ways.chats[member.userid, number] = TempChat(member.userid, number, until, way.conclusions)
    return made


def _kept_for(corp: "Corp", way: ContactWay, members: list[Member], number: int) -> Member | None:
    """Of an exclusive way: the member who has this customer already, or customers of the same outer corp."""
    if not way.is_exclusive:
        return None
    theirs = way.corps.get(corp.customers.customer(number).corp_name, "")
    return next((m for m in members if m.userid == theirs or _is_friend(corp, m.userid, number)), None)


# -- groups --------------------------------------------------------------------------------------------------------


def _scan_join(sim: "Simulator", corp: "Corp", way: JoinWay, number: int) -> dict:
    who = corp.customers.external_userid(number)
    rooms = [corp.groups.number(chat_id) for chat_id in (*way.chat_id_list, *way.made)]
    living = [corp.groups.get(n) for n in rooms if n is not None and not corp.groups.get(n).dismissed]
    inside = next((group.chat_id for group in living if who in group.members), "")
    if inside:
        return {"chat_id": inside, "external_userid": who, "already_in": True, "created": False}
    open_one = next((g.chat_id for g in living if len(g.members) < sim.switches.group_full_at), "")
    chat_id = open_one or _new_room(sim, corp, way, [group.owner for group in living])
    groups.join(sim, corp, chat_id, [who], scene=3, state=way.state)
    return {"chat_id": chat_id, "external_userid": who, "already_in": False, "created": not open_one}


def _new_room(sim: "Simulator", corp: "Corp", way: JoinWay, owners: list[str]) -> str:
    """All groups are full: another one of the same owner. Raises HandError when the way opens none."""
    present = [userid for userid in owners if (found := corp.directory.find(userid)) and found.status != LEFT]
    if not way.auto_create_room or not present:
        raise HandError("群已满,或已解散")
    name = f"{way.room_base_name or '客户群'}{way.sequence}"
    chat_id = groups.create(sim, corp, present[0], name, [])["chat_id"]
    way.sequence += 1
    way.made.append(chat_id)
    return chat_id


# -- acquisition links ---------------------------------------------------------------------------------------------


def open_link(sim: "Simulator", corp: "Corp", link: Link, number: int, channel: str) -> dict:
    """A customer opens the link and adds: request, relation, quota. The channel is cut to 64 bytes."""
    state = channel.encode()[:CHANNEL_BYTES].decode(errors="ignore")
    who = corp.customers.external_userid(number)
    acquisition.clicked(sim, corp, link, who, state)
    if not corp.acquisition.balance(sim.clock.now()):
        raise HandError("获客额度已用完")
    members = _preferred(corp, link, number) or who_serves(corp.directory, link.users, link.departments)
    member = _pick(sim, corp, members, number, link.link_id, len(link.leads))
    if _is_friend(corp, member.userid, number):
        return {"userid": member.userid, "external_userid": who, "already_friends": True, "welcome_code": ""}
    acquisition.requested(sim, corp, link, state)
    made = _befriend(sim, corp, member, number, state=state, add_way=LINK_ADD_WAY, skip_verify=link.skip_verify)
    acquisition.brought(sim, corp, link, number, member.userid, state)
    return made


def _preferred(corp: "Corp", link: Link, number: int) -> list[Member]:
    """Members the link prefers because they are friends: of the whole corp, or of its list."""
    if not link.priority:
        return []
    listed = link.priority.get("priority_userid_list")
    pool = [member for member in corp.directory.servants() if listed is None or member.userid in listed]
    return [member for member in pool if _is_friend(corp, member.userid, number)]
