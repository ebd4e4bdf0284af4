"""Group welcome templates (入群欢迎语素材)."""

from simulator.api.content import check_attachment
from simulator.api.errors import WeComError
from simulator.api.fields import Field
from simulator.api.registry import Call, endpoint
from simulator.world.groupwelcomes import TEMPLATES_MOST, GroupWelcome

ADD_BYTES, EDIT_BYTES = 3000, 4000
PRECEDENCE = ("image", "link", "miniprogram", "file", "video")
_CONTENT = (Field("text", dict), *(Field(kind, dict) for kind in PRECEDENCE), Field("agentid", int))


def _read(call: Call, most: int) -> tuple[str, dict]:
    """(text, the one attachment or {}). Raises WeComError 40058, 45002, 40007, 301002."""
    if call["agentid"] is not None and call["agentid"] != call.corp.agent_id:
        raise WeComError(301002)
    words = (call["text"] or {}).get("content") or ""
    if not isinstance(words, str):
        raise WeComError(40058, "invalid Request Parameter, text")
    if len(words.encode()) > most:
        raise WeComError(45002)
    kind = next((kind for kind in PRECEDENCE if call[kind]), "")
    if not words and not kind:
        raise WeComError(40058, "text and attachments are both empty")
    if not kind:
        return words, {}
    attachment = {"msgtype": kind, kind: call[kind]}
    check_attachment(call, attachment)
    return words, attachment


def _template(call: Call) -> GroupWelcome:
    row = call.corp.group_welcomes.rows.get(call["template_id"])
    if row is None:
        raise WeComError(60136)
    return row


def _own_template(call: Call) -> GroupWelcome:
    row = _template(call)
    if row.by != call.kind:
        raise WeComError(41058)
    return row


@endpoint("externalcontact/group_welcome_template/add", *_CONTENT, Field("notify", int, default=1, least=0, most=1))
def add_template(call: Call) -> dict:
    """A template of text (3000 bytes) and at most one attachment: of several given, the first of image, link, miniprogram …"""
    text, attachment = _read(call, ADD_BYTES)
    book = call.corp.group_welcomes
    if len(book.rows) >= TEMPLATES_MOST:
        raise WeComError(41055)
    return {"template_id": book.new(call.kind, text, attachment, notify=bool(call["notify"])).template_id}


@endpoint("externalcontact/group_welcome_template/edit", Field("template_id", missing=40058), *_CONTENT)
def edit_template(call: Call) -> dict:
    """Replace its content; 41058 for an app that did not make it."""
    row = _own_template(call)
    row.text, row.attachment = _read(call, EDIT_BYTES)
    return {}


@endpoint("externalcontact/group_welcome_template/get", Field("template_id", missing=40058))
def get_template(call: Call) -> dict:
    """Its content; an image comes back as a picture's address."""
    row = _template(call)
    shown: dict = {"text": {"content": row.text}} if row.text else {}
    if row.attachment:
        kind = row.attachment["msgtype"]
        body = row.attachment[kind]
        if kind == "image":
            body = {"pic_url": body.get("pic_url") or f"https://wework.qpic.cn/wwpic/{body['media_id'][:24]}/0"}
        shown[kind] = body
    return shown


@endpoint("externalcontact/group_welcome_template/del", Field("template_id", missing=40058), Field("agentid", int))
def delete_template(call: Call) -> dict:
    """Gone, also for the groups that greet with it."""
    del call.corp.group_welcomes.rows[_own_template(call).template_id]
    return {}
