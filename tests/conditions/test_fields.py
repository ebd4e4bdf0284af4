"""What every registered field promises. Fields that apps add later are tested here without a word more."""

import random

import pytest

from conditions import editor, reference, registry
from conditions.compiler import compile_tree, recheck_at
from conditions.people import people
from conditions.reading import field_keys
from conditions.render import in_words
from conditions.schema import problems_of
from scrm.lib import clock
from tests.support import tagging
from tests.support.fieldworld import FullWorld
from tests.support.tagging import NOW, random_leaf, tree_of

pytestmark = pytest.mark.django_db


SPOKEN_OF = ("event.opt_out.set", "event.follow.added")  # of one family whose fields differ by nothing but the kind


def usable_fields():
    """Those that can be asked about; of the kinds of events two."""
    known = [field for field in registry.all_fields() if not field.why_unavailable]
    return [field for field in known if not field.key.startswith("event.") or field.key in SPOKEN_OF]


@pytest.fixture
def world(acme, monkeypatch):
    tagging.register_test_fields()
    monkeypatch.setattr(clock, "now", lambda: NOW)
    return FullWorld(random.Random(11), size=14)


def test_every_field_agrees_with_its_reference_reader_for_every_operator(world):
    """The compiler's answer is the reference's, for each field by itself and for its negation."""
    dice = random.Random(5)
    tried = set()
    for field in usable_fields():
        for _ in range(6):
            leaf = _leaf_of(dice, field)
            if leaf is None:
                continue
            tried.add((field.key, leaf["op"]))
            for node in (leaf, {"not": leaf}):
                tree = tree_of(node)
                assert problems_of(tree) == [], tree
                sql = set(people().filter(compile_tree(tree, NOW)).values_list("pk", flat=True))
                assert sql == reference.matching(tree, world.roots, NOW, "Asia/Shanghai"), tree
    silent = {field.key for field in usable_fields()} - {key for key, _op in tried}
    assert not silent, "nothing was asked of these"


def test_every_field_is_readable_tells_its_keys_and_survives_the_editor(world):
    dice = random.Random(6)
    for field in usable_fields():
        leaf = _leaf_of(dice, field)
        if leaf is None:
            continue
        tree = tree_of({"all": [leaf]})
        assert field_keys(tree), field.key
        assert str(field.label) in in_words(tree)
        assert editor.to_tree(editor.from_tree(tree)) == tree
        assert all(at > NOW for at in recheck_at(tree, world.roots, NOW).values())


def test_every_field_refuses_foreign_operators_and_says_where(world):
    for field in usable_fields():
        tree = tree_of({"all": [{"field": field.key, "op": "no_such_operator"}]})
        [problem] = problems_of(tree)
        assert problem.path == "root.all[0].op"
        assert str(field.label) in problem.message


def test_a_field_without_its_source_says_so(world):
    from dataclasses import replace

    silent = replace(tagging.TEST_FIELDS[0], key="t.unconnected", unavailable=lambda: "需开通会话存档")
    registry.register(silent)
    try:
        [problem] = problems_of(tree_of({"field": "t.unconnected", "op": "empty"}))
        assert "需开通会话存档" in problem.message
    finally:
        registry._fields.pop("t.unconnected")


def _leaf_of(dice, field):
    for _ in range(20):
        try:
            leaf = random_leaf(dice, [field])
        except ValueError:
            return None
        if not problems_of(tree_of(leaf)):
            return leaf
        if field.options is not None and not field.options():
            return None
    return None
