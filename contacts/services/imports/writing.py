"""Writing what a slice of 客户资料 brings: the columns, the phones, and what changed as facts of each person's timeline. A fixed number
of statements; only stages and guides go through their own services, which know what a move means."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import Model

from contacts import arrivals, marks
from contacts.arrivals import NewKey
from contacts.models import Contact, ContactPhone, DetailChange, FactSource, ImportRow, Stage
from contacts.services.custom_values import BIRTHDAY, CHANGED, PHONE, stamp_of
from contacts.services.imports.registry import Slice
from contacts.services.imports.returning import SOURCE, assign
from contacts.services.stages import actor_label, change_stage
from contacts.timeline import record_selected
from tenants.audit import Actor

_ROWS = "run_id = %s AND line > %s AND line <= %s AND outcome = 'updated'"


def write(part: Slice, *, by: Actor, now: datetime) -> None:
    """Bring in the rows of a slice that were judged to change somebody."""
    mapped = part.run.mapping
    if any(key in ("birthday", "phone") or key.startswith("custom.") for key in mapped):
        _write_columns(part, now)
        _write_phones(part, now)
        _tell(part, by, now)
    for column, move in (("stage", _move), ("owner", assign)):
        if column in mapped:
            for value, ids in _wanted(part, column).items():
                move(value, ids, by=by, now=now)


def _table(model: type[Model]) -> str:
    return str(connection.ops.quote_name(model._meta.db_table))


def _span(part: Slice) -> list[Any]:
    return [part.run.pk, part.after, part.until]


def _run(sql: str, params: Sequence[Any]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)


def _write_columns(part: Slice, now: datetime) -> None:
    """Birthday, custom fields, and the tail of a new phone in what the search looks through: one update per person, found by the
    array of their ids, which needs no reading of everybody."""
    sql = f"""
    UPDATE {_table(Contact)} AS c SET updated_at = %s,
        birthday = CASE WHEN r.changes ? 'birthday' THEN (r.changes -> 'birthday' ->> 1)::date ELSE c.birthday END,
        custom = CASE WHEN r.changes ? 'custom' THEN c.custom || (r.changes -> 'custom' -> 1) ELSE c.custom END,
        search_text = CASE WHEN NOT r.changes ? 'phone' OR position(right(r.changes -> 'phone' ->> 1, 4) IN c.search_text) > 0
            THEN c.search_text ELSE ltrim(c.search_text || ' ' || right(r.changes -> 'phone' ->> 1, 4)) END
    FROM {_table(ImportRow)} AS r
    WHERE r.run_id = %s AND r.line > %s AND r.line <= %s AND r.outcome = 'updated' AND c.id = r.target_id
      AND r.changes ?| array['birthday', 'custom', 'phone'] AND c.id = ANY(ARRAY(
        SELECT target_id FROM {_table(ImportRow)} WHERE {_ROWS}))
    """
    _run(sql, [now, *_span(part), *_span(part)])


def _write_phones(part: Slice, now: datetime) -> None:
    if "phone" not in part.run.mapping:
        return
    sql = f"""
    INSERT INTO {_table(ContactPhone)} (contact_id, phone, source, created_at)
    SELECT target_id, changes -> 'phone' ->> 1, %s, %s FROM {_table(ImportRow)} WHERE {_ROWS} AND changes ? 'phone'
    ORDER BY line ON CONFLICT DO NOTHING RETURNING phone, contact_id
    """
    with connection.cursor() as cursor:
        cursor.execute(sql, [SOURCE, now, *_span(part)])
        written = cursor.fetchall()
    arrivals.tell([NewKey("phone", phone, contact_id) for phone, contact_id in written])


# --- Telling --------------------------------------------------------------------------------------------------------

_CUSTOM = "changes -> 'custom'"
_EACH = f"LATERAL jsonb_each({_CUSTOM} -> 1) AS wanted (field, value)"
# A row names every custom field that its line fills in, also those that stand so already.
_DIFFERS = f"{_CUSTOM} -> 0 -> wanted.field IS DISTINCT FROM wanted.value"


def _tell(part: Slice, by: Actor, now: datetime) -> None:
    """What each field was and is, a fact per person that names them, and marks: as an edit by hand leaves them."""
    plain = [(column, key) for column, key in (("birthday", BIRTHDAY), ("phone", PHONE)) if column in part.run.mapping]
    has_custom = any(key.startswith("custom.") for key in part.run.mapping)
    _keep_changes(part, plain, has_custom, now)
    names = [f"CASE WHEN changes ? '{column}' THEN '[\"{key}\"]'::jsonb ELSE '[]' END" for column, key in plain]
    if has_custom:
        names.append(f"COALESCE((SELECT jsonb_agg(wanted.field) FROM {_EACH} WHERE {_DIFFERS}), '[]')")
    rows = (
        f"SELECT target_id AS contact_id, jsonb_build_object('fields', {' || '.join(names)}) AS payload,"
        f" 'details:' || target_id || ':' || %s AS fact_key FROM {_table(ImportRow)}"
        f" WHERE {_ROWS} AND changes ?| array['birthday', 'phone', 'custom']"
    )
    params = [str(stamp_of(now)), *_span(part)]
    record_selected(CHANGED, now, FactSource.IMPORT, actor=actor_label(by), rows=rows, params=params)


def _keep_changes(part: Slice, plain: Sequence[tuple[str, str]], has_custom: bool, now: datetime) -> None:
    table, span = _table(ImportRow), _span(part)
    told = [
        f"SELECT target_id, '{key}', changes -> '{column}' -> 0, changes -> '{column}' -> 1 FROM {table}"
        f" WHERE {_ROWS} AND changes ? '{column}'"
        for column, key in plain
    ]
    marked = (
        [f"SELECT target_id, 'birthday' FROM {table} WHERE {_ROWS} AND changes ? 'birthday'"]
        if "birthday" in part.run.mapping
        else []
    )
    if has_custom:
        rest = f"FROM {table} CROSS JOIN {_EACH} WHERE {_ROWS} AND {_DIFFERS}"
        told.append(f"SELECT target_id, wanted.field, {_CUSTOM} -> 0 -> wanted.field, wanted.value {rest}")
        marked.append(f"SELECT target_id, 'custom.' || wanted.field {rest}")
    _run(
        f"INSERT INTO {_table(DetailChange)} (contact_id, key, before, after, changed_at)"
        f" SELECT contact_id, key, NULLIF(before, 'null'), after, %s"
        f" FROM ({' UNION ALL '.join(told)}) AS told (contact_id, key, before, after)",
        [now, *span * len(told)],
    )
    if marked:
        pairs = f"SELECT * FROM ({' UNION ALL '.join(marked)}) AS pairs (contact_id, field_key)"
        marks.mark_selected(pairs, span * len(marked))


# --- Moving ---------------------------------------------------------------------------------------------------------


def _wanted(part: Slice, column: str) -> dict[int, list[int]]:
    """Value → the people who get it."""
    found: dict[int, list[int]] = defaultdict(list)
    rows = part.rows().filter(outcome="updated", changes__has_key=column)
    for target_id, changes in rows.values_list("target_id", "changes"):
        found[changes[column][1]].append(target_id)
    return found


def _move(stage_id: int, ids: list[int], *, by: Actor, now: datetime) -> None:
    change_stage(ids, Stage.objects.get(pk=stage_id), source=SOURCE, by=by, at=now)
