"""The ledger's readings as commands."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _

from campaigns.services import ledger
from wecom_bridge.contracts import Call, CommandKind, Refusal, register_command
from wecom_bridge.models import OutboundCommand

ALL_SENDS = 2  # filter_type: by the corp and by its members
PAGE = 1000


def build(command: OutboundCommand) -> Call | None:
    asked = command.payload
    cursor = {"cursor": asked["cursor"]} if asked.get("cursor") else {}
    if asked["step"] == "list":
        window = {"chat_type": asked["chat_type"], "start_time": asked["start"], "end_time": asked["end"]}
        return Call("get_groupmsg_list_v2", window | {"filter_type": ALL_SENDS, "limit": ledger.PAGE, **cursor})
    if asked["step"] == "task":
        return Call("get_groupmsg_task", {"msgid": asked["msgid"], "limit": PAGE, **cursor})
    body = {"msgid": asked["msgid"], "userid": asked["userid"], "limit": PAGE}
    return Call("get_groupmsg_send_result", body | cursor)


def answered(command: OutboundCommand, answer: Mapping[str, Any]) -> None:
    ledger.record_answer(command.corp_id, command.payload, answer)


def refused(command: OutboundCommand, refusal: Refusal) -> None:
    ledger.record_failure(command.corp_id, command.payload, refusal.message)


def register() -> None:
    register_command(
        CommandKind(
            name=ledger.LEDGER,
            policy="idempotent",
            build=build,
            on_result=answered,
            on_refused=refused,
            priority=80,
            label=_("读取群发记录"),
        )
    )
