"""WECOM-JSSDK as the simulator serves it: the script at its usual path, and what the client answers to a page.

`/node/open/js/wecom-jssdk-….js` stands for wwcdn.weixin.qq.com.
"""

import json
import re
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import web

from simulator.api.ticketing import AGENT, CORP
from simulator.clock import wall
from simulator.control.answers import simulator_of
from simulator.control.hands import act
from simulator.corp import APP, Corp
from simulator.hands import app
from simulator.hands.errors import HandError
from simulator.simulator import Simulator
from simulator.world.logins import OpenChat

routes = web.RouteTableDef()
SCRIPT = Path(__file__).parent / "jssdk.js"
WITH_CUSTOMER = ("contact_profile", "single_chat_tools", "single_kf_tools")
WITH_GROUP = ("group_chat_tools",)
ENTRIES = (*WITH_CUSTOMER, *WITH_GROUP, "chat_attachment", "normal")
NO_CUSTOMER = "getCurExternalContact:fail without context of external contact"
NO_GROUP = "getCurExternalChat:fail without context of external chat"


class Refused(Exception):
    """What the page meets: errCode and errMsg."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(words)
        self.code, self.words = code, words


@act("open_chat")
def open_chat(_sim: Simulator, corp: Corp, body: dict) -> dict:
    """A member opens the app's page beside a chat: `userid` with `external_userid` or `chat_id`, `entry` (from the one that is given);
    nobody closes it."""
    if not body.get("userid"):
        corp.logins.chat = None
        return {}
    corp.logins.chat = app.chat_of(corp, body, ENTRIES)
    return {}


@routes.get(r"/node/open/js/{name:wecom-jssdk-[\d.]+\.js}")
async def show_script(_request: web.Request) -> web.Response:
    """The script."""
    return web.Response(text=SCRIPT.read_text(encoding="utf-8"), content_type="text/javascript", charset="utf-8")


@routes.get("/jssdk/{name}")
async def answer_page(request: web.Request) -> web.Response:
    """One question of a page: config, agentConfig, or a name of the SDK with what agentConfig was given."""
    name, query = request.match_info["name"], dict(request.query)
    if name not in _CALLS or not re.fullmatch(r"\d{1,9}", query.get("id", "")):
        raise web.HTTPNotFound
    try:
        body = _CALLS[name](simulator_of(request), query) | {"errCode": 0, "errMsg": f"{name}:ok"}
    except Refused as no:
        body = {"errCode": no.code, "errMsg": no.words}
    text = f"window.__wecomAnswer({json.dumps(query['id'])}, {json.dumps(body)});"
    return web.Response(text=text, content_type="text/javascript", charset="utf-8")


def _config(sim: Simulator, query: dict[str, str]) -> dict:
    _prove(sim, query, CORP, "config")
    return {}


def _agent_config(sim: Simulator, query: dict[str, str]) -> dict:
    _prove(sim, query, AGENT, "agentConfig")
    return {}


def _prove(sim: Simulator, query: dict[str, str], ticket: str, name: str) -> Corp:
    """The corp whose page this is. Raises Refused: 40013 or 92002 (not this client's corp), 80001 (domain), 40093 or 42012 (signature)."""
    corp = sim.corps.get(query.get("corpid", ""))
    if corp is None:
        raise Refused(40013, f"{name}:fail invalid corpid")
    if ticket == AGENT and query.get("agentid") != str(corp.agent_id):
        raise Refused(40056, f"{name}:fail invalid agentid")
    if ticket == AGENT and corp.logins.chat is None and any(one.logins.chat for one in sim.corps.values()):
        raise Refused(92002, f"{name}:fail corpid does not match")
    host = (urlsplit(query.get("url", "")).hostname or "").lower()
    if corp.trusted_domain and host != corp.trusted_domain.partition(":")[0]:
        raise Refused(80001, f"{name}:fail invalid url domain")
    signed = {key: query.get(key, "") for key in ("noncestr", "timestamp", "url", "signature")}
    code = sim.tickets.judge(corp.corp_id, APP, ticket, signed, wall())
    if code:
        raise Refused(code, f"{name}:fail invalid signature")
    return corp


def _client(sim: Simulator, query: dict[str, str], name: str) -> OpenChat:
    """What is open in the client. Raises Refused for a member without the app or without 客户联系."""
    corp = _prove(sim, query, AGENT, name)
    chat = corp.logins.chat
    if chat is None:
        return OpenChat("", "normal")
    try:
        member = app.user_of(corp, chat.userid)
    except HandError:
        member = None
    if member is None or not member.contact:
        raise Refused(-1, f"{name}:fail no permission")
    return chat


def _context(sim: Simulator, query: dict[str, str]) -> dict:
    return {"entry": _client(sim, query, "getContext").entry}


def _customer(sim: Simulator, query: dict[str, str]) -> dict:
    chat = _client(sim, query, "getCurExternalContact")
    if chat.entry not in WITH_CUSTOMER:
        raise Refused(-1, NO_CUSTOMER)
    return {"userId": chat.external_userid}


def _group(sim: Simulator, query: dict[str, str]) -> dict:
    chat = _client(sim, query, "getCurExternalChat")
    if chat.entry not in WITH_GROUP:
        raise Refused(-1, NO_GROUP)
    return {"chatId": chat.chat_id}


_CALLS = {
    "config": _config,
    "agentConfig": _agent_config,
    "getContext": _context,
    "getCurExternalContact": _customer,
    "getCurExternalChat": _group,
}
