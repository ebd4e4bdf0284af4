"""Variables in messages: which carrier can carry which, and the text a guide's customers get.

WeCom sends one text per mass task, so nothing of the customer fits into it; a welcome and a 1对1 message go to one person.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from scrm.lib.errors import UserError

Carrier = Literal["mass", "group", "moment", "welcome", "one_to_one", "group_welcome"]

MAX_TEXT_BYTES = 4000
MAX_GROUP_WELCOME_BYTES = 3000
MAX_ATTACHMENTS = 9
NICKNAME = "%NICKNAME%"
_VARIABLE = re.compile(r"\{([^{}\n]{1,20})\}")


@dataclass(frozen=True)
class Variable:
    """A name in braces. longest: bytes it may take once filled in; source: attribute path below guide, store or customer."""

    name: str
    about: Literal["guide", "store", "customer"]
    attribute: str
    longest: int


VARIABLES = {
    one.name: one
    for one in (
        Variable("导购名", "guide", "name", 192),
        Variable("门店名", "store", "name", 180),
        Variable("门店电话", "store", "phone", 30),
        Variable("门店地址", "store", "address", 600),
        Variable("客户昵称", "customer", "name", 384),
    )
}
# Known to WeCom users, but nothing fills them in yet: refused, with the reason, rather than sent empty.
_NOT_YET = {"门店群码", "门店小程序链接"}
_PERSONAL_CARRIERS = ("welcome", "one_to_one")
CARRIER_NAMES: dict[str, Promise] = {
    "mass": gettext_lazy("群发"),
    "group": gettext_lazy("客户群群发"),
    "moment": gettext_lazy("朋友圈"),
    "welcome": gettext_lazy("欢迎语"),
    "one_to_one": gettext_lazy("1对1任务"),
    "group_welcome": gettext_lazy("入群欢迎语"),
}


def carrier_of(target: str) -> Carrier:
    """The carrier of a broadcast to people or to groups."""
    return "group" if target == "groups" else "mass"


def variables_in(text: str) -> list[str]:
    """Names in braces, in order of first use."""
    return list(dict.fromkeys(_VARIABLE.findall(text)))


def allowed_variables(carrier: Carrier) -> list[str]:
    """What the editor offers for a carrier."""
    return [name for name, one in VARIABLES.items() if _can_carry(carrier, one)]


def _can_carry(carrier: Carrier, variable: Variable) -> bool:
    return variable.about != "customer" or carrier in _PERSONAL_CARRIERS


def check_message(text: str, attachments: list[dict[str, Any]], carrier: Carrier) -> None:
    """Raises UserError, saying why, for a message its carrier cannot carry. Sizes count variables at their longest."""
    if not text.strip() and not attachments:
        raise UserError(_("请写点文字,或者加一个附件。"), code="empty_message", fields={"text": "empty"})
    for name in variables_in(text):
        _check_variable(name, carrier)
    if NICKNAME in text and carrier != "group_welcome":
        raise UserError(_("%(variable)s 只有入群欢迎语能用。") % {"variable": NICKNAME}, code="variable")
    most = MAX_GROUP_WELCOME_BYTES if carrier == "group_welcome" else MAX_TEXT_BYTES
    size = longest_bytes(text)
    if size > most:
        raise UserError(
            _("文字太长:变量按最长计共 %(size)d 字节,企业微信最多 %(most)d 字节(一个汉字 3 字节)。")
            % {"size": size, "most": most},
            code="too_long",
            fields={"text": "too_long"},
        )
    check_attachments(attachments)


def _check_variable(name: str, carrier: Carrier) -> None:
    variable = VARIABLES.get(name)
    if variable is None:
        why = _("还没有数据可以填入") if name in _NOT_YET else _("没有这个变量")
        raise UserError(
            _("{%(name)s}:%(why)s。") % {"name": name, "why": why}, code="variable", fields={"text": "variable"}
        )
    if not _can_carry(carrier, variable):
        raise UserError(
            _("{%(name)s} 不能用在%(carrier)s里:一个任务只有一份文字,企业微信不会按客户替换。请用导购和门店的变量。")
            % {"name": name, "carrier": CARRIER_NAMES[carrier]},
            code="variable",
            fields={"text": "variable"},
        )


def longest_bytes(text: str) -> int:
    """UTF-8 bytes of the text with every variable at its longest."""
    rest = _VARIABLE.sub(lambda found: "" if found[1] in VARIABLES else found[0], text)
    return len(rest.encode()) + sum(VARIABLES[name].longest for name in _VARIABLE.findall(text) if name in VARIABLES)


# Byte limits of add_msg_template's attachments.
_LINK_LIMITS = {"title": 128, "picurl": 2048, "desc": 512, "url": 2048}


def check_attachments(attachments: list[dict[str, Any]]) -> None:
    """Raises UserError for more than nine, an unknown type, or a part beyond WeCom's byte limits."""
    if len(attachments) > MAX_ATTACHMENTS:
        raise UserError(_("附件最多 %(n)d 个。") % {"n": MAX_ATTACHMENTS}, code="too_many_attachments")
    for attachment in attachments:
        kind = attachment.get("msgtype")
        body = attachment.get(kind) if kind else None
        if kind not in ("image", "link", "miniprogram", "video", "file") or not isinstance(body, dict):
            raise UserError(_("附件类型不对:图片、链接、小程序、视频、文件。"), code="attachment_type")
        if kind == "link":
            _check_link(body)


def _check_link(body: dict[str, Any]) -> None:
    if not body.get("title") or not str(body.get("url", "")).startswith(("https://", "http://")):
        raise UserError(_("链接要有标题,地址以 https:// 开头。"), code="link")
    for part, most in _LINK_LIMITS.items():
        if len(str(body.get(part, "")).encode()) > most:
            raise UserError(_("链接的 %(part)s 超过 %(most)d 字节。") % {"part": part, "most": most}, code="link")


def render(text: str, *, guide: Any = None, store: Any = None, customer: Any = None) -> str:
    """The text with its variables filled in; what is unknown becomes nothing. Values are cut to their declared length."""
    subjects = {"guide": guide, "store": store, "customer": customer}

    def fill(found: re.Match[str]) -> str:
        variable = VARIABLES.get(found[1])
        if variable is None:
            return found[0]
        value = getattr(subjects[variable.about], variable.attribute, "") or ""
        return str(value).encode()[: variable.longest].decode(errors="ignore")

    return _VARIABLE.sub(fill, text)


def names_customer(text: str) -> bool:
    """Whether the text needs something of the customer."""
    return any(VARIABLES[name].about == "customer" for name in variables_in(text) if name in VARIABLES)


def empty_for(text: str, stores: Iterable[Any]) -> dict[str, list[str]]:
    """Variables of the text that some of the stores have no value for: {variable: [store names]}."""
    wanted = [VARIABLES[name] for name in variables_in(text) if name in VARIABLES and VARIABLES[name].about == "store"]
    found = {one.name: [store.name for store in stores if not getattr(store, one.attribute)] for one in wanted}
    return {name: names for name, names in found.items() if names}


def sample_values() -> dict[str, str]:
    """What the composer's preview shows in place of the variables."""
    return {
        "导购名": "林小雅",
        "门店名": "静安寺店",
        "门店电话": "021-62881234",
        "门店地址": "南京西路 1601 号",
        "客户昵称": "小圆子",
    }


def preview(text: str) -> str:
    """The text with sample values."""
    samples = sample_values()
    return _VARIABLE.sub(lambda found: samples.get(found[1], found[0]), text)
