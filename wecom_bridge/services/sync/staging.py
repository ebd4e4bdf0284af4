"""Staged rows: what pages brought, as they came, before anything of it counts."""

import re
from collections.abc import Sequence
from typing import Any

import orjson

from scrm.lib.db.bulk import insert_rows
from wecom_bridge.models import StagedRow

# A NUL as JSON writes it; not the same six characters behind an escaped backslash.
_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")

Staged = dict[str, Any]  # the columns of a StagedRow; the payload as the JSON text it is


def staged_customer(run_id: int, userid: str, item: dict[str, Any]) -> Staged:
    """An item of batch/get_by_user. JSON may hold \\u0000, which PostgreSQL refuses."""
    payload = orjson.dumps(item).decode()
    if "\\u0000" in payload:
        payload = _NUL.sub(r"\1", payload)
    key = str(item["external_contact"]["external_userid"])
    return {"run_id": run_id, "kind": "contacts", "unit_key": userid, "key": key, "payload": orjson.Fragment(payload)}


def staged_row(run_id: int, kind: str, unit_key: str, key: str, item: Any) -> Staged:
    """Anything else that a call brought, as JSON."""
    payload = _NUL.sub(r"\1", orjson.dumps(item).decode())
    return {"run_id": run_id, "kind": kind, "unit_key": unit_key, "key": key, "payload": orjson.Fragment(payload)}


def write(rows: Sequence[Staged]) -> None:
    """Add rows; of a customer who moved between two pages while we read, the first stays. Needs a transaction around it."""
    insert_rows(StagedRow, rows, ignore_conflicts=True)
