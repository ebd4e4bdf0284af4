"""The pages that QR codes and acquisition links lead to, and the hands around them."""

import html
import io

import qrcode
import qrcode.image.svg
from aiohttp import web

from simulator.control.answers import answer, body_of, corp_of, simulator_of
from simulator.control.hands import act
from simulator.corp import Corp
from simulator.hands import acquisition, codes
from simulator.hands.errors import HandError
from simulator.simulator import Simulator
from simulator.world.acquisition import Link
from simulator.world.contactways import ContactWay

routes = web.RouteTableDef()
TITLES = {"contact_way": "添加企业成员", "join_way": "加入群聊", "link": "添加企业成员"}
PAGE = """<!doctype html>
<html lang="zh-CN"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><link rel="icon" href="data:,">
<style>body{{font:16px/1.6 -apple-system,"PingFang SC","Noto Sans SC",sans-serif;max-width:22em;margin:2em auto;padding:0 1em}}
svg{{width:100%;height:auto}}input,button{{font:inherit;padding:.4em .8em}}</style></head>
<body><h1>{title}</h1><p>{corp}</p>{qr}
<form><input name="name" placeholder="昵称(可空)" aria-label="昵称"> <button>{verb}</button></form><p role="status"></p>
<script>
document.querySelector("form").addEventListener("submit", async event => {{
  event.preventDefault();
  const body = {{url: location.href, name: event.target.name.value}};
  const reply = await fetch("/control/hands/scan", {{method: "POST", body: JSON.stringify(body)}});
  const said = await reply.json();
  const done = said.already_friends || said.already_in ? "已经添加过" : "完成";
  document.querySelector("[role=status]").textContent = said.ok ? done : said.error;
}});
</script></body></html>"""
GONE = "<!doctype html><html lang='zh-CN'><meta charset='utf-8'><title>已失效</title><p>二维码或链接已失效</p></html>"


@routes.get("/{place:qr|ca}/{code}")
async def show_code(request: web.Request) -> web.Response:
    """What a code leads to: for an image tag the QR code itself, for a browser a page with a button; 404 once it is dead.

    A link opened by WeChat counts as a click of somebody unknown.
    """
    sim, channel = simulator_of(request), request.query.get("customer_channel", "")
    found = codes.find_code(sim, request.match_info["place"], request.match_info["code"], channel)
    if found is None:
        return web.Response(text=GONE, status=404, content_type="text/html")
    if isinstance(found.row, Link) and "MicroMessenger" in request.headers.get("User-Agent", ""):
        acquisition.clicked(sim, found.corp, found.row, "", channel)
    drawing = _draw(str(request.url))
    if not isinstance(found.row, Link) and "text/html" not in request.headers.get("Accept", ""):
        return web.Response(body=drawing, content_type="image/svg+xml")
    return web.Response(text=_page(found, drawing), content_type="text/html")


def _draw(url: str) -> bytes:
    image, out = qrcode.make(url, image_factory=qrcode.image.svg.SvgPathImage), io.BytesIO()
    image.save(out)
    return out.getvalue()


def _page(found: codes.Found, drawing: bytes) -> str:
    is_group = not isinstance(found.row, (Link, ContactWay))
    title = TITLES["join_way" if is_group else "contact_way"]
    svg = drawing.decode().partition("?>")[2] or drawing.decode()
    name = html.escape(found.corp.scenario.corp_name)
    return PAGE.format(title=title, corp=name, qr=svg, verb="加入" if is_group else "添加")


@routes.get("/control/codes")
async def list_codes(request: web.Request) -> web.Response:
    """Every living code of a corp, with what it would put into `state` and how often it brought somebody."""
    corp = corp_of(simulator_of(request), request.query.get("corp_id"))
    ways = [
        {"config_id": way.config_id, "url": _url(request, "qr", way.code), "state": way.state, "scans": way.scans}
        for way in corp.contact_ways.ways.values()
    ]
    joins = [
        {"config_id": way.config_id, "url": _url(request, "qr", way.code), "state": way.state, "made": way.made}
        for way in corp.join_ways.ways.values()
    ]
    links = [
        {
            "link_id": link.link_id,
            "url": _url(request, "ca", link.code),
            "name": link.name,
            "customers": len(link.leads),
        }
        for link in corp.acquisition.links.values()
    ]
    return answer({"contact_ways": ways, "join_ways": joins, "links": links})


def _url(request: web.Request, place: str, code: str) -> str:
    return f"{request.url.origin()}/{place}/{code}"


@routes.post("/control/hands/scan")
async def scan(request: web.Request) -> web.Response:
    """A customer (`external_userid`, or a new one by `name`) follows a code: `url`, or `config_id` with `corp_id`."""
    sim, body = simulator_of(request), await body_of(request)
    if body.get("url"):
        found = codes.find_url(sim, body["url"])
        if found is None:
            raise HandError("二维码或链接已失效")
    else:
        found = codes.find_config(corp_of(sim, body.get("corp_id")), body["config_id"])
    names = ("external_userid", "name", "customer_channel", "wecom_user")
    return answer({"ok": True} | codes.scan(sim, found, **{name: body[name] for name in names if body.get(name)}))


@act("acquisition_quota")
def acquisition_quota(sim: Simulator, corp: Corp, body: dict) -> dict:
    """The administrator buys quota: count, days (365); or customers of elsewhere use it up: `left`."""
    if "left" in body:
        return acquisition.drain_quota(sim, corp, int(body["left"]))
    return acquisition.buy_quota(sim, corp, int(body["count"]), int(body.get("days", 365)))


@act("console_link")
def console_link(sim: Simulator, corp: Corp, body: dict) -> dict:
    """The administrator makes a link: name, userids."""
    return acquisition.console_link(sim, corp, body["name"], body["userids"])


@act("console_delete_link")
def console_delete_link(sim: Simulator, corp: Corp, body: dict) -> dict:
    """The administrator deletes a link: link_id."""
    return acquisition.delete_link(sim, corp, body["link_id"])


@act("link_unavailable")
def link_unavailable(sim: Simulator, corp: Corp, body: dict) -> dict:
    """A link stops working: link_id; or works again: `mended`."""
    return acquisition.link_unavailable(sim, corp, body["link_id"], mended=bool(body.get("mended")))


@act("acquisition_permit")
def acquisition_permit(_sim: Simulator, corp: Corp, body: dict) -> dict:
    """Who may use the assistant: user_list, department_list, tag_list."""
    return acquisition.set_permit(corp, body)
