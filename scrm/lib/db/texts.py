r"""Values as PostgreSQL reads them from text: columns of COPY's text format, arrays.

Whole columns are looked at, not values: most hold nothing that must be escaped, and one look at all of them together says so.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import orjson
from django.contrib.postgres.fields import ArrayField
from django.db.models import BooleanField, JSONField

from scrm.lib.db.columns import AnyField

_NULL = r"\N"  # in COPY's text format
_ESCAPED = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})
_IN_ARRAYS = str.maketrans({"\\": r"\\", '"': r"\""})


def copied_column(field: AnyField, values: Sequence[Any]) -> list[str]:
    """The values of a column in COPY's text format."""
    first = values[0]
    # Most columns of a batch hold one value. Not asked of JSON, where 1 equals True.
    if not isinstance(field, JSONField) and values.count(first) == len(values):
        return _converted(field, [first]) * len(values)
    return _converted(field, values)


def _converted(field: AnyField, values: Sequence[Any]) -> list[str]:
    types, convert = set(map(type, values)), _converter(field)
    if convert is str and types == {int}:
        return list(map(str, values))
    if convert is str and types == {datetime}:
        return list(map(datetime.isoformat, values))
    if None in values:
        return [_NULL if value is None else escape_copied(convert(value)) for value in values]
    texts = list(values) if convert is str and types == {str} else list(map(convert, values))
    return list(map(escape_copied, texts)) if _holds("".join(texts), "\\\t\n\r") else texts


def _converter(field: AnyField) -> Callable[[Any], str]:
    if isinstance(field, JSONField):
        return json_text
    if isinstance(field, ArrayField):
        return array_text
    return _boolean_text if isinstance(field, BooleanField) else str


def escape_copied(text: str) -> str:
    """A text as a value of COPY's text format."""
    return text.translate(_ESCAPED)


def array_text(values: Iterable[Any]) -> str:
    """An array literal. Told one by one, thousands of values cost both sides more than what is asked about them."""
    given = list(values)
    texts = [value if type(value) is str else str(value) for value in given]
    if _holds("".join(texts), '\\"'):
        texts = [text.translate(_IN_ARRAYS) for text in texts]
    if None in given:
        return (
            "{"
            + ",".join("NULL" if value is None else f'"{text}"' for value, text in zip(given, texts, strict=True))
            + "}"
        )
    return '{"' + '","'.join(texts) + '"}' if texts else "{}"


def _holds(text: str, characters: Collection[str]) -> bool:
    return any(character in text for character in characters)


def _boolean_text(value: bool) -> str:
    return "t" if value else "f"


def json_text(value: Any) -> str:
    """JSON of anything that rows hold."""
    return orjson.dumps(value, default=_plain, option=orjson.OPT_NON_STR_KEYS).decode()


def _plain(value: Any) -> Any:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    return str(value)  # lazy translations, choices
