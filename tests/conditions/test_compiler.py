"""The compiler against the reference evaluator, on random people and random trees, in a real PostgreSQL."""

import random
from datetime import timedelta
from itertools import pairwise

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conditions import matching
from conditions.compiler import compile_tree, recheck_at
from conditions.people import people
from conditions.schema import problems_of
from conditions.tree import EVERYONE
from scrm.lib import clock
from tests.support import reading, tagging
from tests.support.fuzzing import often
from tests.support.sweeping import swept_rechecks
from tests.support.tagging import NOW, TEST_FIELDS, World, random_node, tree_of

pytestmark = pytest.mark.django_db
ZONE = "Asia/Shanghai"
DAY = timedelta(days=1)
EXAMPLES = settings(max_examples=often(20), deadline=None, suppress_health_check=list(HealthCheck))
FEWER = settings(EXAMPLES, max_examples=often(6))


@pytest.fixture(autouse=True)
def _fields(monkeypatch):
    tagging.register_test_fields()
    monkeypatch.setattr(clock, "now", lambda: NOW)


def compiled(tree, now=NOW, **how):
    return set(people().filter(compile_tree(tree, now, **how)).values_list("pk", flat=True))


def both(tree):
    """What both ways of the compiler say, which is the same."""
    known = compiled(tree)
    assert compiled(tree, sweep=True) == known
    return known


@given(seed=st.integers(0, 10**9))
@EXAMPLES
def test_sql_and_reference_agree(acme, seed):
    dice = random.Random(seed)
    with transaction.atomic():
        world = World(dice)
        for _ in range(8):
            tree = tree_of(random_node(dice, TEST_FIELDS))
            assert problems_of(tree) == []
            known = reading.matching(tree, world.roots, NOW, ZONE)
            assert compiled(tree) == known, tree
            assert compiled(tree, sweep=True) == known, tree
        transaction.set_rollback(True)


@given(seed=st.integers(0, 10**9))
@EXAMPLES
def test_the_answer_does_not_change_before_its_recheck_and_is_right_at_it(acme, seed):
    """At random instants between now and her boundary the reference says the same; nobody without one ever changes."""
    timed = [field for field in TEST_FIELDS if field.key != "t.silent"]  # its reader takes the clock's own now
    dice = random.Random(seed)
    with transaction.atomic():
        world = World(dice, size=8)
        for _ in range(4):
            tree = tree_of(random_node(dice, timed, depth=2))
            before = reading.matching(tree, world.roots, NOW, ZONE)
            for due in (recheck_at(tree, world.roots, NOW), swept_rechecks(tree, NOW)):
                assert all(at > NOW for at in due.values())
                for pk in world.roots:
                    until = due.get(pk, NOW + timedelta(days=800))
                    for share in (0.25, 0.5, 0.999):
                        then = min(NOW + (until - NOW) * share, until - timedelta(microseconds=1))
                        assert (pk in reading.matching(tree, [pk], then, ZONE)) == (pk in before), (tree, pk, then)
                    if pk in due:
                        assert (pk in compiled(tree, until)) == (pk in reading.matching(tree, [pk], until, ZONE))
        transaction.set_rollback(True)


@given(seed=st.integers(0, 10**9))
@FEWER
def test_many_trees_at_once_answer_as_each_alone(acme, seed):
    dice = random.Random(seed)
    with transaction.atomic():
        world = World(dice, size=8)
        trees = {number: tree_of(random_node(dice, TEST_FIELDS, depth=2)) for number in range(12)}
        trees["again"] = trees[3]
        assert matching.matches_of({"all": EVERYONE}, world.roots[:3], NOW) == {"all": set(world.roots[:3])}
        broken = {"broken": tree_of({"any": [trees[0]["root"], {"field": "gone", "op": "is", "value": 1}]})}
        asked = [*world.roots, 10**12]
        said = matching.matches_of({**trees, **broken}, asked, NOW)
        assert said == {key: compiled(tree) for key, tree in trees.items()}
        assert matching.rechecks_of(trees, asked, NOW) == {
            key: recheck_at(tree, world.roots, NOW) for key, tree in trees.items()
        }
        transaction.set_rollback(True)


def test_negation_is_the_complement_also_of_the_unknown(acme):
    world = World(random.Random(4), size=20)
    for key, op, value in (
        ("t.stage", "in", [world.stages[0].pk]),
        ("t.name", "contains", "王"),
        ("t.follows", "gte", 1),
    ):
        leaf = {"field": key, "op": op, "value": value}
        yes, no = compiled(tree_of(leaf)), compiled(tree_of({"not": leaf}))
        assert not yes & no
        assert yes | no == set(world.roots)


def test_a_branch_s_facts_count_for_her_root(acme):
    root = tagging.make_person()
    branch = tagging.make_person(root=root)
    world = World(random.Random(1), size=0)
    for person in (root, branch):
        order = world.add_order(person, at=NOW - timedelta(days=1))
        order.status, order.refunded_minor, order.total_minor = "paid", 0, 100
        order.save()
    twice = {"field": "t.order", "op": "count_at_least", "value": 2, "window": {"days": 2}}
    enough = {"field": "t.order", "op": "sum_at_least", "value": 200}
    assert compiled(tree_of({"all": [twice, enough]})) == {root.pk}


def test_a_rolling_window_ends_to_the_microsecond(acme):
    person = tagging.make_person(first_added_at=NOW - timedelta(days=7))
    tree = tree_of({"field": "t.added", "op": "within", "window": {"days": 7}})
    tick = timedelta(microseconds=1)
    assert compiled(tree, NOW - tick) == {person.pk}
    assert compiled(tree, NOW) == set()
    assert recheck_at(tree, [person.pk], NOW - tick) == {person.pk: NOW}
    assert recheck_at(tree, [person.pk], NOW) == {}


def test_events_of_one_instant_are_in_no_order_and_a_gap_is_kept_to_the_microsecond(acme):
    person = tagging.make_person()
    branch = tagging.make_person(root=person)
    world, tick = World(random.Random(1), size=0), timedelta(microseconds=1)
    start = NOW - timedelta(days=9)
    for who, status, at in (
        (person, "paid", start),
        (branch, "cancelled", start),
        (person, "paid", start + DAY + tick),
    ):
        order = world.add_order(who, at=at)
        order.status = status
        order.save()
    leaf = {"field": "t.events", "op": "in_order", "value": ["paid", "cancelled"]}
    assert both(tree_of(leaf)) == set()
    again = {**leaf, "value": ["cancelled", "paid"]}
    assert both(tree_of(again)) == {person.pk}
    assert both(tree_of({**again, "gap": 1})) == set()
    assert both(tree_of({**again, "gap": 2})) == {person.pk}
    assert both(tree_of({**leaf, "value": ["paid", "paid"]})) == {person.pk}
    assert both(tree_of({**leaf, "value": ["paid", "paid", "paid"]})) == set()
    assert both(tree_of({**again, "op": "not_in_order", "window": {"days": 9}})) == {person.pk}


def test_shares_of_one_seed_cut_everybody_once(acme):
    world = World(random.Random(3), size=40)
    edges = (0, 12.5, 33.33, 66.67, 100)
    cuts = [
        compiled(tree_of({"field": "t.share", "op": "in_share", "value": {"seed": "春节A组", "from": low, "to": high}}))
        for low, high in pairwise(edges)
    ]
    assert sorted(pk for cut in cuts for pk in cut) == sorted(world.roots)
    assert len([cut for cut in cuts if cut]) > 1
