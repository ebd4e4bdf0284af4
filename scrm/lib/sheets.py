"""Texts on their way into a spreadsheet."""

_RISKY = ("=", "+", "-", "@", "\t", "\r")


def as_text(cell: str) -> str:
    """The cell so that no spreadsheet runs it as a formula; order files are read back without the mark."""
    return "'" + cell if cell.startswith(_RISKY) else cell
