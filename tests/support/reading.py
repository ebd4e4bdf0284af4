"""What a field's own reader says, decided by the evaluator of tests/reference: a field's SQL must find whom its reader means.

The evaluator knows nothing of the product; here it is given the readers' words instead of the tables'. The readers themselves are held to
the tables by tests/reference.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from conditions import registry
from tests.reference import evaluator
from tests.reference.changes import leaves
from tests.reference.facts import Facts, Person, Row


def matching(tree: dict[str, Any], root_ids: Iterable[int], now: datetime, zone: str) -> set[int]:
    """The people, of those given, for whom the tree holds. `zone`: the tenant's time zone, for calendar days."""
    return evaluator.matching(tree, now, zone, _told_by_readers(tree, list(root_ids)))


def _told_by_readers(tree: dict[str, Any], root_ids: list[int]) -> Facts:
    found = Facts({pk: Person(pk) for pk in root_ids}, {}, {pk: pk for pk in root_ids}, types={})
    for key in {leaf["field"] for leaf in leaves(tree["root"])}:
        field = registry.get(key)
        found.types[key] = field.type.value
        for pk, value in field.read(root_ids).items():
            if pk in found.people:
                _tell(found.people[pk], key, field.type.value, value)
    return found


def _tell(person: Person, key: str, kind: str, value: Any) -> None:
    """As registry.Field.read gives them: (value, instant) of a set or sequence, (instant, amount) of facts, else the value itself."""
    if kind == "facts":
        person.rows[key] = [Row(at, amount=amount) for at, amount in value]
    elif kind in ("set", "sequence"):
        person.rows[key] = person.values[key] = [Row(at, one) for one, at in value]
    else:
        person.values[key] = None if value == "" else value
