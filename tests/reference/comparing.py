"""What both sides need to be compared: a world to live in, trees that the product takes, and words for a difference."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pprint import pformat
from random import Random
from typing import Any

from django.db import transaction

from conditions.schema import ConditionInvalid, validate
from tenants.context import current_tenant
from tests.reference import evaluator, facts, trees, worlds
from tests.reference.chance import World
from tests.reference.changes import leaves
from tests.reference.facts import Facts
from tests.reference.trees import Spec

Json = dict[str, Any]
Saying = tuple[str, str]  # family of fields; operator, or "window", "where", "gap"

# What the document has and the product may not take yet.
NOT_YET: frozenset[str] = frozenset()
# Where the two are known to differ, and the compiler is to change.
DIFFER: frozenset[Saying] = frozenset()


@contextmanager
def living_in(seed: int) -> Iterator[tuple[World, Facts]]:
    """A world, gone afterwards, in its time zone."""
    tenant = current_tenant()
    before = tenant.time_zone
    with transaction.atomic():
        world = worlds.build(seed)
        tenant.time_zone = world.zone
        try:
            yield world, facts.load(world.zone)
        finally:
            tenant.time_zone = before
            transaction.set_rollback(True)


def refusal(said: Json) -> str:
    """Why the product does not take the statement, or nothing."""
    try:
        validate({"version": 1, "root": said})
    except ConditionInvalid as error:
        return str(error)
    return ""


class Trees:
    """Random trees of a world. said: what they spoke of, by family of fields."""

    def __init__(self, world: World, seed: int | None = None) -> None:
        self.world, self.r = world, Random(world.seed if seed is None else seed)
        self.said: Counter[Saying] = Counter()

    def leaf(self) -> Json:
        while True:
            spec = self.r.choice(trees.FIELDS)
            said = trees.leaf(self.r, self.world, spec, op := self.r.choice(spec.operators))
            sayings = {(spec.family, name) for name in (op, *said)}
            if sayings & DIFFER or skipped(spec, said):
                continue
            assert not (why := refusal(said)), f"the document has what the product refuses: {why}\n{said}"
            self.said.update(sayings)
            return said

    def one(self) -> Json:
        return trees.tree(self.r, self.leaf)


def skipped(spec: Spec, said: Json) -> str:
    """What of NOT_YET the statement asks for that the product does not take."""
    if spec.family in NOT_YET and not _is_there(spec.key, spec.operators[-1]):
        return spec.family
    for name in ("where", "window"):
        if f"{spec.family} {name}" in NOT_YET and name in said and refusal(said):
            return f"{spec.family} {name}"
    return ""


@cache
def _is_there(key: str, op: str) -> bool:
    """Whether the product knows the field at all: what it says against the value is another sentence."""
    return f"没有「{key}」这个字段" not in refusal({"field": key, "op": op, "value": 1})


def told(tree: Json, world: World, known: Facts, found: set[int], whose: str) -> str:
    """What somebody needs to see why. found: whom the other side, named `whose`, finds."""
    who = min(found ^ evaluator.matching(tree, world.now, world.zone, known))
    person = known.people[who]
    keys = sorted({leaf["field"] for leaf in leaves(tree["root"])})
    about: dict[str, Any] = {key: person.values.get(key, person.rows.get(key)) for key in keys}
    if any(key.startswith(("custom", "yearly")) for key in keys):
        about["as stored"] = person.custom
    if "contact.opt_out" in keys:
        about["opt_out"] = person.opt_out
    if "contact.store_open" in keys and person.store:
        about["store"] = [
            person.store.is_open,
            person.store.archived_at,
            person.store.opened_on,
            person.store.closed_on,
        ]
    return (
        f"world {world.seed} ({world.zone}, now {world.now.isoformat()}), person {who}\n{pformat(tree, width=140)}\n"
        f"{pformat(about, width=140)}\nreference: {who not in found}, {whose}: {who in found}"
    )


def kind_of(tree: Json) -> tuple[Any, ...]:
    """What a difference is about: two of a kind are told once."""
    return tuple(
        sorted(
            (leaf["field"], leaf["op"], *sorted(leaf.keys() & {"window", "where", "gap"}))
            for leaf in leaves(tree["root"])
        )
    )
