"""How a cell becomes a value. Every refusal is a sentence that says what to write instead."""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from functools import lru_cache
from typing import Any

from django.utils.translation import gettext as _

from contacts.phones import normalise_phone
from contacts.services.imports.registry import BadCell, Read
from scrm.lib.db.bulk import clean_text

_DATES = ("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y年%m月%d日", "%Y%m%d", "%Y-%m-%d %H:%M:%S", "%Y/%m/%d %H:%M:%S")
_MISSING = object()
_MARKS = ("'", "`")  # in front of a text that a spreadsheet must not take for a number or a formula


def plain(cell: Any) -> Any:
    """A cell without what spreadsheets add: numbers as floats, a mark against formulas, blanks."""
    if type(cell) is str:
        text = cell.strip()
        return text[1:].strip() if text.startswith(_MARKS) else text
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    if cell is None or isinstance(cell, date):
        return "" if cell is None else cell
    return str(cell).strip()


def text(limit: int, label: str) -> Callable[[], Read]:
    """A text of at most so many characters."""

    def read(value: Any) -> str:
        found = clean_text(str(value))
        if len(found) > limit:
            raise BadCell(_("%(label)s超过 %(limit)d 个字") % {"label": label, "limit": limit})
        return found

    return lambda: read


def day(label: str, *, first: date = date(1900, 1, 1), last: Callable[[], date] | None = None) -> Callable[[], Read]:
    """A day as ISO text. Not before `first`, nor after `last()`."""

    def reader() -> Read:
        until = last() if last else date(2100, 1, 1)

        def read(value: Any) -> str:
            found = value.date() if isinstance(value, datetime) else value if isinstance(value, date) else _day(value)
            if found is None:
                raise BadCell(
                    _("%(label)s「%(value)s」无法识别,请写成 1990-05-20") % {"label": label, "value": value[:20]}
                )
            if not first <= found <= until:
                raise BadCell(_("%(label)s「%(value)s」不在合理范围内") % {"label": label, "value": found.isoformat()})
            return found.isoformat()

        return read

    return reader


@lru_cache(maxsize=8192)
def _day(value: str) -> date | None:
    try:
        return date.fromisoformat(value)
    except ValueError:
        pass
    for form in _DATES:
        try:
            return datetime.strptime(value, form).date()  # noqa: DTZ007 - a day has no zone
        except ValueError:
            continue
    return None


def phone(value: Any) -> str:
    """E.164."""
    found = normalise_phone(str(value))
    if not found:
        raise BadCell(_("手机号「%(value)s」不是有效号码(不要打码)") % {"value": str(value)[:20]})
    return found


def choice(label: str, options: Callable[[], Mapping[str, Any]], hint: str = "") -> Callable[[], Read]:
    """One of the options, named as in a file (compared without case). None among them: a name that two share."""

    def reader() -> Read:
        known = options()

        def read(value: Any) -> Any:
            found = known.get(str(value).lower(), _MISSING)
            if found is _MISSING:
                words = {"label": label, "value": str(value)[:40], "hint": hint and f",{hint}"}
                raise BadCell(_("%(label)s「%(value)s」不存在%(hint)s") % words)
            if found is None:
                words = {"label": label, "value": str(value)[:40]}
                raise BadCell(_("%(label)s「%(value)s」有重名,请改用编码或账号") % words)
            return found

        return read

    return reader


def by_name(rows: Any) -> dict[str, Any]:
    """(id, code, name) → names and codes of each; a name that two share stands for neither, codes always win."""
    names: dict[str, set[Any]] = {}
    codes: dict[str, Any] = {}
    for pk, code, name in rows:
        if code:
            codes[str(code).lower()] = pk
        names.setdefault(name.strip().lower(), set()).add(pk)
    alone = {name: next(iter(pks)) if len(pks) == 1 else None for name, pks in names.items() if name}
    return alone | codes
