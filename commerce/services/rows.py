"""An order as it comes in, whatever the channel: plain values, already validated."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal


@dataclass(frozen=True)
class LineRow:
    """A line: amount_minor is what the line cost, all pieces. category: of the product, where the source tells it."""

    name: str
    quantity: Decimal
    amount_minor: int
    product_code: str = ""
    category: str = ""


@dataclass(frozen=True)
class RefundRow:
    number: str
    amount_minor: int
    refunded_at: datetime


@dataclass(frozen=True)
class OrderRow:
    """An order by its number within a source. Money in minor units. phone is E.164. refunds and lines None: the source does
    not tell (what we know stands); a list is the whole truth for lines, and adds to what is known for refunds."""

    number: str
    total_minor: int
    ordered_at: datetime
    currency: str = "CNY"
    status: str = "paid"
    phone: str = ""
    unionid: str = ""
    external_userid: str = ""
    store_id: int | None = None
    member_id: int | None = None
    lines: tuple[LineRow, ...] | None = None
    refunds: tuple[RefundRow, ...] | None = None


@dataclass
class Report:
    """What became of the orders, by number: given = created + updated + unchanged + rejected (with the reason)."""

    created: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    rejected: dict[str, str] = field(default_factory=dict)
    unbound: int = 0
