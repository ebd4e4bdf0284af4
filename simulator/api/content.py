"""Text and attachments as mass messages and welcome messages accept them."""

from simulator.api.errors import WeComError
from simulator.api.registry import Call
from simulator.clock import wall

TEXT_BYTES, ATTACHMENTS = 4000, 9
BYTES = {
    "link": {"title": 128, "picurl": 2048, "desc": 512, "url": 2048},
    "miniprogram": {"title": 64},
}
NEEDED = {"link": ("title", "url"), "miniprogram": ("title", "pic_media_id", "appid", "page")}
MEDIA_KINDS = {"image": "image", "video": "video", "file": "file"}


def read_content(call: Call) -> tuple[dict | None, list]:
    """(text, attachments) of a call. Raises WeComError 40058, 45002, 41064, 41065 or 40007."""
    text, attachments = call["text"], list(call["attachments"] or [])
    words = (text or {}).get("content") or ""
    if not isinstance(words, str):
        raise WeComError(40058, "invalid Request Parameter, text")
    if not words and not attachments:
        raise WeComError(40058, "text and attachments are both empty")
    if len(words.encode()) > TEXT_BYTES:
        raise WeComError(45002)
    if len(attachments) > ATTACHMENTS:
        raise WeComError(41064)
    for item in attachments:
        check_attachment(call, item)
    return ({"content": words} if words else None), attachments


def check_part(call: Call, kind: str, body: dict) -> None:
    """One image, link or mini-program by itself. Raises as `read_content` does."""
    check_attachment(call, {"msgtype": kind, kind: body})


def check_attachment(call: Call, item: dict) -> None:
    """One attachment. Raises WeComError 41065, 40058 or 40007."""
    kind = item.get("msgtype") if isinstance(item, dict) else None
    body = item.get(kind) if kind in (*MEDIA_KINDS, *BYTES) else None
    if not isinstance(body, dict):
        raise WeComError(41065)
    for name, most in BYTES.get(kind, {}).items():
        if len(str(body.get(name) or "").encode()) > most:
            raise WeComError(40058, f"invalid Request Parameter, {name}")
    if any(not body.get(name) for name in NEEDED.get(kind, ())):
        raise WeComError(40058)
    if kind in MEDIA_KINDS:
        if kind == "image" and body.get("pic_url") and not body.get("media_id"):
            return
        _check_media(call, body.get("media_id"), kind)
    elif kind == "miniprogram":
        _check_media(call, body.get("pic_media_id"), "image")


def _check_media(call: Call, media_id: object, kind: str) -> None:
    row = call.corp.media.find(str(media_id or ""), wall())
    if row is None or row.kind != kind or row.use != "message":
        raise WeComError(40007)
