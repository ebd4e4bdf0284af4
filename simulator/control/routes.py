"""Clock, corps, callbacks, calls, scripts, switches, inboxes and the reset."""

from dataclasses import asdict

from aiohttp import web

from simulator.clock import parse_instant, wall
from simulator.control.answers import answer, body_of, corp_of, simulator_of
from simulator.corp import CallbackConfig
from simulator.hands import groups as group_hands
from simulator.hands.errors import HandError
from simulator.hands.people import guide_of, number_of
from simulator.world.customers import follow_fields

routes = web.RouteTableDef()
PAGE = 200


@routes.get("/control/health")
async def health(_request: web.Request) -> web.Response:
    """The process answers."""
    return answer({"ok": True})


@routes.get("/control/corps")
async def list_corps(request: web.Request) -> web.Response:
    """Every corp with its credentials."""
    return answer({"corps": [corp.shown() for corp in simulator_of(request).corps.values()]})


@routes.post("/control/corps/{corp_id}/callback")
async def save_callback(request: web.Request) -> web.Response:
    """Save the callback address as the console does: only if it answers the verification; `verify: false` skips it.

    An empty `url` removes the address.
    """
    sim, body = simulator_of(request), await body_of(request)
    corp = corp_of(sim, request.match_info["corp_id"])
    if not body.get("url"):
        corp.callback = None
        return answer({"ok": True})
    config = CallbackConfig(
        body["url"],
        body.get("token") or corp.token,
        body.get("encoding_aes_key") or corp.encoding_aes_key,
        body.get("connect") or "",
    )
    problem = await sim.sender.verify(corp, config) if body.get("verify", True) else ""
    if problem:
        return answer({"ok": False, "error": problem}, 400)
    corp.callback = config
    return answer({"ok": True})


@routes.get("/control/clock")
async def show_clock(request: web.Request) -> web.Response:
    """Domain time and its offset from wall time, both in seconds."""
    clock = simulator_of(request).clock
    return answer({"now": clock.now(), "offset": round(clock.offset)})


@routes.post("/control/clock")
async def move_clock(request: web.Request) -> web.Response:
    """`{"set": instant}`, `{"advance": seconds}` or `{"offset": seconds}`; acts that fall due run before the answer."""
    sim, body = simulator_of(request), await body_of(request)
    if "set" in body:
        done = sim.move_clock(parse_instant(body["set"]))
    elif "advance" in body:
        done = sim.move_clock(sim.clock.now() + float(body["advance"]))
    else:
        done = sim.move_clock(wall() + float(body["offset"]))
    return answer({"now": sim.clock.now(), "offset": round(sim.clock.offset), "acts": done})


@routes.get("/control/quiet")
async def show_quiet(request: web.Request) -> web.Response:
    """Whether no callback is under way and no act is due."""
    return answer(simulator_of(request).quiet())


@routes.get("/control/life")
async def show_life(request: web.Request) -> web.Response:
    """What happened unasked, oldest first: counters and the last acts; `corp_id`, `kind`, `after`, `limit` narrow them."""
    life, query = simulator_of(request).schedule.life, request.query
    rows = [row for row in life.log if row["at"] >= int(query.get("after", 0))]
    for key in ("kind", "corp_id"):
        rows = [row for row in rows if query.get(key) in (None, row[key])]
    return answer(life.shown(query.get("corp_id", "")) | {"acts": rows[-int(query.get("limit", PAGE)) :]})


@routes.get("/control/switches")
async def show_switches(request: web.Request) -> web.Response:
    """All switches."""
    return answer(simulator_of(request).switches.shown())


@routes.post("/control/switches")
async def set_switches(request: web.Request) -> web.Response:
    """Change switches by name."""
    sim = simulator_of(request)
    sim.switches.set(await body_of(request))
    return answer(sim.switches.shown())


@routes.post("/control/tokens/invalidate")
async def invalidate_tokens(request: web.Request) -> web.Response:
    """End tokens early: `as` is `expired` (42001, default) or `invalid` (40014); `corp_id`, `kind` narrow it."""
    body = await body_of(request)
    expire = body.get("as", "expired") != "invalid"
    tokens = simulator_of(request).tokens
    return answer({"ended": tokens.invalidate(body.get("corp_id", ""), body.get("kind", ""), expire=expire)})


@routes.post("/control/script")
async def add_script(request: web.Request) -> web.Response:
    """Say what the next calls of an endpoint meet."""
    script = simulator_of(request).scripts.add(await body_of(request))
    return answer(asdict(script))


@routes.get("/control/script")
async def list_scripts(request: web.Request) -> web.Response:
    """Scripts still waiting."""
    return answer({"scripts": simulator_of(request).scripts.shown()})


@routes.delete("/control/script")
async def clear_scripts(request: web.Request) -> web.Response:
    """Forget all scripts."""
    simulator_of(request).scripts.clear()
    return answer({"ok": True})


@routes.get("/control/calls")
async def list_calls(request: web.Request) -> web.Response:
    """Counters per endpoint, and the last calls: `endpoint`, `after` (serial) and `limit` narrow them."""
    log, query = simulator_of(request).calls, request.query
    wanted = query.get("endpoint", "").removeprefix("/").removeprefix("cgi-bin/")
    after = int(query.get("after", 0))
    rows = [asdict(row) for row in log.calls if wanted in ("", row.path) and row.serial > after]
    results = {path: dict(counter) for path, counter in log.results.items()}
    return answer({"counts": dict(log.counts), "results": results, "calls": rows[-int(query.get("limit", PAGE)) :]})


@routes.get("/control/callbacks")
async def list_callbacks(request: web.Request) -> web.Response:
    """Events with their delivery; `event`, `state`, `after`, `limit` narrow them."""
    query = request.query
    rows = [row.shown() for row in simulator_of(request).sender.log if row.serial > int(query.get("after", 0))]
    for key in ("state", "corp_id"):
        rows = [row for row in rows if query.get(key) in (None, row[key])]
    rows = [row for row in rows if query.get("event") in (None, row["event"]["Event"], row["event"].get("ChangeType"))]
    return answer({"callbacks": rows[-int(query.get("limit", PAGE)) :]})


@routes.post("/control/callbacks/{serial}/resend")
async def resend(request: web.Request) -> web.Response:
    """Push an event once more, word for word."""
    sim = simulator_of(request)
    row = next((row for row in sim.sender.log if row.serial == int(request.match_info["serial"])), None)
    if row is None:
        raise HandError("没有这个事件")
    sim.emit(row.corp, row.event, row.created)
    return answer({"ok": True})


@routes.get("/control/customers")
async def list_customers(request: web.Request) -> web.Response:
    """The truth about customers by number, gone ones included: `offset`, `limit`."""
    sim, query = simulator_of(request), request.query
    book = corp_of(sim, query.get("corp_id")).customers
    offset, limit = int(query.get("offset", 0)), int(query.get("limit", PAGE))
    rows = []
    for number in range(offset, min(offset + limit, book.ever)):
        person = book.customer(number)
        rows.append(asdict(person) | {"number": number, "followers": book.followers(number)})
    return answer({"total": book.ever, "customers": rows})


@routes.get("/control/customers/{external_userid}")
async def show_customer(request: web.Request) -> web.Response:
    """The truth about one customer: every relation with what WeCom hides."""
    corp = corp_of(simulator_of(request), request.query.get("corp_id"))
    number = number_of(corp, request.match_info["external_userid"])
    follows = []
    for userid in corp.directory.userids():
        follow = corp.customers.follow(userid, number)
        if follow:
            follows.append(follow_fields(userid, follow) | asdict(follow))
    return answer(asdict(corp.customers.customer(number)) | {"number": number, "follows": follows})


@routes.get("/control/customers/{external_userid}/inbox")
async def show_inbox(request: web.Request) -> web.Response:
    """Every message the customer received, oldest first: welcomes, mass messages, and those of the groups."""
    corp = corp_of(simulator_of(request), request.query.get("corp_id"))
    external_userid = request.match_info["external_userid"]
    own = corp.masses.inbox.get(number_of(corp, external_userid), [])
    rows = own + group_hands.inbox_of(corp, external_userid)
    return answer({"messages": sorted(rows, key=lambda row: row["at"])})


@routes.get("/control/members")
async def list_members(request: web.Request) -> web.Response:
    """Members with the number of their customers."""
    corp = corp_of(simulator_of(request), request.query.get("corp_id"))
    rows = [
        {
            "userid": m.userid,
            "name": m.name,
            "departments": m.departments,
            "position": m.position,
            "contact": m.contact,
            "status": m.status,
            "customers": corp.customers.count(m.userid),
        }
        for m in corp.directory.present()
    ]
    return answer({"members": rows, "departments": [asdict(d) for d in corp.directory.departments.values()]})


@routes.get("/control/members/{userid}/inbox")
async def show_member_inbox(request: web.Request) -> web.Response:
    """The last app messages sent to the member; `dropped` says why one was not shown."""
    corp = corp_of(simulator_of(request), request.query.get("corp_id"))
    found = guide_of(corp, request.match_info["userid"])
    rows = [{key: value for key, value in row.items() if key != "print"} for row in found.app_messages]
    return answer({"messages": [row | corp.cards.fate(row["msgid"], found.userid) for row in rows]})


@routes.get("/control/groups")
async def list_groups(request: web.Request) -> web.Response:
    """Living groups: id, name, owner, size, and the opengid a mini-program gets there."""
    corp = corp_of(simulator_of(request), request.query.get("corp_id"))
    owner = request.query.get("owner")
    numbers = [n for n in corp.groups.living() if owner in (None, corp.groups.owner(n))][:PAGE]
    rows = []
    for number in numbers:
        g = corp.groups.get(number)
        row = {"chat_id": g.chat_id, "name": g.name, "owner": g.owner, "members": len(g.members)}
        rows.append(row | {"opengid": corp.groups.opengid(number)})
    return answer({"groups": rows})


@routes.get("/control/groups/{chat_id}/inbox")
async def show_group_inbox(request: web.Request) -> web.Response:
    """Every mass message the group received."""
    corp = corp_of(simulator_of(request), request.query.get("corp_id"))
    return answer({"messages": corp.masses.inbox.get(request.match_info["chat_id"], [])})


@routes.get("/control/sent")
async def list_sent(request: web.Request) -> web.Response:
    """Everything received by anyone, oldest first; `kind`, `after` (domain time) and `limit` narrow it."""
    corp, query = corp_of(simulator_of(request), request.query.get("corp_id")), request.query
    rows = []
    for target, messages in corp.masses.inbox.items():
        to = (
            {"chat_id": target}
            if isinstance(target, str)
            else {"external_userid": corp.customers.external_userid(target)}
        )
        rows += [message | to for message in messages if query.get("kind") in (None, message["kind"])]
    rows = sorted((row for row in rows if row["at"] >= int(query.get("after", 0))), key=lambda row: row["at"])
    return answer({"total": len(rows), "messages": rows[-int(query.get("limit", PAGE)) :]})


@routes.post("/control/reset")
async def reset(request: web.Request) -> web.Response:
    """Back to the beginning; `keep_clock` and `forget_callbacks` say what else (not) to reset."""
    sim, body = simulator_of(request), await body_of(request)
    await sim.reset(keep_clock=bool(body.get("keep_clock")), forget_callbacks=bool(body.get("forget_callbacks")))
    return answer({"ok": True, "now": sim.clock.now()})
