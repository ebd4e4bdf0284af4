"""Tags, segments and rules as people use them."""

import json
from datetime import timedelta

import pytest
from django.db import connection

from accounts.permissions import all_permissions
from commerce.models import OrderLine, Product
from conditions import registry
from conditions.drain import drain_batch
from conditions.registry import Asker
from contacts import longjobs
from contacts.models import Contact, Stage, Store
from scrm.lib import clock
from tagging import simple
from tagging.models import FollowTag, Rule, RuleMatch, Segment, Tag, TagGroup
from tagging.services import rules, segments
from tagging.views import builder
from tenants.audit import SYSTEM
from tests.support import tagging
from tests.support.commerce import make_order
from tests.support.contacts import make_store
from tests.support.core import log_in, make_user
from tests.support.tagging import tree_of
from wecom_bridge.models import OutboundCommand

pytestmark = pytest.mark.django_db


@pytest.fixture
def tag(corp):
    return tagging.make_tag("敏感肌", corp=corp)


@pytest.fixture
def person(guide):
    person = tagging.make_person(
        "王姐", owner=guide, last_added_at=clock.now(), first_added_at=clock.now(), active_follows=1
    )
    tagging.make_relation(person, guide)
    return person


def test_a_segment_is_made_of_three_sentences_and_shows_who_and_why(acme_client, tag, person):
    tagging.put_tag(person.follows.get(), tag)
    page = acme_client.get("/segments/new/")
    assert page.status_code == 200
    fields = {"name": "敏感肌客户", "mode": "simple", "tags": [tag.pk], "save": "1"}
    done = acme_client.post("/segments/new/", fields)
    assert done.status_code == 302
    segment = Segment.objects.get()
    assert segment.tree == tree_of({"all": [{"field": "tag", "op": "any", "value": [tag.pk]}]})
    segments.drain_builds(clock.wall() + __import__("datetime").timedelta(seconds=20))
    shown = acme_client.get(done.url).content.decode()
    assert "王姐" in shown and "「敏感肌」" in shown
    why = acme_client.get(f"/segments/{segment.pk}/why/{person.pk}/").content.decode()
    assert "满足" in why and "敏感肌" in why
    listed = acme_client.get("/segments/").content.decode()
    assert "敏感肌客户" in listed and "已更新" in listed


def test_the_sentences_say_what_was_bought_by_category_product_and_store(acme_client, person):
    """Choosing by what comes first, which of it after that; each is a tree that opens as the same sentences again."""
    shop = make_store("南京路店")
    order = make_order(person, store_id=shop.pk, ordered_at=clock.now())
    cream = Product.objects.create(code="S1", name="面霜", category="护肤")
    OrderLine.objects.create(order=order, position=0, product=cream, name="面霜", quantity=1, amount_minor=100)
    for bought, name, value, leaf in (
        ("category", "categories", "护肤", {"field": "order.category", "op": "any", "value": ["护肤"]}),
        ("product", "products", cream.pk, {"field": "order.line", "op": "count_at_least", "value": 1, "where": {"product": [cream.pk]}}),
        ("store", "stores", shop.pk, {"field": "order", "op": "count_at_least", "value": 1, "where": {"store": [shop.pk]}}),
    ):  # fmt: skip
        asked = acme_client.post("/segments/preview/", {"mode": "simple", "bought": bought})
        assert f'name="{name}"' in asked.content.decode() and f'value="{value}"' in asked.content.decode()
        told = acme_client.post(
            "/segments/preview/", {"mode": "simple", "bought": bought, name: [value], "bought_days": "30"}
        )
        assert told.context["tree"] == tree_of({"all": [{**leaf, "window": {"days": 30}}]})
        assert told.context["count"] == 1
        assert told.context["sentences"] == simple.from_tree(told.context["tree"])


def test_all_eight_ready_made_segments_can_be_used(acme):
    assert len(simple.READY_MADE) == 8
    everything = Asker(frozenset(one.code for one in all_permissions()), frozenset())
    assert simple.available(everything) == list(simple.READY_MADE)


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


def test_a_rule_is_made_enabled_with_its_count_and_shows_what_it_did(acme_client, tag, person, corp):
    stage = Stage.objects.create(key="s1", name="有意向", order=1)
    put = tagging.make_tag("重点", corp=corp)
    fields = {
        "name": "敏感肌打重点",
        "mode": "simple",
        "tags": [tag.pk],
        "tags_add": [put.pk],
        "stage": stage.pk,
        "save": "1",
    }
    done = acme_client.post("/rules/new/", fields)
    rule = Rule.objects.get()
    page = acme_client.get(done.url)
    assert page.context["matching"] == 0
    acme_client.post(f"/rules/{rule.pk}/enable/", {"expected": "0"})
    acme_client.post(f"/contacts/{person.pk}/tags/{tag.pk}/", {"on": "1"})
    while drain_batch():
        pass
    person.refresh_from_db()
    assert person.stage == stage
    assert set(FollowTag.objects.values_list("tag__name", "origin")) == {("敏感肌", "operator"), ("重点", "rule")}
    shown = acme_client.get(f"/rules/{rule.pk}/").content.decode()
    assert "王姐" in shown and "「重点」" in shown
    assert "王姐" in acme_client.get(f"/rules/{rule.pk}/why/{person.pk}/").content.decode()


def test_a_rule_without_conditions_is_refused(acme_client, tag):
    answer = acme_client.post("/rules/new/", {"name": "x", "mode": "simple", "tags_add": [tag.pk], "save": "1"})
    assert answer.status_code == 422
    assert "规则要有条件" in answer.content.decode()


def test_one_tap_on_the_customer_page_puts_a_tag_and_another_takes_it_off(acme_client, tag, person):
    panel = acme_client.post(f"/contacts/{person.pk}/tags/{tag.pk}/", {"on": "1"}, HTTP_HX_REQUEST="true")
    assert "打标中" in panel.content.decode()
    assert OutboundCommand.objects.get().payload == {"add": [tag.pk], "remove": []}
    FollowTag.objects.update(state="on")
    acme_client.post(f"/contacts/{person.pk}/tags/{tag.pk}/", {"on": "0"})
    assert FollowTag.objects.get().state == "removing"


def test_a_guide_tags_her_own_customer_and_no_other(acme, person, guide, tag):
    from contacts.models import MemberAccount

    client = log_in("guide")
    assert client.post(f"/contacts/{person.pk}/tags/{tag.pk}/", {"on": "1"}).status_code == 404
    MemberAccount.objects.create(user=client.user, member=guide)
    assert client.post(f"/contacts/{person.pk}/tags/{tag.pk}/", {"on": "1"}).status_code == 302
    assert FollowTag.objects.get().origin == "guide"


def test_the_dictionary_creates_in_wecom_and_keeps_internal_tags_here(acme_client, corp):
    made = {"name": "肤质", "tags": "油皮\n干皮\n", "corp": corp.pk, "is_exclusive": "on"}
    assert acme_client.post("/tags/groups/", made).status_code == 302
    assert acme_client.post("/tags/groups/", {"name": "内部", "tags": "黑名单"}).status_code == 302
    assert list(OutboundCommand.objects.values_list("kind", flat=True)) == ["tag.create", "tag.create"]
    assert TagGroup.objects.get(name="肤质").is_exclusive
    page = acme_client.get("/tags/").content.decode()
    assert "正在企业微信创建" in page and "黑名单" in page
    console_made = tagging.make_tag("控制台的", corp=corp)
    refused = acme_client.post(f"/tags/{console_made.pk}/rename/", {"name": "新名"}, HTTP_HX_REQUEST="true")
    assert refused.status_code == 422
    assert Tag.objects.get(pk=console_made.pk).name == "控制台的"


def test_the_customer_list_filters_by_tag_and_tags_in_bulk(acme_client, tag, person, guide):
    other = tagging.make_person("李姐", owner=guide, last_added_at=clock.now(), active_follows=1)
    tagging.make_relation(other, guide)
    tagging.put_tag(person.follows.get(), tag)
    listed = acme_client.get(f"/contacts/?tag={tag.pk}").content.decode()
    assert "王姐" in listed and "李姐" not in listed
    asked = acme_client.post("/contacts/bulk/", {"action": "tag", "ids": [person.pk, other.pk], "expected": "2"})
    assert asked.status_code == 200
    done = acme_client.post(
        "/tags/bulk/", {"ids": [person.pk, other.pk], "expected": "2", "add": [tag.pk], "whose": "owner"}
    )
    assert done.status_code == 302
    assert FollowTag.objects.filter(tag=tag).count() == 2
    assert OutboundCommand.objects.count() == 1


def test_pages_cost_a_constant_number_of_queries(acme_client, corp, guide, django_assert_max_num_queries):
    tags = [tagging.make_tag(f"标签{n}", corp=corp) for n in range(8)]
    for n in range(8):
        person = tagging.make_person(f"客户{n}", last_added_at=clock.now())
        tagging.put_tag(tagging.make_relation(person, guide), tags[n])
    for n in range(4):
        segments.save_segment(
            None, name=f"s{n}", tree=tree_of({"field": "tag", "op": "any", "value": [tags[n].pk]}), by=SYSTEM
        )
    for url, limit in (("/tags/", 16), ("/segments/", 22)):
        with django_assert_max_num_queries(limit):
            acme_client.get(url)


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


def test_a_rule_with_each_trigger_and_action_is_made_in_its_form_and_opens_again_as_it_was(acme_client, tag, guide):
    stage = Stage.objects.create(key="s1", name="有意向", order=1)
    segment = Segment.objects.create(name="名单", kind="static", state="fresh", created_at=clock.now())
    forms = {
        "event": {
            "event": "follow.added",
            "ways": "1",
            "states": "code1,code2",
            "weekdays": "6",
            "from": "09:00",
            "to": "18:00",
        },
        "segment": {"trigger_segment": segment.pk, "segment_way": "leave"},
        "stage": {"trigger_stage": stage.pk, "stage_way": "enter"},
        "order": {"amount": "199.00"},
        "schedule": {"every": "week", "weekday": "3", "time": "09:30"},
    }
    acts = {
        "stage": stage.pk, "owner_member": guide.pk, "todo_text": "打电话", "todo_hours": "24", "todo_to": "guide",
        "list_segment": segment.pk, "list_way": "add", "tags_add": [tag.pk],
    }  # fmt: skip
    for kind, fields in forms.items():
        given = {"name": kind, "mode": "simple", "trigger": kind, "daily_cap": "5", **fields, **acts}
        assert acme_client.post("/rules/trigger/", given).status_code == 200
        done = acme_client.post("/rules/new/", {**given, "save": "1"})
        assert done.status_code == 302, kind
        rule = Rule.objects.get(name=kind)
        assert rule.trigger["kind"] == kind and len(rule.actions) == 5 and rule.daily_cap == 5
        page = acme_client.get(f"/rules/{rule.pk}/edit/")
        assert page.context["given"]["trigger"] == rule.trigger
        assert acme_client.get(done.url).status_code == 200
        acme_client.post(f"/rules/{rule.pk}/enable/")
    assert Rule.objects.get(name="event").trigger["states"] == ["code1", "code2"]
    assert Rule.objects.get(name="schedule").next_run_at is not None
    for bad in ({"trigger": "event"}, {"trigger": "schedule", "time": "25:00"}, {"trigger": "order", "amount": "many"}):
        answer = acme_client.post(
            "/rules/new/", {"name": "bad", "mode": "simple", "tags_add": [tag.pk], **bad, "save": "1"}
        )
        assert answer.status_code == 422
    assert "进入阶段「有意向」" in acme_client.get("/rules/").content.decode()


def test_rules_are_put_in_order_and_a_version_says_what_it_changed(acme_client, tag):
    by = {"by": SYSTEM, "trigger": {"kind": "event", "event": "follow.added"}, "tree": tree_of({"all": []})}
    first, second = (
        rules.save_rule(None, name=name, rule_actions=[{"kind": "tag", side: [tag.pk], "whose": "all"}], **by)
        for name, side in (("甲", "add"), ("乙", "remove"))
    )
    rules.enable_rule(first, by=SYSTEM)
    acme_client.post(f"/rules/{second.pk}/earlier/")
    assert list(Rule.objects.order_by("position").values_list("name", flat=True)) == ["乙", "甲"]
    assert "与规则「甲」矛盾" in acme_client.get("/rules/").content.decode()
    rules.save_rule(first, name="甲", rule_actions=first.actions, by=SYSTEM, trigger={"kind": "order"}, tree=by["tree"])
    history = acme_client.get(f"/rules/{first.pk}/history/").content.decode()
    assert "客户下单" in history and "原来:客户动态「添加好友」" in history
    assert acme_client.post("/rules/cap/", {"runs_a_day": "0"}).status_code == 422
    acme_client.post("/rules/cap/", {"runs_a_day": "7"})
    assert acme_client.get("/rules/").context["cap"] == 7


def test_the_record_says_what_wecom_refused_and_asks_once_more(acme_client, tag, person, django_assert_max_num_queries):
    act = [{"kind": "tag", "add": [tag.pk], "whose": "all"}]
    rule = rules.save_rule(
        None, name="r", tree=tree_of({"field": "contact.stage", "op": "empty"}), rule_actions=act, by=SYSTEM
    )
    others = [tagging.make_person(f"客户{n}", last_added_at=clock.now()) for n in range(12)]
    RuleMatch.objects.bulk_create(
        RuleMatch(
            rule=rule, contact=one, rule_version=1, entered_at=clock.now(), outcome={"actions": [{"kind": "tag"}]}
        )
        for one in (person, *others)
    )
    tagging.put_tag(person.follows.get(), tag, origin="rule", rule=rule, state="failed", last_error="已不是好友")
    with django_assert_max_num_queries(45):
        shown = acme_client.get(f"/rules/{rule.pk}/").content.decode()
    assert "企业微信没有接受:已不是好友" in shown
    assert "重新提交失败的标签" in acme_client.get(f"/rules/{rule.pk}/why/{person.pk}/").content.decode()
    acme_client.post(f"/rules/{rule.pk}/retry/{person.pk}/")
    assert FollowTag.objects.get().state == "adding" and OutboundCommand.objects.filter(kind="tag.mark").count() == 1


def test_trials_and_backfills_have_their_pages(acme_client, tag, person):
    act = [{"kind": "tag", "add": [tag.pk], "whose": "all"}]
    rule = rules.save_rule(
        None, name="r", tree=tree_of({"field": "contact.stage", "op": "empty"}), rule_actions=act, by=SYSTEM
    )
    assert acme_client.post(f"/rules/{rule.pk}/dry/", {"days": "91"}).status_code == 422
    acme_client.post(f"/rules/{rule.pk}/dry/", {"days": "2"})
    assert acme_client.post(f"/rules/{rule.pk}/backfill/", {"expected": "1"}).status_code == 422
    rules.enable_rule(rule, by=SYSTEM)
    assert acme_client.get(f"/rules/{rule.pk}/backfill/").context["count"] == 1
    acme_client.post(f"/rules/{rule.pk}/backfill/", {"expected": "1"})
    longjobs.drain(clock.wall() + timedelta(seconds=20))
    assert "每天" in acme_client.get(f"/rules/{rule.pk}/dry/").content.decode()
    page = acme_client.get(f"/rules/{rule.pk}/backfill/")
    job = page.context["jobs"][0]["job"]
    assert page.context["jobs"][0]["counts"]["done"] == 1 and page.context["waiting"] == 1
    acme_client.post(f"/rules/{rule.pk}/backfill/{job.pk}/undo/")
    longjobs.drain(clock.wall() + timedelta(seconds=20))
    assert FollowTag.objects.get().state == "removing"
    assert acme_client.post(f"/rules/{rule.pk}/backfill/{job.pk}/undo/").status_code == 409


def test_who_may_not_see_orders_lets_no_rule_hear_them(acme):
    client = log_in(make_user(permissions=["rules.view", "rules.edit", "segments.view", "tags.view", "contacts.view"]))
    tag = tagging.make_tag("大单")
    fields = {
        "name": "大单",
        "mode": "simple",
        "trigger": "order",
        "at_least": "100",
        "tags_add": [tag.pk],
        "save": "1",
    }
    refused = client.post("/rules/new/", fields)
    assert refused.status_code == 422 and "您看不到" in refused.content.decode()
    assert not Rule.objects.exists()
