"""The hands over HTTP: `POST /control/hands/<act>` with a JSON object."""

from collections.abc import Callable
from urllib.parse import urljoin

import aiohttp
from aiohttp import web

from simulator.callbacks.sender import dial
from simulator.control.answers import answer, body_of, corp_of, simulator_of
from simulator.corp import Corp
from simulator.hands import console, groups, masses, people
from simulator.hands.errors import HandError
from simulator.simulator import Simulator

routes = web.RouteTableDef()
Act = Callable[[Simulator, Corp, dict], dict]
ACTS: dict[str, Act] = {}
WECHAT_AGENT = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 "
    "MicroMessenger/8.0.49(0x1800312b) NetType/WIFI Language/zh_CN"
)
HOPS = 5


def act(name: str) -> Callable[[Act], Act]:
    """Register a hand."""

    def register(handler: Act) -> Act:
        ACTS[name] = handler
        return handler

    return register


@routes.post("/control/hands/open_link")
async def open_link(request: web.Request) -> web.Response:
    """A customer opens `url` in WeChat; `connect` (host:port) is dialled in place of any host. Redirects are followed."""
    body = await body_of(request)
    url, connect, trail = body["url"], body.get("connect") or "", []
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        for _hop in range(HOPS):
            address, headers = dial(url, connect)
            try:
                async with session.get(
                    address,
                    headers=headers | {"User-Agent": WECHAT_AGENT},
                    allow_redirects=False,
                    timeout=aiohttp.ClientTimeout(total=10),
                ) as response:
                    text = await response.text(errors="replace")
                    trail.append({"url": url, "status": response.status})
                    target = response.headers.get("Location")
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise HandError(f"打不开: {type(error).__name__}") from error
            if not target:
                break
            url = urljoin(url, target)
    return answer(
        {"ok": True, "status": trail[-1]["status"], "url": trail[-1]["url"], "trail": trail, "text": text[:2000]}
    )


@routes.post("/control/hands/{act}")
async def do(request: web.Request) -> web.Response:
    """Carry out one act; 400 with the reason when it is impossible."""
    name = request.match_info["act"]
    if name not in ACTS:
        return answer(
            {"ok": False, "error": f"没有这个动作: {name}", "acts": sorted([*ACTS, "open_link", "scan"])}, 404
        )
    sim, body = simulator_of(request), await body_of(request)
    return answer({"ok": True} | ACTS[name](sim, corp_of(sim, body.get("corp_id")), body))


ADD_OPTIONS = ("name", "state", "add_way", "half", "wecom_user", "by_guide", "admin_welcome")


@act("add")
def add(sim: Simulator, corp: Corp, body: dict) -> dict:
    """A customer adds a guide, or `count` new ones add `userid` / `userids` (all guides without)."""
    options = {key: body[key] for key in ADD_OPTIONS if key in body}
    if "count" in body:
        userids = body.get("userids") or ([body["userid"]] if body.get("userid") else [])
        return people.add_many(sim, corp, userids, int(body["count"]), **options)
    return people.add(sim, corp, body["userid"], body.get("external_userid") or "", **options)


@act("confirm_half")
def confirm_half(sim: Simulator, corp: Corp, body: dict) -> dict:
    """The guide accepts a half-added customer."""
    return people.confirm_half(sim, corp, body["userid"], body["external_userid"])


@act("guide_deletes")
def guide_deletes(sim: Simulator, corp: Corp, body: dict) -> dict:
    """The guide deletes the customer."""
    return people.guide_deletes(sim, corp, body["userid"], body["external_userid"])


@act("customer_deletes")
def customer_deletes(sim: Simulator, corp: Corp, body: dict) -> dict:
    """The customer deletes the guide."""
    return people.customer_deletes(sim, corp, body["userid"], body["external_userid"])


@act("edit_notes")
def edit_notes(sim: Simulator, corp: Corp, body: dict) -> dict:
    """The guide edits remark, description, remark_company, remark_mobiles."""
    return people.edit_notes(sim, corp, body["userid"], body["external_userid"], body)


@act("tag")
def tag(sim: Simulator, corp: Corp, body: dict) -> dict:
    """The guide marks the customer: add, remove (ids or names), personal, personal_off (names)."""
    lists = [body.get(name) or [] for name in ("add", "remove", "personal", "personal_off")]
    return people.tag(sim, corp, body["userid"], body["external_userid"], *lists)


@act("chat")
def chat(sim: Simulator, corp: Corp, body: dict) -> dict:
    """Guide and customer talk: messages (how often the customer writes), sent, reply_minutes."""
    options = {key: body[key] for key in ("messages", "sent", "reply_minutes") if key in body}
    return people.chat(sim, corp, body["userid"], body["external_userid"], **options)


@act("member_joins")
def member_joins(sim: Simulator, corp: Corp, body: dict) -> dict:
    """A member joins: userid, name, departments, position, leader, contact."""
    return people.member_joins(sim, corp, body)


@act("member_changes")
def member_changes(sim: Simulator, corp: Corp, body: dict) -> dict:
    """A member changes: name, departments, position, status, contact, visible, leader."""
    return people.member_changes(sim, corp, body["userid"], body)


@act("member_leaves")
def member_leaves(sim: Simulator, corp: Corp, body: dict) -> dict:
    """A member leaves the corp."""
    return people.member_leaves(sim, corp, body["userid"])


@act("group_create")
def group_create(sim: Simulator, corp: Corp, body: dict) -> dict:
    """A guide opens a group: owner, name, members."""
    return groups.create(sim, corp, body["owner"], body["name"], body.get("members") or [])


@act("group_join")
def group_join(sim: Simulator, corp: Corp, body: dict) -> dict:
    """Join a group: chat_id, members, scene (1 invited, 2 link, 3 QR), invitor, state."""
    options = {key: body[key] for key in ("scene", "invitor", "state") if key in body}
    return groups.join(sim, corp, body["chat_id"], body["members"], **options)


@act("group_leave")
def group_leave(sim: Simulator, corp: Corp, body: dict) -> dict:
    """Leave a group, or be `removed`."""
    return groups.leave(sim, corp, body["chat_id"], body["members"], removed=bool(body.get("removed")))


@act("group_change")
def group_change(sim: Simulator, corp: Corp, body: dict) -> dict:
    """Change name, owner or notice."""
    options = {key: body[key] for key in ("name", "owner", "notice") if key in body}
    return groups.change(sim, corp, body["chat_id"], **options)


@act("group_dismiss")
def group_dismiss(sim: Simulator, corp: Corp, body: dict) -> dict:
    """Dissolve a group."""
    return groups.dismiss(sim, corp, body["chat_id"])


@act("tasks")
def tasks(_sim: Simulator, corp: Corp, body: dict) -> dict:
    """Mass-send tasks waiting for confirmation, of one guide or all."""
    rows = []
    for mass, userid in masses.open_tasks(corp, body.get("userid") or ""):
        row = {"msgid": mass.msgid, "userid": userid, "chat_type": mass.chat_type, "content": mass.content()}
        recipients = mass.tasks[userid].recipients
        rows.append(
            row | {"recipients": len(recipients), "create_time": mass.create_time, "reminders": len(mass.reminders)}
        )
    return {"tasks": rows}


@act("confirm")
def confirm(sim: Simulator, corp: Corp, body: dict) -> dict:
    """确认发送 of one task."""
    return masses.confirm(sim, corp, body["msgid"], body["userid"])


@act("confirm_all")
def confirm_all(sim: Simulator, corp: Corp, body: dict) -> dict:
    """确认发送 of every open task, of one guide (`userid`), one message (`msgid`), or all."""
    open_ones = masses.open_tasks(corp, body.get("userid") or "")
    wanted = [(m.msgid, u) for m, u in open_ones if body.get("msgid") in (None, "", m.msgid)]
    return {"confirmed": [masses.confirm(sim, corp, msgid, userid) for msgid, userid in wanted]}


@act("send_own")
def send_own(sim: Simulator, corp: Corp, body: dict) -> dict:
    """A guide's own mass send to `external_userids`, or to all her customers."""
    guide = people.guide_of(corp, body["userid"])
    given = body.get("external_userids")
    numbers = [people.number_of(corp, e) for e in given] if given else corp.customers.numbers(guide.userid)[0]
    mass = masses.send_personally(sim, corp, guide.userid, numbers, body.get("text") or "")
    return {"msgid": mass.msgid}


@act("console_department")
def console_department(sim: Simulator, corp: Corp, body: dict) -> dict:
    """The administrator makes a department: name, parent (1 without)."""
    return console.create_department(sim, corp, body["name"], int(body.get("parent", 1)))


@act("console_tags")
def console_tags(sim: Simulator, corp: Corp, body: dict) -> dict:
    """The administrator makes tags: group, names."""
    return console.create_tags(sim, corp, body["group"], body["names"])


@act("console_rename_tag")
def console_rename_tag(sim: Simulator, corp: Corp, body: dict) -> dict:
    """The administrator renames a tag or group: id, name."""
    return console.rename_tag(sim, corp, body["id"], body["name"])


@act("console_order_tags")
def console_order_tags(sim: Simulator, corp: Corp, body: dict) -> dict:
    """The administrator reorders the tags of a group (group: its id), or, without, the groups: ids."""
    return console.order_tags(sim, corp, body.get("group") or "", body["ids"])


@act("console_delete_tag")
def console_delete_tag(sim: Simulator, corp: Corp, body: dict) -> dict:
    """The administrator deletes a tag or group: id."""
    return console.delete_tag(sim, corp, body["id"])


@act("customers")
def customers(_sim: Simulator, corp: Corp, body: dict) -> dict:
    """A guide's customers, newest positions last: offset, limit."""
    guide = people.guide_of(corp, body["userid"])
    numbers, after = corp.customers.numbers(guide.userid, int(body.get("offset", 0)), int(body.get("limit", 50)))
    rows = []
    for number in numbers:
        follow, person = corp.customers.follow(guide.userid, number), corp.customers.customer(number)
        if follow:
            names = [corp.tags.tags[t].name for t in corp.customers.living_tags(follow)]
            row = {"external_userid": person.external_userid, "name": person.name, "remark": follow.remark}
            rows.append(row | {"tags": names, "deleted_by_customer": follow.deleted_by_customer, "state": follow.state})
    return {"customers": rows, "next": after if after < corp.customers.size(guide.userid) else None}
