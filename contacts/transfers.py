"""客户继承 as commands and as news of WeCom: what is called, and who is told what came of it."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _

from conditions import dirty
from contacts.models import HandoverKind, HandoverPlan, HandoverRow, Member, RowState
from contacts.services.handover import running, settling, unassigned
from scrm.lib import clock
from wecom_bridge.contracts import (
    Call,
    CommandKind,
    EventFact,
    GroupsBatch,
    PeopleBatch,
    Refusal,
    Settled,
    WeComReader,
    on_batch,
    on_event,
    register_command,
)
from wecom_bridge.models import Corp, OutboundCommand
from wecom_bridge.settling.transfers import settle_group_transfer, settle_transfer

ORDER = 110  # after the people and groups of a batch are written


def _plan(command: OutboundCommand) -> HandoverPlan:
    return HandoverPlan.objects.select_related("from_member").get(pk=command.subject_id or 0)


def _asked(command: OutboundCommand) -> Any:
    """The rows of the command's batch that are still asked for."""
    rows = HandoverRow.objects.filter(plan_id=command.subject_id or 0, batch=command.payload["batch"])
    return rows.filter(state=RowState.ASKING).order_by("pk")


def _successor(command: OutboundCommand) -> Member:
    return Member.objects.get(pk=command.payload["successor"])


# --- customers ------------------------------------------------------------------------------------------------------


def _pair(command: OutboundCommand) -> dict[str, Any]:
    people = list(_asked(command).values_list("follow__identity__value", flat=True))
    giver, taker = _plan(command).from_member.userid, _successor(command).userid
    return {"handover_userid": giver, "takeover_userid": taker, "external_userid": people}


def build_ask(command: OutboundCommand) -> Call | None:
    """One call for one pair. None when nothing of the batch is left, as after the erasure of its people."""
    pair, plan = _pair(command), _plan(command)
    if not pair["external_userid"]:
        return None
    if plan.kind == HandoverKind.RESIGNED:
        return Call("resigned_transfer_customer", pair)
    return Call("transfer_customer", pair | {"transfer_success_msg": plan.message or None})


def asked(command: OutboundCommand, answer: Mapping[str, Any]) -> None:
    codes = {row["external_userid"]: int(row["errcode"]) for row in answer["customer"]}
    settling.record_answer(command.subject_id or 0, command.payload["batch"], codes)


def settle_ask(command: OutboundCommand, reader: WeComReader) -> Settled | None:
    """What became of a lost call: whom of its batch WeCom shows as handed over since."""
    sent_at = command.sent_at or command.created_at
    return settle_transfer(
        reader,
        **_pair(command),
        since=sent_at + clock.offset(),
        sent_at=sent_at,
        resigned=_plan(command).kind == HandoverKind.RESIGNED,
    )


# --- groups ---------------------------------------------------------------------------------------------------------


def build_ask_groups(command: OutboundCommand) -> Call | None:
    chats = list(_asked(command).values_list("group__chat_id", flat=True))
    if not chats:
        return None
    resigned = _plan(command).kind == HandoverKind.RESIGNED
    method = "groupchat_transfer" if resigned else "groupchat_onjob_transfer"
    return Call(method, {"chat_id_list": chats, "new_owner": _successor(command).userid})


def asked_groups(command: OutboundCommand, answer: Mapping[str, Any]) -> None:
    failed = {row["chat_id"]: int(row["errcode"]) for row in answer["failed_chat_list"]}
    settling.record_groups_answer(command.subject_id or 0, command.payload["batch"], failed)


def settle_ask_groups(command: OutboundCommand, reader: WeComReader) -> Settled | None:
    return settle_group_transfer(
        reader,
        chat_id_list=list(_asked(command).values_list("group__chat_id", flat=True)),
        new_owner=_successor(command).userid,
        sent_at=command.sent_at or command.created_at,
        resigned=_plan(command).kind == HandoverKind.RESIGNED,
    )


# --- both -----------------------------------------------------------------------------------------------------------


def refused(command: OutboundCommand, refusal: Refusal) -> None:
    """Given up by a person while the answer was lost, it is no no: WeCom may have begun."""
    in_doubt = refusal.errcode is None and command.sent_at is not None
    settling.record_refusal(command.subject_id or 0, command.payload["batch"], refusal.errcode, in_doubt=in_doubt)


def cancelled(command: OutboundCommand) -> None:
    settling.record_cancelled(command.subject_id or 0, command.payload["batch"])


# --- results --------------------------------------------------------------------------------------------------------


def build_results(command: OutboundCommand) -> Call:
    plan = _plan(command)
    method = "resigned_transfer_result" if plan.kind == HandoverKind.RESIGNED else "transfer_result"
    pair = {"handover_userid": plan.from_member.userid, "takeover_userid": _successor(command).userid}
    return Call(method, pair | {"cursor": command.payload.get("cursor") or None})


def told_results(command: OutboundCommand, answer: Mapping[str, Any]) -> None:
    settling.record_results(
        command.subject_id or 0, command.payload["successor"], answer["customer"], answer.get("next_cursor") or ""
    )


def build_owner(command: OutboundCommand) -> Call | None:
    row = HandoverRow.objects.filter(pk=command.subject_id or 0, state=RowState.SENT).select_related("group").first()
    return Call("groupchat_get_owner", {"chat_id": row.group.chat_id}) if row and row.group else None


def told_owner(command: OutboundCommand, answer: Mapping[str, Any]) -> None:
    settling.record_owner(command.subject_id or 0, answer["owner"])


def owner_refused(command: OutboundCommand, refusal: Refusal) -> None:
    settling.record_group_gone(command.subject_id or 0, refusal.errcode)


def _nothing(command: OutboundCommand, refusal: Refusal) -> None:
    """Nothing was learnt: results are asked for again within the hour, the list when a person asks."""


def build_unassigned(command: OutboundCommand) -> Call:
    return Call("get_unassigned_list", {"cursor": command.payload.get("cursor") or None})


def told_unassigned(command: OutboundCommand, answer: Mapping[str, Any]) -> None:
    cursor = "" if answer.get("is_last") else answer.get("next_cursor") or ""
    unassigned.record_page(command.corp, command.payload, answer["info"], cursor)


# --- news -----------------------------------------------------------------------------------------------------------


def on_people(batch: PeopleBatch) -> None:
    told = {row.person.external_userid for row in batch.rows}
    told |= {event.fields.get("ExternalUserID", "") for event in batch.events}
    with dirty.told_by(batch.source):
        settling.hear_transfers(batch.corp, told - {""})


def on_groups(batch: GroupsBatch) -> None:
    settling.hear_groups(batch.corp, [group.chat_id for group in batch.groups])


def on_transfer_fail(corp: Corp, fact: EventFact) -> None:
    settling.hear_failure(corp, fact)


def register() -> None:
    """Tell the bridge what is called and who listens."""
    register_command(
        CommandKind(
            name=running.ASK,
            policy="once",
            build=build_ask,
            on_result=asked,
            on_refused=refused,
            on_cancelled=cancelled,
            settle=settle_ask,
            label=_("转移客户"),
        )
    )
    register_command(
        CommandKind(
            name=running.ASK_GROUPS,
            policy="once",
            build=build_ask_groups,
            on_result=asked_groups,
            on_refused=refused,
            on_cancelled=cancelled,
            settle=settle_ask_groups,
            label=_("转移客户群"),
        )
    )
    register_command(
        CommandKind(
            name=running.READ_RESULTS,
            policy="idempotent",
            build=build_results,
            on_result=told_results,
            on_refused=_nothing,
            priority=60,
            label=_("读取客户转移结果"),
        )
    )
    register_command(
        CommandKind(
            name=running.READ_OWNER,
            policy="idempotent",
            build=build_owner,
            on_result=told_owner,
            on_refused=owner_refused,
            priority=60,
            label=_("读取客户群群主"),
        )
    )
    register_command(
        CommandKind(
            name=unassigned.READ,
            policy="idempotent",
            build=build_unassigned,
            on_result=told_unassigned,
            on_refused=_nothing,
            priority=60,
            label=_("读取离职成员待分配客户"),
        )
    )
    on_batch("people", order=ORDER, name="contacts.handover", handler=on_people)
    on_batch("groups", order=ORDER, name="contacts.handover", handler=on_groups)
    on_event(
        "change_external_contact",
        change_type="transfer_fail",
        order=ORDER,
        name="contacts.handover",
        handler=on_transfer_fail,
    )
