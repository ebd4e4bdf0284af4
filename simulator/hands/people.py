"""Customers and guides meeting, noting, chatting and parting."""

from typing import TYPE_CHECKING, Any

from simulator.api.customers import apply_remark
from simulator.callbacks import events
from simulator.clock import wall
from simulator.hands import acquisition
from simulator.hands.errors import HandError
from simulator.world.directory import LEFT, Member
from simulator.world.profiles import Follow

if TYPE_CHECKING:
    from simulator.corp import Corp
    from simulator.simulator import Simulator


def guide_of(corp: "Corp", userid: str) -> Member:
    """A present member. Raises HandError."""
    found = corp.directory.find(userid)
    if found is None or found.status == LEFT:
        raise HandError(f"没有成员 {userid}")
    return found


def number_of(corp: "Corp", external_userid: str) -> int:
    """A customer's number. Raises HandError."""
    number = corp.customers.number(external_userid)
    if number is None:
        raise HandError(f"没有客户 {external_userid}")
    return number


def follow_of(corp: "Corp", userid: str, external_userid: str) -> tuple[Member, int, Follow]:
    """An existing relation. Raises HandError."""
    guide, number = guide_of(corp, userid), number_of(corp, external_userid)
    follow = corp.customers.follow(guide.userid, number)
    if follow is None:
        raise HandError("双方不是好友")
    return guide, number, follow


def add(
    sim: "Simulator",
    corp: "Corp",
    userid: str,
    external_userid: str = "",
    *,
    name: str = "",
    state: str = "",
    add_way: int = 1,
    half: bool = False,
    wecom_user: bool = False,
    by_guide: bool = False,
    admin_welcome: bool = False,
    is_told: bool = True,
) -> dict:
    """A customer, new or known, adds the guide (or she him, `by_guide`).

    A friend who scans again causes nothing. `half` leaves the guide to confirm. No welcome code goes to another corp's
    WeCom user, nor when the console greets (`admin_welcome`). Without `is_told` a half-add is heard of only when confirmed.
    """
    guide = guide_of(corp, userid)
    if not guide.contact:
        raise HandError("该成员没有客户联系权限")
    book = corp.customers
    number = number_of(corp, external_userid) if external_userid else book.new_customer(name, 2 if wecom_user else 1)
    person = book.customer(number)
    old = book.follow(guide.userid, number)
    if old is not None and not old.deleted_by_customer:
        return {"external_userid": person.external_userid, "already_friends": True, "welcome_code": ""}
    now = sim.clock.now()
    follow = old or Follow(createtime=now, remark=person.name)
    follow.createtime = follow.last_contact = now
    follow.add_way, follow.state, follow.half = add_way, state, half
    follow.deleted_by_customer = follow.chatting = follow.greeted = False
    follow.oper_userid = guide.userid if by_guide else person.external_userid
    book.start(guide.userid, number, follow)
    corp.days.gained(guide.userid, now, applied=by_guide)
    corp.contact_ways.chats.pop((guide.userid, number), None)
    if not is_told:
        return {"external_userid": person.external_userid, "already_friends": False, "welcome_code": ""}
    code = "" if person.type == 2 or admin_welcome else corp.welcomes.issue(guide.userid, number, wall())
    make = events.add_half_contact if half else events.add_contact
    sim.emit(corp, make(guide.userid, person.external_userid, state=state, code=code), now)
    return {"external_userid": person.external_userid, "already_friends": False, "welcome_code": code}


def add_many(sim: "Simulator", corp: "Corp", userids: list[str], count: int, **options: Any) -> dict:
    """`count` new customers, in turn to each of `userids` (all guides when empty)."""
    targets = userids or [m.userid for m in corp.directory.servants()]
    if not targets:
        raise HandError("没有可添加的成员")
    made = [add(sim, corp, targets[n % len(targets)], **options) for n in range(count)]
    return {"external_userids": [row["external_userid"] for row in made], "count": count}


def confirm_half(sim: "Simulator", corp: "Corp", userid: str, external_userid: str) -> dict:
    """The guide accepts a half-added customer; a new code comes only if the half one was not used."""
    guide, number, follow = follow_of(corp, userid, external_userid)
    if not follow.half:
        raise HandError("无需确认")
    follow = corp.customers.edit(guide.userid, number)
    follow.half = False
    code = "" if follow.greeted or follow.chatting else corp.welcomes.issue(guide.userid, number, wall())
    sim.emit(corp, events.add_contact(guide.userid, external_userid, state=follow.state, code=code))
    return {"welcome_code": code}


def guide_deletes(sim: "Simulator", corp: "Corp", userid: str, external_userid: str) -> dict:
    """The guide deletes the customer: the relation is gone for the API."""
    guide, number, _ = follow_of(corp, userid, external_userid)
    corp.customers.end(guide.userid, number)
    sim.emit(corp, events.delete_contact(guide.userid, external_userid))
    return {}


def customer_deletes(sim: "Simulator", corp: "Corp", userid: str, external_userid: str) -> dict:
    """The customer deletes the guide: the API still shows the relation, but nothing arrives any more."""
    guide, number, follow = follow_of(corp, userid, external_userid)
    if follow.deleted_by_customer:
        raise HandError("客户已删除该成员")
    corp.customers.edit(guide.userid, number).deleted_by_customer = True
    corp.days.lost(guide.userid, sim.clock.now())
    sim.emit(corp, events.delete_follower(guide.userid, external_userid))
    return {}


def edit_notes(sim: "Simulator", corp: "Corp", userid: str, external_userid: str, given: dict) -> dict:
    """The guide edits remark, description, company or phones. A change of phones alone tells nobody."""
    guide, number, _ = follow_of(corp, userid, external_userid)
    apply_remark(corp.customers.edit(guide.userid, number), given)
    if any(given.get(name) is not None for name in ("remark", "description", "remark_company")):
        sim.emit(corp, events.edit_contact(guide.userid, external_userid))
    return {}


def tag(
    sim: "Simulator", corp: "Corp", userid: str, external_userid: str, add_tags: list, remove_tags: list, personal: list,
    personal_off: list,
) -> dict:  # fmt: skip
    """The guide marks the customer; tags by id or by name, personal ones by name."""
    guide, number, _ = follow_of(corp, userid, external_userid)
    adding, removing = [_tag_id(corp, t) for t in add_tags], [_tag_id(corp, t) for t in remove_tags]
    follow = corp.customers.edit(guide.userid, number)
    follow.tags = list(dict.fromkeys([*(t for t in follow.tags if t not in removing), *adding]))
    follow.personal_tags = list(dict.fromkeys([*(t for t in follow.personal_tags if t not in personal_off), *personal]))
    sim.emit(corp, events.edit_contact(guide.userid, external_userid))
    return {"tags": follow.tags}


def _tag_id(corp: "Corp", wanted: str) -> str:
    row = corp.tags.tags.get(wanted) or next((t for t in corp.tags.living() if t.name == wanted), None)
    if row is None or row.deleted:
        raise HandError(f"没有标签 {wanted}")
    return row.id


def chat(
    sim: "Simulator",
    corp: "Corp",
    userid: str,
    external_userid: str,
    *,
    messages: int = 1,
    sent: int = 1,
    reply_minutes: float | None = None,
) -> dict:
    """The two talk: the guide becomes the last in contact, an unused welcome code is spent.

    The customer wrote `messages` times, which counts for the link that brought her. For the statistics: the guide wrote `sent`
    messages (0: she did not answer), the first `reply_minutes` after the customer's. Raises HandError once a temporary session is
    over.
    """
    guide, number, _ = follow_of(corp, userid, external_userid)
    is_temp = (guide.userid, number) in corp.contact_ways.chats
    if is_temp and corp.contact_ways.living_chat(guide.userid, number, sim.clock.now()) is None:
        raise HandError("临时会话已结束")
    follow = corp.customers.edit(guide.userid, number)
    follow.chatting, follow.last_contact = True, sim.clock.now()
    for _message in range(messages):
        acquisition.spoken(sim, corp, guide.userid, number)
    corp.days.talked(guide.userid, number, sim.clock.now(), sent=sent, reply_minutes=reply_minutes)
    return {}


def member_joins(sim: "Simulator", corp: "Corp", given: dict) -> dict:
    """A new member, or one who returns."""
    userid = given["userid"]
    old = corp.directory.find(userid)
    if old is not None and old.status != LEFT:
        raise HandError(f"成员 {userid} 已存在")
    departments = given.get("departments") or [1]
    if any(d not in corp.directory.departments for d in departments):
        raise HandError("没有这个部门")
    fresh = Member(
        userid,
        given.get("name") or userid,
        departments,
        given.get("position") or "导购",
        bool(given.get("leader")),
        bool(given.get("contact", True)),
    )
    corp.directory.add(fresh)
    sim.emit(corp, events.change_contact("create_user", _member_fields(fresh)))
    return {"userid": userid}


def _member_fields(found: Member) -> list[tuple[str, events.Value]]:
    return [
        ("UserID", found.userid),
        ("Name", found.name),
        ("Department", ",".join(map(str, found.departments))),
        ("MainDepartment", found.departments[0]),
        ("IsLeaderInDept", ",".join([str(int(found.leader))] * len(found.departments))),
        ("Position", found.position),
        ("Status", found.status),
    ]


def member_changes(sim: "Simulator", corp: "Corp", userid: str, given: dict) -> dict:
    """A member moves, is renamed, or gains or loses customer contact; the event carries only what changed."""
    found = guide_of(corp, userid)
    fields: list[tuple[str, events.Value]] = [("UserID", found.userid)]
    if given.get("name"):
        found.name = given["name"]
        fields.append(("Name", found.name))
    if given.get("departments"):
        if any(d not in corp.directory.departments for d in given["departments"]):
            raise HandError("没有这个部门")
        corp.directory.move(found, given["departments"])
        fields.append(("Department", ",".join(map(str, found.departments))))
        fields.append(("MainDepartment", found.departments[0]))
    for name, element in (("position", "Position"), ("status", "Status")):
        if given.get(name) is not None:
            setattr(found, name, given[name])
            fields.append((element, given[name]))
    for name in ("contact", "visible", "leader", "verified"):
        if given.get(name) is not None:
            setattr(found, name, bool(given[name]))
    sim.emit(corp, events.change_contact("update_user", fields))
    return {}


def member_leaves(sim: "Simulator", corp: "Corp", userid: str) -> dict:
    """A member leaves the corp; her customers wait for a successor, her groups count as ownerless."""
    found = guide_of(corp, userid)
    found.status, found.left_at = LEFT, sim.clock.now()
    sim.emit(corp, events.change_contact("delete_user", [("UserID", found.userid)]))
    return {"customers": corp.customers.count(found.userid)}
