"""Numbers as people and addresses write them."""

MAX_DIGITS = 18  # fits a bigint


def whole_number(text: str | None) -> int | None:
    """The number a text of plain digits means; None for anything else (`isdigit` would let ² through, which int refuses)."""
    return int(text) if text and text.isdecimal() and len(text) <= MAX_DIGITS else None
