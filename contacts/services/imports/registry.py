"""What can be brought in from a file. Apps above register their kinds and further columns:

register_import_kind(Kind("contacts", _("客户资料"), …))
register_columns("contacts", columns_of_the_typed_fields)
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from django.utils.functional import Promise

from contacts.models import ImportRun
from tenants.audit import Actor

# A cell (text without blanks around, or what a spreadsheet holds) becomes a JSON value, or raises BadCell.
Read = Callable[[Any], Any]


class BadCell(Exception):
    """A cell that cannot come in; the message is the reason in the reject file."""


@dataclass(frozen=True)
class Column:
    """key: under which the value stands in ImportRow.values; `custom.<name>`: a custom field. names: heads it is known by, the
    first is the one we write. is_key: it says whose row this is; of several the first that is filled in. sample: for the template.
    reader(): made once per slice, so that it may look things up beforehand."""

    key: str
    names: tuple[str, ...]
    reader: Callable[[], Read]
    is_key: bool = False
    is_required: bool = False
    sample: str = ""


@dataclass(frozen=True)
class Slice:
    """Rows of a run by their lines: after < line <= until."""

    run: ImportRun
    after: int
    until: int

    def rows(self) -> Any:
        return self.run.rows.filter(line__gt=self.after, line__lte=self.until).order_by("line")


class Worker(Protocol):
    """What a kind does with a slice, set-based. All run inside the slice's transaction."""

    def lock(self, part: Slice) -> None:
        """Lock what the rows aim at, so that judge sees what apply will find."""

    def judge(self, part: Slice) -> None:
        """Write target_id, changes, outcome and problem of each row; nothing else is written."""

    def confirm(self, part: Slice) -> None:
        """In the run, after lock: as judge, but what the trial wrote may stand where nothing it looked at changed since."""

    def apply(self, part: Slice, *, by: Actor, now: datetime) -> None:
        """Do what judge said, for rows created or updated."""

    def undo(self, part: Slice, *, by: Actor, now: datetime) -> None:
        """Set back what is still as the import made it; is_kept where something was changed since."""


@dataclass(frozen=True)
class Kind:
    """columns(heads): what a file with these heads may bring; the heads name fields that exist only by name."""

    key: str
    label: str | Promise
    help: str | Promise
    permission: str
    columns: Callable[[Sequence[str]], Sequence[Column]]
    worker: Worker
    order: int = 100
    slice_rows: int = 10_000  # a slice is done within some seconds
    narrow: Callable[[Slice], int] | None = None  # its last line, where some rows are far more work than others
    may_act: bool = False  # rules and stages by condition can take its changes as news
    is_aimed: bool = (
        False  # every row goes into one thing, ImportRun.aim: begun on that thing's page, and a key alone says enough
    )


Provider = Callable[[Sequence[str]], Sequence[Column]]
_kinds: dict[str, Kind] = {}
_providers: dict[str, list[Provider]] = {}


def register_import_kind(kind: Kind) -> None:
    """Add a kind. Raises ValueError when the key is taken by another."""
    if _kinds.get(kind.key, kind) != kind:
        raise ValueError(f"import kind {kind.key} is registered twice")
    _kinds[kind.key] = kind


def register_columns(kind_key: str, provider: Provider) -> None:
    """Add columns to a kind, looked up each time a file is read. A key that the kind has already is taken over."""
    found = _providers.setdefault(kind_key, [])
    if provider not in found:
        found.append(provider)


def import_kind(key: str) -> Kind:
    """Raises KeyError for a kind nobody registered."""
    return _kinds[key]


def import_kinds(permissions: frozenset[str]) -> list[Kind]:
    """The kinds somebody may bring in."""
    found = (kind for kind in _kinds.values() if kind.permission in permissions)
    return sorted(found, key=lambda kind: (kind.order, kind.key))


def columns_of(kind: Kind, heads: Sequence[str] = ()) -> dict[str, Column]:
    """Key → column, in order: the kind's own, then the providers'."""
    columns = {column.key: column for column in kind.columns(heads)}
    for provider in _providers.get(kind.key, ()):
        columns |= {column.key: column for column in provider(heads)}
    return columns


def guess(columns: Mapping[str, Column], heads: Sequence[str], remembered: Mapping[str, str]) -> dict[str, int]:
    """Column key → position: what a head stood for the last time, else by its name."""
    names = {name.lower(): key for key, column in columns.items() for name in column.names}
    found: dict[str, int] = {}
    for position, head in enumerate(heads):
        text = plain_head(head)
        key = remembered[text] if text in remembered else names.get(text, "")
        if key in columns:
            found.setdefault(key, position)
    return found


def plain_head(head: str) -> str:
    """A head as it is compared and remembered."""
    return head.strip().lstrip("\ufeff").lower()[:100]
