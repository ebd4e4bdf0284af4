"""WeCom's log-in pages: in the app (OAuth2), in a browser (扫码登录) and its older form. They bounce back with a code.

`/connect/oauth2/authorize` stands for open.weixin.qq.com, the others for login.work.weixin.qq.com and open.work.weixin.qq.com.
"""

import html
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit, urlunsplit

from aiohttp import web

from simulator.clock import wall
from simulator.control.answers import simulator_of
from simulator.corp import Corp
from simulator.hands.app import person_of
from simulator.hands.errors import HandError
from simulator.world.logins import Person

routes = web.RouteTableDef()
INSIDE, BROWSER, OLD_BROWSER = "/connect/oauth2/authorize", "/wwlogin/sso/login", "/wwopen/sso/qrConnect"
SCOPES = ("snsapi_base", "snsapi_userinfo", "snsapi_privateinfo")
SHOWN = 60


@dataclass(frozen=True)
class Visit:
    """A log-in page as it was opened."""

    path: str
    redirect_uri: str
    state: str
    scope: str

    @classmethod
    def read(cls, corp: Corp, path: str, query: dict[str, str]) -> "Visit":
        """The page's parameters. Raises HandError for what WeCom refuses on the page."""
        path = path.rstrip("/")
        if path not in (INSIDE, BROWSER, OLD_BROWSER):
            raise HandError("没有这个登录页")
        scope = query.get("scope", "snsapi_base") if path == INSIDE else "snsapi_base"
        needs_agent = path != INSIDE or scope == "snsapi_privateinfo"
        if query.get("appid") != corp.corp_id:
            raise HandError("appid 不正确")
        if needs_agent and query.get("agentid") != str(corp.agent_id):
            raise HandError("agentid 不正确")
        if path == INSIDE and (query.get("response_type") != "code" or scope not in SCOPES):
            raise HandError("response_type 或 scope 不正确")
        if path == BROWSER and query.get("login_type") != "CorpApp":
            raise HandError("login_type 不正确")
        target = urlsplit(query.get("redirect_uri", ""))
        if target.scheme not in ("http", "https") or not target.netloc:
            raise HandError("redirect_uri 不正确")
        if corp.trusted_domain and target.netloc.lower() != corp.trusted_domain:
            raise HandError("50001 redirect_uri 与应用可信域名不一致")
        state = query.get("state", "")
        if len(state.encode()) > 128 or not ((state.isascii() and state.isalnum()) or not state):
            raise HandError("state 不正确")
        return cls(path, query["redirect_uri"], state, scope)

    def finish(self, corp: Corp, person: Person) -> tuple[str, str]:
        """(address to go back to, code). Who refuses brings back the state alone. Raises HandError."""
        if person.userid == "" and self.path != INSIDE and not person.refuses:
            raise HandError("扫码登录仅限企业成员")
        code = "" if person.refuses else corp.logins.issue(person, self.scope, wall())
        parts = urlsplit(self.redirect_uri)
        given = {"code": code, "state": self.state}
        more = urlencode({name: value for name, value in given.items() if value})
        query = "&".join(part for part in (parts.query, more) if part)
        return urlunsplit((parts.scheme, parts.netloc, parts.path, query, "")), code


async def show(request: web.Request) -> web.StreamResponse:
    """Bounce back at once for whoever holds the phone (`oauth` hand), has a chat open (inside the app) or was chosen on the page; else
    ask who it is."""
    sim = simulator_of(request)
    query = dict(request.query)
    corp = sim.corps.get(query.get("appid", ""))
    if corp is None:
        raise HandError("appid 不正确")
    visit = Visit.read(corp, request.path, query)
    chosen = {name: query.pop(name) for name in ("as_userid", "as_external_userid", "as_refuse") if name in query}
    given = {name.removeprefix("as_"): value for name, value in chosen.items()}
    person = person_of(corp, given) if given else corp.logins.holder or _in_chat(corp, visit)
    if person is None:
        return web.Response(text=_page(corp, visit, query, request.path), content_type="text/html", charset="utf-8")
    sim.touched = True
    return web.Response(status=302, headers={"Location": visit.finish(corp, person)[0]})  # word for word


def _in_chat(corp: Corp, visit: Visit) -> Person | None:
    chat = corp.logins.chat
    return Person(userid=chat.userid) if chat and visit.path == INSIDE else None


for _path in (INSIDE, BROWSER, BROWSER + "/", OLD_BROWSER):
    routes.get(_path)(show)


@routes.get("/wwpic/{name}/0")
async def show_picture(request: web.Request) -> web.Response:
    """A picture of media/uploadimg."""
    for corp in simulator_of(request).corps.values():
        content = corp.fetches.images.get(request.match_info["name"])
        if content is not None:
            kind = "image/png" if content.startswith(b"\x89PNG") else "image/jpeg"
            return web.Response(body=content, content_type=kind)
    raise web.HTTPNotFound


def _page(corp: Corp, visit: Visit, query: dict[str, str], path: str) -> str:
    """A list to choose from: members, and inside WeChat some customers as well."""
    links = [({"as_userid": m.userid}, f"{m.name} {m.position}") for m in corp.directory.present()[:SHOWN]]
    if visit.path == INSIDE:
        numbers = range(min(corp.customers.ever, 20))
        people = [corp.customers.customer(number) for number in numbers]
        links += [({"as_external_userid": p.external_userid}, f"客户 {p.name}") for p in people]
    links.append(({"as_refuse": "1"}, "拒绝"))
    rows = "".join(
        f'<li><a href="{html.escape(path + "?" + urlencode(query | choice))}">{html.escape(words)}</a></li>'
        for choice, words in links
    )
    title = "企业微信登录" if visit.path != INSIDE else "企业微信授权"
    return (
        f'<!doctype html><html lang="zh-CN"><meta charset="utf-8"><title>{title}</title>'
        f"<h1>{title}</h1><p>{html.escape(corp.scenario.corp_name)}: 由谁扫码?</p><ul>{rows}</ul></html>"
    )
