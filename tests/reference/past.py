"""What was known at an instant gone by, by section 6 of docs/conditions.md, "A past day"."""

from collections import defaultdict
from dataclasses import replace
from datetime import datetime
from typing import Any

from tests.reference.facts import Facts, Person, Row


def seen_from(known: Facts, at: datetime) -> Facts:
    """The facts as the instant knew them: rows after it are not there, moments after it are missing, all else is as it is today."""
    return replace(known, people={pk: _person(person, at) for pk, person in known.people.items()})


def _person(person: Person, at: datetime) -> Person:
    rows: dict[str, list[Row]] = defaultdict(list)
    for key, hers in person.rows.items():
        rows[key] = [row for row in hers if row.at is None or row.at <= at]
    values = {key: _value(key, value, at) for key, value in person.values.items()}
    if values.get("contact.first_added_at") is None:
        values["added_day"] = None  # the day of that moment (section 8)
    return replace(person, values=values, rows=rows)


def _value(key: str, value: Any, at: datetime) -> Any:
    """A date that the merchant set beforehand was known."""
    is_to_come = isinstance(value, datetime) and value > at and not key.startswith("custom.")
    return None if is_to_come else value
