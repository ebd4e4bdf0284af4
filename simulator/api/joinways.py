"""Group join ways (加入群聊), and the group a mini-program was opened in."""

from simulator.api import common, serving
from simulator.api.errors import WeComError
from simulator.api.fields import Field
from simulator.api.registry import Call, endpoint
from simulator.world.joinways import JoinWay

PLUGIN, QR = 1, 2
REMARK_MOST, CHATS_MOST = 30, 5

CONFIG_ID = Field("config_id", missing=41043)
FIELDS = (
    Field("scene", int, missing=40058),
    Field("chat_id_list", list, missing=40058, items=str, most=CHATS_MOST, over=41091),
    Field("remark", default=""),
    Field("auto_create_room", int, default=1, least=0, most=1),
    Field("room_base_name", default="", most=40),
    Field("room_base_id", int, default=1, least=0),
    Field("state", default="", most=30),
    Field("mark_source", bool),
)


def _given(call: Call) -> dict:
    """Every field, absent ones at their defaults. Raises WeComError 40058, 90501 or 49008."""
    if call["scene"] not in (PLUGIN, QR):
        raise WeComError(40058, "invalid Request Parameter, scene")
    for chat_id in call["chat_id_list"]:
        common.group(call, chat_id)
    given = {field.name: call[field.name] for field in FIELDS}
    given["remark"] = given["remark"][:REMARK_MOST]
    given["chat_id_list"] = list(dict.fromkeys(given["chat_id_list"]))
    if given["mark_source"] is None:
        given["mark_source"] = call.sim.switches.mark_source_default
    return given


@endpoint("externalcontact/groupchat/add_join_way", *FIELDS)
def add_join_way(call: Call) -> dict:
    """Make a way into up to five groups (41091); the limit of 41045 is shared with contact ways."""
    given = _given(call)
    if call.corp.contact_ways.permanent() + len(call.corp.join_ways.ways) >= call.sim.switches.contact_ways_most:
        raise WeComError(41045)
    return {"config_id": call.corp.join_ways.new(call.now, **given).config_id}


def _way(call: Call) -> JoinWay:
    way = call.corp.join_ways.ways.get(call["config_id"])
    if way is None:
        raise WeComError(41044)
    return way


@endpoint("externalcontact/groupchat/get_join_way", CONFIG_ID)
def get_join_way(call: Call) -> dict:
    """One way as it stands, with its `qr_code` (scene 2); groups it opened itself are listed too (switch)."""
    way = _way(call)
    shown: dict = {"config_id": way.config_id}
    shown |= {field.name: getattr(way, field.name) for field in FIELDS}
    if call.sim.switches.join_way_lists_made_rooms:
        shown["chat_id_list"] = [*way.chat_id_list, *way.made]
    if way.scene == QR:
        shown["qr_code"] = serving.address(call, f"qr/{way.code}")
    return {"join_way": shown}


@endpoint("externalcontact/groupchat/update_join_way", CONFIG_ID, *FIELDS)
def update_join_way(call: Call) -> dict:
    """Overwrite everything; what is left out falls back to its default."""
    way, given = _way(call), _given(call)
    if given["room_base_id"] != way.room_base_id:
        way.sequence = given["room_base_id"]
    for name, value in given.items():
        setattr(way, name, value)
    way.made = []
    return {}


@endpoint("externalcontact/groupchat/del_join_way", CONFIG_ID)
def delete_join_way(call: Call) -> dict:
    """The code leads nowhere from now on."""
    del call.corp.join_ways.ways[_way(call).config_id]
    return {}


@endpoint("externalcontact/opengid_to_chatid", Field("opengid", missing=40058))
def opengid_to_chatid(call: Call) -> dict:
    """The group a mini-program was opened in. 90511 no opengid, 90509 not a group of this corp, 60011 owner out of range."""
    book = call.corp.groups
    number = book.number_of_opengid(call["opengid"])
    if number is None:
        raise WeComError(90511 if not call["opengid"].startswith("og") else 90509)
    if book.get(number).dismissed:
        raise WeComError(49008)
    if call.view.find(book.owner(number)) is None:
        raise WeComError(60011)
    return {"chat_id": book.chat_id(number)}
