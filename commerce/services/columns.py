"""The columns of an order file, and how a cell becomes a value. Every refusal is a sentence that says what to write instead."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _

from commerce.services.rows import LineRow, OrderRow, RefundRow
from contacts.models import Member, Store
from contacts.phones import normalise_phone
from scrm.ui.numbers import WITHOUT_CENTS

# key → the head we write, then other heads that cash registers and shop systems use. The first three are required.
COLUMNS: dict[str, tuple[str, ...]] = {
    "number": ("订单号", "订单编号", "单号", "小票号", "order_no", "number"),
    "ordered_at": ("下单时间", "付款时间", "支付时间", "交易时间", "ordered_at"),
    "total": ("实付金额", "实收金额", "支付金额", "金额", "total"),
    "phone": ("手机号", "手机", "买家手机", "会员手机", "收货人手机", "phone"),
    "unionid": ("unionid", "union_id"),
    "external_userid": ("external_userid", "外部联系人ID"),
    "store": ("门店编码", "门店", "店铺编码", "store"),
    "guide": ("导购账号", "导购", "userid"),
    "status": ("状态", "订单状态", "status"),
    "refunded": ("退款金额", "已退金额", "refunded"),
    "refunded_at": ("退款时间", "refunded_at"),
    "currency": ("币种", "currency"),
    "product": ("商品名称", "商品", "product"),
    "sku": ("商品编码", "货号", "sku"),
    "category": ("商品品类", "商品分类", "品类", "类目", "category"),
    "quantity": ("数量", "件数", "quantity"),
}
REQUIRED = ("number", "ordered_at", "total")
_STATUSES = {"": "paid", "已支付": "paid", "已付款": "paid", "交易成功": "paid", "已完成": "paid", "paid": "paid",
             "已取消": "cancelled", "已关闭": "cancelled", "cancelled": "cancelled",
             "已退款": "paid", "部分退款": "paid", "已全额退款": "paid", "全额退款": "paid", "refunded": "paid"}  # fmt: skip
_REFUNDED_WHOLE = {"已全额退款", "全额退款", "refunded"}
_REFUNDED_SOME = {"已退款", "部分退款"}
_TIMES = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d", "%Y/%m/%d",
          "%Y%m%d%H%M%S", "%Y年%m月%d日 %H:%M:%S", "%Y年%m月%d日")  # fmt: skip
_MAX_MINOR = 10**12
_CURRENCIES = frozenset({"CNY", "HKD", "USD", "TWD", "MOP", "SGD", "JPY", "EUR", "GBP"})


class BadRow(Exception):
    """A row that cannot come in; the message is the reason in the reject file."""


def match_heads(cells: list[str]) -> dict[str, int]:
    """Column key → position, from a head line. Unknown heads are left out."""
    names = {name.lower(): key for key, names in COLUMNS.items() for name in names}
    found: dict[str, int] = {}
    for index, cell in enumerate(cells):
        key = names.get(cell.strip().lower().lstrip("\ufeff"))
        if key is not None:
            found.setdefault(key, index)
    return found


@dataclass(frozen=True)
class Reader:
    """Turns rows of one file into orders: knows the merchant's stores and guides, time zone and currency."""

    zone: ZoneInfo
    currency: str
    now: datetime
    stores: Mapping[str, int] = field(default_factory=dict)
    guides: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def load(cls, *, zone: str, currency: str, now: datetime) -> "Reader":
        """Two queries. A name that two stores or guides share stands for neither; codes always win."""
        return cls(ZoneInfo(zone), currency, now, _by_code_or_name(Store.objects.values_list("pk", "code", "name")),
                   _by_code_or_name(Member.objects.values_list("pk", "userid", "name")))  # fmt: skip

    def read(self, cells: Mapping[str, Any]) -> OrderRow:
        """An order. Raises BadRow with everything that is wrong with the row, not only the first thing."""
        problems: list[str] = []

        def get(reader: Any, *args: Any) -> Any:
            try:
                return reader(*args)
            except BadRow as problem:
                problems.append(str(problem))
                return None

        currency = get(self._currency, _text(cells, "currency")) or self.currency
        number = get(_number, _text(cells, "number"))
        ordered_at = get(self._time, cells.get("ordered_at"), _("下单时间"))
        total = get(_minor, _text(cells, "total"), currency, _("实付金额"))
        refunded = get(_minor, _text(cells, "refunded") or "0", currency, _("退款金额"))
        refunded_at = get(self._time, cells["refunded_at"], _("退款时间")) if _text(cells, "refunded_at") else None
        phone = get(_phone, _text(cells, "phone"))
        store = get(_lookup, self.stores, _text(cells, "store"), _("门店编码"))
        guide = get(_lookup, self.guides, _text(cells, "guide"), _("导购账号"))
        status = get(_status, _text(cells, "status"))
        quantity = get(_quantity, _text(cells, "quantity"))
        if not refunded and total:
            refunded = get(_told_refund, _text(cells, "status"), total)
        if total is not None and refunded and refunded > total:
            problems.append(_("退款金额大于实付金额"))
        if problems:
            raise BadRow(";".join(problems))
        return OrderRow(
            number=number, total_minor=total, ordered_at=ordered_at, currency=currency, status=status, phone=phone,
            unionid=_text(cells, "unionid")[:130], external_userid=_text(cells, "external_userid")[:130], store_id=store,
            member_id=guide, lines=_lines(cells, quantity, total),
            refunds=(RefundRow(f"{number}-R"[:64], refunded, refunded_at or ordered_at),) if refunded else None,
        )  # fmt: skip

    def _time(self, value: Any, label: str) -> datetime:
        at = value if isinstance(value, datetime) else _parsed(str(value or "").strip())
        if at is None:
            raise BadRow(
                _("%(label)s「%(value)s」无法识别,请写成 2026-01-31 18:30:00") % {"label": label, "value": value or ""}
            )
        at = at.replace(tzinfo=self.zone) if at.tzinfo is None else at
        if at > self.now + timedelta(days=1):
            raise BadRow(_("%(label)s在未来") % {"label": label})
        if at.year < 2000:
            raise BadRow(_("%(label)s早于 2000 年") % {"label": label})
        return at

    def _currency(self, value: str) -> str:
        code = value.upper() or self.currency
        if code not in _CURRENCIES:
            raise BadRow(_("币种「%(value)s」不支持") % {"value": value})
        return code


def _by_code_or_name(rows: Any) -> dict[str, int]:
    names: dict[str, set[int]] = {}
    codes: dict[str, int] = {}
    for pk, code, name in rows:
        codes[code.lower()] = pk
        names.setdefault(name.lower(), set()).add(pk)
    return {name: next(iter(pks)) for name, pks in names.items() if len(pks) == 1 and name} | codes


def _text(cells: Mapping[str, Any], key: str) -> str:
    """A cell as text; spreadsheets turn numbers such as phones into floats."""
    value = cells.get(key)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = "" if value is None else str(value).strip().replace("\x00", "")
    return text.removeprefix("'").removeprefix("`").strip()


def _parsed(text: str) -> datetime | None:
    for form in _TIMES:
        try:
            return datetime.strptime(text, form)  # noqa: DTZ007 - the tenant's zone is put on by the caller
        except ValueError:
            continue
    return None


def _number(value: str) -> str:
    if not value:
        raise BadRow(_("缺少订单号"))
    if len(value) > 64:
        raise BadRow(_("订单号超过 64 个字符"))
    if "E+" in value.upper() and value.replace(".", "").replace("+", "").replace("E", "").replace("e", "").isdigit():
        raise BadRow(_("订单号「%(value)s」被表格软件改成了科学计数,请把该列设为文本后重新导出") % {"value": value})
    return value


def _minor(value: str, currency: str, label: str) -> int:
    if not value:
        raise BadRow(_("缺少%(label)s") % {"label": label})
    try:
        amount = Decimal(value.lstrip("\u00a5\uffe5$").replace(",", "").replace("\uff0c", ""))
    except InvalidOperation:
        raise BadRow(_("%(label)s「%(value)s」不是数字") % {"label": label, "value": value}) from None
    if not amount.is_finite():
        raise BadRow(_("%(label)s「%(value)s」不是数字") % {"label": label, "value": value})
    minor = amount * (1 if currency in WITHOUT_CENTS else 100)
    if minor != minor.to_integral_value():
        raise BadRow(_("%(label)s「%(value)s」小数位过多") % {"label": label, "value": value})
    if minor < 0:
        raise BadRow(_("%(label)s不能为负;退款请填在「退款金额」列") % {"label": label})
    if minor > _MAX_MINOR:
        raise BadRow(_("%(label)s「%(value)s」过大") % {"label": label, "value": value})
    return int(minor)


def _phone(value: str) -> str:
    if not value:
        return ""
    phone = normalise_phone(value)
    if not phone:
        raise BadRow(_("手机号「%(value)s」不是有效号码(不要打码)") % {"value": value[:20]})
    return phone


def _lookup(known: Mapping[str, int], value: str, label: str) -> int | None:
    if not value:
        return None
    found = known.get(value.lower())
    if found is None:
        raise BadRow(_("%(label)s「%(value)s」不存在") % {"label": label, "value": value[:40]})
    return found


def _status(value: str) -> str:
    status = _STATUSES.get(value.lower())
    if status is None:
        raise BadRow(_("状态「%(value)s」无法识别,请写已支付或已取消") % {"value": value[:20]})
    return status


def _told_refund(status: str, total: int) -> int:
    """What a status says was given back where no amount is named. Raises BadRow when it may be a part."""
    if status.lower() in _REFUNDED_WHOLE:
        return total
    if status in _REFUNDED_SOME:
        raise BadRow(_("状态是「%(value)s」,请填退款金额") % {"value": status})
    return 0


def _quantity(value: str) -> Decimal:
    try:
        quantity = Decimal(value or "1")
    except InvalidOperation:
        quantity = Decimal(0)
    if not quantity.is_finite() or not 0 < quantity < 10**8 or quantity != round(quantity, 3):
        raise BadRow(_("数量「%(value)s」不是正数") % {"value": value[:20]})
    return quantity


def _lines(cells: Mapping[str, Any], quantity: Decimal, total: int) -> tuple[LineRow, ...] | None:
    """One line per order where the file names a product."""
    name, code = _text(cells, "product"), _text(cells, "sku")
    category = _text(cells, "category")[:60]
    return (LineRow((name or code)[:120], quantity, total, code[:64], category),) if name or code else None
