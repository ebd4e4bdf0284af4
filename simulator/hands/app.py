"""What members do with the app and its cards, and what the administrator sets for it."""

from typing import TYPE_CHECKING

from simulator.callbacks import app_events
from simulator.corp import APP
from simulator.hands.errors import HandError
from simulator.hands.people import guide_of, number_of
from simulator.world.cards import SentMessage
from simulator.world.directory import Member
from simulator.world.logins import CONSENTS, OpenChat, Person

if TYPE_CHECKING:
    from simulator.corp import Corp
    from simulator.simulator import Simulator


def user_of(corp: "Corp", userid: str) -> Member:
    """A present member who sees the app. Raises HandError."""
    found = guide_of(corp, userid)
    if not corp.view(APP).sees(found):
        raise HandError(f"成员 {userid} 不在应用可见范围内")
    return found


def enter_agent(sim: "Simulator", corp: "Corp", userid: str) -> dict:
    """The member opens the app."""
    found = user_of(corp, userid)
    sim.emit(corp, app_events.act("enter_agent", found.userid, corp.agent_id, [("EventKey", "")]))
    return {}


def click_menu(sim: "Simulator", corp: "Corp", userid: str, key: str, url: str) -> dict:
    """The member presses an entry of the app's menu: one with a key (click), or one that opens an address (view)."""
    found = user_of(corp, userid)
    if bool(key) == bool(url):
        raise HandError("请给出 key 或 url 其中之一")
    name = "click" if key else "view"
    sim.emit(corp, app_events.act(name, found.userid, corp.agent_id, [("EventKey", key or url)]))
    return {}


def _card(corp: "Corp", userid: str, wanted: str) -> SentMessage:
    """The card in the member's inbox by msgid or task_id, without either her newest. Raises HandError."""
    rows = [row for row in corp.cards.messages.values() if row.msgtype == "template_card" and userid in row.userids]
    if wanted:
        rows = [row for row in rows if wanted in (row.msgid, row.task_id)]
    if not rows:
        raise HandError("该成员没有收到这张卡片")
    if rows[-1].recalled:
        raise HandError("卡片已撤回")
    return rows[-1]


def click_card(
    sim: "Simulator", corp: "Corp", userid: str, wanted: str, key: str, selected: dict[str, list[str]]
) -> dict:
    """The member presses a button, the submit button or a menu entry of a card, with what she chose before."""
    found = user_of(corp, userid)
    row = _card(corp, found.userid, wanted)
    change = row.updated.get(found.userid, {})
    card = change.get("template_card") or row.body
    name = _pressed(card, key)
    if name == "template_card_event" and ("button" in change or card.get("replace_text")):
        raise HandError("卡片按钮已失效")
    if isinstance(name, dict):
        return name
    chosen = {} if name == "template_card_menu_event" else _chosen(card, selected)
    code = corp.cards.issue(row.msgid, sim.clock.now())
    event = app_events.card(
        name,
        found.userid,
        corp.agent_id,
        key=key,
        task_id=card.get("task_id", row.task_id),
        card_type=card["card_type"],
        response_code=code,
        selected=chosen,
        misspelt=sim.switches.card_options_misspelt,
    )
    sim.emit(corp, event)
    return {"response_code": code}


def _pressed(card: dict, key: str) -> str | dict:
    """The event a key causes, or the address it opens. Raises HandError for a key the card has not."""
    if any(item["key"] == key for item in (card.get("action_menu") or {}).get("action_list") or ()):
        return "template_card_menu_event"
    for button in card.get("button_list") or ():
        if button.get("key") == key and button.get("type", 0) == 0:
            return "template_card_event"
        if button.get("type") == 1 and key in (button.get("url"), button.get("text")):
            return {"url": button["url"]}
    if (card.get("submit_button") or {}).get("key") == key:
        return "template_card_event"
    raise HandError(f"卡片上没有 {key}")


def _chosen(card: dict, selected: dict[str, list[str]]) -> dict[str, list[str]]:
    """Every question with its chosen options; one left alone keeps what the card preselects. Raises HandError."""
    questions = [card.get("checkbox"), card.get("button_selection"), *(card.get("select_list") or ())]
    asked = {question["question_key"]: question for question in questions if question}
    if unknown := [key for key in selected if key not in asked]:
        raise HandError(f"卡片上没有 {unknown[0]}")
    chosen = {}
    for key, question in asked.items():
        known = [str(option["id"]) for option in question["option_list"]]
        options = selected.get(key) or _preselected(question)
        if any(one not in known for one in options):
            raise HandError(f"{key} 没有这个选项")
        if len(options) > 1 and not question.get("mode"):
            raise HandError(f"{key} 只能单选")
        if options:
            chosen[key] = options
    return chosen


def _preselected(question: dict) -> list[str]:
    checked = [str(option["id"]) for option in question["option_list"] if option.get("is_checked")]
    return [str(question["selected_id"])] if question.get("selected_id") else checked


def set_range(sim: "Simulator", corp: "Corp", parties: list[int], userids: list[str]) -> dict:
    """The administrator says whom the app may see; members hear of it as subscribe and unsubscribe."""
    if any(party not in corp.directory.departments for party in parties):
        raise HandError("没有这个部门")
    for userid in userids:
        guide_of(corp, userid)
    came, went = corp.directory.set_range(parties, userids)
    for name, members in (("subscribe", came), ("unsubscribe", went)):
        for userid in members:
            sim.emit(corp, app_events.act(name, userid, corp.agent_id, [("EventKey", "")]))
    return {"subscribed": came, "unsubscribed": went}


def person_of(corp: "Corp", given: dict) -> Person | None:
    """Who holds the phone: `userid`, `external_userid` or `stranger`; None when nobody is named. Raises HandError."""
    consents = tuple(given.get("consents", CONSENTS))
    refuses = bool(given.get("refuse"))
    if given.get("userid"):
        return Person(userid=guide_of(corp, given["userid"]).userid, refuses=refuses, consents=consents)
    if given.get("external_userid"):
        number_of(corp, given["external_userid"])
        return Person(external_userid=given["external_userid"], refuses=refuses)
    if given.get("stranger"):
        return Person(stranger=str(given["stranger"]), refuses=refuses)
    return Person(stranger="nobody", refuses=True) if refuses else None


def chat_of(corp: "Corp", given: dict, entries: tuple[str, ...]) -> OpenChat:
    """The chat a member has open: with `external_userid`, in `chat_id`, or none (`entry` normal). Raises HandError."""
    external, chat_id = given.get("external_userid") or "", given.get("chat_id") or ""
    usual = "single_chat_tools" if external else "group_chat_tools" if chat_id else "normal"
    entry = given.get("entry") or usual
    if entry not in entries:
        raise HandError(f"entry 应为 {'、'.join(entries)}")
    if external:
        number_of(corp, external)
    if chat_id and corp.groups.number(chat_id) is None:
        raise HandError("没有这个群")
    return OpenChat(guide_of(corp, given["userid"]).userid, entry, external, chat_id)
