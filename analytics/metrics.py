"""The metric dictionary: each metric once. Pages, exports, the API and docs/metrics.md read only this."""

from dataclasses import dataclass
from typing import Literal

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

Unit = Literal["people", "count", "money", "share"]
PLACE = ("region", "dealer", "store", "guide")


@dataclass(frozen=True)
class Metric:
    """What a number means.

    dimensions: by what it can be cut; one it does not have cannot be chosen. time_basis: which instant places a row in a
    period. dedupe: what makes two rows one. as_of: whose store and guide a row counts for.
    """

    key: str
    name: str | Promise
    definition: str | Promise
    unit: Unit
    dimensions: tuple[str, ...]
    time_basis: str | Promise
    dedupe: str | Promise
    as_of: str | Promise
    formula: str | Promise = ""
    version: int = 1


_AT_FREEZE = _("审批冻结名单时的门店和导购")
_ONE_PER_PERSON = _("一次触达里一位客户(按合并后的人)只算一次")
_PUSH = ("push", *PLACE)


def _push_metric(key: str, name: str | Promise, definition: str | Promise, unit: Unit = "people") -> Metric:
    return Metric(
        key=f"push.{key}", name=name, definition=definition, unit=unit, dimensions=_PUSH,
        time_basis=_("群发的通知时间"), dedupe=_ONE_PER_PERSON, as_of=_AT_FREEZE,
    )  # fmt: skip


_METRICS = (
    _push_metric("targeted", _("圈选"), _("审批通过时圈选到的全部对象,含未纳入和对照组。")),
    _push_metric("excluded", _("未纳入"), _("体检判定不能触达的对象,按原因分列。")),
    _push_metric("holdout", _("对照组(不触达)"), _("从可触达对象中按固定比例抽出、不触达的对象,用来衡量增量。")),
    _push_metric("planned", _("计划"), _("进入导购任务的对象:圈选减去未纳入和对照组。")),
    _push_metric("agreed", _("已同意"), _("导购已在今日里同意的任务所含对象,不含她单独排除的。")),
    _push_metric("confirmed", _("已确认发送"), _("导购已在企业微信里点了发送的任务所含对象。")),
    _push_metric("sent", _("发送成功"), _("企业微信返回发送成功的对象。是否看过,企业微信不提供。")),
    _push_metric("failed", _("发送失败"), _("企业微信返回失败的对象:已不是好友,或当期接收额度已满。")),
    _push_metric("unfinished", _("未执行"), _("计划内但没有发出的对象:导购不发、超时未确认、已停止、任务创建失败等。")),
    _push_metric("unknown", _("未知"), _("任务已结束而企业微信没有给出结果的对象。")),
    _push_metric("open", _("进行中"), _("还在等导购同意或确认发送的对象。")),
    _push_metric("buyers", _("下单人数"), _("发送成功后 N 天内下过单(不含已取消)的对象。")),
    _push_metric("orders", _("订单数"), _("发送成功后 N 天内的订单数(不含已取消)。"), "count"),
    _push_metric("revenue", _("成交额"), _("发送成功后 N 天内的订单实付金额减去退款。"), "money"),
    Metric(
        key="day.added", name=_("新增好友关系"), definition=_("当天新建立的好友关系数;同一客户加两位导购算两个。"),
        unit="count", dimensions=("day", *PLACE, "channel"), time_basis=_("添加时间"), dedupe=_("每次添加一条"),
        as_of=_("添加当时导购所在门店"),
    ),
    Metric(
        key="day.ended", name=_("结束好友关系"), definition=_("当天结束的好友关系数:客户删、导购删、已转移合计。"),
        unit="count", dimensions=("day", *PLACE), time_basis=_("结束时间"), dedupe=_("每段关系一条"),
        as_of=_("结束当时导购所在门店"),
    ),
    Metric(
        key="day.orders", name=_("订单数"), definition=_("当天下单且未取消的订单数,已绑定客户的。"), unit="count",
        dimensions=("day", *PLACE), time_basis=_("下单时间"), dedupe=_("来源加单号"), as_of=_("下单当时的门店和导购"),
    ),
    Metric(
        key="day.revenue", name=_("成交额"), definition=_("当天下单的订单实付金额减去其退款,已绑定客户的。"), unit="money",
        dimensions=("day", *PLACE), time_basis=_("下单时间"), dedupe=_("来源加单号"), as_of=_("下单当时的门店和导购"),
        formula=_("实付 − 退款"),
    ),
    Metric(
        key="stage.people", name=_("阶段人数"), definition=_("处于该生命周期阶段、现在还是好友的客户数(去重人数)。"), unit="people",
        dimensions=("day", "stage", *PLACE), time_basis=_("当天结束时"), dedupe=_("按合并后的人"),
        as_of=_("当前列表按今天的归属;历史按进入阶段当时的门店和导购"),
    ),
)  # fmt: skip

METRICS: dict[str, Metric] = {metric.key: metric for metric in _METRICS}


def get(key: str) -> Metric:
    """The metric of a key. Raises KeyError for one that is not in the dictionary."""
    return METRICS[key]


def as_markdown() -> str:
    """docs/metrics.md, generated: a table of every metric in the current language."""
    lines = [
        "| 键 | 名称 | 定义 | 口径时间 | 去重 | 归属 | 维度 |",
        "|---|---|---|---|---|---|---|",
    ]
    for metric in _METRICS:
        cells = (metric.key, metric.name, metric.definition, metric.time_basis, metric.dedupe, metric.as_of)
        lines.append("| " + " | ".join(str(cell) for cell in cells) + f" | {', '.join(metric.dimensions)} |")
    return "\n".join(lines) + "\n"
