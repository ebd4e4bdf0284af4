"""The product's answers against the reference evaluator's: random trees over random worlds, person by person.

`CASES=20000 pytest -m gate tests/reference` widens it; `SEED=…` begins at another world. A difference is printed with the seed of its
world, the smallest tree that shows it, one person, her facts and both answers.
"""

import os
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from conditions import registry
from conditions.compiler import compile_tree
from conditions.matching import matches_of, rechecks_of
from conditions.people import people
from conditions.recheck import recheck_at
from tests.reference import evaluator, trees
from tests.reference.chance import World
from tests.reference.changes import first_change
from tests.reference.comparing import DIFFER, NOT_YET, Saying, Trees, kind_of, living_in, told
from tests.reference.facts import Facts
from tests.support.sweeping import swept_rechecks

pytestmark = pytest.mark.django_db
SEED = int(os.environ.get("SEED", "1"))
CASES = int(os.environ.get("CASES", "6000"))
PER_WORLD = 100
MOST_TOLD = 12
Json = dict[str, Any]
Answer = Callable[[Json, World], set[int]]


def _compiled(tree: Json, world: World) -> set[int]:
    return set(people().filter(compile_tree(tree, world.now)).values_list("pk", flat=True))


def _swept(tree: Json, world: World) -> set[int]:
    return set(people().filter(compile_tree(tree, world.now, sweep=True)).values_list("pk", flat=True))


def compare(answer: Answer, seeds: range, per_world: int) -> Counter[Saying]:
    """Trees of each world by both; what they spoke of. Fails with one case of each kind of difference."""
    said: Counter[Saying] = Counter()
    found: dict[tuple[Any, ...], str] = {}
    for seed in seeds:
        with living_in(seed) as (world, known):
            made = Trees(world)
            for _ in range(per_world):
                tree = made.one()
                if len(found) < MOST_TOLD and answer(tree, world) != _reference(tree, world, known):
                    tree = trees.shrunk(tree, lambda less, w=world, k=known: answer(less, w) != _reference(less, w, k))
                    found.setdefault(kind_of(tree), told(tree, world, known, answer(tree, world), answer.__name__))
            said += made.said
    print(f"\nworlds {seeds.start} to {seeds.stop - 1}, {len(seeds) * per_world} trees; {said}")
    assert not found, "\n\n".join(["they differ", *found.values()])
    return said


def _reference(tree: Json, world: World, known: Facts) -> set[int]:
    return evaluator.matching(tree, world.now, world.zone, known)


def _wanted() -> set[Saying]:
    """What must have been asked: each operator of each field, and each narrowing."""
    specs = [spec for spec in trees.FIELDS if spec.family not in NOT_YET]
    wanted = {(spec.family, op) for spec in specs for op in spec.operators}
    wanted |= {(spec.family, "where") for spec in specs if spec.traits and f"{spec.family} where" not in NOT_YET}
    return wanted - DIFFER


def test_the_compiler_says_of_everybody_what_the_document_says():
    said = compare(_compiled, range(SEED, SEED + 2), 60)
    assert {family for family, _name in _wanted()} <= {family for family, _name in said}


def test_a_sweep_over_everybody_finds_whom_the_document_says():
    compare(_swept, range(SEED + 10, SEED + 11), 30)


def test_many_trees_asked_at_once_say_what_the_document_says():
    _ask_at_once(SEED + 20, 15)


def test_an_answer_is_looked_at_again_before_it_changes():
    _wait_for_changes(range(SEED + 30, SEED + 31), 15)


@pytest.mark.gate
def test_thousands_of_trees_are_compiled_as_the_document_says():
    said = compare(_compiled, range(SEED + 1000, SEED + 1000 + CASES // PER_WORLD), PER_WORLD)
    assert _wanted() <= set(said), f"never asked: {sorted(_wanted() - set(said))}"


@pytest.mark.gate
def test_thousands_of_trees_are_swept_as_the_document_says():
    compare(_swept, range(SEED + 2000, SEED + 2000 + CASES // PER_WORLD // 2), PER_WORLD)


@pytest.mark.gate
def test_hundreds_of_trees_asked_at_once_say_what_the_document_says():
    for seed in range(SEED + 3000, SEED + 3000 + CASES // PER_WORLD // 3):
        _ask_at_once(seed, PER_WORLD)


@pytest.mark.gate
def test_no_answer_changes_before_it_is_looked_at_again():
    _wait_for_changes(range(SEED + 4000, SEED + 4000 + CASES // PER_WORLD // 3), PER_WORLD)


def _ask_at_once(seed: int, many: int) -> None:
    """All trees for everybody, for some, and for ids that are no people."""
    with living_in(seed) as (world, known):
        made = Trees(world)
        asked = {number: made.one() for number in range(many)}
        some = Random(seed).sample(sorted(known.people), len(known.people) // 2)
        for ids in (list(known.people), some, [*some, *(pk for pk in known.root_of if pk not in known.people), 1]):
            answers = matches_of(asked, ids, world.now)
            for number, tree in asked.items():
                right = _reference(tree, world, known) & set(ids)
                assert answers[number] == right, f"world {seed}, {tree}: {sorted(answers[number] ^ right)}"


def _wait_for_changes(seeds: range, many: int) -> None:
    """The instant kept for a person lies ahead, and no later than the first at which the document answers otherwise."""
    changes = 0
    for seed in seeds:
        with living_in(seed) as (world, known):
            made = Trees(world)
            asked = {number: made.one() for number in range(many)}
            together = rechecks_of(asked, list(known.people), world.now)
            for number, tree in asked.items():
                alone = recheck_at(tree, list(known.people), world.now)
                for kept in (alone, together[number], swept_rechecks(tree, world.now)):
                    changes += _in_time(tree, kept, world, known)
    assert changes > len(seeds) * many, "time changed next to nothing: the worlds are too dull"


def _in_time(tree: Json, kept: dict[int, Any], world: World, known: Facts) -> int:
    """How many answers change at all."""
    changing = 0
    for who in known.people:
        at, changes_at = kept.get(who), first_change(tree, who, world.now, world.zone, known)
        case = f"world {world.seed} ({world.zone}, now {world.now}), person {who}: {tree}"
        assert at is None or at > world.now, f"{case}\nkept at {at}, which is over"
        assert changes_at is None or (at is not None and at <= changes_at), (
            f"{case}\nkept at {at}, changes at {changes_at}"
        )
        changing += changes_at is not None
    return changing


def test_every_field_of_the_product_is_asked_about(acme: Any) -> None:
    """A field or trait that comes later is compared from its first day."""

    def family(key: str) -> str:
        return next((prefix for prefix in ("custom.", "yearly.", "event.") if key.startswith(prefix)), key)

    asked: dict[str, set[str]] = {}
    for spec in trees.FIELDS:
        asked.setdefault(family(spec.key), set()).update(spec.traits)
    there: dict[str, set[str]] = {"custom.": set(), "yearly.": set()}
    for field in registry.all_fields():
        if not field.key.startswith("t."):
            there.setdefault(family(field.key), set()).update(trait.key for trait in field.traits)
    assert asked == there
