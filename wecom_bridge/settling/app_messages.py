"""message/send in doubt (design 4): WeCom swallows an equal body within its interval, so the message is settled by sending it again."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from wecom_bridge.contracts import Settled, WeComReader

METHOD = "send_to_members"
INTERVAL_MOST = 4 * 3600  # platform reference E
# The interval runs from the call that WeCom took; our clock and the time a call needs must not reach beyond its end.
MARGIN = timedelta(minutes=2)


def stable_body(
    *,
    agentid: int | str,
    touser: Sequence[str],
    msgtype: str,
    content: Mapping[str, Any],
    interval: int = INTERVAL_MOST,
) -> dict[str, Any]:
    """The arguments of an app message that may be sent again: equal whenever made of the same parts, in any order of members.

    The content must not hold what changes by itself (a time, a fresh token). Raises ValueError without members, for more than
    1000, or for an interval that leaves nothing after the margin or is above 4 h.
    """
    members = sorted(set(touser))
    if not 1 <= len(members) <= 1000:
        raise ValueError("an app message goes to 1 to 1000 members")
    if not MARGIN.total_seconds() < interval <= INTERVAL_MOST:
        raise ValueError("the interval is at most 4 hours, and longer than the margin")
    return {
        "touser": members,
        "msgtype": msgtype,
        "agentid": int(agentid),
        "content": dict(content),
        "enable_duplicate_check": True,
        "duplicate_check_interval": interval,
    }


def repeat_until(body: Mapping[str, Any], sent_at: datetime) -> datetime:
    """Until when (wall time) the body may be sent again after a first call at `sent_at`; `sent_at` itself where it may not."""
    if not body.get("enable_duplicate_check"):
        return sent_at
    interval = min(int(body.get("duplicate_check_interval") or 1800), INTERVAL_MOST)
    return max(sent_at, sent_at + timedelta(seconds=interval) - MARGIN)


def settle(body: Mapping[str, Any], sent_at: datetime, now: datetime, reader: WeComReader) -> Settled | None:
    """A `once` kind's settle procedure for such a body: repeats it while that is safe, else says nothing (None).

    now and sent_at are wall time, sent_at of the first call in doubt. Raises the bridge's CallError.
    """
    if now >= repeat_until(body, sent_at):
        return None
    return Settled(done=True, result=reader.call(METHOD, **body))
