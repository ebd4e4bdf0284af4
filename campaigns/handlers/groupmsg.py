"""Mass messages as commands: create (once, settled by asking), look, stop, remind."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from django.utils.translation import gettext_lazy as _

from campaigns.models import Delivery, Dispatch
from campaigns.policy import send_policy
from campaigns.services import results
from campaigns.services.asking import POLL
from campaigns.services.claiming import CREATE, may_leave, unclaim
from campaigns.services.polling import REMIND
from campaigns.services.stopping import CANCEL
from campaigns.states import DeliveryState, DispatchState, PushTarget
from scrm.lib import clock
from wecom_bridge.contracts import Call, CommandKind, Refusal, Settled, WeComReader, register_command
from wecom_bridge.models import OutboundCommand

PAGE = 1000
LIST_PAGE = 100
# get_groupmsg_list_v2 may not list a message the moment it is made: absence counts only after this long.
LISTED_WITHIN = timedelta(minutes=2)
SLACK = timedelta(minutes=10)
CORP_CREATED = 0
NOTHING_TO_STOP = {41093, 41046, 41047}  # stopped already; msgid missing, invalid (reference 7)


def _unit(command: OutboundCommand) -> Dispatch | None:
    return Dispatch.objects.select_related("push", "sender").filter(pk=command.subject_id or 0).first()


# --- groupmsg.create ----------------------------------------------------------------------------------------------


def build_create(command: OutboundCommand) -> Call | None:
    """add_msg_template for one unit. None when the unit was stopped, or may not go out as it was claimed: see may_leave."""
    unit = _unit(command)
    if unit is None or unit.state != DispatchState.CREATING or not may_leave(unit, clock.now(), send_policy()):
        return None
    recipients = _recipients(unit)
    if not any(recipients.get(name) for name in ("external_userid", "chat_id_list")):
        return None  # without recipients WeCom takes all customers of the sender
    body: dict[str, Any] = {"sender": unit.sender.userid}
    if unit.text:
        body["text"] = {"content": unit.text}
    if unit.attachments:
        body["attachments"] = unit.attachments
    return Call("add_msg_template", body | recipients)


def _recipients(unit: Dispatch) -> dict[str, Any]:
    planned = Delivery.objects.filter(dispatch=unit, state=DeliveryState.PLANNED).order_by("pk")
    if unit.push.target == PushTarget.GROUPS:
        return {"chat_type": "group", "chat_id_list": list(planned.values_list("group__chat_id", flat=True))}
    people = list(planned.values_list("external_userid", flat=True))
    return {"chat_type": "single", "external_userid": people, "allow_select": False}


def created(command: OutboundCommand, answer: Mapping[str, Any]) -> None:
    results.record_task(command.subject_id or 0, msgid=answer["msgid"], fail_list=answer.get("fail_list") or [])


def create_cancelled(command: OutboundCommand) -> None:
    unclaim(command.subject_id or 0)


def create_refused(command: OutboundCommand, refusal: Refusal) -> None:
    """WeCom's no. Given up by a person while the answer was lost, it is no no: WeCom may have the task."""
    if refusal.errcode is None and command.sent_at is not None:
        results.record_given_up(command.subject_id or 0)
        return
    results.record_refusal(command.subject_id or 0, message=refusal.message)


def settle_create(command: OutboundCommand, reader: WeComReader) -> Settled | None:
    """Whether the lost call made a task: look through what the corp created since, then at whose it is.

    At most one unit per (sender, content) is ever in doubt, so a message with our text, of our sender, that no unit of ours
    has, is the one.
    """
    unit = _unit(command)
    if unit is None or unit.msgid or unit.claimed_at is None:
        return Settled(done=False, message="the unit needs no task any more")
    try:
        msgid = _found(unit, reader)
        if msgid:
            return Settled(done=True, result={"msgid": msgid, "fail_list": _refused(msgid, unit, reader)})
    except _UntoldError:
        return None
    sent_at = command.sent_at or command.created_at
    if clock.wall() - sent_at < LISTED_WITHIN:
        return None
    return Settled(done=False, message="WeCom lists no such message")


class _UntoldError(Exception):
    """A page came without its list: what is not in it may exist all the same, and a second task cannot be taken back."""


def _found(unit: Dispatch, reader: WeComReader) -> str:
    """The msgid of the unit's task; empty when WeCom lists none."""
    listed = _listed(unit, reader)
    return next((i["msgid"] for i in listed if _has_our_content(i, unit) and _is_ours(i["msgid"], unit, reader)), "")


def _listed(unit: Dispatch, reader: WeComReader) -> Iterator[Mapping[str, Any]]:
    assert unit.claimed_at is not None
    start, end = int((unit.claimed_at - SLACK).timestamp()), int((clock.now() + SLACK).timestamp())
    asked: dict[str, Any] = {
        "chat_type": "group" if unit.push.target == PushTarget.GROUPS else "single",
        "start_time": start, "end_time": end, "filter_type": 0, "limit": LIST_PAGE,
    }  # fmt: skip
    for answer in _pages(reader, "get_groupmsg_list_v2", asked):
        yield from answer["group_msg_list"]


def _has_our_content(item: Mapping[str, Any], unit: Dispatch) -> bool:
    """Made by the API (no creator), our text, as many attachments. Attachments come back in another shape."""
    text = (item.get("text") or {}).get("content", "")
    same = text == unit.text and len(item.get("attachments") or []) == len(unit.attachments)
    return same and not item.get("creator") and int(item.get("create_type", CORP_CREATED)) == CORP_CREATED


def _is_ours(msgid: str, unit: Dispatch, reader: WeComReader) -> bool:
    if Dispatch.objects.filter(msgid=msgid).exists():
        return False
    tasks = [
        task
        for answer in _pages(reader, "get_groupmsg_task", {"msgid": msgid, "limit": PAGE})
        for task in answer["task_list"]
    ]
    return any(task["userid"] == unit.sender.userid for task in tasks)


def _refused(msgid: str, unit: Dispatch, reader: WeComReader) -> list[str]:
    """The fail_list of the lost answer: of people, whoever was asked for and is not in the task."""
    if unit.push.target == PushTarget.GROUPS:
        return []  # of groups only the sent ones are listed
    asked = {"msgid": msgid, "userid": unit.sender.userid, "limit": PAGE}
    taken = {
        row["external_userid"]
        for answer in _pages(reader, "get_groupmsg_send_result", asked)
        for row in answer["send_list"]
    }
    planned = Delivery.objects.filter(dispatch=unit, state=DeliveryState.PLANNED)
    return [one for one in planned.values_list("external_userid", flat=True) if one not in taken]


def _pages(reader: WeComReader, method: str, asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
    cursor = ""
    while True:
        answer = reader.call(method, **asked, **({"cursor": cursor} if cursor else {}))
        if not answer["is_told"]:
            raise _UntoldError
        yield answer
        cursor = answer.get("next_cursor") or ""
        if not cursor:
            return


# --- groupmsg.poll, groupmsg.cancel, groupmsg.remind --------------------------------------------------------------


def build_poll(command: OutboundCommand) -> Call | None:
    unit = _unit(command)
    if unit is None or not unit.msgid:
        return None
    cursor = {"cursor": command.payload["cursor"]} if command.payload.get("cursor") else {}
    if command.payload["step"] == "task":
        return Call("get_groupmsg_task", {"msgid": unit.msgid, "limit": PAGE})
    return Call(
        "get_groupmsg_send_result", {"msgid": unit.msgid, "userid": unit.sender.userid, "limit": PAGE, **cursor}
    )


def polled(command: OutboundCommand, answer: Mapping[str, Any]) -> None:
    unit_id = command.subject_id or 0
    if command.payload["step"] == "task":
        after_stop = bool(command.payload.get("after_stop"))
        results.record_task_state(unit_id, answer.get("task_list") or [], after_stop=after_stop)
    else:
        results.record_results(unit_id, answer["send_list"], answer.get("next_cursor") or "")


def poll_refused(command: OutboundCommand, refusal: Refusal) -> None:
    """Nothing was learnt: the unit stays as it is and is looked at again; after a stop, it is over without a word of WeCom."""
    results.record_no_answer(command.subject_id or 0, after_stop=bool(command.payload.get("after_stop")))


def build_by_msgid(method: str, *states: str) -> Any:
    def build(command: OutboundCommand) -> Call | None:
        unit = _unit(command)
        if unit is None or not unit.msgid or unit.state not in states:
            return None
        return Call(method, {"msgid": unit.msgid})

    return build


def cancelled(command: OutboundCommand, answer: Mapping[str, Any]) -> None:
    results.record_stop(command.subject_id or 0)


def cancel_refused(command: OutboundCommand, refusal: Refusal) -> None:
    """Stopped before, or unknown to WeCom: the last look decides. Anything else, and a wish given up, stopped nothing."""
    if refusal.errcode in NOTHING_TO_STOP:
        results.record_stop(command.subject_id or 0)
    else:
        results.record_stop_parked(command.subject_id or 0)


def cancel_parked(command: OutboundCommand) -> None:
    results.record_stop_parked(command.subject_id or 0)


def _nothing(command: OutboundCommand, answer: Any) -> None:
    """A reminder leaves no trace but its count."""


def register() -> None:
    register_command(
        CommandKind(
            name=CREATE,
            policy="once",
            build=build_create,
            on_result=created,
            on_refused=create_refused,
            on_cancelled=create_cancelled,
            settle=settle_create,
            label=_("创建群发任务"),
        )
    )
    register_command(
        CommandKind(
            name=POLL,
            policy="idempotent",
            build=build_poll,
            on_result=polled,
            on_refused=poll_refused,
            priority=60,
            label=_("读取群发结果"),
        )
    )
    register_command(
        CommandKind(
            name=CANCEL,
            policy="idempotent",
            build=_build_cancel,
            on_result=cancelled,
            on_refused=cancel_refused,
            on_parked=cancel_parked,
            priority=20,
            label=_("停止群发任务"),
        )
    )
    register_command(
        CommandKind(
            name=REMIND,
            policy="idempotent",
            build=_build_remind,
            on_result=_nothing,
            on_refused=_nothing,
            priority=20,
            label=_("提醒成员发送"),
        )
    )


# failed: the task of a unit given up in doubt turned up later.
_build_cancel = build_by_msgid("cancel_groupmsg_send", DispatchState.STOPPING, DispatchState.FAILED)
_build_remind = build_by_msgid("remind_groupmsg_send", DispatchState.TASKED)
