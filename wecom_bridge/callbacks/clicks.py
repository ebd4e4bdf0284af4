"""What a member pressed on a template card: the events template_card_event and template_card_menu_event (platform reference E)."""

from wecom_bridge.callbacks.parsing import read_choices, read_fields
from wecom_bridge.shapes.app_messages import CardClick
from wecom_bridge.shapes.pieces import integer


def read_click(body: str) -> CardClick:
    """The click of an InboundEvent's body. Raises Refused(400) for anything that is not XML.

    Choices are read under OptionIds/OptionId and under the misspelt OpitonIds/OpitonId of older documents.
    """
    xml = body.encode()
    fields = read_fields(xml)
    return CardClick(
        userid=fields.get("FromUserName", ""),
        key=fields.get("EventKey", ""),
        task_id=fields.get("TaskId", ""),
        card_type=fields.get("CardType", ""),
        response_code=fields.get("ResponseCode", ""),
        agentid=integer(fields, "AgentID"),
        is_menu=fields.get("Event") == "template_card_menu_event",
        selected={question: chosen for question, chosen in read_choices(xml).items() if question},
    )
