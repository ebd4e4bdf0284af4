"""The one list of states and reasons of the push pipeline: each with its allowed next, its name, and whether it is final."""

from django.db import models
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


class PushKind(models.TextChoices):
    """What carries it."""

    BROADCAST = "broadcast", _("群发")
    SOP = "sop", _("SOP")
    MOMENT = "moment", _("朋友圈")
    ONE_TO_ONE = "one_to_one", _("1对1任务")


class PushTarget(models.TextChoices):
    """Whom its deliveries are for, whatever carries it. NONE: it has no deliveries; a moment's viewers are only observed."""

    PEOPLE = "people", _("客户")
    GROUPS = "groups", _("客户群")
    NONE = "none", _("无")


class PushState(models.TextChoices):
    FROZEN = "frozen", _("待导购确认")
    ENDED = "ended", _("已结束")
    STOPPED = "stopped", _("已停止")


class ApprovalState(models.TextChoices):
    PENDING = "pending", _("待审批")
    APPROVED = "approved", _("已通过")
    REJECTED = "rejected", _("已驳回")
    LAPSED = "lapsed", _("审批已过期")
    VOID = "void", _("已作废:内容已修改或已撤回")


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


# Decided once: who asks again makes a new request.
APPROVAL_NEXT: dict[str, frozenset[str]] = {
    ApprovalState.PENDING: frozenset({"approved", "rejected", "lapsed", "void"}),
    ApprovalState.APPROVED: frozenset(),
    ApprovalState.REJECTED: frozenset(),
    ApprovalState.LAPSED: frozenset(),
    ApprovalState.VOID: frozenset(),
}

# Over when its last unit is: stopped where somebody stopped the whole push, ended otherwise.
PUSH_NEXT: dict[str, frozenset[str]] = {
    PushState.FROZEN: frozenset({"ended", "stopped"}),
    PushState.ENDED: frozenset(),
    PushState.STOPPED: frozenset(),
}

DISPATCH_NEXT: dict[str, frozenset[str]] = {
    # creating, done: where the tenant lets silence agree.
    DispatchState.WAITING: frozenset({"agreed", "skipped", "expired", "stopped", "creating", "done"}),
    # done: the claim's re-check left nobody to send to.
    DispatchState.AGREED: frozenset({"creating", "skipped", "expired", "stopped", "waiting", "done"}),
    # stopping: a stop was wanted while the call was on its way. stopped, expired: it had not left yet. agreed, done: it never
    # left, because the claim had grown old or nobody was left.
    DispatchState.CREATING: frozenset({"tasked", "failed", "stopping", "stopped", "expired", "agreed", "done"}),
    DispatchState.TASKED: frozenset({"confirmed", "stopping"}),
    DispatchState.CONFIRMED: frozenset({"done"}),
    # A stop may lose the race: then the guide had confirmed.
    DispatchState.STOPPING: frozenset({"stopped", "expired", "confirmed"}),
    DispatchState.DONE: frozenset(),
    DispatchState.SKIPPED: frozenset(),
    DispatchState.EXPIRED: frozenset(),
    DispatchState.STOPPED: frozenset(),
    DispatchState.FAILED: frozenset(),
}

DELIVERY_NEXT: dict[str, frozenset[str]] = {
    DeliveryState.EXCLUDED: frozenset(),
    DeliveryState.HOLDOUT: frozenset(),
    DeliveryState.PLANNED: frozenset({"tasked", "skipped", "expired", "stopped", "failed", "unknown"}),
    DeliveryState.TASKED: frozenset({"sent", "failed", "expired", "stopped", "unknown"}),
    DeliveryState.SENT: frozenset(),
    DeliveryState.FAILED: frozenset(),
    DeliveryState.SKIPPED: frozenset(),
    # WeCom may answer after the stop: what it says wins.
    DeliveryState.EXPIRED: frozenset({"sent", "failed"}),
    DeliveryState.STOPPED: frozenset({"sent", "failed"}),
    DeliveryState.UNKNOWN: frozenset({"sent", "failed"}),
}

# Back to `planned`, in another guide's unit: only with a DeliveryMove, from a unit that is over without having sent, and
# only for these reasons. Whom her guide left out, whom WeCom refused and whose end is unknown stay where they are.
DELIVERY_MOVES: dict[str, frozenset[str]] = {
    DeliveryState.SKIPPED: frozenset({"guide_skipped"}),
    DeliveryState.EXPIRED: frozenset({"deadline"}),
    DeliveryState.STOPPED: frozenset({"stopped"}),
    DeliveryState.FAILED: frozenset({"no_task"}),
}
# Their stop is settled: WeCom has said that nothing of them was sent, or never had a task of theirs.
MOVES_FROM = frozenset({DispatchState.SKIPPED, DispatchState.EXPIRED, DispatchState.STOPPED, DispatchState.FAILED})

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
    "dismissed": _("群已解散"),
    "owner_changed": _("群主已变更"),
    "nobody_left": _("没有可发送的客户"),
    "exited": _("已退出 SOP"),
    "handed_over": _("已转给接替成员,下一时段由她再发"),
    "refused": _("企业微信拒收"),
    "no_result": _("企业微信未返回结果"),
    "deadline": _("超过确认截止时间"),
    "stopped": _("人工停止"),
    "no_task": _("任务创建失败"),
}

# What a guide may say instead of 同意.
SKIP_REASONS: dict[str, Promise] = {
    "just_contacted": _("刚联系过"),
    "not_for_store": _("不适合本店"),
    "out_of_stock": _("已无货"),
    "on_leave": _("我休假"),
    "wrong_content": _("内容有误"),
    "other": _("其他"),
}

FINAL_DISPATCH = frozenset(state for state, following in DISPATCH_NEXT.items() if not following)
OPEN_DELIVERY = (DeliveryState.PLANNED, DeliveryState.TASKED)
FINAL_DELIVERY = frozenset(DeliveryState.values) - frozenset(OPEN_DELIVERY)


def may_follow(table: dict[str, frozenset[str]], old: str, new: str) -> bool:
    """Whether a row in state `old` may become `new`."""
    return new in table[old]


def may_move(dispatch_state: str, delivery_state: str, reason: str) -> bool:
    """Whether a delivery in this state, for this reason, may leave its unit in that state for another guide's."""
    return dispatch_state in MOVES_FROM and reason in DELIVERY_MOVES.get(delivery_state, frozenset())


def reason_name(reason: str) -> str:
    """The Chinese name of a delivery's or a unit's reason; the code itself for one no app registered."""
    return str(REASONS.get(reason) or SKIP_REASONS.get(reason) or reason)
