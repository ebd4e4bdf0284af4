"""App messages to members (应用消息); kept so that a test can read what each member saw."""

import json

from simulator.api.card_bodies import answers
from simulator.api.errors import WeComError
from simulator.api.fields import Field
from simulator.api.message_bodies import READERS, read_body
from simulator.api.registry import Call, endpoint
from simulator.clock import local, wall
from simulator.corp import APP
from simulator.world.cards import SentMessage
from simulator.world.directory import Member
from simulator.world.ids import digest_text

PER_MEMBER_MINUTE, PER_MEMBER_HOUR = 30, 1000
USERS_MOST, PARTIES_MOST, TAGS_MOST = 1000, 100, 100


@endpoint(
    "message/send",
    Field("msgtype", missing=40008),
    Field("agentid", int, missing=40056),
    Field("touser", default=""),
    Field("toparty", default=""),
    Field("totag", default=""),
    Field("safe", int, default=0, least=0, most=2),
    Field("enable_duplicate_check", int, default=0),
    Field("duplicate_check_interval", int, default=1800, most=14_400, clamp=True),
    *(Field(name, dict) for name in READERS),
    secrets=(APP,),
)
def send(call: Call) -> dict:
    """Deliver to members. Some bad receivers are listed and forgiven; 81013 when all are bad, 82001 when none given."""
    if not (call["touser"] or call["toparty"] or call["totag"]):
        raise WeComError(82001)
    if call["msgtype"] not in READERS:
        raise WeComError(40008)
    if call["agentid"] != call.corp.agent_id:
        raise WeComError(301002)
    body = read_body(call)
    receivers, bad_users, bad_parties, bad_tags = _receivers(call)
    if not receivers:
        raise WeComError(81013)
    print_of = json.dumps([call["msgtype"], body], sort_keys=True, ensure_ascii=False)
    _check_task(call, body, receivers, print_of)
    msgid = digest_text(call.corp.key, "message", call.corp.messages_sent, length=43)
    call.corp.messages_sent += 1
    shown = [found.userid for found in receivers if _deliver(call, found, msgid, body, print_of)]
    if shown:
        call.corp.cards.messages[msgid] = SentMessage(msgid, call["msgtype"], body, call.now, shown)
    bad = {"invaliduser": bad_users, "invalidparty": bad_parties, "invalidtag": bad_tags}
    answer = {name: "|".join(values) for name, values in bad.items()} | {"msgid": msgid}
    if shown and call["msgtype"] == "template_card" and answers(body):
        answer["response_code"] = call.corp.cards.issue(msgid, call.now)
    return answer


def _ids(text: str, most: int, over: int) -> list[str]:
    found = [one.strip() for one in text.split("|") if one.strip()]
    if len(found) > most:
        raise WeComError(over)
    return found


def _receivers(call: Call) -> tuple[list[Member], list[str], list[str], list[str]]:
    """(members, bad userids, bad departments, bad tags); @all is everybody in range, whatever else is named."""
    directory, view = call.corp.directory, call.view
    if call["touser"] == "@all":
        return view.present(), [], [], []
    userids = _ids(call["touser"], USERS_MOST, 40032)
    parties, tags = _ids(call["toparty"], PARTIES_MOST, 82002), _ids(call["totag"], TAGS_MOST, 82003)
    good = {userid: found for userid in userids if (found := view.find(userid))}
    allowed = {str(row.id) for row in view.departments()}
    known = [int(party) for party in parties if party in allowed]
    by_party = [m for party in known for m in view.in_departments({row.id for row in directory.below(party)})]
    everyone = {m.userid: m for m in [*good.values(), *by_party]}
    bad_users = [userid for userid in userids if userid not in good]
    return list(everyone.values()), bad_users, [party for party in parties if party not in allowed], tags


def _check_task(call: Call, body: dict, receivers: list[Member], print_of: str) -> None:
    """A task_id is used once per app; whether a swallowed repeat of the same card may name it again is a switch."""
    task_id = body.get("task_id") if call["msgtype"] == "template_card" else ""
    if not task_id or call.corp.cards.by_task(task_id) is None:
        return
    repeated = all(_is_repeat(call, found, print_of) for found in receivers)
    if not (repeated and call.sim.switches.repeated_card_is_swallowed):
        raise WeComError(call.sim.switches.card_field_errcode, "invalid template card, task_id")


def _is_repeat(call: Call, found: Member, print_of: str) -> bool:
    interval = call["duplicate_check_interval"] if call["enable_duplicate_check"] else 0
    shown = [old for old in found.app_messages if not old["dropped"]]
    return any(old["print"] == print_of and wall() - old["wall"] < interval for old in shown)


def _deliver(call: Call, found: Member, msgid: str, body: dict, print_of: str) -> bool:
    """Put it into the member's inbox; a repeat, or what is too much, is dropped without a word. Returns whether she sees it."""
    row = {
        "msgid": msgid,
        "userid": found.userid,
        "msgtype": call["msgtype"],
        "content": body,
        "at": call.now,
        "wall": wall(),
        "dropped": "duplicate" if _is_repeat(call, found, print_of) else _too_much(call, found),
    }
    found.app_messages.append(row | {"print": print_of})
    return not row["dropped"]


def _too_much(call: Call, found: Member) -> str:
    """30 a minute and 1000 an hour per member; accounts × 200 a day for the app."""
    times = [old["wall"] for old in found.app_messages if not old["dropped"]]
    if sum(1 for at in times if wall() - at < 60) >= PER_MEMBER_MINUTE:
        return "frequency"
    if sum(1 for at in times if wall() - at < 3600) >= PER_MEMBER_HOUR:
        return "frequency"
    today, book = local(wall()).strftime("%Y-%m-%d"), call.corp.cards
    most = len(call.view.present()) * call.sim.switches.app_messages_per_account_day
    if book.sent_on.get(today, 0) >= most:
        return "daily"
    book.sent_on[today] = book.sent_on.get(today, 0) + 1
    return ""
