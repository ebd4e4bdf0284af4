"""How figures are written. An unknown figure is a dash, never a zero."""

from decimal import ROUND_HALF_UP, Decimal

UNKNOWN = "—"
SYMBOLS = {
    "CNY": "¥",
    "HKD": "HK$",
    "USD": "$",
    "TWD": "NT$",
    "MOP": "MOP$",
    "SGD": "S$",
    "JPY": "¥",
    "EUR": "€",
    "GBP": "£",
}
WITHOUT_CENTS = frozenset({"JPY", "KRW"})
MINUS = "−"


def number(value: int | float | Decimal | None, digits: int = 0) -> str:
    """12860 → 12,860."""
    if value is None or value == "":
        return UNKNOWN
    return _signed(_rounded(Decimal(str(value)), digits), f",.{digits}f")


def percent(value: int | float | Decimal | None, digits: int = 1) -> str:
    """A share (0.182) → 18.2%."""
    if value is None or value == "":
        return UNKNOWN
    return _signed(_rounded(Decimal(str(value)) * 100, digits), f",.{digits}f") + "%"


def money(minor: int | None, currency: str = "CNY") -> str:
    """Integer minor units (fen) → ¥960,024.00, or ¥960,024 when there are no cents."""
    if minor is None or minor == "":
        return UNKNOWN
    value = amount(minor, currency)
    digits = 0 if value == value.to_integral_value() else 2
    text = _signed(abs(value), f",.{digits}f")
    return f"{MINUS if value < 0 else ''}{SYMBOLS.get(currency, currency + ' ')}{text}"


def amount(minor: int, currency: str = "CNY") -> Decimal:
    """Integer minor units as the number they are: 96002400 → 960024, with cents where the currency has them."""
    return Decimal(minor) if currency in WITHOUT_CENTS else Decimal(minor) / 100


def _rounded(value: Decimal, digits: int) -> Decimal:
    return value.quantize(Decimal(1).scaleb(-digits), rounding=ROUND_HALF_UP)


def _signed(value: Decimal, spec: str) -> str:
    """A true minus sign lines up with digits; a hyphen does not."""
    return format(value, spec).replace("-", MINUS)
