"""Erasing one person on request: each app says what it keeps of her and how that goes.

    erasure.register(Eraser("contacts.Note", _("跟进记录"), find=lambda one: Q(contact_id__in=one.pks("contacts.Contact"))))        # deleted
    erasure.register(Eraser("commerce.Order", _("订单"), find=_orders, blank={"buyer_phone": ""}))                              # emptied
    erasure.register(Eraser("wecom_bridge.InboundEvent", _("回调"), sweep=("body",)))             # her ids replaced wherever they stand
    erasure.holds_nothing("accounts.User", _("只有登录人自己的资料"))

Every model with PERSONAL columns has one or the other (tests/architecture). Facts stay as rows that name nobody, so that counts and
money remain true. The work itself is driven by contacts.services.erasing.
"""

import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db import connection
from django.db.models import Model, Q, QuerySet
from django.utils.functional import Promise

from scrm.lib.privacy import PERSONAL, SECRET, classes_of, textual_fields
from tenants.sides import labels_of

ROWS = 500  # of hers in one transaction
WINDOW = 20_000  # rows looked through in one statement


def digest_of(secret: str, text: str) -> str:
    """The keyed digest by which an erased id is known again."""
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


def mark_of(secret: str, text: str) -> str:
    """What stands where an erased id stood: as short as the shortest id, so that it fits every column."""
    return "~" + digest_of(secret, text)[:10]


@dataclass(frozen=True)
class Subject:
    """One person. rows: model label → the ids of her rows; marks: text that names nobody else → what stands in its place;
    secret: the merchant's own, of the digests; entities: keys of the outbound commands that are about her alone."""

    rows: Mapping[str, frozenset[int]]
    marks: Mapping[str, str]
    at: datetime
    secret: str
    entities: frozenset[str] = frozenset()

    def pks(self, label: str) -> frozenset[int]:
        """Ids of her rows of a model."""
        return self.rows.get(label, frozenset())

    def digest(self, text: str) -> str:
        """A text of hers, so that equal ones stay equal and nobody reads them."""
        return digest_of(self.secret, text)

    def texts(self) -> list[str]:
        """The texts that name her."""
        return sorted(self.marks)

    def cleaned(self, text: str) -> str:
        """A text without them; a longer one first, so that none is cut in two."""
        for key in sorted(self.marks, key=len, reverse=True):
            text = text.replace(key, self.marks[key])
        return text


Find = Callable[[Subject], Q]
Value = Any  # what stands afterwards, or (row, subject) → that


@dataclass(frozen=True)
class Eraser:
    """How one model forgets a person. name: what pages call its rows.

    find: her rows; without `blank` they are deleted. blank: column → what stands afterwards. sweep: columns of any row in which
    her keys are replaced. staff: personal columns about colleagues, which stay. at_cut: few rows by which she is found, taken
    in the one transaction in which she ceases to be known. afterwards(rows, subject): inside the transaction that changed or deleted them.
    """

    label: str
    name: str | Promise
    find: Find | None = None
    blank: Mapping[str, Value] = field(default_factory=dict)
    sweep: tuple[str, ...] = ()
    staff: tuple[str, ...] = ()
    at_cut: bool = False
    afterwards: Callable[[Sequence[Any], Subject], None] | None = None

    @property
    def model(self) -> type[Model]:
        return apps.get_model(self.label)

    @property
    def deletes(self) -> bool:
        return self.find is not None and not self.blank

    def rows(self, subject: Subject) -> QuerySet[Any]:
        """Her rows, as far as they are found by themselves."""
        found = self.model._default_manager.all()
        return found.filter(self.find(subject)) if self.find else found.none()


@dataclass(frozen=True)
class Holdup:
    """Something of hers under way. prepare(subject): stop what can be stopped, in the caller's transaction; count(subject): how
    much is in hands that must end first, because its outcome would be lost with her."""

    name: str
    label: str | Promise
    count: Callable[[Subject], int]
    prepare: Callable[[Subject], None] = lambda subject: None


_erasers: dict[str, Eraser] = {}
_reasons: dict[str, str | Promise] = {}
_holdups: dict[str, Holdup] = {}
_entities: list[Callable[[Subject], set[str]]] = []
_keys: list[Callable[[Subject], set[str]]] = []


def register(*erasers: Eraser) -> None:
    """Add erasers. Raises ValueError for a model that has one already."""
    for eraser in erasers:
        if _erasers.get(eraser.label, eraser) != eraser:
            raise ValueError(f"{eraser.label} has an eraser already")
        _erasers[eraser.label] = eraser


def holds_nothing(label: str, reason: str | Promise) -> None:
    """Say why a model with personal columns knows nothing of customers."""
    _reasons[label] = reason


def register_holdup(holdup: Holdup) -> None:
    """Add something that may be under way."""
    _holdups[holdup.name] = holdup


def register_entities(find: Callable[[Subject], set[str]]) -> None:
    """Say which outbound commands are about a person alone, by their entity keys."""
    if find not in _entities:
        _entities.append(find)


def register_keys(find: Callable[[Subject], set[str]]) -> None:
    """Say by which further texts rows of an app name a person: phones on her orders."""
    if find not in _keys:
        _keys.append(find)


def keys_of(subject: Subject) -> set[str]:
    """What the apps add to the ids and phones that contacts know."""
    return set().union(*(find(subject) for find in _keys))


def entities_of(subject: Subject) -> frozenset[str]:
    """Entity keys of commands about her alone."""
    return frozenset().union(*(find(subject) for find in _entities))


def erasers(*, at_cut: bool) -> list[Eraser]:
    """Those of the one transaction, or the others, in a fixed order."""
    return [_erasers[label] for label in sorted(_erasers) if _erasers[label].at_cut == at_cut]


def sweepers() -> list[Eraser]:
    """Those that go through whole tables, in a fixed order."""
    return [_erasers[label] for label in sorted(_erasers) if _erasers[label].sweep]


def eraser_of(label: str) -> Eraser:
    """The eraser of a model. Raises KeyError for one that has none."""
    return _erasers[label]


def name_of(label: str) -> str:
    """What pages call the rows of a model."""
    return str(_erasers[label].name) if label in _erasers else label


def holdups() -> list[Holdup]:
    """Every one registered, by name."""
    return [_holdups[name] for name in sorted(_holdups)]


def uncovered() -> list[str]:
    """`app.Model.column` of each personal column that no eraser reaches and no reason excuses, and stale names."""
    problems = []
    for model in tenant_models():
        label = model._meta.label
        personal = {name for name, kind in classes_of(model).items() if kind == PERSONAL}
        if not personal or label in _reasons:
            continue
        eraser = _erasers.get(label)
        reached = set() if eraser is None else {*eraser.blank, *eraser.sweep, *eraser.staff}
        if eraser is None or not eraser.deletes:
            problems += [f"{label}.{name}" for name in personal - reached]
    known = {model._meta.label for model in tenant_models()}
    problems += [f"{label} (stale)" for label in {*_erasers, *_reasons} - known]
    problems += [f"{label} (has both an eraser and a reason)" for label in set(_erasers) & set(_reasons)]
    return sorted(problems)


def tenant_models() -> list[type[Model]]:
    """Every model with a table in a merchant's schema, by label."""
    labels = labels_of(settings.TENANT_APPS)  # on both sides too: such a table stands in the merchant's schema as well
    found = [model for model in apps.get_models() if model._meta.app_label in labels and model._meta.managed]
    return sorted((model for model in found if not model._meta.proxy), key=lambda model: model._meta.label)


# --- Doing it, a piece at a time; the caller holds the transaction ------------------------------------------------------


def erase_rows(eraser: Eraser, subject: Subject, after: int, limit: int = ROWS) -> tuple[int, int | None]:
    """The next of her rows: (how many changed, the id to go on after or None when there are no more)."""
    if eraser.find is None:
        return 0, None
    rows = list(eraser.rows(subject).filter(pk__gt=after).order_by("pk")[:limit])
    if eraser.deletes:
        eraser.model._default_manager.filter(pk__in=[row.pk for row in rows]).delete()
        changed = rows
    else:
        changed = [row for row in rows if _emptied(eraser, row, subject)]
        if changed:
            eraser.model._default_manager.bulk_update(changed, list(eraser.blank), batch_size=ROWS)
    if changed and eraser.afterwards is not None:
        eraser.afterwards(changed, subject)
    return len(changed), rows[-1].pk if len(rows) == limit else None


def _emptied(eraser: Eraser, row: Any, subject: Subject) -> bool:
    """Set the columns; whether any was otherwise."""
    differs = False
    for name, value in eraser.blank.items():
        attname = eraser.model._meta.get_field(name).attname  # type: ignore[union-attr]  # only columns are named
        new = value(row, subject) if callable(value) else value
        if getattr(row, attname) != new:
            setattr(row, attname, new)
            differs = True
    return differs


def sweep_rows(eraser: Eraser, subject: Subject, after: int) -> tuple[int, int | None]:
    """Replace her keys in the next window of a table: (rows changed, the id to go on after or None)."""
    if not eraser.sweep or not subject.marks:
        return 0, None
    found, last = _traced(eraser.model, eraser.sweep, subject.texts(), after)
    rows = list(eraser.model._default_manager.filter(pk__in=found).order_by("pk"))
    for row in rows:
        for name in eraser.sweep:
            setattr(row, name, _cleaned(getattr(row, name), subject))
    if rows:
        eraser.model._default_manager.bulk_update(rows, list(eraser.sweep), batch_size=ROWS)
        if eraser.afterwards is not None:
            eraser.afterwards(rows, subject)
    return len(rows), last


def _cleaned(value: Any, subject: Subject) -> Any:
    if isinstance(value, str):
        return subject.cleaned(value)
    if isinstance(value, dict):
        return {subject.cleaned(str(key)): _cleaned(one, subject) for key, one in value.items()}
    return [_cleaned(one, subject) for one in value] if isinstance(value, (list, tuple)) else value


# --- Proof ------------------------------------------------------------------------------------------------------------


def count_traces(model: type[Model], groups: Sequence[Sequence[str]], after: int) -> tuple[list[int], int | None]:
    """Rows of the next window of a table in which one of the texts of a group stands in any text, list or JSON column: (a count for
    each group, the id to go on after or None)."""
    names = [column.name for column in textual_fields(model) if classes_of(model).get(column.name) != SECRET]
    if not names:
        return [0 for _group in groups], None
    matches = ", ".join("count(*) FILTER (WHERE w.said LIKE ANY(%s::text[]))" for _group in groups)
    (count, last, *found) = _look(model, names, matches, [_patterns(texts) for texts in groups], after)
    return found, last if count == WINDOW else None


def _traced(model: type[Model], names: Sequence[str], texts: Sequence[str], after: int) -> tuple[list[int], int | None]:
    """(ids of the rows of the next window in which a text stands, the id to go on after or None)."""
    match = "array_agg(w.id) FILTER (WHERE w.said LIKE ANY(%s::text[]))"
    count, last, found = _look(model, names, match, [_patterns(texts)], after)
    return sorted(found or []), last if count == WINDOW else None


def _look(model: type[Model], names: Sequence[str], wanted: str, given: Sequence[Any], after: int) -> tuple[Any, ...]:
    """(how many rows the window has, its last id, what is wanted of them)."""
    quote = connection.ops.quote_name
    pk = quote(str(model._meta.pk.column)) if model._meta.pk else "id"
    columns = (quote(str(model._meta.get_field(name).column)) for name in names)  # type: ignore[union-attr]
    said = ", ".join(f"{column}::text" for column in columns)
    window = (
        f"SELECT {pk} AS id, concat_ws(' ', {said}) AS said FROM {quote(model._meta.db_table)}"
        f" WHERE {pk} > %s ORDER BY {pk} LIMIT %s"
    )
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*), max(w.id), {wanted} FROM ({window}) AS w", [*given, after, WINDOW])
        found: tuple[Any, ...] = cursor.fetchone()
    return found


def _patterns(texts: Sequence[str]) -> list[str]:
    return [f"%{_escaped(text)}%" for text in texts]


def _escaped(text: str) -> str:
    """For LIKE."""
    return text.replace("\\", "\\\\").replace("%", r"\%").replace("_", r"\_")


def is_searchable(model: type[Model]) -> bool:
    """Whether the table is walked by a number; sessions are not, and hold no customers."""
    return model._meta.pk is not None and model._meta.pk.get_internal_type() in ("BigAutoField", "AutoField")
