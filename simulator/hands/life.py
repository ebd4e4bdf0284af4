"""What people do unasked: customers come, talk and go, guides note, tag, send and leave, the console changes.

When and what is planned from the seed (`plan.py`); to whom it happens is drawn at that moment from those who are there.
"""

import heapq
from collections import Counter, deque
from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING

from simulator.hands import console, groups, masses, people
from simulator.hands.errors import HandError
from simulator.hands.plan import WHOLE, Act, month_after, month_of, plan, rates
from simulator.world.draw import draw
from simulator.world.names import plain_name, staff_name

if TYPE_CHECKING:
    from simulator.corp import Corp
    from simulator.simulator import Simulator

KEEP = 10_000
TRIES = 24
MONTHS_AHEAD = 2
GUIDES_KEPT, TAGS_KEPT = 2, 3
TEXTS = ["新品到店啦,来店里看看~", "今天有小样可以领,到店报名字就行", "周末有活动,老朋友优先", "换季了,记得做好保湿"]
TAG_NAMES = ["会员日", "新客礼", "老客回访", "节日礼", "体验课", "邻居", "企业团购", "生日月"]


class Life:
    """The acts still to come, soonest first. A changed switch plans anew from that moment on."""

    def __init__(self, sim: "Simulator") -> None:
        self._sim = sim
        self._rates: dict[str, float] = {}
        self._acts: list[Act] = []
        self._after = 0
        self._next_month = month_of(0)
        self.done: dict[str, Counter[str]] = {}
        self.log: deque[dict] = deque(maxlen=KEEP)

    def _replan(self) -> None:
        fresh = rates(self._sim.switches)
        if fresh != self._rates:
            self._rates, self._acts, self._after = fresh, [], self._sim.clock.now()
            self._next_month = month_of(self._after)
        if any(fresh.values()):
            self._reach(self._sim.clock.now())

    def _reach(self, now: int) -> None:
        """Plan the months up to now, and further until something is to come."""
        limit = month_of(now)
        for _month in range(MONTHS_AHEAD):
            limit = month_after(limit)
        while self._next_month.timestamp() <= now or (not self._acts and self._next_month < limit):
            for corp in self._sim.corps.values():
                fresh = plan(corp, self._next_month, self._rates)
                self._acts += [act for act in fresh if act.at > self._after]
            heapq.heapify(self._acts)
            self._next_month = month_after(self._next_month)

    def due(self) -> int:
        """How many acts fell due."""
        self._replan()
        now = self._sim.clock.now()
        return sum(1 for act in self._acts if act.at <= now) if self._acts and self._acts[0].at <= now else 0

    def next_due(self) -> int | None:
        """The instant of the next act, None without any."""
        self._replan()
        return self._acts[0].at if self._acts else None

    def run_next(self) -> None:
        """Carry out the next act at its own instant. What has become impossible is noted as `nothing`."""
        act = heapq.heappop(self._acts)
        corp = self._sim.corps[act.corp_id]
        with self._sim.clock.held(act.at):
            try:
                what = ACTS[act.kind](Deed(self._sim, corp, act, self._rates[act.kind]))
            except HandError as error:
                what = {"nothing": str(error)}
        name = "nothing" if "nothing" in what else act.kind
        self.done.setdefault(act.corp_id, Counter())[name] += 1
        self.log.append({"at": act.at, "corp_id": act.corp_id, "kind": act.kind} | what)

    def shown(self, corp_id: str = "") -> dict:
        """Counters of what happened, and what is planned, for one corp or all."""
        self._replan()
        done = sum((row for key, row in self.done.items() if corp_id in ("", key)), Counter())
        acts = [act for act in self._acts if corp_id in ("", act.corp_id)]
        return {"done": done, "planned": len(acts), "next_due": min((act.at for act in acts), default=None)}


class Deed:
    """One act about to happen, with its own draws."""

    def __init__(self, sim: "Simulator", corp: "Corp", act: Act, rate: float) -> None:
        self.sim, self.corp, self.act, self.rate = sim, corp, act, rate
        self.month = month_of(act.at)
        self.label = f"{self.month:%Y-%m}"

    def roll(self, *purpose: object) -> int:
        """A number of this act and purpose."""
        return draw(self.corp.key, "deed", self.label, self.act.kind, self.act.number, *purpose)

    def guide(self) -> str:
        """A guide who serves. Raises HandError when none is found."""
        directory = self.corp.directory
        for attempt in range(TRIES):
            userid = directory.userid_at(self.roll("guide", attempt) % directory.size)
            if directory.serves(userid):
                return userid
        raise HandError("没有在岗的导购")

    def friends(self) -> tuple[str, str]:
        """(userid, external_userid) of a relation on both sides. Raises HandError when none is found."""
        book = self.corp.customers
        for attempt in range(TRIES):
            number = self.roll("customer", attempt) % max(book.ever, 1)
            for userid in book.followers(number) if number < book.ever else ():
                if self.corp.directory.serves(userid) and book.exists(userid, number, mutual=True):
                    return userid, book.external_userid(number)
        raise HandError("没有合适的客户")


def _add(deed: Deed) -> dict:
    """Somebody new, or one in ten somebody known, adds a guide through one of the scenario's channels."""
    userid, book = deed.guide(), deed.corp.customers
    channels = [row for row in deed.corp.scenario.channels for _ in range(row.weight)]
    way = channels[deed.roll("channel") % len(channels)] if channels else None
    known = book.external_userid(deed.roll("known") % book.ever) if book.ever and not deed.roll("back") % 10 else ""
    added = people.add(
        deed.sim, deed.corp, userid, known, state=way.state if way else "", add_way=way.add_way if way else 1
    )
    return {"userid": userid, "external_userid": added["external_userid"]}


def _chat(deed: Deed) -> dict:
    userid, external_userid = deed.friends()
    people.chat(deed.sim, deed.corp, userid, external_userid)
    return {"userid": userid, "external_userid": external_userid}


def _note(deed: Deed) -> dict:
    userid, external_userid = deed.friends()
    notes = deed.corp.scenario.remark_notes or ("老客",)
    remark = f"{plain_name(deed.roll('name'))}-{notes[deed.roll('note') % len(notes)]}"[:20]
    people.edit_notes(deed.sim, deed.corp, userid, external_userid, {"remark": remark})
    return {"userid": userid, "external_userid": external_userid, "remark": remark}


def _tag(deed: Deed) -> dict:
    """The guide marks a customer with a tag, or takes it off again."""
    userid, external_userid = deed.friends()
    tags = deed.corp.tags.living()
    if not tags:
        raise HandError("没有标签")
    tag = tags[deed.roll("tag") % len(tags)].id
    follow = people.follow_of(deed.corp, userid, external_userid)[2]
    add, remove = ([], [tag]) if tag in follow.tags else ([tag], [])
    people.tag(deed.sim, deed.corp, userid, external_userid, add, remove, [], [])
    return {"userid": userid, "external_userid": external_userid, "add": add, "remove": remove}


def _some_group(deed: Deed) -> int:
    book = deed.corp.groups
    for attempt in range(TRIES):
        number = deed.roll("group", attempt) % max(book.count, 1)
        if number < book.count and not book.dismissed(number) and deed.corp.directory.serves(book.owner(number)):
            return number
    raise HandError("没有客户群")


def _group_join(deed: Deed) -> dict:
    """A customer of the owner joins by QR code or invitation."""
    number, book = _some_group(deed), deed.corp.customers
    owner, chat_id = deed.corp.groups.owner(number), deed.corp.groups.chat_id(number)
    found, _ = book.numbers(owner, deed.roll("who") % max(book.size(owner), 1), 1)
    if not found:
        raise HandError("群主没有客户")
    who = book.external_userid(found[0])
    groups.join(deed.sim, deed.corp, chat_id, [who], scene=(3, 3, 1)[deed.roll("scene") % 3])
    return {"chat_id": chat_id, "external_userid": who}


def _group_leave(deed: Deed) -> dict:
    group = deed.corp.groups.get(_some_group(deed))
    outside = [row.id for row in group.members.values() if row.kind == 2]
    if not outside:
        raise HandError("群里没有客户")
    who = outside[deed.roll("who") % len(outside)]
    groups.leave(deed.sim, deed.corp, group.chat_id, [who], removed=not deed.roll("removed") % 5)
    return {"chat_id": group.chat_id, "external_userid": who}


def _joiner(deed: Deed) -> dict:
    """A new guide in the store of another one."""
    department = people.guide_of(deed.corp, deed.guide()).departments[0]
    name, latin = staff_name(deed.roll("name"))
    userid = f"{latin}{deed.month:%y%m}{deed.act.number:02d}"
    people.member_joins(deed.sim, deed.corp, {"userid": userid, "name": name, "departments": [department]})
    return {"userid": userid}


def _own_send(deed: Deed) -> dict:
    """A guide sends to her share of this month's customers, on her own."""
    userid, book = deed.corp.base.guides[deed.act.number].userid, deed.corp.customers
    if not deed.corp.directory.serves(userid):
        raise HandError("成员已离职")
    bound = deed.rate * WHOLE
    audience = [n for n in book.numbers(userid)[0] if draw(deed.corp.key, "audience", deed.label, n) < bound]
    if not audience:
        raise HandError("没有客户")
    text = TEXTS[deed.roll("text") % len(TEXTS)]
    mass = masses.send_personally(deed.sim, deed.corp, userid, audience, text)
    return {"userid": userid, "msgid": mass.msgid, "recipients": len(audience)}


def _guide_delete(deed: Deed) -> dict:
    userid, external_userid = deed.friends()
    people.guide_deletes(deed.sim, deed.corp, userid, external_userid)
    return {"userid": userid, "external_userid": external_userid}


def _customer_delete(deed: Deed) -> dict:
    userid, external_userid = deed.friends()
    people.customer_deletes(deed.sim, deed.corp, userid, external_userid)
    return {"userid": userid, "external_userid": external_userid}


def _leaver(deed: Deed) -> dict:
    userid, directory = deed.guide(), deed.corp.directory
    others = (directory.userid_at(n) for n in range(directory.size))
    if len(list(islice(filter(directory.serves, others), GUIDES_KEPT + 1))) <= GUIDES_KEPT:
        raise HandError("在岗的导购太少")
    people.member_leaves(deed.sim, deed.corp, userid)
    return {"userid": userid}


def _console(deed: Deed) -> dict:
    """The administrator makes a tag (half of the time), renames one, deletes one, or opens a store."""
    living, dice = deed.corp.tags.living(), deed.roll("what") % 10
    name = TAG_NAMES[deed.roll("name") % len(TAG_NAMES)] + f"{deed.month:%m}{deed.act.number:02d}"
    if dice < 5 or len(living) <= TAGS_KEPT:
        return {"made": console.create_tags(deed.sim, deed.corp, "门店自建", [name])["tags"]}
    tag = living[deed.roll("tag") % len(living)]
    if dice < 8:
        console.rename_tag(deed.sim, deed.corp, tag.id, name)
        return {"renamed": tag.id, "name": name}
    if dice == 8:
        console.delete_tag(deed.sim, deed.corp, tag.id)
        return {"deleted": tag.id}
    return console.create_department(deed.sim, deed.corp, f"新店{deed.month:%m}{deed.act.number:02d}", 1)


ACTS: dict[str, Callable[[Deed], dict]] = {
    "add": _add,
    "chat": _chat,
    "note": _note,
    "tag": _tag,
    "group_join": _group_join,
    "group_leave": _group_leave,
    "joiner": _joiner,
    "own_send": _own_send,
    "guide_delete": _guide_delete,
    "customer_delete": _customer_delete,
    "leaver": _leaver,
    "console": _console,
}
