"""What changed between two requests, line by line."""

from difflib import SequenceMatcher
from typing import Any

from django.utils.translation import gettext as _


def lines_of(before: dict[str, Any], after: dict[str, Any]) -> list[dict[str, str]]:
    """Rows {what, before, after} for what differs between two snapshots; of the text only the lines that do."""
    names = {
        "name": _("名称"), "message_class": _("消息类别"), "audience": _("人群"), "times": _("时间"),
        "holdout_percent": _("对照组(不触达)"),
    }  # fmt: skip
    rows = [
        {"what": label, "before": str(before.get(key, "")), "after": str(after.get(key, ""))}
        for key, label in names.items()
        if before.get(key) != after.get(key)
    ]
    rows += _chosen(before.get("chosen", []), after.get("chosen", []))
    rows += _text(before.get("text", ""), after.get("text", ""))
    if before.get("attachments") != after.get("attachments"):
        rows.append({"what": _("附件"), "before": _titles(before), "after": _titles(after)})
    return rows


def _chosen(before: list[int], after: list[int]) -> list[dict[str, str]]:
    """Of picked customers or groups, how many came and went: the same number may be others."""
    gone, new = set(before) - set(after), set(after) - set(before)
    if not gone and not new:
        return []
    told = _("%(n)d 个,其中换入 %(new)d 个,换出 %(gone)d 个") % {"n": len(after), "new": len(new), "gone": len(gone)}
    return [{"what": _("名单"), "before": _("%(n)d 个") % {"n": len(before)}, "after": told}]


def _text(before: str, after: str) -> list[dict[str, str]]:
    old, new = before.splitlines(), after.splitlines()
    matcher = SequenceMatcher(a=old, b=new, autojunk=False)
    return [
        {"what": _("文字"), "before": "\n".join(old[i1:i2]), "after": "\n".join(new[j1:j2])}
        for tag, i1, i2, j1, j2 in matcher.get_opcodes()
        if tag != "equal"
    ]


def _titles(snapshot: dict[str, Any]) -> str:
    bodies = [one.get(one.get("msgtype", ""), {}) for one in snapshot.get("attachments", [])]
    return "、".join(str(body.get("title") or body.get("pic_url") or "—") for body in bodies) or "—"
