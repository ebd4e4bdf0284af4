"""What a member pressed on a template card: the events template_card_event and template_card_menu_event (platform reference E)."""

from xml.parsers import expat

from wecom_bridge.callbacks.parsing import read_fields
from wecom_bridge.shapes.app_messages import CardClick
from wecom_bridge.shapes.pieces import integer

_ITEM = "xml/SelectedItems/SelectedItem"


def read_click(body: str) -> CardClick:
    """The click of an InboundEvent's body. Raises Refused(400) for anything that is not XML.

    Choices are read under OptionIds/OptionId and under the misspelt OpitonIds/OpitonId of older documents.
    """
    fields = read_fields(body.encode())
    return CardClick(
        userid=fields.get("FromUserName", ""),
        key=fields.get("EventKey", ""),
        task_id=fields.get("TaskId", ""),
        card_type=fields.get("CardType", ""),
        response_code=fields.get("ResponseCode", ""),
        agentid=integer(fields, "AgentID"),
        is_menu=fields.get("Event") == "template_card_menu_event",
        selected=_selected(body),
    )


def _selected(body: str) -> dict[str, tuple[str, ...]]:
    """Question → options. The flat fields of the other reader would mix up the questions of one card."""
    path: list[str] = []
    words: list[str] = []
    question, options, found = "", list[str](), dict[str, tuple[str, ...]]()

    def start(name: str, _attributes: dict[str, str]) -> None:
        path.append(name)
        words.clear()

    def end(name: str) -> None:
        nonlocal question
        place, value = "/".join(path), "".join(words).strip()
        if place == f"{_ITEM}/QuestionKey":
            question = value
        elif place in (f"{_ITEM}/OptionIds/OptionId", f"{_ITEM}/OpitonIds/OpitonId"):
            options.append(value)
        elif place == _ITEM:
            found[question] = tuple(options)
            question = ""
            options.clear()
        path.pop()
        words.clear()

    parser = expat.ParserCreate("utf-8")
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, words.append
    parser.Parse(body.encode(), True)  # read_fields has found it harmless
    return {key: chosen for key, chosen in found.items() if key}
