"""What a moment may hold: a text, and nine images or one video or one link, of media uploaded for moments."""

from simulator.api.errors import WeComError
from simulator.api.registry import Call
from simulator.clock import wall

TEXT_CHARACTERS, TEXT_BYTES = 2000, 4000
MOST = {"image": 9, "video": 1, "link": 1}
LINK_TITLE_BYTES = 64


def check_content(call: Call) -> None:
    """Raises WeComError 41089, 45002, 41065, 41064, 40058 or 40007; errmsg as the job's result words it."""
    words = (call["text"] or {}).get("content") or ""
    attachments = call["attachments"] or []
    if not isinstance(words, str):
        raise WeComError(40058, "invalid Request Parameter, text")
    if not words and not attachments:
        raise WeComError(41089)
    if len(words) > TEXT_CHARACTERS or len(words.encode()) > TEXT_BYTES:
        raise WeComError(45002, "invalid text size")
    kinds = [item.get("msgtype") for item in attachments]
    if any(kind not in MOST for kind in kinds) or len(set(kinds)) > 1:
        raise WeComError(41065, "invalid attachments msgtype")
    if kinds and len(kinds) > MOST[kinds[0]]:
        raise WeComError(41064, "invalid attachments size")
    for item in attachments:
        _check_one(call, item["msgtype"], item.get(item["msgtype"]))


def _check_one(call: Call, kind: str, body: object) -> None:
    if not isinstance(body, dict):
        raise WeComError(41065, "invalid attachments msgtype")
    if kind == "link" and (not body.get("url") or len(str(body.get("title") or "").encode()) > LINK_TITLE_BYTES):
        raise WeComError(40058, "invalid attachments link")
    row = call.corp.media.find(str(body.get("media_id") or ""), wall())
    if row is None or row.use != "moment" or row.kind != ("image" if kind == "link" else kind):
        raise WeComError(40007)


def kept_attachments(call: Call) -> list[dict]:
    """The attachments as get_moment_list shows them: files under new ids, a link without its cover."""
    kept: list[dict] = []
    for item in call["attachments"] or []:
        kind = item["msgtype"]
        body = item[kind]
        if kind == "link":
            kept.append({"msgtype": kind, kind: {"title": body.get("title") or "", "url": body["url"]}})
            continue
        shown = {"media_id": call.corp.media.copy(body["media_id"], wall())}
        if kind == "video":
            shown["thumb_media_id"] = call.corp.media.copy(body["media_id"], wall())
        kept.append({"msgtype": kind, kind: shown})
    return kept
