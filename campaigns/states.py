"""The one list of states and reasons of the push pipeline: each with its allowed next, its name, and whether it is final."""

from django.db import models
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


class PushKind(models.TextChoices):
    BROADCAST = "broadcast", _("群发")
    GROUP = "group", _("客户群群发")
    SOP = "sop", _("SOP")
    ONE_TO_ONE = "one_to_one", _("1对1任务")


class PushState(models.TextChoices):
    FROZEN = "frozen", _("待导购确认")
    ENDED = "ended", _("已结束")
    STOPPED = "stopped", _("已停止")


class DispatchState(models.TextChoices):
    WAITING = "waiting", _("待同意")
    AGREED = "agreed", _("已同意,等通知时间")
    CREATING = "creating", _("创建任务中")
    TASKED = "tasked", _("待确认发送")
    CONFIRMED = "confirmed", _("已确认发送")
    STOPPING = "stopping", _("停止中")
    DONE = "done", _("已完成")
    SKIPPED = "skipped", _("导购不发")
    EXPIRED = "expired", _("超时未确认")
    STOPPED = "stopped", _("已停止")
    FAILED = "failed", _("创建失败")


class DeliveryState(models.TextChoices):
    EXCLUDED = "excluded", _("未纳入")
    HOLDOUT = "holdout", _("对照组(不触达)")
    PLANNED = "planned", _("待发送")
    TASKED = "tasked", _("待确认发送")
    SENT = "sent", _("发送成功")
    FAILED = "failed", _("发送失败")
    SKIPPED = "skipped", _("未执行")
    EXPIRED = "expired", _("超时未确认")
    STOPPED = "stopped", _("已停止")
    UNKNOWN = "unknown", _("未知")


DISPATCH_NEXT: dict[str, frozenset[str]] = {
    DispatchState.WAITING: frozenset({"agreed", "skipped", "expired", "stopped"}),
    DispatchState.AGREED: frozenset({"creating", "skipped", "expired", "stopped", "waiting"}),
    DispatchState.CREATING: frozenset({"tasked", "failed", "stopping", "skipped"}),
    DispatchState.TASKED: frozenset({"confirmed", "stopping"}),
    DispatchState.CONFIRMED: frozenset({"done"}),
    # A stop may lose the race: then the guide had confirmed.
    DispatchState.STOPPING: frozenset({"stopped", "expired", "confirmed", "failed"}),
    DispatchState.DONE: frozenset(),
    DispatchState.SKIPPED: frozenset(),
    DispatchState.EXPIRED: frozenset(),
    DispatchState.STOPPED: frozenset(),
    DispatchState.FAILED: frozenset(),
}

DELIVERY_NEXT: dict[str, frozenset[str]] = {
    DeliveryState.EXCLUDED: frozenset(),
    DeliveryState.HOLDOUT: frozenset(),
    DeliveryState.PLANNED: frozenset({"tasked", "skipped", "expired", "stopped", "failed"}),
    DeliveryState.TASKED: frozenset({"sent", "failed", "expired", "stopped", "unknown", "skipped"}),
    DeliveryState.SENT: frozenset(),
    DeliveryState.FAILED: frozenset(),
    DeliveryState.SKIPPED: frozenset(),
    DeliveryState.EXPIRED: frozenset(),
    DeliveryState.STOPPED: frozenset(),
    DeliveryState.UNKNOWN: frozenset({"sent", "failed"}),  # a late answer of WeCom
}

# Why a target was not reached: excluded at the freeze, or skipped, failed later. Registered reasons of other apps join at start.
REASONS: dict[str, Promise] = {
    "not_friend": _("不是好友"),
    "no_guide": _("无在岗导购"),
    "opt_out": _("免打扰"),
    "cap": _("触达上限"),
    "quota": _("额度已用完"),
    "quota_unknown": _("额度未知"),
    "duplicate": _("同客只发一次"),
    "guide_excluded": _("导购排除"),
    "guide_skipped": _("导购不发"),
    "no_sender": _("群没有可用的群主"),
    "refused": _("企业微信拒收"),
    "no_result": _("企业微信未返回结果"),
    "deadline": _("超过确认截止时间"),
    "stopped": _("人工停止"),
    "no_task": _("任务创建失败"),
}

FINAL_DISPATCH = frozenset(state for state, following in DISPATCH_NEXT.items() if not following)
FINAL_DELIVERY = frozenset(state for state, following in DELIVERY_NEXT.items() if not following) | {DeliveryState.UNKNOWN.value}


def may_follow(table: dict[str, frozenset[str]], old: str, new: str) -> bool:
    """Whether a row in state `old` may become `new`."""
    return new in table[old]
