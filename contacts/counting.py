"""How many people a list has: counted while that is cheap, estimated beyond and said to be an estimate."""

import json
from typing import Any, NamedTuple

# A list longer than this is not counted on each look at it: nobody acts on the last digit, and who does asks for it.
EXACT = 10_000


class Count(NamedTuple):
    """is_exact: counted. Otherwise about so many, to two figures, never fewer than EXACT."""

    number: int
    is_exact: bool


def count_rows(rows: Any, *, exact: bool = False) -> Count:
    """How many rows a queryset has. exact: count them all, whatever it takes. One or two queries, the first of EXACT + 1 rows at most."""
    rows = rows.order_by()
    if exact:
        return Count(rows.count(), True)
    seen = rows[: EXACT + 1].count()
    return Count(seen, True) if seen <= EXACT else Count(_rounded(max(_planned(rows), seen)), False)


def _planned(rows: Any) -> int:
    """How many the planner expects: what statistics say of filters that go together is a guess."""
    [plan] = json.loads(rows.values("pk").explain(format="json"))
    return int(plan["Plan"]["Plan Rows"])


def _rounded(number: int) -> int:
    step = 10 ** max(len(str(number)) - 2, 0)
    return number // step * step
