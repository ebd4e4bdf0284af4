"""Template cards (模板卡片): what each kind needs and how much it may hold.

Which of the codes 42014 to 42051 answers a wrong field is not known; the switch `card_field_errcode` stands for all of them.
"""

import re

from simulator.api.errors import WeComError
from simulator.api.registry import Call

INTERACTIVE = ("button_interaction", "vote_interaction", "multiple_interaction")
KINDS = ("text_notice", "news_notice", *INTERACTIVE)
LISTS = {"horizontal_content_list": 6, "vertical_content_list": 4, "jump_list": 3, "button_list": 6}
TASK_ID = re.compile(r"[0-9A-Za-z_\-@]{1,128}")
KEY_BYTES, OPTION_BYTES = 1024, 128
RATIO = (1.3, 2.25)


class _Bad(Exception):
    """A field is wrong; the caller knows the code."""


def read_card(call: Call, card: dict) -> dict:
    """The card, checked. Raises WeComError."""
    try:
        check(card)
    except (_Bad, AttributeError, TypeError) as error:
        name = str(error) if isinstance(error, _Bad) else "template_card"
        raise WeComError(call.sim.switches.card_field_errcode, f"invalid template card, {name}") from error
    return card


def answers(card: dict) -> bool:
    """Whether the card gets a response_code: one that is interactive or has a menu."""
    return card["card_type"] in INTERACTIVE or bool(card.get("action_menu"))


def _need(condition: object, name: str) -> None:
    if not condition:
        raise _Bad(name)


def check(card: dict) -> None:
    """Raises _Bad naming the first wrong field."""
    kind = card.get("card_type")
    _need(kind in KINDS, "card_type")
    for name, most in LISTS.items():
        _need(len(card.get(name) or ()) <= most, name)
    menu = card.get("action_menu")
    if menu:
        _need(1 <= len(menu.get("action_list") or ()) <= 3, "action_menu")
        _keys([item.get("key") for item in menu["action_list"]], "action_menu")
    task_id = card.get("task_id")
    _need(task_id or not (menu or kind in INTERACTIVE), "task_id")
    _need(not task_id or TASK_ID.fullmatch(task_id), "task_id")
    if kind in ("text_notice", "news_notice"):
        _notice(card)
    elif kind == "button_interaction":
        _buttons(card)
    else:
        _questions(card)


def _notice(card: dict) -> None:
    """Both notices lead somewhere; a news notice shows a picture or a picture with text."""
    action = card.get("card_action") or {}
    _need(action.get("type") in (1, 2), "card_action")
    _need(action.get("url") if action["type"] == 1 else action.get("appid"), "card_action")
    if card["card_type"] == "news_notice":
        _need(card.get("card_image") or card.get("image_text_area"), "card_image")
        ratio = (card.get("card_image") or {}).get("aspect_ratio")
        _need(ratio is None or RATIO[0] <= ratio <= RATIO[1], "aspect_ratio")


def _buttons(card: dict) -> None:
    buttons = card.get("button_list") or []
    _need(buttons, "button_list")
    _need(all(b.get("text") and b.get("style", 1) in (1, 2, 3, 4) for b in buttons), "button_list")
    calling = [b for b in buttons if b.get("type", 0) == 0]
    _need(all(b.get("url") for b in buttons if b not in calling), "button_list")
    _keys([b.get("key") for b in calling], "button_list")
    if card.get("button_selection"):
        _options(card["button_selection"], 10, "button_selection")


def _questions(card: dict) -> None:
    submit = card.get("submit_button") or {}
    _need(submit.get("text") and _is_text(submit.get("key")), "submit_button")
    if card["card_type"] == "vote_interaction":
        checkbox = card.get("checkbox") or {}
        _need(checkbox.get("mode", 0) in (0, 1), "checkbox")
        _options(checkbox, 20, "checkbox")
        return
    selects = card.get("select_list") or []
    _need(1 <= len(selects) <= 3, "select_list")
    for one in selects:
        _options(one, 10, "select_list")


def _options(question: dict, most: int, name: str) -> None:
    options = question.get("option_list") or []
    _need(_is_text(question.get("question_key")), name)
    _need(1 <= len(options) <= most, name)
    ids = [str(option.get("id") or "") for option in options]
    _need(all(ids) and len(set(ids)) == len(ids), name)
    _need(all(len(one.encode()) <= OPTION_BYTES for one in ids), name)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _keys(keys: list, name: str) -> None:
    _need(all(isinstance(key, str) and 0 < len(key.encode()) <= KEY_BYTES for key in keys), name)
    _need(len(set(keys)) == len(keys), name)
