"""Tags and segments as people use them."""

from datetime import timedelta

import pytest

from accounts.permissions import all_permissions
from commerce.models import OrderLine, Product
from conditions.registry import Asker
from contacts.models import MemberAccount
from scrm.lib import clock
from tagging import simple
from tagging.models import FollowTag, Segment, Tag, TagGroup
from tagging.services import merging, segments
from tagging.services.segment_pins import pin
from tenants.audit import SYSTEM
from tests.support import tagging
from tests.support.commerce import make_order
from tests.support.contacts import make_store
from tests.support.core import log_in
from tests.support.tagging import tree_of
from wecom_bridge.models import OutboundCommand

pytestmark = pytest.mark.django_db


def has(tag):
    return tree_of({"field": "tag", "op": "any", "value": [tag.pk]})


def test_a_segment_is_made_of_three_sentences_and_shows_who_and_why(acme_client, tag, person):
    tagging.put_tag(person.follows.get(), tag)
    page = acme_client.get("/segments/new/")
    assert page.status_code == 200
    fields = {"name": "敏感肌客户", "mode": "simple", "tags": [tag.pk], "save": "1"}
    done = acme_client.post("/segments/new/", fields)
    assert done.status_code == 302
    segment = Segment.objects.get()
    assert segment.tree == tree_of({"all": [{"field": "tag", "op": "any", "value": [tag.pk]}]})
    segments.drain_builds(clock.wall() + timedelta(seconds=20))
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


def test_one_tap_on_the_customer_page_puts_a_tag_and_another_takes_it_off(acme_client, tag, person):
    panel = acme_client.post(f"/contacts/{person.pk}/tags/{tag.pk}/", {"on": "1"}, HTTP_HX_REQUEST="true")
    assert "打标中" in panel.content.decode()
    assert OutboundCommand.objects.get().payload == {"add": [tag.pk], "remove": []}
    FollowTag.objects.update(state="on")
    acme_client.post(f"/contacts/{person.pk}/tags/{tag.pk}/", {"on": "0"})
    assert FollowTag.objects.get().state == "removing"


def test_a_guide_tags_her_own_customer_and_no_other(acme, person, guide, tag):
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


def test_who_is_kept_out_by_hand_is_listed_with_the_reason_and_the_way_back(acme_client, tag, person):
    segment = segments.save_segment(None, name="s", tree=has(tag), by=SYSTEM)
    pin(segment, [person.pk], is_in=False, reason="投诉中", by=SYSTEM)
    segments.build_segment(segment)
    page = acme_client.get(f"/segments/{segment.pk}/").content.decode()
    assert "固定排除:投诉中" in page and f"/segments/{segment.pk}/why/{person.pk}/" in page
    stranger = log_in("guide").get(f"/segments/{segment.pk}/")
    assert "投诉中" not in stranger.content.decode(), "nobody of hers"


def test_a_segment_says_why_its_list_is_empty(acme_client, tag):
    def shown(segment):
        return acme_client.get(f"/segments/{segment.pk}/").content.decode()

    segment = segments.save_segment(None, name="s", tree=has(tag), by=SYSTEM)
    assert "正在第一次计算" in shown(segment) and "现在没有客户符合" not in shown(segment)
    Segment.objects.filter(pk=segment.pk).update(state="failed", last_error="标签已删除")
    assert "还没有算出名单" in shown(segment) and "人数可能不是最新" not in shown(segment)
    segments.build_segment(segments.save_segment(segment, name="s", tree=has(tag), by=SYSTEM))
    assert "现在没有客户符合" in shown(segment)
    fixed = segments.create_list(name="名单", by=SYSTEM)
    assert "名单里还没有客户" in shown(fixed)
    segments.archive_segment(fixed, by=SYSTEM)
    assert "已归档" in shown(fixed)


def test_what_asks_anew_as_a_whole_puts_no_page_into_itself(acme_client, corp):
    """A bar of progress without an address of its own would ask for the page, and be replaced by all of it."""
    old, kept = (tagging.make_tag(name, corp=corp) for name in ("敏感皮", "敏感肌"))
    merge = merging.start(old, kept, by=SYSTEM)
    page = acme_client.get(f"/tags/merges/{merge.pk}/").content.decode()
    assert "排队中" in page and 'hx-get=""' not in page


def test_merging_a_tag_that_nobody_has_does_not_call_it_internal(acme_client, corp):
    old, kept = (tagging.make_tag(name, corp=corp) for name in ("敏感皮", "敏感肌"))
    page = acme_client.get(f"/tags/{old.pk}/merge/?kept={kept.pk}").content.decode()
    assert "内部标签只在本系统" not in page and "还没有客户有旧标签" in page
