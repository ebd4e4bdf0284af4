"""Bad trees are refused with a sentence that names the place."""

import functools
import json
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conditions import posting
from conditions.registry import Asker
from conditions.schema import MAX_DEPTH, MAX_LEAVES, ConditionInvalid, is_shaped, problems_of, validate
from tests.support import tagging
from tests.support.fuzzing import often
from tests.support.tagging import tree_of

pytestmark = pytest.mark.django_db
SHARE = {"seed": "春节", "from": 0, "to": 10}
LEAF = {"field": "t.name", "op": "is", "value": "王"}


@pytest.fixture(autouse=True)
def _fields(acme):
    tagging.register_test_fields()


def nested(depth):
    node = LEAF
    for _ in range(depth):
        node = {"all": [node]}
    return tree_of(node)


@pytest.mark.parametrize(
    ("tree", "path", "words"),
    [
        ({}, "root", "写法不对"),
        ({"version": 2, "root": {"all": []}}, "version", "只认版本 1"),
        (tree_of({"field": "t.name"}), "root", "写法不对"),
        (tree_of({"all": [], "any": []}), "root", "写法不对"),
        (tree_of({"all": [{"field": "nope", "op": "is"}]}), "root.all[0].field", "没有「nope」"),
        (tree_of({"all": [{"field": "t.name", "op": "gte", "value": 1}]}), "root.all[0].op", "可用"),
        (tree_of({"any": [LEAF, {"field": "t.name", "op": "is", "value": ""}]}), "root.any[1].value", "1 到 100"),
        (tree_of({"field": "t.follows", "op": "between", "value": [3, 1]}), "root.value", "前一个不大于后一个"),
        (tree_of({"field": "t.tag", "op": "any", "value": [987654]}), "root.value[0]", "没有 987654"),
        (tree_of({"field": "t.added", "op": "within"}), "root.window", "时间范围"),
        (tree_of({"field": "t.name", "op": "is", "value": "a", "window": {"days": 3}}), "root.window", "不能加"),
        (tree_of({"field": "t.added", "op": "within", "window": {"from": "2026-02-30"}}), "root.window", "真有这一天"),
        (tree_of({"field": "t.added", "op": "within", "window": {"from": "2026-03-02", "to": "2026-03-01"}}), "root.window", "晚于"),
        (tree_of({"field": "t.added", "op": "within", "window": {"days": 3, "skip_days": 3}}), "root.window", "少于"),
        (tree_of({"field": "t.order", "op": "count_at_least", "value": 0}), "root.value", "从 1 起"),
        (tree_of({"field": "t.order", "op": "sum_at_least", "value": 1.5}), "root.value", "单位是分"),
        (tree_of({"all": [{"any": []}]}), "root.all[0].any", "还没有条件"),
        (tree_of({"all": [{"at_least": 3, "of": [LEAF, LEAF]}]}), "root.all[0].at_least", "只有 2 项"),
        (tree_of({"at_least": 1, "all": [LEAF]}), "root", "写法不对"),
        (tree_of({"at_least": 1, "of": [{"not": {"field": "nope", "op": "is"}}]}), "root.of[0].not.field", "没有「nope」"),
        (tree_of({"field": "t.events", "op": "in_order", "value": ["paid"]}), "root.value", "2 到 5 项"),
        (tree_of({"field": "t.events", "op": "in_order", "value": ["paid", "x"]}), "root.value[1]", '没有 "x"'),
        (tree_of({"field": "t.events", "op": "in_order", "value": ["paid"] * 2, "gap": 366}), "root.gap", "写法不对"),
        (tree_of({"field": "t.tag", "op": "empty", "gap": 3}), "root.gap", "间隔"),
        (tree_of({"field": "t.share", "op": "in_share", "value": 5}), "root.value", "种子"),
        (tree_of({"field": "t.share", "op": "in_share", "value": SHARE | {"from": 20}}), "root.value.to", "大于起点"),
        (tree_of({"field": "t.share", "op": "in_share", "value": SHARE | {"from": 1.125}}), "root.value.from", "两位小数"),
        (tree_of({"field": "t.share", "op": "in_share", "value": SHARE | {"seed": "a\x00"}}), "root.value.seed", "换一个"),
        (tree_of({"all": [{"field": "t.events", "op": "in_order", "value": ["paid"] * 2}] * 34}), "root", "太重"),
        (nested(MAX_DEPTH + 1), "root", "嵌套"),
        (tree_of({"all": [LEAF] * (MAX_LEAVES // 2) + [{"all": [LEAF] * 40}]}), "root", "最多 60 个"),
        (tree_of({"all": [{"field": "t.order", "op": "never"}] * 55}), "root", "太重"),
    ],
)  # fmt: skip
def test_a_bad_tree_is_refused_where_it_is_bad(tree, path, words):
    with pytest.raises(ConditionInvalid) as refused:
        validate(tree)
    assert refused.value.problems[0].path == path
    assert words in refused.value.problems[0].message


def test_a_tree_at_the_limits_is_taken():
    assert problems_of(nested(MAX_DEPTH)) == []
    assert problems_of(tree_of({"all": [LEAF] * MAX_LEAVES})) == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["version", "root", "all", "any", "not", "field", "op", "value", "window", "days", "at_least", "of", "gap"]), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(JSON)
@settings(max_examples=often(60), deadline=None, suppress_health_check=list(HealthCheck))
def test_no_json_makes_the_validation_fall_over(acme, raw):
    problems = problems_of(raw)
    assert problems == [] or all(problem.message for problem in problems)


def test_the_published_schema_is_the_one_in_use():
    published = json.loads(Path("docs/conditions.schema.json").read_text(encoding="utf-8"))
    assert published == json.loads(Path("conditions/schema.json").read_text(encoding="utf-8"))


def test_a_posted_editor_never_falls_over():
    from django.http import QueryDict

    for query in (
        "",
        "shape=[",
        "shape=7",
        "shape=[[[0]]]&act=delete:r.9.9",
        "shape=[0]&f:r.0=t.follows&v:r.0=abc&act=copy:r.0",
    ):
        root = posting.from_post(QueryDict(query))
        assert root.is_root


@pytest.mark.parametrize("tree", [
    {"version": 1, "root": {"all": [{"field": "t.name", "op": "is", "value": "x"}] * 20_000}},
    {"version": 1, "root": functools.reduce(lambda node, _n: {"not": node}, range(900), {"field": "t.name", "op": "empty"})},
    {"version": 1, "root": [[[[]] * 500] * 500] * 50},
])  # fmt: skip
def test_a_monstrous_tree_is_refused_before_it_is_looked_at(acme, tree):
    began = time.process_time()
    assert "条件太大" in str(problems_of(tree)[0]) and not is_shaped(tree)
    assert time.process_time() - began < 0.5


def test_an_order_of_events_without_events_is_refused(acme):
    for value in ({}, {"value": 5}, {"value": [1, 2]}):
        tree = {"version": 1, "root": {"field": "events", "op": "in_order", **value}}
        assert problems_of(tree, Asker(frozenset(), frozenset()))
