"""The facts of people and places, in words."""

from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from contacts.models import ConsentRecord, TimelineEvent
from contacts.timeline import register_kind

ADD_WAYS: dict[int, Any] = {
    0: gettext_lazy("未知来源"), 1: gettext_lazy("扫描二维码"), 2: gettext_lazy("搜索手机号"), 3: gettext_lazy("名片分享"),
    4: gettext_lazy("群聊"), 5: gettext_lazy("手机通讯录"), 6: gettext_lazy("微信联系人"), 8: gettext_lazy("安装第三方应用时添加"),
    9: gettext_lazy("搜索邮箱"), 10: gettext_lazy("视频号添加"), 11: gettext_lazy("日程参与人"), 12: gettext_lazy("会议参与人"),
    13: gettext_lazy("添加微信好友对应的企业微信"), 14: gettext_lazy("智慧硬件专属客服"), 15: gettext_lazy("上门服务客服"),
    16: gettext_lazy("获客链接"), 17: gettext_lazy("定制开发"), 18: gettext_lazy("需求回复"), 21: gettext_lazy("第三方售前客服"),
    22: gettext_lazy("可能的商务伙伴"), 24: gettext_lazy("接受微信账号收到的好友申请"), 201: gettext_lazy("内部成员共享"),
    202: gettext_lazy("管理员或负责人分配"),
}  # fmt: skip


# FailReason of transfer_fail (customer-contact reference 11.4).
TRANSFER_FAILURES: dict[str, Any] = {
    "customer_refused": gettext_lazy("客户拒绝了接替的导购"),
    "customer_limit_exceed": gettext_lazy("接替的导购客户数已达上限"),
}


# join_scene of a group's members as read, and QuitScene of its callbacks (customer-contact reference 5.1, 11.5).
JOIN_SCENES: dict[int, Any] = {
    1: gettext_lazy("成员邀请"), 2: gettext_lazy("邀请链接"), 3: gettext_lazy("扫描群二维码"),
}  # fmt: skip
QUIT_SCENES: dict[int, Any] = {0: gettext_lazy("自己退群"), 1: gettext_lazy("群主或管理员移出")}


def join_scene_label(code: int) -> str:
    """How she came into the group, in words; nothing for 0 (not told), and an unknown number says itself."""
    label = JOIN_SCENES.get(code)
    if not code:
        return ""
    return str(label) if label else _("方式 %(code)s") % {"code": code}


def quit_scene_label(code: int | None) -> str:
    """How she left it; nothing where no callback told."""
    return str(QUIT_SCENES.get(code, "")) if code is not None else ""


def add_way_label(code: int) -> str:
    """WeCom's add_way in words; an unknown number says itself."""
    label = ADD_WAYS.get(code)
    return str(label) if label else _("方式 %(code)s") % {"code": code}


def _added(event: TimelineEvent) -> str:
    way = add_way_label(int(event.payload.get("add_way") or 0))
    state = event.payload.get("state")
    return _("%(way)s · 渠道 %(state)s") % {"way": way, "state": state} if state else way


def _ended(event: TimelineEvent) -> str:
    since = event.payload.get("added_at")
    if not since:
        return ""
    days = (event.occurred_at - datetime.fromisoformat(since)).days
    return _("好友关系保持了 %(days)d 天") % {"days": days}


def _transfer_failed(event: TimelineEvent) -> str:
    return str(TRANSFER_FAILURES.get(event.payload.get("reason", ""), ""))


def _stage(event: TimelineEvent) -> str:
    text = f"{event.payload.get('from') or _('无阶段')} → {event.payload.get('to', '')}"
    reason = event.payload.get("reason")
    return f"{text} · {reason}" if reason else text


def _owner(event: TimelineEvent) -> str:
    return f"{event.payload.get('from') or _('无归属')} → {event.payload.get('to') or _('无归属')}"


def _opt_out(event: TimelineEvent) -> str:
    span = event.payload.get("span")
    return _("永久") if span == "forever" else _("%(days)s 天") % {"days": span}


REMARKED: dict[str, Any] = {
    "remark": gettext_lazy("备注"), "description": gettext_lazy("描述"), "remark_company": gettext_lazy("备注企业"),
    "remark_mobiles": gettext_lazy("备注手机号"),
}  # fmt: skip


def _remarked(event: TimelineEvent) -> str:
    return "、".join(str(REMARKED.get(name, name)) for name in event.payload.get("fields", []))


def _postponed(event: TimelineEvent) -> str:
    due = timezone.localtime(datetime.fromisoformat(event.payload["due"]))
    return _("改到 %(at)s 前") % {"at": f"{due:%m-%d %H:%M}"}


def _consent(event: TimelineEvent) -> str:
    return str(dict(ConsentRecord.Purpose.choices).get(event.payload.get("purpose", ""), ""))


def register() -> None:
    """Name the kinds this app records."""
    register_kind("follow.added", gettext_lazy("添加好友"), "user-plus", _added)
    register_kind("follow.deleted_by_customer", gettext_lazy("客户删除了导购"), "user-minus", _ended)
    register_kind("follow.deleted_by_guide", gettext_lazy("导购删除了客户"), "user-x", _ended)
    register_kind("follow.transferred", gettext_lazy("客户已转移"), "arrow-right-left", _ended)
    register_kind("follow.lost", gettext_lazy("好友关系不再存在"), "user-minus", _ended)
    register_kind("follow.transfer_failed", gettext_lazy("客户转移失败"), "user-x", _transfer_failed)
    register_kind("archive.agreed", gettext_lazy("客户同意会话存档"), "shield-check")
    register_kind("consent.given", gettext_lazy("记录同意"), "shield-check", _consent)
    register_kind("consent.withdrawn", gettext_lazy("记录撤回同意"), "shield-alert", _consent)
    register_kind("contact.erased", gettext_lazy("个人信息已按请求删除"), "trash-2")
    register_kind("group.joined", gettext_lazy("进入客户群"), "messages-square")
    register_kind("group.left", gettext_lazy("离开客户群"), "log-out")
    register_kind("group.owner_changed", gettext_lazy("群主变更"), "repeat")
    register_kind("group.dismissed", gettext_lazy("客户群解散"), "circle-x")
    register_kind("stage.changed", gettext_lazy("阶段变更"), "route", _stage)
    register_kind("owner.changed", gettext_lazy("业绩归属变更"), "user-check", _owner)
    register_kind("opt_out.set", gettext_lazy("设置免打扰"), "moon-star", _opt_out)
    register_kind("opt_out.ended", gettext_lazy("取消免打扰"), "bell")
    # What notes, to-dos and custom fields say stands in their own rows (views.history), never in the fact.
    register_kind("note.written", gettext_lazy("跟进记录"), "pencil")
    register_kind("todo.created", gettext_lazy("新建待办"), "list-checks")
    register_kind("todo.postponed", gettext_lazy("待办改期"), "calendar-clock", _postponed)
    register_kind("todo.given", gettext_lazy("待办转给别的导购"), "arrow-right-left")
    register_kind("details.changed", gettext_lazy("修改客户资料"), "square-pen")
    register_kind("todo.done", gettext_lazy("完成待办"), "square-check")
    register_kind("todo.reopened", gettext_lazy("重新打开待办"), "undo-2")
    register_kind("follow.remarked", gettext_lazy("修改备注"), "square-pen", _remarked)
