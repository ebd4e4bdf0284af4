"""The builder of conditions as people use it: rows, boxes, counts, JSON."""

import json

import pytest
from django.db import connection

from conditions import registry
from contacts.models import Contact, Store
from tagging.views import builder
from tests.support import tagging
from tests.support.core import log_in

pytestmark = pytest.mark.django_db


def test_the_builder_counts_while_editing_and_grows_by_buttons(acme_client, tag, person):
    tagging.put_tag(person.follows.get(), tag)
    start = acme_client.post(
        "/segments/preview/", {"mode": "tree", "shape": "[]", "act": "add:r"}, HTTP_HX_REQUEST="true"
    )
    assert start.context["root"].children[0].raw["field"]
    leaf = {"mode": "tree", "shape": "[0]", "f:r.0": "tag", "o:r.0": "none", "v:r.0": [tag.pk]}
    counted = acme_client.post("/segments/preview/", leaf)
    assert counted.context["count"] == 0
    nested = acme_client.post("/segments/preview/", {**leaf, "o:r.0": "any", "act": "group:r"})
    assert nested.context["tree"]["root"]["all"][1] == {"any": [nested.context["tree"]["root"]["all"][1]["any"][0]]}
    removed = acme_client.post("/segments/preview/", {**leaf, "o:r.0": "any", "act": "delete:r.0"})
    assert removed.context["tree"]["root"] == {"all": []}
    assert removed.context["count"] == 1


def name_is(text):
    return {"field": "contact.name", "op": "is", "value": text}


def posted(root, **more):
    """The form of a tree whose rows are names: the shape, and the controls of every box and row."""
    form = {"mode": "tree", **more}

    def put(node, path):
        if "field" in node:
            form.update({f"f:{path}": node["field"], f"o:{path}": node["op"], f"v:{path}": node["value"]})
            return 0
        [kind] = node
        form[f"k:{path}"] = kind
        return [put(part, f"{path}.{index}") for index, part in enumerate(node[kind])]

    form["shape"] = json.dumps(put(root, "r"))
    return form


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        ("copy:r.1", ["甲", ["乙", "丙"], ["乙", "丙"], "丁"]),
        ("delete:r.1", ["甲", "丁"]),
        ("up:r.2", ["甲", "丁", ["乙", "丙"]]),
        ("up:r.1.0", ["甲", "乙", ["丙"], "丁"]),
        ("down:r.1.1", ["甲", ["乙"], "丙", "丁"]),
        ("out:r.1.1", ["甲", "丙", ["乙"], "丁"]),
        ("into:r.0", [["乙", "丙", "甲"], "丁"]),
        ("into:r.2", ["甲", ["乙", "丙", "丁"]]),
        ("wrap:r.0", [["甲"], ["乙", "丙"], "丁"]),
        ("dissolve:r.1", ["甲", "乙", "丙", "丁"]),
        ("move:r.0>r.1:1", [["乙", "甲", "丙"], "丁"]),
        ("move:r.0>r:3", [["乙", "丙"], "丁", "甲"]),
        ("move:r.2>r:0", ["丁", "甲", ["乙", "丙"]]),
        ("move:r.1>r.1:0", None),
        ("move:r.9>r:0", None),
        ("dissolve:r.0", None),
        ("no_such:r.0", None),
        ("up:r", None),
    ],
)
def test_rows_and_boxes_move_and_the_last_step_can_be_undone(acme_client, act, expected):
    start = {"all": [name_is("甲"), {"any": [name_is("乙"), name_is("丙")]}, name_is("丁")]}

    def names(node):
        return node["value"] if "field" in node else [names(part) for [parts] in [node.values()] for part in parts]

    answer = acme_client.post("/segments/preview/", posted(start, act=act))
    assert names(answer.context["tree"]["root"]) == (expected or names(start))
    assert bool(answer.context["done"]) == (expected is not None)
    if expected is None:
        return
    again = acme_client.post("/segments/preview/", posted({"all": []}, act="undo", before=answer.context["before"]))
    assert again.context["tree"]["root"] == start


def test_a_group_can_ask_for_a_few_of_its_parts(acme_client, person):
    form = posted({"at_least": [name_is("王姐"), name_is("李姐"), {"any": [name_is("王姐")]}]}, **{"n:r": "2"})
    answer = acme_client.post("/segments/preview/", form)
    assert answer.context["tree"]["root"]["at_least"] == 2 and len(answer.context["tree"]["root"]["of"]) == 3
    assert answer.context["count"] == 1
    assert acme_client.post("/segments/preview/", form | {"n:r": "3"}).context["count"] == 0
    none = acme_client.post("/segments/preview/", form | {"n:r": "4"})
    assert none.context["count"] is None and none.context["root"].problems
    empty = acme_client.post("/segments/preview/", {"mode": "tree", "shape": "[[]]", "k:r.0": "at_least", "n:r.0": "2"})
    assert empty.context["root"].children[0].kind == "at_least", "it stays what was chosen"
    assert "还没有条件" in empty.content.decode()


def test_what_is_wrong_with_a_row_stands_at_the_row(acme_client, tag):
    form = posted({"all": [name_is("王姐"), {"not_any": [name_is(""), name_is("李姐")]}]})
    root = acme_client.post("/segments/preview/", form).context["root"]
    assert [len(node.problems) for node in (root, root.children[0], *root.children[1].children)] == [0, 0, 1, 0]
    beside = acme_client.post(
        "/segments/preview/", form | {"part": "audience"}, HTTP_HX_REQUEST="true"
    ).content.decode()
    assert 'id="e-r-1-0" hx-swap-oob="true"' in beside and "要填 1 到 100 个字" in beside
    assert 'name="f:r.0"' not in beside, "what is being typed into stays"


def test_another_field_takes_no_values_over_and_one_that_is_gone_stays_until_it_is_replaced(acme_client, tag):
    form = {"mode": "tree", "shape": "[0]", "f:r.0": "contact.stage", "was:r.0": "tag", "v:r.0": [tag.pk]}
    [leaf] = acme_client.post("/segments/preview/", form).context["tree"]["root"]["all"]
    assert leaf == {"field": "contact.stage", "op": "in", "value": []}
    form = {"mode": "tree", "shape": "[0]", "f:r.0": "tag", "o:r.0": "any", "v:r.0": [tag.pk, 99]}
    page = acme_client.post("/segments/preview/", form)
    assert page.context["tree"]["root"]["all"][0]["value"] == [tag.pk, 99]
    assert "已删除(99)" in page.content.decode()
    gone = {"mode": "tree", "shape": "[0,0]", "f:r.0": "custom.gone", "o:r.0": "is", "v:r.0": "x", "f:r.1": "gone"}
    page = acme_client.post("/segments/preview/", gone)
    assert [leaf["field"] for leaf in page.context["tree"]["root"]["all"]] == ["custom.gone", "gone"]
    assert page.content.decode().count("已不存在的字段") == 2


def test_a_row_is_narrowed_by_traits(acme_client, own_fields, tag, person):
    tagging.put_tag(person.follows.get(), tag, origin="sync")
    row = {"mode": "tree", "shape": "[0]", "f:r.0": "t.tag", "o:r.0": "any", "v:r.0": [tag.pk]}
    offered = acme_client.post("/segments/preview/", row | {"t.more:r.0": "origin"})
    assert [trait.key for trait, _choices in offered.context["root"].children[0].where] == ["origin"]
    assert offered.context["count"] == 1 and "where" not in offered.context["tree"]["root"]["all"][0]
    narrowed = row | {"t:r.0": "origin", "t.origin:r.0": "guide"}
    answer = acme_client.post("/segments/preview/", narrowed)
    assert answer.context["tree"]["root"]["all"][0]["where"] == {"origin": ["guide"]}
    assert answer.context["count"] == 0
    assert acme_client.post("/segments/preview/", narrowed | {"act": "unwhere:r.0:origin"}).context["count"] == 1


def test_events_in_an_order_and_a_share_of_people_are_filled_in(acme_client, own_fields, person):
    row = {
        "mode": "tree",
        "shape": "[0]",
        "f:r.0": "t.events",
        "o:r.0": "not_in_order",
        "v:r.0": ["paid", "", "cancelled"],
    }
    answer = acme_client.post("/segments/preview/", row | {"g:r.0": "7", "w:r.0": "days", "wd:r.0": "90"})
    [leaf] = answer.context["tree"]["root"]["all"]
    assert (leaf["value"], leaf["gap"], leaf["window"]) == (["paid", "cancelled"], 7, {"days": 90})
    assert answer.context["count"] == 1
    assert len(answer.context["root"].children[0].steps) == 3, "and one more"
    assert acme_client.post("/segments/preview/", row | {"v:r.0": ["paid"]}).context["root"].children[0].problems
    lot = {"mode": "tree", "shape": "[0]", "f:r.0": "share", "o:r.0": "in_share", "v2:r.0": "0", "v3:r.0": "100"}
    nameless = acme_client.post("/segments/preview/", lot)
    assert "要填种子" in nameless.context["root"].children[0].problems[0]
    assert 'id="v3-r-0" name="v3:r.0" value="100"' in nameless.content.decode(), "the ends stay"
    named = acme_client.post("/segments/preview/", lot | {"v:r.0": "春节A组"})
    assert named.context["tree"]["root"]["all"][0]["value"] == {"seed": "春节A组", "from": 0, "to": 100}
    assert named.context["count"] == 1


def test_a_long_list_is_counted_about_at_once_and_exactly_after(acme_client, person, monkeypatch):
    monkeypatch.setattr("conditions.estimating.COUNTED", 2)
    monkeypatch.setattr("conditions.estimating.DRAWN", 4)
    tagging.make_person("早已合并", root=person)
    for number in range(4):
        tagging.make_person(f"客户{number}", active_follows=1)
    form = posted({"all": []})
    about = acme_client.post("/segments/preview/", form)
    assert about.context["is_about"] and "95% 把握" in about.content.decode()
    assert len(about.context["sample"]) == 5
    assert "正在数准确人数" in about.content.decode()
    exact = acme_client.post("/segments/preview/", form | {"part": "count"}, HTTP_HX_REQUEST="true")
    assert "5 人" in exact.content.decode() and "约" not in exact.content.decode()
    assert acme_client.post("/segments/new/", form | {"exact": "1"}).context["count"] == 5, (
        "without scripts, by a button"
    )


def test_each_row_tells_how_many_it_alone_takes_away(acme_client, person):
    for name in ("李姐", "张姐"):
        tagging.make_person(name, active_follows=1)
    form = posted(
        {"all": [name_is("王姐"), {"any": [name_is("王姐"), name_is("李姐")]}, {"not_any": [name_is("李姐")]}]}
    )
    answer = acme_client.post("/segments/preview/", form | {"clauses": "1"})
    assert [node.removed for node in answer.context["root"].children] == ["0 人", "0 人", "0 人"]
    form = posted({"all": [name_is("王姐"), {"not_any": [name_is("李姐")]}]}, clauses="1")
    answer = acme_client.post("/segments/preview/", form)
    assert [node.removed for node in answer.context["root"].children] == ["1 人", "0 人"]
    assert "去掉这条会多出 1 人" in answer.content.decode()


def test_a_count_that_takes_too_long_is_stopped_and_says_so(acme_client, person, monkeypatch):
    class Slow(type(Contact.objects.none())):
        def count(self):
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_sleep(5)")

    monkeypatch.setattr(builder, "visible_contacts", lambda scope: Slow(Contact))
    monkeypatch.setattr(builder, "EXACT_SECONDS", 0.05)
    form = posted({"all": [name_is("王姐")]}, part="count")
    answer = acme_client.post("/segments/preview/", form, HTTP_HX_REQUEST="true")
    assert "秒内没有数完" in answer.content.decode()
    assert answer["HX-Retarget"] == "#audience-exact"
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('statement_timeout')")
        assert cursor.fetchone() == ("0",)


def test_pasted_json_is_checked_and_names_the_path(acme_client, tag):
    bad = {"version": 1, "root": {"all": [{"field": "tag", "op": "any", "value": [tag.pk, 99]}]}}
    form = posted({"all": [name_is("王姐")]}, use_json="1")
    answer = acme_client.post("/segments/preview/", form | {"json": json.dumps(bad)})
    assert "root.all[0].value[1]" in answer.content.decode()
    assert answer.context["root"].children[0].problems, "the row is marked"
    for text, words in (
        ("{", "第 1 行第 2 个字符"),
        ('{"version": 1}', "写法不对"),
        ("[" * 100_000, "不是 JSON"),
        (json.dumps({"version": 1, "root": {"all": [name_is("王姐")] * 60, "x": 1}}), "写法不对"),
    ):
        broken = acme_client.post("/segments/preview/", form | {"json": text})
        assert words in broken.content.decode()
        assert broken.context["tree"]["root"] == {"all": [name_is("王姐")]}, "what was there stays"
        assert broken.context["json_text"] == text
    good = acme_client.post("/segments/preview/", form | {"json": json.dumps({**bad, "root": name_is("李姐")})})
    assert good.context["tree"]["root"] == name_is("李姐")
    assert good.context["done"] and json.loads(good.context["before"])["root"] == {"all": [name_is("王姐")]}


def test_three_sentences_become_a_tree_and_come_back_when_they_can_say_it(acme_client, tag):
    said = {"mode": "simple", "tags": [tag.pk], "bought": "times", "times": "2", "idle_from": "60", "idle_to": "120"}
    tree = acme_client.post("/segments/preview/", said | {"show": "tree"})
    assert tree.context["mode"] == "tree"
    form = {"mode": "tree", "use_json": "1", "json": json.dumps(tree.context["tree"]), "show": "simple"}
    back = acme_client.post("/segments/preview/", form)
    assert back.context["mode"] == "simple" and back.context["sentences"].idle_to == 120
    more = tree.context["tree"]["root"]["all"] + [name_is("王姐")]
    refused = acme_client.post("/segments/preview/", form | {"json": json.dumps({"version": 1, "root": {"all": more}})})
    assert refused.context["mode"] == "tree" and "三句话里没有「昵称 是 「王姐」」" in refused.content.decode()


def test_thirty_rows_of_the_builder_ask_for_each_list_once(acme, guide, tag, django_assert_max_num_queries):
    client = log_in("growth", scope=Store.objects.create(code="s1", name="静安店"))
    rows = [
        {"field": "tag", "op": "any", "value": [tag.pk]},
        {"field": "contact.owner", "op": "in", "value": [guide.pk]},
        {"field": "follow.member", "op": "none", "value": [guide.pk]},
        {"field": "contact.store", "op": "empty"},
        {"field": "events", "op": "in_order", "value": ["follow.added", "follow.added"]},
        {"field": "custom.gone", "op": "is", "value": "x"},
    ]
    for count in (6, 30):
        tree = {"version": 1, "root": {"all": rows * (count // 6)}}
        form = {"mode": "tree", "use_json": "1", "json": json.dumps(tree)}
        with django_assert_max_num_queries(34):
            assert client.post("/segments/preview/", form).status_code == 200


def test_every_registered_field_can_be_shown_in_the_editor(acme_client):
    for field in registry.all_fields():
        answer = acme_client.post(
            "/segments/preview/", {"mode": "tree", "shape": "[0]", "f:r.0": field.key, "o:r.0": field.allowed[0].key}
        )
        assert answer.status_code == 200, field.key
