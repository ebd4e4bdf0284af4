"""Tags, segments and rules as people use them."""

import json

import pytest

from conditions import registry
from conditions.drain import drain_batch
from contacts.models import Stage
from scrm.lib import clock
from tagging.models import FollowTag, Rule, Segment, Tag, TagGroup
from tagging.services import segments
from tenants.audit import SYSTEM
from tests.support import tagging
from tests.support.core import log_in
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


def test_pasted_json_is_checked_and_names_the_path(acme_client, tag):
    bad = {"version": 1, "root": {"all": [{"field": "tag", "op": "any", "value": [tag.pk, 99]}]}}
    answer = acme_client.post("/segments/preview/", {"mode": "tree", "use_json": "1", "json": json.dumps(bad)})
    assert "root.all[0].value[1]" in answer.content.decode()
    broken = acme_client.post("/segments/preview/", {"mode": "tree", "use_json": "1", "json": "{"})
    assert "不是 JSON" in broken.content.decode()


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
    for url, limit in (("/tags/", 14), ("/segments/", 22)):
        with django_assert_max_num_queries(limit):
            acme_client.get(url)


def test_every_registered_field_can_be_shown_in_the_editor(acme_client):
    for field in registry.all_fields():
        answer = acme_client.post(
            "/segments/preview/", {"mode": "tree", "shape": "[0]", "f:r.0": field.key, "o:r.0": field.allowed[0].key}
        )
        assert answer.status_code == 200, field.key
