"""Messages as the phone preview shows them."""

from typing import Any


def attachments_shown(attachments: list[dict[str, Any]]) -> list[dict[str, str]]:
    """Attachments in the shape of ui/message_preview.html: kind, title, text."""
    shown = []
    for one in attachments:
        kind = one.get("msgtype", "file")
        body = one.get(kind) or {}
        title = body.get("title") or body.get("pic_url") or kind
        shown.append({"kind": kind, "title": title, "text": body.get("desc", "")})
    return shown
