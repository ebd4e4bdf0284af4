"""What members do in the app: its events name them as FromUserName and the app as AgentID."""

from simulator.callbacks.events import Event, Value


def act(name: str, userid: str, agent_id: int, fields: list[tuple[str, Value]]) -> Event:
    """enter_agent, click, view, subscribe, unsubscribe: `fields` stand before the AgentID."""
    return Event(name, [*fields, ("AgentID", agent_id)], by=userid)


def card(
    name: str,
    userid: str,
    agent_id: int,
    *,
    key: str,
    task_id: str,
    card_type: str,
    response_code: str,
    selected: dict[str, list[str]],
    misspelt: bool = False,
) -> Event:
    """template_card_event, or template_card_menu_event: which key, of which card, with what chosen."""
    option = "OpitonId" if misspelt else "OptionId"
    items: list[tuple[str, Value]] = [
        ("SelectedItem", [("QuestionKey", question), (f"{option}s", [(option, one) for one in options])])
        for question, options in selected.items()
    ]
    fields: list[tuple[str, Value]] = [
        ("EventKey", key),
        ("TaskId", task_id),
        ("CardType", card_type),
        ("ResponseCode", response_code),
        ("AgentID", agent_id),
    ]
    return Event(name, fields + ([("SelectedItems", items)] if items else []), by=userid)
