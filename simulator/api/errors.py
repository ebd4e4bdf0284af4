"""WeCom's error codes with the texts it answers, and the tail it appends to them."""

import hashlib
import itertools

from simulator.clock import wall

TEXTS = {
    -1: "system busy",
    40001: "invalid credential",
    40003: "invalid userid",
    40004: "invalid media type",
    40005: "invalid file type",
    40006: "invalid file size",
    40007: "invalid media_id",
    40008: "invalid message type",
    40013: "invalid corpid",
    40014: "invalid access_token",
    40031: "invalid userid list",
    40032: "invalid userid list size",
    40035: "invalid user & party list",
    40056: "invalid agentid",
    40058: "invalid Request Parameter",
    40063: "some parameters are empty",
    40068: "invalid tagid",
    40071: "tag name already exists",
    40091: "secret is invalid",
    40096: "invalid external userid",
    40098: "user has not been real-name verified",
    40126: "corp tag limit 3000",
    41001: "access_token missing",
    41002: "corpid missing",
    41004: "corpsecret missing",
    41006: "media_id missing",
    41009: "userid missing",
    41035: "external_userid missing",
    41037: "missing contact way type",
    41038: "missing contact way scene",
    41039: "invalid contact way type",
    41040: "invalid contact way scene",
    41041: "contact way member exceeds limit",
    41042: "invalid contact way style",
    41043: "missing config_id",
    41044: "invalid config_id",
    41045: "contact way count exceeds limit",
    41046: "missing msgid",
    41047: "invalid msgid",
    41048: "no customer to send",
    41049: "missing welcome code",
    41050: "invalid welcome code",
    41051: "externaluser has started chatting",
    41054: "user is not activated",
    41057: "no wechat developer account bound",
    41063: "message is being dispatched, retry later",
    41064: "too many attachments",
    41065: "invalid attachment msgtype",
    41072: "invalid attachment_type",
    41091: "join way chat exceeds limit",
    41093: "message has been cancelled",
    41094: "remind exceeds limit",
    41095: "customer acquisition link exceeds limit",
    42001: "access_token expired",
    44001: "empty media data",
    44004: "empty content",
    45001: "media size out of limit",
    45002: "content size out of limit",
    45009: "api freq out of limit",
    45033: "api concurrent out of limit",
    48002: "api forbidden for no permission",
    49008: "group has been dissolved",
    50100: "invalid cursor",
    60003: "department not found",
    60011: "no privilege to access/modify contact/party/agent",
    60020: "not allow to access from your ip",
    60111: "userid not found",
    81013: "user & party & tag all invalid",
    81017: "too many ids",
    82001: "touser & toparty & totag all empty",
    84061: "not external contact",
    84074: "no external contact permission",
    84083: "user is not a service member",
    90501: "chat is not external group chat",
    90509: "chat is not wecom customer group",
    90511: "invalid opengid",
    301002: "not allow operate another agent with this accesstoken",
}
_serial = itertools.count(1)


class WeComError(Exception):
    """An answer with errcode ≠ 0. `text` replaces the usual errmsg, `note` is appended after the tail."""

    def __init__(self, code: int, text: str = "", note: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.text = text or TEXTS.get(code, "request failed")
        self.note = note


def error_message(error: WeComError, ip: str) -> str:
    """errmsg with WeCom's tail: hint, caller's address and the page about the code."""
    moment, serial = int(wall()), next(_serial)
    digest = hashlib.md5(f"{moment}/{serial}/{error.code}".encode(), usedforsecurity=False).hexdigest()
    page = f"https://open.work.weixin.qq.com/devtool/query?e={error.code}"
    return f"{error.text}, hint: [{moment}_{serial}_{digest}], from ip: {ip}, more info at {page}{error.note}"
