"""Why a customer or group is not handed over, in an operator's words."""

from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

# Ours: found before WeCom is asked, or given up by us.
REASONS: dict[str, Any] = {
    "not_friend": gettext_lazy("已不是好友"),
    "other_plan": gettext_lazy("正在另一个继承计划中"),
    "too_often": gettext_lazy("90 天内已转移 2 次"),
    "left_too_long": gettext_lazy("离职已超过 1 年"),
    "no_room": gettext_lazy("接替成员没有余量"),
    "no_successor": gettext_lazy("没有可用的接替成员"),
    "giver_left": gettext_lazy("原成员已离职,请改建离职继承计划"),
    "giver_back": gettext_lazy("原成员已恢复在职,请改建在职继承计划"),
    "successor_gone": gettext_lazy("接替成员已不可用,且没有备选"),
    "overdue": gettext_lazy("超过 3 天没有结果"),
    "given_up": gettext_lazy("调用已被人工放弃"),
}
# A member who cannot take over, by what we know of her.
UNFIT: dict[str, Any] = {
    "left": gettext_lazy("已离职"),
    "not_active": gettext_lazy("未激活或已禁用"),
    "no_customer_contact": gettext_lazy("未开通客户联系"),
    "not_real_named": gettext_lazy("未实名认证(企业微信已拒绝)"),
    "banned": gettext_lazy("账号被限制(企业微信已拒绝)"),
    "not_logged_in": gettext_lazy("超过 1 年未登录(企业微信已拒绝)"),
    "full": gettext_lazy("客户数已满"),
}
# WeCom's: customer-contact reference 9.
CODES: dict[int, Any] = {
    40003: gettext_lazy("成员不存在或已离职"),
    40096: gettext_lazy("企业微信不认识这位客户"),
    40097: gettext_lazy("原成员还没有离职"),
    40098: gettext_lazy("接替成员未实名认证"),
    40099: gettext_lazy("接替成员客户数已达上限"),
    40100: gettext_lazy("客户已在转移中"),
    40128: gettext_lazy("90 天内已转移 2 次"),
    40129: gettext_lazy("原成员已在转移这位客户"),
    40130: gettext_lazy("原成员与接替成员是同一人"),
    40131: gettext_lazy("客户已不是原成员的好友"),
    40143: gettext_lazy("成员账号被限制"),
    40205: gettext_lazy("成员超过 1 年未登录企业微信"),
    41054: gettext_lazy("接替成员未激活"),
    45009: gettext_lazy("当天转移次数已用完"),
    49008: gettext_lazy("客户群已解散"),
    60011: gettext_lazy("成员不在应用可见范围内"),
    84061: gettext_lazy("客户与原成员没有好友关系"),
    84074: gettext_lazy("接替成员没有客户联系权限"),
    90500: gettext_lazy("群主还没有离职"),
    90501: gettext_lazy("不是客户群"),
    90502: gettext_lazy("群主已离职,请改建离职继承计划"),
    90503: gettext_lazy("客户群已满,接替成员进不了群"),
    90504: gettext_lazy("已是这位群主"),
    90507: gettext_lazy("客户群正在继承中"),
    90508: gettext_lazy("客户群已被继承"),
    90509: gettext_lazy("不是客户群"),
}


def say_why(reason: str, errcode: int | None) -> str:
    """The cause of a row's state; an unknown code says its number. Empty where there is none."""
    if reason:
        return str(REASONS.get(reason, reason))
    if not errcode:
        return ""
    return str(CODES[errcode]) if errcode in CODES else _("企业微信返回错误 %(code)s") % {"code": errcode}


def say_unfit(reason: str) -> str:
    """Why a member cannot take over."""
    return str(UNFIT.get(reason, reason))
