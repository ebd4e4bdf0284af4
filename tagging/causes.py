"""Which rules' doing something is: a rule never answers to what it did itself, nor to what came of it.

What a rule writes is caused by it and by whatever caused its own run (`within`). Facts and changes of segments written meanwhile carry
the chain in their RuleEvent; marks carry it as marks of their own (`cause:<rule>`), written before the others and deleted with them;
tags carry it in the command, until WeCom's answer.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from conditions import dirty
from conditions.models import DirtyMark

DEEPEST = 5  # rules that may follow from each other
EVERYTHING = "cause:*"  # in no mark: seen by whoever is told of everything, whose causes are not known
_PREFIX = "cause:"
LOW = 70  # priority of what a backfill asks of WeCom: behind everything that people and live rules wish
_in_no_haste: ContextVar[bool] = ContextVar("rules_in_no_haste", default=False)
_chain: ContextVar[frozenset[int]] = ContextVar("rules_that_act", default=frozenset())


def chain() -> frozenset[int]:
    """The rules that act now."""
    return _chain.get()


@contextmanager
def within(rule_ids: Iterable[int]) -> Iterator[None]:
    """Around what rules write."""
    token = _chain.set(frozenset(rule_ids))
    try:
        yield
    finally:
        _chain.reset(token)


@contextmanager
def in_no_haste() -> Iterator[None]:
    """Around what a backfill does: its calls to WeCom come last."""
    token = _in_no_haste.set(True)
    try:
        yield
    finally:
        _in_no_haste.reset(token)


def priority() -> int | None:
    """Of commands written now; None for that of their kind."""
    return LOW if _in_no_haste.get() else None


def key_of(rule_id: int) -> str:
    """The mark key of a rule as a cause."""
    return f"{_PREFIX}{rule_id}"


def mark(contact_ids: Sequence[int]) -> None:
    """Whatever is marked of these people from here on is the doing of the rules that act now."""
    dirty.mark(contact_ids, *(key_of(pk) for pk in sorted(chain())), backfill=False)


def named_in(keys: Iterable[str]) -> frozenset[int]:
    """The rules that the keys of a batch name as causes."""
    found = set(keys)
    if EVERYTHING in found:
        return frozenset()
    return frozenset(int(key.removeprefix(_PREFIX)) for key in found if key.startswith(_PREFIX))


def of_people(contact_ids: Sequence[int]) -> dict[int, frozenset[int]]:
    """Contact id → the rules whose doing her waiting marks are. One query; inside the loop, those of the batch too."""
    found: dict[int, set[int]] = {}
    rows = DirtyMark.objects.filter(contact_id__in=contact_ids, field_key__startswith=_PREFIX)
    for contact_id, key in rows.values_list("contact_id", "field_key"):
        found.setdefault(contact_id, set()).add(int(key.removeprefix(_PREFIX)))
    return {pk: frozenset(rules) for pk, rules in found.items()}


def forbids(rule_id: int, rules: Iterable[int]) -> bool:
    """Whether a rule must not act on what these rules did."""
    known = set(rules)
    return rule_id in known or len(known) >= DEEPEST
