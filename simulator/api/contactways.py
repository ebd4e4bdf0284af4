"""Contact ways (联系我)."""

from dataclasses import asdict
from typing import Any

from simulator.api import common, paging, serving
from simulator.api.content import check_part
from simulator.api.errors import WeComError
from simulator.api.fields import Field
from simulator.api.registry import Call, endpoint
from simulator.clock import local
from simulator.world.contactways import ContactWay
from simulator.world.ids import digest_letters

DAY = 86_400
SINGLE, MANY = 1, 2
PLUGIN, QR = 1, 2
MEMBERS_MOST = 100
WINDOW_DAYS = 90
TEMP_MOST = 14 * DAY

CONFIG_ID = Field("config_id", missing=41043)
CHANGEABLE = (
    Field("style", int),
    Field("remark", most=30),
    Field("skip_verify", bool),
    Field("state", most=30),
    Field("user", list, items=str),
    Field("party", list, items=int),
    Field("expires_in", int, least=1, most=TEMP_MOST),
    Field("chat_expires_in", int, least=1, most=TEMP_MOST),
    Field("unionid"),
    Field("mark_source", bool),
    Field("conclusions", dict),
)
NAMES = tuple(field.name for field in CHANGEABLE)
TEMP_ONLY = ("expires_in", "chat_expires_in", "unionid", "conclusions")


@endpoint(
    "externalcontact/add_contact_way",
    Field("type", int, missing=41037),
    Field("scene", int, missing=41038),
    *CHANGEABLE,
    Field("is_temp", bool, default=False),
    Field("is_exclusive", bool, default=False),
)
def add_contact_way(call: Call) -> dict:
    """Make a way. The answer carries `qr_code` for scene 2 only; limits: members 41041, ways 41045."""
    kind, scene, is_temp = call["type"], call["scene"], call["is_temp"]
    if is_temp and not call.sim.switches.temp_ways_allowed:
        raise WeComError(48002)
    if kind not in (SINGLE, MANY):
        raise WeComError(41039)
    if scene not in (PLUGIN, QR):
        raise WeComError(41040)
    if is_temp and kind != SINGLE:
        raise WeComError(40058, "invalid Request Parameter, is_temp")
    given = _defaults(call, is_temp=is_temp) | _checked(call, scene, is_temp=is_temp)
    given |= _members(call, kind, call["user"] or [], call["party"] or [])
    _room_for_one_more(call, is_temp=is_temp)
    fixed = {"type": kind, "scene": scene, "is_temp": is_temp, "is_exclusive": call["is_exclusive"]}
    way = call.corp.contact_ways.new(call.now, **fixed, **given)
    return {"config_id": way.config_id} | _qr(call, way)


def _defaults(call: Call, *, is_temp: bool) -> dict[str, Any]:
    temp = {"expires_in": 7 * DAY, "chat_expires_in": DAY} if is_temp else {}
    return {"mark_source": call.sim.switches.mark_source_default} | temp


def _checked(call: Call, scene: int, *, is_temp: bool) -> dict[str, Any]:
    """What was given beside the members; what only temporary ways have is dropped from others. Raises WeComError."""
    style = call["style"]
    if scene == PLUGIN and style is not None and not 1 <= style <= call.sim.switches.contact_way_styles:
        raise WeComError(41042)
    given = {name: call[name] for name in NAMES if name not in ("user", "party") and call[name] is not None}
    if not is_temp:
        return {name: value for name, value in given.items() if name not in TEMP_ONLY}
    if given.get("unionid") and not call.corp.scenario.unionid:
        raise WeComError(41057)
    if "conclusions" in given:
        given["conclusions"] = _conclusions(call, given["conclusions"])
    return given


def _conclusions(call: Call, given: dict) -> dict:
    """Text and at most one of image, link, mini-program, the first of them. Raises WeComError 40058, 45002 or 40007."""
    text = given.get("text") or {}
    words = (text.get("content") or "") if isinstance(text, dict) else None
    if not isinstance(words, str):
        raise WeComError(40058, "invalid Request Parameter, conclusions")
    if len(words.encode()) > 4000:
        raise WeComError(45002)
    clean: dict = {"text": {"content": words}} if words else {}
    for kind in ("image", "link", "miniprogram"):
        if given.get(kind):
            check_part(call, kind, given[kind])
            clean[kind] = given[kind]
            break
    if not clean:
        raise WeComError(40058, "conclusions are empty")
    return clean


def _members(call: Call, kind: int, users: list[str], parties: list[int]) -> dict[str, list]:
    """`user` and `party` as kept; a single way ignores `party`. Raises WeComError 40035, 41041 and those of `chosen`."""
    parties = parties if kind == MANY else []
    if not users and not parties:
        raise WeComError(40035)
    users = serving.chosen(call, users, parties)
    if serving.count(call, users, parties) > (1 if kind == SINGLE else MEMBERS_MOST):
        raise WeComError(41041)
    return {"user": users, "party": parties}


def _room_for_one_more(call: Call, *, is_temp: bool) -> None:
    """Permanent ways share their limit with group join ways; temporary ones have one a day. Raises WeComError 41045."""
    book, switches = call.corp.contact_ways, call.sim.switches
    if is_temp:
        midnight = local(call.now).replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
        full = book.temp_since(int(midnight)) >= switches.temp_ways_per_day
    else:
        full = book.permanent() + len(call.corp.join_ways.ways) >= switches.contact_ways_most
    if full:
        raise WeComError(41045)


def _way(call: Call) -> ContactWay:
    way = call.corp.contact_ways.ways.get(call["config_id"])
    if way is None:
        raise WeComError(41044)
    return way


def _qr(call: Call, way: ContactWay) -> dict[str, str]:
    return {"qr_code": serving.address(call, f"qr/{way.code}")} if way.scene == QR else {}


@endpoint("externalcontact/get_contact_way", CONFIG_ID)
def get_contact_way(call: Call) -> dict:
    """One way as it stands; an image of the conclusions shows as `pic_url`."""
    way = _way(call)
    row = asdict(way)
    names = ["config_id", "type", "scene", "remark", "skip_verify", "state", "user", "party", "is_temp", "mark_source"]
    shown = {name: row[name] for name in names} | _qr(call, way)
    if way.style is not None:
        shown["style"] = way.style
    if way.is_temp:
        shown |= {"expires_in": way.expires_in, "chat_expires_in": way.chat_expires_in, "unionid": way.unionid}
        shown["conclusions"] = _conclusions_shown(way.conclusions)
    return {"contact_way": shown}


def _conclusions_shown(kept: dict) -> dict:
    shown = dict(kept)
    if kept.get("image", {}).get("media_id"):
        shown["image"] = {"pic_url": f"https://p.qpic.cn/pic_wework/{digest_letters(kept['image']['media_id'])}/0"}
    return shown


@endpoint(
    "externalcontact/list_contact_way",
    Field("start_time", int, least=0),
    Field("end_time", int, least=0),
    Field("cursor"),
    Field("limit", int, default=100, least=1, most=1000),
)
def list_contact_ways(call: Call) -> dict:
    """Permanent ways made within the window, the last 90 days by default."""
    end = call["end_time"] or call.now
    start = call["start_time"] or end - WINDOW_DAYS * DAY
    if start > end:
        raise WeComError(40058, "invalid Request Parameter, start_time")
    rows = call.corp.contact_ways.listed(start, end)
    scope = ["contact ways", call["start_time"], call["end_time"]]
    listed, cursor = paging.page(rows, call["cursor"], call["limit"], scope)
    return {"contact_way": [{"config_id": row} for row in listed]} | ({"next_cursor": cursor} if cursor else {})


@endpoint("externalcontact/update_contact_way", CONFIG_ID, *CHANGEABLE)
def update_contact_way(call: Call) -> dict:
    """Change what is given; `user` and `party` overwrite. type, scene, is_temp, is_exclusive are no parameters here."""
    way = _way(call)
    if way.expired(call.now):
        raise WeComError(41044)
    given = _checked(call, way.scene, is_temp=way.is_temp)
    if call["user"] is not None or call["party"] is not None:
        users = way.user if call["user"] is None else call["user"]
        given |= _members(call, way.type, users, way.party if call["party"] is None else call["party"])
    for name, value in given.items():
        setattr(way, name, value)
    return {}


@endpoint("externalcontact/del_contact_way", CONFIG_ID)
def delete_contact_way(call: Call) -> dict:
    """The code leads nowhere from now on."""
    del call.corp.contact_ways.ways[_way(call).config_id]
    return {}


@endpoint("externalcontact/close_temp_chat", Field("userid", missing=41009), Field("external_userid", missing=41035))
def close_temp_chat(call: Call) -> dict:
    """End a living temporary session; its conclusions are sent. 84061 without one."""
    owner = common.member(call, call["userid"])
    number = common.customer(call, call["external_userid"])
    chat = call.corp.contact_ways.living_chat(owner.userid, number, call.now)
    if chat is None:
        raise WeComError(84061)
    call.corp.end_chat(chat, call.now)
    return {}
