"""How many people a tree holds for, said at once: counted where that is cheap, else judged by a sample, with its margin of error.

The sample is of ids, drawn at random over their range; an id that is nobody's, or a branch's, is a draw in which nobody was found.
So the share of draws that hit, times the range, is unbiased whatever the holes, and its error is that of a share.
"""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Max, Min, QuerySet
from django.utils.translation import gettext as _

from conditions import sweeps
from conditions.compiler.asking import Ask
from conditions.compiler.sweeping import join
from conditions.compiler.trees import compile_node, truth_of
from conditions.people import people as everybody
from conditions.tree import Group, Node, parse

COUNTED = 20_000  # so many people are counted, not estimated
DRAWN = 2_000
_Z = 1.96  # 95 %


@dataclass(frozen=True)
class Estimate:
    """number: how many; in 95 of 100 such samples the truth lies from low to high. is_exact: they were counted. sampled: how many ids
    were drawn."""

    number: int
    low: int
    high: int
    is_exact: bool
    sampled: int = 0

    @property
    def in_words(self) -> str:
        """3,210 人, 约 12,000 人(9,800 到 14,500 之间,95% 把握), 不到 190 人."""
        if self.is_exact:
            return _("%(number)s 人") % {"number": f"{self.number:,}"}
        low, high = f"{_rounded(self.low):,}", f"{_rounded(self.high, up=True):,}"
        if self.number == 0:
            return _("不到 %(high)s 人") % {"high": high}
        text = _("约 %(number)s 人(%(low)s 到 %(high)s 之间,95%% 把握)")
        return text % {"number": f"{_rounded(self.number):,}", "low": low, "high": high}


@dataclass(frozen=True)
class Removal:
    """What one part of a tree takes away. path: where it stands, as `root.all[1]`; removed: who would match without it and does not."""

    path: str
    removed: Estimate


def estimate(
    tree: dict[str, Any], now: datetime, people: QuerySet[Any] | None = None, *, seed: int | None = None
) -> Estimate:
    """How many of these people (default: of all) a valid tree holds for. Raises UnknownField."""
    node = parse(tree)
    return _judge(lambda rows, ask: [rows.filter(join(compile_node(node, ask))).count()], now, people, seed)[0]


def removed_by(
    tree: dict[str, Any], now: datetime, people: QuerySet[Any] | None = None, *, seed: int | None = None
) -> list[Removal]:
    """For each part of a tree whose root demands all of them: how many people fail it alone. Nothing for other trees.
    Raises UnknownField."""
    root = parse(tree)
    if not isinstance(root, Group) or root.kind != "all":
        return []
    parts = root.parts
    counts = _judge(lambda rows, ask: _failed_alone(parts, rows, ask), now, people, seed)
    return [Removal(f"root.all[{index}]", removed) for index, removed in enumerate(counts)]


def _judge(
    count: Callable[[QuerySet[Any], Ask], list[int]], now: datetime, people: QuerySet[Any] | None, seed: int | None
) -> list[Estimate]:
    """What `count` says of all of them when they are few, else what its numbers of a sample mean."""
    asked = everybody() if people is None else people.order_by()
    with transaction.atomic(), sweeps.room():
        if asked[: COUNTED + 1].count() <= COUNTED:
            numbers = count(asked, Ask(now, sweep=people is None))
            return [Estimate(number, number, number, is_exact=True) for number in numbers]
        drawn, span = _draw(asked, seed)
        hits = count(asked.filter(pk__in=drawn), Ask(now))
    return [_judged(number, len(drawn), span) for number in hits]


def _failed_alone(parts: Sequence[Node], rows: QuerySet[Any], ask: Ask) -> list[int]:
    """How many fail each part and no other. Counted here: PostgreSQL would ask every part anew for each of the counts."""
    columns = {f"_part{index}": truth_of(compile_node(part, ask)) for index, part in enumerate(parts)}
    found = [0] * len(parts)
    for held in rows.annotate(**columns).values_list(*columns) if columns else ():
        if sum(held) == len(parts) - 1:
            found[held.index(False)] += 1
    return found


def _draw(rows: QuerySet[Any], seed: int | None) -> tuple[list[int], int]:
    """(ids, of how many possible ones), anew in every call that names no seed."""
    edges = rows.aggregate(low=Min("pk"), high=Max("pk"))
    span = edges["high"] - edges["low"] + 1
    dice = random.Random(seed)
    return dice.sample(range(edges["low"], edges["high"] + 1), min(DRAWN, span)), span


def _judged(hits: int, drawn: int, span: int) -> Estimate:
    """Wilson's interval of the share, over the range."""
    share = hits / drawn
    middle = share + _Z**2 / (2 * drawn)
    spread = _Z * math.sqrt(share * (1 - share) / drawn + _Z**2 / (4 * drawn**2))
    scale = span / (1 + _Z**2 / drawn)
    low, high = max(0.0, middle - spread) * scale, min(float(span), (middle + spread) * scale)
    return Estimate(
        round(share * span), math.floor(low) if hits else 0, math.ceil(high), is_exact=drawn == span, sampled=drawn
    )


def _rounded(number: int, *, up: bool = False) -> int:
    """To two figures; a third would be a guess."""
    step: int = 10 ** max(len(str(number)) - 2, 0)
    return -(-number // step) * step if up else number // step * step
