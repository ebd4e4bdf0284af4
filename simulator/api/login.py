"""Who is on the page (auth/…), and the tickets of the JS-SDK."""

from simulator.api import common
from simulator.api.errors import WeComError
from simulator.api.fields import Field
from simulator.api.registry import Call, endpoint
from simulator.api.ticketing import AGENT, CORP
from simulator.clock import wall
from simulator.corp import APP
from simulator.world.directory import Member
from simulator.world.ids import digest_text
from simulator.world.logins import Person


@endpoint("get_jsapi_ticket", method="GET")
def corp_ticket(call: Call) -> dict:
    """The corp's ticket."""
    return call.sim.tickets.issue(call.sim.switches, call.corp.corp_id, call.kind, CORP, wall())


@endpoint("ticket/get", Field("type", missing=91040), method="GET", secrets=(APP,))
def app_ticket(call: Call) -> dict:
    """The app's ticket."""
    if call["type"] != AGENT:
        raise WeComError(91040)
    return call.sim.tickets.issue(call.sim.switches, call.corp.corp_id, call.kind, AGENT, wall())


def _member(call: Call, userid: str) -> Member:
    found = common.known_member(call, userid, unknown=60111)
    if not call.view.sees(found):
        raise WeComError(50002)
    return found


def _spend(call: Call) -> tuple[Person, str]:
    """(person, scope) of the code. Raises WeComError 40029, 42003, or the switch's code for a used one."""
    row = call.corp.logins.codes.get(call["code"])
    if row is None:
        raise WeComError(40029)
    if row.used:
        raise WeComError(call.sim.switches.used_code_errcode)
    if row.expires <= wall():
        raise WeComError(42003)
    row.used = call.sim.touched = True  # a GET that changes something
    return row.person, row.scope


@endpoint("auth/getuserinfo", Field("code", missing=40029), method="GET", secrets=(APP,))
def who_is_it(call: Call) -> dict:
    """A member, with a user_ticket only for snsapi_privateinfo; or an openid, with external_userid of a customer in range."""
    person, scope = _spend(call)
    if person.userid:
        found = _member(call, person.userid)
        private = scope == "snsapi_privateinfo"
        return {"userid": found.userid} | (
            {"user_ticket": call.corp.logins.issue_ticket(person, wall())} if private else {}
        )
    if not person.external_userid:
        return {"openid": "o" + digest_text(call.corp.key, "stranger", person.stranger, length=27)}
    shown = {"openid": call.corp.crossings.openid(person.external_userid)}
    number = call.corp.customers.number(person.external_userid)
    followers = call.corp.customers.followers(number) if number is not None else []
    present = {m.userid for m in call.view.present()}
    return shown | ({"external_userid": person.external_userid} if present.intersection(followers) else {})


@endpoint("auth/getuserdetail", Field("user_ticket", missing=84090), secrets=(APP,))
def in_detail(call: Call) -> dict:
    """What the member agreed to show; 84015 unknown, 84014 expired."""
    person, ends = call.corp.logins.tickets.get(call["user_ticket"], (None, 0.0))
    if person is None:
        raise WeComError(84015)
    if ends <= wall():
        raise WeComError(84014)
    found = _member(call, person.userid)
    known = {
        "gender": "0",
        "avatar": f"https://wework.qpic.cn/wwhead/{found.userid}/0",
        "qr_code": f"https://open.work.weixin.qq.com/wwopen/userQRCode?vcode={found.userid}",
        "mobile": found.mobile,
        "email": "",
        "biz_mail": f"{found.userid}@example.com",
        "address": "",
    }
    return {"userid": found.userid} | {name: known[name] for name in person.consents if name in known}
