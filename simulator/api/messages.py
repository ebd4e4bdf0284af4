"""App messages to members (应用消息); kept so that a test can read what each member saw."""

import json

from simulator.api.errors import WeComError
from simulator.api.fields import Field
from simulator.api.registry import Call, endpoint
from simulator.clock import wall
from simulator.corp import APP
from simulator.world.directory import LEFT, Member
from simulator.world.ids import digest_text

TYPES = (
    "text",
    "textcard",
    "news",
    "markdown",
    "image",
    "voice",
    "video",
    "file",
    "miniprogram_notice",
    "template_card",
)
PER_MEMBER_MINUTE = 30
USERS_MOST = 1000


@endpoint(
    "message/send",
    Field("msgtype", missing=40008),
    Field("agentid", int, missing=40056),
    Field("touser", default=""),
    Field("toparty", default=""),
    Field("totag", default=""),
    Field("enable_duplicate_check", int, default=0),
    Field("duplicate_check_interval", int, default=1800, most=14_400, clamp=True),
    *(Field(name, dict) for name in TYPES),
    secrets=(APP,),
)
def send(call: Call) -> dict:
    """Deliver to members. Some bad receivers are listed and forgiven; 81013 when all are bad, 82001 when none given."""
    if not (call["touser"] or call["toparty"] or call["totag"]):
        raise WeComError(82001)
    if call["msgtype"] not in TYPES:
        raise WeComError(40008)
    if call["agentid"] != call.corp.agent_id:
        raise WeComError(301002)
    body = _body(call)
    receivers, bad_users, bad_parties = _receivers(call)
    if not receivers:
        raise WeComError(81013)
    msgid = digest_text(call.corp.key, "message", len(call.corp.app_messages), length=43)
    for found in receivers:
        _deliver(call, found, msgid, body)
    return {"invaliduser": "|".join(bad_users), "invalidparty": "|".join(bad_parties), "invalidtag": "", "msgid": msgid}


def _body(call: Call) -> dict:
    kind, body = call["msgtype"], call[call["msgtype"]]
    if not body:
        raise WeComError(40058, f"invalid Request Parameter, {kind}")
    if kind in ("text", "markdown") and not body.get("content"):
        raise WeComError(44004)
    if kind == "textcard" and not all(body.get(name) for name in ("title", "description", "url")):
        raise WeComError(40058)
    if kind in ("image", "voice", "video", "file") and not call.corp.media.find(body.get("media_id", ""), wall()):
        raise WeComError(40007)
    return body


def _receivers(call: Call) -> tuple[list[Member], list[str], list[str]]:
    directory = call.corp.directory
    if call["touser"] == "@all":
        return directory.present(), [], []
    userids = [userid for userid in call["touser"].split("|") if userid]
    if len(userids) > USERS_MOST:
        raise WeComError(40032)
    found = {userid: directory.find(userid) for userid in userids}
    good = {u: m for u, m in found.items() if m and m.visible and m.status != LEFT}
    parties = [party for party in call["toparty"].split("|") if party]
    known = [int(party) for party in parties if party.isdigit() and int(party) in directory.departments]
    by_party = [m for party in known for m in directory.in_departments({row.id for row in directory.below(party)})]
    everyone = {m.userid: m for m in [*good.values(), *by_party]}
    bad_parties = [party for party in parties if not party.isdigit() or int(party) not in directory.departments]
    return list(everyone.values()), [userid for userid in userids if userid not in good], bad_parties


def _deliver(call: Call, found: Member, msgid: str, body: dict) -> None:
    """Put it into the member's inbox unless it repeats an equal one or the member has had 30 within a minute."""
    at, print_of = wall(), json.dumps([call["msgtype"], body], sort_keys=True, ensure_ascii=False)
    row = {
        "msgid": msgid,
        "userid": found.userid,
        "msgtype": call["msgtype"],
        "content": body,
        "at": call.now,
        "wall": at,
        "dropped": "",
    }
    shown = [old for old in found.app_messages if not old["dropped"]]
    interval = call["duplicate_check_interval"] if call["enable_duplicate_check"] else 0
    if any(old["print"] == print_of and at - old["wall"] < interval for old in shown):
        row["dropped"] = "duplicate"
    elif sum(1 for old in shown if at - old["wall"] < 60) >= PER_MEMBER_MINUTE:
        row["dropped"] = "frequency"
    call.corp.app_messages.append(row)
    found.app_messages.append(row | {"print": print_of})
