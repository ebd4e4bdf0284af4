"""Hand-overs whose answer was lost (reference 9): the results between two members, and the owners of groups."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from scrm.lib import clock
from wecom_bridge.contracts import Settled, WeComReader
from wecom_bridge.gateway.errors import UNKNOWN_GROUP, CallError
from wecom_bridge.settling.pages import SLACK, read_all
from wecom_bridge.shapes.transfers import DONE, INHERITING, LIMIT, REFUSED, WAITING

# A result may not be listed, nor a group show its new owner, the moment it is asked for: absence counts only after this long.
SHOWN_WITHIN = timedelta(minutes=5)
GROUPS_AT_MOST = 100
# The errcode of what had not begun: the reason was in the lost answer, and asking again is harmless.
NOT_BEGUN = -1


def settle_transfer(
    reader: WeComReader,
    *,
    handover_userid: str,
    takeover_userid: str,
    external_userid: Sequence[str],
    since: datetime,
    sent_at: datetime,
    resigned: bool = False,
) -> Settled | None:
    """Which customers' hand-over had begun: `result` as the call would have answered, NOT_BEGUN for those it had not.

    since: domain time, sent_at: wall time when it was sent. A result older than the call is of an earlier hand-over; one that
    does not say when is no answer.
    """
    method = "resigned_transfer_result" if resigned else "transfer_result"
    pair = {"handover_userid": handover_userid, "takeover_userid": takeover_userid}
    listed = read_all(reader, method, "customer", **pair)
    if listed is None:
        return None
    begun = {
        one: _has_begun([row for row in listed if row["external_userid"] == one], since) for one in external_userid
    }
    if None in begun.values():
        return None
    if not all(begun.values()) and clock.wall() - sent_at < SHOWN_WITHIN:
        return None
    if not any(begun.values()):
        return Settled(done=False, message="WeCom shows no such hand-over")
    customer = [{"external_userid": one, "errcode": 0 if fits else NOT_BEGUN} for one, fits in begun.items()]
    return Settled(done=True, result={"customer": customer})


def _has_begun(rows: list[Mapping[str, Any]], since: datetime) -> bool | None:
    """Whether one of a customer's hand-overs to the member asked for is that of the call; None where it may be."""
    verdicts = [_is_ours(row, since) for row in rows]
    if True in verdicts:
        return True
    return None if None in verdicts else False


def _is_ours(row: Mapping[str, Any], since: datetime) -> bool | None:
    """Waiting, or done since: what was asked for. Refused or too full: only if that came after the call, beyond doubt."""
    status, at = row["status"], row["takeover_time"]
    if status == WAITING:
        return True
    if status not in (DONE, REFUSED, LIMIT):
        return False
    if not at:
        return None
    begin, sure = int((since - SLACK).timestamp()), int((since + SLACK).timestamp())
    if at < begin:
        return False
    return True if status == DONE or at >= sure else None


def settle_group_transfer(
    reader: WeComReader, *, chat_id_list: Sequence[str], new_owner: str, sent_at: datetime, resigned: bool = False
) -> Settled | None:
    """Which groups have the new owner: `result` as the call would have answered. None while one of them is being inherited.

    The others are failed with NOT_BEGUN. sent_at: wall time when it was sent. Raises ValueError for more than GROUPS_AT_MOST.
    """
    if len(chat_id_list) > GROUPS_AT_MOST:
        raise ValueError("more groups than one call takes")
    without = [chat_id for chat_id in chat_id_list if not _is_owned(reader, chat_id, new_owner)]
    inheriting = _inheriting(reader) if without and resigned else set()
    if inheriting is None:
        return None
    if set(without) & inheriting:
        return None  # on the way to somebody; WeCom does not say to whom
    if without and clock.wall() - sent_at < SHOWN_WITHIN:
        return None
    if len(without) == len(chat_id_list):
        return Settled(done=False, message="no group has the new owner")
    failed = [{"chat_id": chat_id, "errcode": NOT_BEGUN, "errmsg": ""} for chat_id in without]
    return Settled(done=True, result={"failed_chat_list": failed})


def _is_owned(reader: WeComReader, chat_id: str, owner: str) -> bool:
    """A group that is gone is nobody's."""
    try:
        return bool(reader.call("groupchat_get_owner", chat_id=chat_id)["owner"].lower() == owner.lower())
    except CallError as error:
        if error.errcode in UNKNOWN_GROUP:
            return False
        raise


def _inheriting(reader: WeComReader) -> set[str] | None:
    listed = read_all(reader, "groupchat_list", "group_chat_list", status_filter=INHERITING)
    return None if listed is None else {row["chat_id"] for row in listed if row["status"] == INHERITING}
