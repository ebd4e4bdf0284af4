"""What differs between WeCom and us, found before the handlers write: each app compares what it keeps.

An app registers a comparer per kind of batch. It runs inside the bridge's transaction, set-based, with a constant number of
statements a batch, and calls nobody. What was read again since the batch's read_at is not compared.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from django.db.models import Model
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.functional import Promise
from django.utils.translation import gettext as _

from scrm.lib.privacy import PERSONAL, classes_of, mask_text
from wecom_bridge.contracts import BatchKind

Kind = Literal["missing", "extra", "different"]
Values = dict[str, Any]
Words = str | Promise


@dataclass(frozen=True)
class Difference:
    """missing: WeCom has it, we had not. extra: the other way round. different: both, with other values in these columns.

    entity: follow, contact, group, group_member, member, department, tag. key: WeCom's id of it, of a pair `first/second`.
    """

    entity: str
    key: str
    kind: Kind
    before: Values = field(default_factory=dict)
    after: Values = field(default_factory=dict)


Comparer = Callable[[Any], Iterable[Difference]]
_comparers: dict[str, dict[str, Comparer]] = {}


# What pages call the columns of a difference, and the values of those that hold codes.
_columns: dict[str, Words] = {}
_values: dict[str, Mapping[Any, Words]] = {}


def name_columns(columns: Mapping[str, Words], values: Mapping[str, Mapping[Any, Words]] | None = None) -> None:
    """Say what the columns that an app compares are called."""
    _columns.update(columns)
    _values.update(values or {})


def in_words(values: Mapping[str, Any]) -> str:
    """One side of a difference, as a page shows it. Names that no app has said are shown as they are."""
    return ";".join(f"{_columns.get(name, name)}:{_value_in_words(name, value)}" for name, value in values.items())


def _value_in_words(name: str, value: Any) -> str:
    if value is None or value == "" or value == []:
        return _("空")
    if isinstance(value, bool):
        return _("是") if value else _("否")
    if isinstance(value, list):
        return "、".join(str(one) for one in value)
    if name.endswith("_at") and isinstance(value, str) and (at := parse_datetime(value)):
        return timezone.localtime(at).strftime("%Y-%m-%d %H:%M:%S")
    return str(_values.get(name, {}).get(value, value))


def on_compare(kind: BatchKind, *, name: str, compare: Comparer) -> None:
    """Register a comparer of batches of a kind."""
    _comparers.setdefault(kind, {})[name] = compare


def find_differences(kind: BatchKind, batch: Any) -> dict[tuple[str, str], Difference]:
    """(entity, key) → what differs, said by whichever app; what two apps say of the same thing is put together."""
    found: dict[tuple[str, str], Difference] = {}
    for _name, compare in sorted(_comparers.get(kind, {}).items()):
        for one in compare(batch):
            known = found.get((one.entity, one.key))
            if known is not None and known.kind == one.kind:
                one = Difference(
                    one.entity, one.key, one.kind, {**known.before, **one.before}, {**known.after, **one.after}
                )
            found[one.entity, one.key] = known if known is not None and known.kind != one.kind else one
    return found


def differing(model: type[Model], ours: Any, theirs: Mapping[str, Any]) -> tuple[Values, Values] | None:
    """(ours, theirs) of the columns that differ between a row and WeCom's values, fit to be kept; None when none does."""
    names = [name for name, value in theirs.items() if getattr(ours, name) != value]
    if not names:
        return None
    classes = classes_of(model)
    before = {name: _shown(getattr(ours, name), classes.get(name)) for name in names}
    return before, {name: _shown(theirs[name], classes.get(name)) for name in names}


def _shown(value: Any, privacy: str | None) -> Any:
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if privacy != PERSONAL or value is None:
        return value
    return [mask_text(str(one)) for one in value] if isinstance(value, (list, tuple)) else mask_text(str(value))
