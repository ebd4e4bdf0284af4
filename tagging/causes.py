"""Which rules' doing something is: a rule never answers to what it did itself, nor to what came of it.

What a rule writes is caused by it and by whatever caused its own run (`within`). Facts and changes of segments written meanwhile carry
the chain in their RuleEvent; marks carry it as marks of their own (`cause:<rule>`), worked off together with the person's others, and
handed on by the loop to what comes of those (conditions.dirty): a segment entered, a stage, a repeat. Tags carry it in the command,
until WeCom's answer.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from conditions import dirty

DEEPEST = 5  # rules that may follow from each other
EVERYTHING = "cause:*"  # in no mark: seen by whoever is told of everything, whose causes are not known
_PREFIX = dirty.CAUSE
LOW = 70  # priority of what a backfill asks of WeCom: behind everything that people and live rules wish
_in_no_haste: ContextVar[bool] = ContextVar("rules_in_no_haste", default=False)
_chain: ContextVar[frozenset[int]] = ContextVar("rules_that_act", default=frozenset())


def chain() -> frozenset[int]:
    """The rules that act now."""
    return _chain.get()


@contextmanager
def within(rule_ids: Iterable[int]) -> Iterator[None]:
    """Around what rules write: it comes of them alone, and `mark` says so."""
    token = _chain.set(frozenset(rule_ids))
    try:
        with dirty.coming_of({}):
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


def of(contact_id: int) -> frozenset[int]:
    """The rules whose doing is what happens to a contact now: those that act, or, where marks of hers are worked off, whose doing
    these were."""
    return chain() | named_in(dirty.causes_of(contact_id))


def forbids(rule_id: int, rules: Iterable[int]) -> bool:
    """Whether a rule must not act on what these rules did."""
    known = set(rules)
    return rule_id in known or len(known) >= DEEPEST
