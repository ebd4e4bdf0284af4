"""add_moment_task whose answer was lost (reference 8). Its jobs have no list: what they made has."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

from scrm.lib import clock
from wecom_bridge.contracts import Settled, WeComReader
from wecom_bridge.gateway.errors import CallError
from wecom_bridge.settling.pages import SLACK, read_all
from wecom_bridge.shapes.moments import CORP_MADE, DONE, PARTIAL, PUBLIC

# A job takes its time, and only then is there a moment to be listed: absence counts only after this long.
LISTED_WITHIN = timedelta(minutes=15)
LOOKS_AHEAD = timedelta(days=1)
CANDIDATES_AT_MOST = 10
DELETED, NOT_OF_CORP = 41060, 41067


def settle_job(reader: WeComReader, *, jobid: str) -> Settled | None:
    """What a job known by its id came to; None while it runs. A job that failed made no moment: not done, with its words."""
    state = reader.call("get_moment_task_result", jobid=jobid)
    result = state.get("result")
    if state["status"] != DONE or not result:
        return None
    if result["errcode"]:
        return Settled(done=False, message=f"[{result['errcode']}] {result['errmsg']}")
    return Settled(done=True, result={"jobid": jobid, **result})


def settle_moment(
    reader: WeComReader,
    *,
    asked: Mapping[str, Any],
    since: datetime,
    sent_at: datetime,
    known: Collection[str] = (),
) -> Settled | None:
    """Whether the lost call made a moment: `result` holds its moment_id, and an empty jobid, which nobody knows any more.

    asked: the arguments of add_moment_task. since: domain time, sent_at: wall time when it was sent. known: moment_ids that
    belong to other pushes. Two that fit are no finding. Keep at most one call in doubt for the same senders and content.
    """
    listed = _listed(reader, since)
    if listed is None:
        return None
    alike = [item for item in listed if item["moment_id"] not in known and _has_content(item, asked)]
    if len(alike) > CANDIDATES_AT_MOST:
        return None
    fits = [_has_senders(reader, item["moment_id"], asked) for item in alike]
    if None in fits:
        return None
    ours = [item for item, fit in zip(alike, fits, strict=True) if fit]
    if len(ours) == 1:
        return Settled(done=True, result={"jobid": "", "moment_id": ours[0]["moment_id"]})
    if ours or clock.wall() - sent_at < LISTED_WITHIN:
        return None
    return Settled(done=False, message="WeCom lists no such moment")


def _listed(reader: WeComReader, since: datetime) -> list[Mapping[str, Any]] | None:
    end = min(clock.now() + SLACK, since + LOOKS_AHEAD)
    window = {"start_time": int((since - SLACK).timestamp()), "end_time": int(end.timestamp())}
    return read_all(reader, "get_moment_list", "moment_list", filter_type=CORP_MADE, **window)


def _has_content(item: Mapping[str, Any], asked: Mapping[str, Any]) -> bool:
    """Made by the API, our text, the same kinds of attachments, a range as narrow. Files come back under other ids."""
    if item["creator"] or item["create_type"] != CORP_MADE:
        return False
    visible = PARTIAL if _range(asked, "external_contact_list", "tag_list") else PUBLIC
    words = (asked.get("text") or {}).get("content") or ""
    if item["visible_type"] != visible or ((item["text"] or {}).get("content") or "") != words:
        return False
    attachments = asked.get("attachments") or []
    kinds = [one["msgtype"] for one in attachments]
    if len(item["image"]) != kinds.count("image") or bool(item["video"]) != ("video" in kinds):
        return False
    urls = [one["link"].get("url", "") for one in attachments if one["msgtype"] == "link"]
    return ([item["link"]["url"]] if item["link"] else []) == urls


def _range(asked: Mapping[str, Any], side: str, name: str) -> list[Any]:
    return ((asked.get("visible_range") or {}).get(side) or {}).get(name) or []


def _has_senders(reader: WeComReader, moment_id: str, asked: Mapping[str, Any]) -> bool | None:
    """Whether its senders are those asked for. None where that cannot be said: of a range without a list of senders, or when
    some are missing, whom WeCom may have left out or another call never named."""
    users = {userid.lower() for userid in _range(asked, "sender_list", "user_list")}
    if not users or _range(asked, "sender_list", "department_list"):
        return None
    try:
        tasks = read_all(reader, "get_moment_task", "task_list", moment_id=moment_id)
    except CallError as error:
        if error.errcode in (DELETED, NOT_OF_CORP):
            return False
        raise
    if tasks is None:
        return None
    senders = {task["userid"].lower() for task in tasks}
    if senders == users:
        return True
    return None if senders and senders < users else False
