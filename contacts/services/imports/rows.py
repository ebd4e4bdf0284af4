"""Workers for places and members: some thousands at most, so a row is looked at by itself, as the services that write it do."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from django.db import transaction

from contacts.models import ImportRow, Outcome
from contacts.services.imports.registry import Slice
from scrm.lib.db.bulk import clean_text, update_rows
from scrm.lib.errors import UserError

SLICE = 500
Changes = dict[str, list[Any]]


@dataclass
class Verdict:
    """Whom a row means, what would change ({} for nothing), or why it cannot come in."""

    target_id: int | None = None
    changes: Changes = field(default_factory=dict)
    problem: str = ""
    is_new: bool = False


def write_verdicts(part: Slice, decide: Callable[[ImportRow], Verdict], same: str) -> None:
    """Judge each row that can be read. same: what is said of a row whose key an earlier line has, with %(line)d."""
    rows = list(part.rows().filter(is_broken=False))
    earlier = part.run.rows.filter(line__lte=part.after, is_broken=False, key__in={row.key for row in rows})
    seen = dict(earlier.order_by("-line").values_list("key", "line"))
    written = []
    for row in rows:
        first = seen.setdefault(row.key, row.line)
        verdict = decide(row) if first == row.line else Verdict(problem=same % {"line": first})
        written.append({"id": row.pk, **_columns(verdict)})
    update_rows(ImportRow, written)


def _columns(verdict: Verdict) -> dict[str, Any]:
    if verdict.problem:
        outcome = Outcome.REJECTED
    elif verdict.is_new:
        outcome = Outcome.CREATED
    else:
        outcome = Outcome.UPDATED if verdict.changes else Outcome.UNCHANGED
    return {
        "target_id": verdict.target_id, "changes": {} if verdict.problem else verdict.changes, "outcome": outcome.value,
        "problem": clean_text(verdict.problem, 400),
    }  # fmt: skip


def to_do(part: Slice) -> list[ImportRow]:
    """Rows that judge found something to do for, in the order of the file."""
    return list(part.rows().filter(outcome__in=(Outcome.CREATED, Outcome.UPDATED)))


def attempt(row: ImportRow, act: Callable[[], int | None]) -> None:
    """Do one row; what the service refuses is the row's problem, and nobody else's. act says which row of ours it wrote."""
    try:
        with transaction.atomic():
            row.target_id = act()
    except UserError as error:
        row.outcome, row.problem, row.changes = Outcome.REJECTED, clean_text(str(error.message), 400), {}


def attempt_return(row: ImportRow, act: Callable[[], bool]) -> None:
    """Take one row back; what the service refuses stays."""
    try:
        with transaction.atomic():
            row.is_kept = not act()
    except UserError:
        row.is_kept = True


def save(rows: Collection[ImportRow]) -> None:
    """Write what became of rows."""
    update_rows(ImportRow, [
        {"id": row.pk, "target_id": row.target_id, "changes": row.changes, "outcome": str(row.outcome), "problem": row.problem,
         "is_kept": row.is_kept}
        for row in rows
    ])  # fmt: skip


def differing(standing: Mapping[str, Any], wanted: Mapping[str, Any]) -> Changes:
    """Column → [before, after] of those that differ, as JSON has them."""
    pairs = {name: [as_json(standing.get(name)), as_json(value)] for name, value in wanted.items()}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def as_json(value: Any) -> Any:
    if isinstance(value, Decimal):
        return f"{value:.6f}"
    return value.isoformat() if isinstance(value, date | datetime) else value
