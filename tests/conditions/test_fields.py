"""What every registered field promises. Fields that apps add later are tested here without a word more."""

import random
import re

import pytest
from django.conf import settings

from conditions import editor, registry
from conditions.compiler import compile_tree, recheck_at
from conditions.explain import explain
from conditions.people import people
from conditions.reading import field_keys
from conditions.registry import Asker
from conditions.render import in_words
from conditions.schema import problems_of
from conditions.tree import Leaf
from contacts.models import GroupTagging
from scrm.lib import clock
from tests.support import reading, tagging
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
                assert sql == reading.matching(tree, world.roots, NOW, "Asia/Shanghai"), tree
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
        asker = Asker(frozenset(), frozenset())
        *_groups, line = explain(tree_of({"field": "t.unconnected", "op": "empty"}), world.roots[0], NOW, asker)
        assert line.fact == "需开通会话存档", "a tree saved before the source went says why, not that nothing is known"
    finally:
        registry._fields.pop("t.unconnected")


def test_a_field_whose_source_is_not_connected_says_so(acme):
    """No product has a category yet: the condition says what to do."""
    [problem] = problems_of(tree_of({"field": "order.category", "op": "empty"}))
    assert "商品品类" in problem.message


# --- The catalogue in docs/conditions.md ----------------------------------------------------------------------------

FAMILIES = ("custom.", "yearly.", "event.", "consent.")


def _catalogue():
    """Section 8 as it stands: field key → traits. Of a family its prefix and `<`."""
    text = (settings.BASE_DIR / "docs" / "conditions.md").read_text(encoding="utf-8")
    found = {}
    for line in text.split("## 8. The fields")[1].splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) != 3 or not cells[0].startswith("`"):
            continue
        _before, _word, traits = cells[2].partition("trait")
        for key in re.findall(r"`([^`]+)`", cells[0]):
            found[key.split("<")[0]] = set(re.findall(r"`([a-z_]+)`", re.sub(r"\([^)]*\)", "", traits)))
    return found


def test_every_field_and_trait_stands_in_the_catalogue_and_nothing_else_does(world):
    told = _catalogue()
    known = {}
    for field in registry.all_fields():
        prefix = next((one for one in FAMILIES if field.key.startswith(one)), field.key)
        if not prefix.startswith("t."):
            known.setdefault(prefix, set()).update(trait.key for trait in field.traits)
    assert known == told


def test_every_trait_keeps_the_rows_that_have_it_and_none_else(world):
    """Each value of each trait, against the attribute of each row; several values are any of them."""
    asked = 0
    for field in usable_fields():
        for trait in field.traits:
            for value in [option.value for option in trait.options()][:6]:
                leaf = Leaf(field.key, field.allowed[0].key, None, None, {trait.key: [value]})
                kept = {row.pk for row in field.rows_for(leaf)}
                wanted = {row.pk for row in field.rows() if value in _of(row, trait)}
                assert kept == wanted, (field.key, trait.key, value)
                asked += bool(wanted)
    assert asked > 30


def _of(row, trait):
    if trait.key == "tag":
        return {tagging.tag_id for tagging in GroupTagging.objects.filter(group=row.group_id)}
    if trait.key == "broadcast":
        return {row.push.source_id} if row.push.kind == "broadcast" else set()
    for part in trait.path.split("__"):
        row = getattr(row, part) if row is not None else None
    return {getattr(row, "pk", row)}


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
