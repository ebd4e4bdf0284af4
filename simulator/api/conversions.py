"""Ids of one person or group in other eyes: openid, a provider's ids, renewed ids, pending and temporary ones.

The world keeps its plain ids; the other ones follow from them, so that every conversion can be made and undone.
"""

from collections.abc import Callable

from simulator.api import common
from simulator.api.errors import WeComError
from simulator.api.fields import Field
from simulator.api.registry import Call, endpoint
from simulator.clock import wall
from simulator.corp import APP

LIST_MOST, TEMPORARY_MOST = 1000, 100


def _split(given: list[str], convert: Callable[[str], str | None]) -> tuple[dict[str, str], list[str]]:
    """(id → other id, those without one), in the order given."""
    found = {one: convert(one) for one in dict.fromkeys(given)}
    return {one: other for one, other in found.items() if other}, [one for one, other in found.items() if not other]


def _known(call: Call, external_userid: str) -> str | None:
    return external_userid if call.corp.customers.number(external_userid) is not None else None


# -- members -----------------------------------------------------------------------------------------------------------


@endpoint(
    "batch/userid_to_openuserid", Field("userid_list", list, missing=40058, items=str, most=LIST_MOST), secrets=(APP,)
)
def to_open_userids(call: Call) -> dict:
    """Members as a provider sees them; those unknown or out of range are listed apart."""

    def convert(userid: str) -> str | None:
        seen = call.view.find(userid) is not None
        return call.corp.crossings.open_userid(userid, call.corp.agent_id) if seen else None

    found, invalid = _split(call["userid_list"], convert)
    rows = [{"userid": one, "open_userid": other} for one, other in found.items()]
    return {"open_userid_list": rows, "invalid_userid_list": invalid}


@endpoint(
    "batch/openuserid_to_userid",
    Field("open_userid_list", list, missing=40058, items=str, most=LIST_MOST),
    Field("source_agentid", int, missing=40056),
    secrets=(APP,),
)
def to_userids(call: Call) -> dict:
    """The way back, for members in range."""
    by_open = {call.corp.crossings.open_userid(m.userid, call["source_agentid"]): m.userid for m in call.view.present()}
    found, invalid = _split(call["open_userid_list"], by_open.get)
    rows = [{"userid": other, "open_userid": one} for one, other in found.items()]
    return {"userid_list": rows, "invalid_open_userid_list": invalid}


@endpoint("user/convert_to_openid", Field("userid", missing=41009))
def member_to_openid(call: Call) -> dict:
    """The openid of a member in range, to pay her by. 60111 when unknown or gone, 60011 out of range, 43004 without a bound WeChat."""
    found = common.known_member(call, call["userid"], unknown=60111)
    if not call.view.sees(found):
        raise WeComError(60011)
    if not found.wechat:
        raise WeComError(43004)
    return {"openid": call.corp.crossings.member_openid(found.userid)}


# -- customers ---------------------------------------------------------------------------------------------------------


def _renewed(call: Call, given: list[str]) -> dict:
    found, _ = _split(given, lambda one: _known(call, one) and call.corp.crossings.renewed(one))
    return {"items": [{"external_userid": old, "new_external_userid": new} for old, new in found.items()]}


EXTERNAL_LIST = Field("external_userid_list", list, missing=40058, items=str, most=LIST_MOST)


@endpoint("externalcontact/get_new_external_userid", EXTERNAL_LIST)
def renew(call: Call) -> dict:
    """Old ids with the new ones of the migration; unknown ones are left out."""
    return _renewed(call, call["external_userid_list"])


@endpoint("externalcontact/groupchat/get_new_external_userid", Field("chat_id", missing=40058), EXTERNAL_LIST)
def renew_in_group(call: Call) -> dict:
    """The same for those who sit in a group, customers or not."""
    members = call.corp.groups.get(common.group(call, call["chat_id"])).members
    return _renewed(call, [one for one in call["external_userid_list"] if one in members])


@endpoint("externalcontact/convert_to_openid", Field("external_userid", missing=41035))
def to_openid(call: Call) -> dict:
    """The openid of a WeChat customer, of a corp that bound a developer account."""
    if call["external_userid"].startswith("wo"):
        raise WeComError(41056)
    common.customer(call, call["external_userid"])
    if not call.corp.scenario.unionid:
        raise WeComError(41057)
    return {"openid": call.corp.crossings.openid(call["external_userid"])}


def _by_unionid(call: Call) -> int:
    """The number of whoever has this unionid. Raises WeComError 41057, 610014 or 610018."""
    if not call.corp.scenario.unionid:
        raise WeComError(41057)
    number = call.corp.customers.number_of_unionid(call["unionid"])
    if number is None:
        raise WeComError(610014)
    if call["openid"] not in ("", call.corp.crossings.openid(call.corp.customers.external_userid(number))):
        raise WeComError(610018)
    return number


@endpoint("externalcontact/unionid_to_external_userid", Field("unionid", missing=40058), Field("openid", default=""))
def from_unionid(call: Call) -> dict:
    """The customer of the corp's own mini-program; 84061 for somebody who is none."""
    number = _by_unionid(call)
    if not call.corp.customers.followers(number):
        raise WeComError(84061)
    return {"external_userid": call.corp.customers.external_userid(number)}


@endpoint(
    "idconvert/unionid_to_external_userid",
    Field("unionid", missing=40058),
    Field("openid", missing=40058),
    Field("subject_type", int, default=0, least=0, most=1),
)
def convert_unionid(call: Call) -> dict:
    """The customer, or a pending_id for somebody who is none yet."""
    number = _by_unionid(call)
    if call.corp.customers.followers(number):
        return {"external_userid": call.corp.customers.external_userid(number)}
    return {"pending_id": call.corp.crossings.lend_pending(call["unionid"], wall())}


@endpoint(
    "idconvert/batch/external_userid_to_pending_id",
    Field("chat_id"),
    Field("external_userid", list, missing=40058, items=str, most=LIST_MOST),
)
def to_pending(call: Call) -> dict:
    """The pending_id that was given for somebody before he became a customer; those without one are left out."""
    inside = call.corp.groups.get(common.group(call, call["chat_id"])).members if call["chat_id"] else None
    lent = {unionid: value for value, (unionid, ends) in call.corp.crossings.pending.items() if ends > wall()}
    rows = []
    for one in call["external_userid"]:
        number = call.corp.customers.number(one)
        unionid = call.corp.customers.customer(number).unionid if number is not None else ""
        if unionid in lent and (inside is None or one in inside):
            rows.append({"external_userid": one, "pending_id": lent[unionid]})
    return {"result": rows}


@endpoint("externalcontact/to_service_external_userid", Field("external_userid", missing=41035), secrets=(APP,))
def to_service(call: Call) -> dict:
    """The customer in the provider's eyes."""
    number = common.customer(call, call["external_userid"])
    return {"external_userid": call.corp.crossings.service_id(number, call.corp.agent_id)}


@endpoint(
    "externalcontact/from_service_external_userid",
    Field("external_userid", missing=41035),
    Field("source_agentid", int, missing=40056),
    secrets=(APP,),
)
def from_service(call: Call) -> dict:
    """The way back."""
    book = call.corp.customers
    number = call.corp.crossings.service_owner(call["external_userid"], call["source_agentid"])
    if number is None or number >= book.ever:
        raise WeComError(40096)
    return {"external_userid": book.external_userid(number)}


@endpoint(
    "idconvert/convert_tmp_external_userid",
    Field("business_type", int, missing=40058),
    Field("user_type", int, missing=40058, least=1, most=3),
    Field("tmp_external_userid_list", list, missing=40058, items=str, most=TEMPORARY_MOST),
)
def from_temporary(call: Call) -> dict:
    """Temporary ids while they live; lapsed and unknown ones are listed apart."""
    found, invalid = _split(
        call["tmp_external_userid_list"], lambda one: call.corp.crossings.temporary_owner(one, wall())
    )
    rows = [{"tmp_external_userid": one, "external_userid": other} for one, other in found.items()]
    return {"results": rows, "invalid_tmp_external_userid_list": invalid}


# -- tags, groups, service accounts ------------------------------------------------------------------------------------


@endpoint("idconvert/external_tagid", Field("external_tagid_list", list, missing=40058, items=str, most=LIST_MOST))
def to_open_tags(call: Call) -> dict:
    """Living tags as a provider sees them."""
    tags = call.corp.tags
    found, invalid = _split(
        call["external_tagid_list"], lambda one: call.corp.crossings.open_tag(one) if tags.alive(one) else None
    )
    rows = [{"external_tagid": one, "open_external_tagid": other} for one, other in found.items()]
    return {"items": rows, "invalid_external_tagid_list": invalid}


@endpoint("idconvert/chatid", Field("chat_id_list", list, missing=40058, items=str, most=LIST_MOST))
def to_new_chats(call: Call) -> dict:
    """Groups as a provider sees them."""
    groups = call.corp.groups
    found, invalid = _split(
        call["chat_id_list"],
        lambda one: call.corp.crossings.new_chat(one) if groups.number(one) is not None else None,
    )
    rows = [{"chat_id": one, "new_chat_id": other} for one, other in found.items()]
    return {"items": rows, "invalid_chat_id_list": invalid}


@endpoint("idconvert/open_kfid", Field("open_kfid_list", list, missing=40058, items=str, most=LIST_MOST))
def to_new_accounts(call: Call) -> dict:
    """Service accounts (客服帐号) of this corp, by the form of their ids alone."""
    found, invalid = _split(
        call["open_kfid_list"], lambda one: call.corp.crossings.renewed(one) if one.startswith("wk") else None
    )
    rows = [{"open_kfid": one, "new_open_kfid": other} for one, other in found.items()]
    return {"items": rows, "invalid_open_kfid_list": invalid}
