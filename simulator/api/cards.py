"""Taking app messages back, and changing cards that were answered."""

from simulator.api.card_bodies import read_card
from simulator.api.errors import WeComError
from simulator.api.fields import Field
from simulator.api.registry import Call, endpoint
from simulator.corp import APP
from simulator.world.cards import SentMessage

RECALL_SECONDS = 86_400


@endpoint("message/recall", Field("msgid", missing=40058), secrets=(APP,))
def recall(call: Call) -> dict:
    """Within 24 hours of domain time (42052); an unknown msgid, or another app's, is 40058."""
    row = call.corp.cards.messages.get(call["msgid"])
    if row is None:
        raise WeComError(40058, "invalid Request Parameter, msgid")
    if call.now - row.sent_at > RECALL_SECONDS:
        raise WeComError(42052)
    row.recalled = True
    return {}


@endpoint(
    "message/update_template_card",
    Field("agentid", int, missing=40056),
    Field("response_code", missing=60140),
    Field("userids", list, default=(), items=str, most=1000),
    Field("partyids", list, default=(), items=int, most=100),
    Field("tagids", list, default=(), items=int, most=100),
    Field("atall", int, default=0, least=0, most=1),
    Field("button", dict),
    Field("template_card", dict),
    secrets=(APP,),
)
def update(call: Call) -> dict:
    """Change the card for those who have it, once per response_code; others are listed as invaliduser."""
    if call["agentid"] != call.corp.agent_id:
        raise WeComError(42015)
    row = _card_of_code(call)
    if not (call["userids"] or call["partyids"] or call["tagids"] or call["atall"]):
        raise WeComError(82101)
    change = _change(call, row)
    asked = _asked(call, row)
    reached = [userid for userid in asked if userid in row.userids]
    if not reached:
        raise WeComError(82102)
    call.corp.cards.codes[call["response_code"]].used = True
    for userid in reached:
        row.updated[userid] = change
    return {"invaliduser": [userid for userid in asked if userid not in row.userids]}


def _card_of_code(call: Call) -> SentMessage:
    code = call.corp.cards.codes.get(call["response_code"])
    life = call.sim.switches.response_code_hours * 3600
    if code is None or code.used or call.now - code.made_at > life:
        raise WeComError(60140)
    return call.corp.cards.messages[code.msgid]


def _change(call: Call, row: SentMessage) -> dict:
    """What the card turns into: a button's new words, or a new card."""
    if call["template_card"]:
        task_id = call["template_card"].get("task_id")
        if task_id and call.corp.cards.by_task(task_id) is None:
            raise WeComError(42016)
        kept = {name: row.body[name] for name in ("task_id",) if name in row.body}
        return {"template_card": read_card(call, kept | call["template_card"])}
    words = (call["button"] or {}).get("replace_name")
    if not words or not isinstance(words, str):
        raise WeComError(40058, "invalid Request Parameter, button")
    return {"button": {"replace_name": words}}


def _asked(call: Call, row: SentMessage) -> list[str]:
    """The members named, in the directory's spelling; departments stand for those of theirs who have the card."""
    if call["atall"]:
        return list(row.userids)
    directory = call.corp.directory
    named = [found.userid if (found := directory.find(u)) else u for u in call["userids"]]
    trees = {d.id for party in call["partyids"] if party in directory.departments for d in directory.below(party)}
    inside = [m.userid for m in directory.in_departments(trees) if m.userid in row.userids]
    return list(dict.fromkeys([*named, *inside]))
