"""The welcome as a command: in its own lane, settled by trying again, for a code works once."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _

from campaigns.models import WelcomeSend
from campaigns.services import welcome_binding, welcomes
from scrm.lib import clock
from wecom_bridge import contracts
from wecom_bridge.contracts import Call, CommandKind, Refusal, Settled, WeComReader
from wecom_bridge.models import OutboundCommand


def build(command: OutboundCommand) -> Call | None:
    """send_welcome_msg; None, and 超过20秒, when the code is dead: it is never sent blindly."""
    send = WelcomeSend.objects.select_related("template").get(pk=command.subject_id or 0)
    if send.state != WelcomeSend.State.WAITING or send.template is None:
        return None
    if welcomes.is_late(send, clock.wall()):
        welcomes.mark_late(send.pk)
        return None
    return Call(
        "send_welcome_msg", {"welcome_code": command.payload["code"], **welcomes.message_of(send, command.corp)}
    )


def sent(command: OutboundCommand, answer: Mapping[str, Any]) -> None:
    if answer.get("unknown"):
        welcomes.record_unknown(command.subject_id or 0)
    else:
        welcomes.record_sent(command.subject_id or 0, at=clock.wall())


def refused(command: OutboundCommand, refusal: Refusal) -> None:
    welcomes.record_refused(
        command.subject_id or 0,
        errcode=refusal.errcode,
        message=refusal.message,
        was_in_doubt=bool(command.payload.get("in_doubt")),
        at=clock.wall(),
    )


def settle(command: OutboundCommand, reader: WeComReader) -> Settled | None:
    """Try again while the code lives: used up, WeCom refuses it, and then it was sent, by us or by another."""
    send = WelcomeSend.objects.get(pk=command.subject_id or 0)
    if welcomes.is_late(send, clock.wall()):
        return Settled(done=True, result={"unknown": True}, message="the code died before it could be tried again")
    OutboundCommand.objects.filter(pk=command.pk).update(payload=command.payload | {"in_doubt": True})
    return Settled(done=False, message="a welcome code works once: trying again is safe")


def register() -> None:
    contracts.on_welcome_code(welcomes.resolve)
    contracts.on_batch("people", order=500, name="campaigns.welcome", handler=welcome_binding.bind)
    contracts.register_command(
        CommandKind(
            name=welcomes.SEND,
            policy="once",
            build=build,
            on_result=sent,
            on_refused=refused,
            settle=settle,
            lane="welcome",
            priority=0,
            label=_("发送欢迎语"),
        )
    )
