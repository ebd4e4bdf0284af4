"""The hands of members on the app, and of its administrator, over HTTP."""

from urllib.parse import parse_qsl, urlsplit

from aiohttp import web

from simulator.clock import wall
from simulator.control.answers import answer, body_of, corp_of, simulator_of
from simulator.control.hands import act
from simulator.control.login_pages import Visit
from simulator.corp import APP, Corp
from simulator.hands import app
from simulator.hands.errors import HandError
from simulator.simulator import Simulator

routes = web.RouteTableDef()


@act("enter_agent")
def enter_agent(sim: Simulator, corp: Corp, body: dict) -> dict:
    """A member opens the app."""
    return app.enter_agent(sim, corp, body["userid"])


@act("click_menu")
def click_menu(sim: Simulator, corp: Corp, body: dict) -> dict:
    """A member presses a menu entry: userid, key (click) or url (view)."""
    return app.click_menu(sim, corp, body["userid"], body.get("key") or "", body.get("url") or "")


@act("click_card")
def click_card(sim: Simulator, corp: Corp, body: dict) -> dict:
    """A member presses `key` of a card: card (msgid or task_id, her newest without), selected (question → option ids)."""
    selected = {str(key): [str(one) for one in ids] for key, ids in (body.get("selected") or {}).items()}
    return app.click_card(sim, corp, body["userid"], body.get("card") or "", body["key"], selected)


@act("console_range")
def console_range(sim: Simulator, corp: Corp, body: dict) -> dict:
    """The administrator sets the visible range: departments, userids."""
    return app.set_range(sim, corp, body.get("departments") or [], body.get("userids") or [])


@act("console_domain")
def console_domain(_sim: Simulator, corp: Corp, body: dict) -> dict:
    """The administrator sets the trusted domain (host, with a port if it has one); empty trusts every address."""
    corp.trusted_domain = str(body["domain"]).strip().lower()
    return {}


@act("oauth")
def oauth(_sim: Simulator, corp: Corp, body: dict) -> dict:
    """Pick who scans: userid, external_userid or stranger (with refuse, consents); nobody means the pages ask.

    With `url` (a log-in page's address) this one visit is made at once and its `location` and `code` returned.
    """
    person = app.person_of(corp, body)
    if not body.get("url"):
        corp.logins.holder = person
        return {}
    if person is None:
        raise HandError("请指明谁来扫码")
    parts = urlsplit(body["url"])
    visit = Visit.read(corp, parts.path, dict(parse_qsl(parts.query)))
    location, code = visit.finish(corp, person)
    return {"location": location, "code": code}


@routes.post("/control/js_signature")
async def judge_signature(request: web.Request) -> web.Response:
    """What wx.config (`ticket`: corp) or wx.agentConfig (agent_config) says to noncestr, timestamp, url, signature."""
    sim, body = simulator_of(request), await body_of(request)
    corp = corp_of(sim, body.get("corp_id"))
    code = sim.tickets.judge(corp.corp_id, APP, body.get("ticket") or "corp", body, wall())
    return answer({"errcode": code})
