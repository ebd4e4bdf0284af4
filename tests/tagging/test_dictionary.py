"""The dictionary without WeCom: order, notes, one tag's page, why it is on somebody, exclusive groups."""

import threading

import pytest
from django.db import transaction

from accounts.models import User
from contacts.models import Contact
from scrm.lib import clock
from scrm.lib.errors import UserError
from tagging import similar, tag_readers
from tagging.models import FollowTag, Rule, TagGroup
from tagging.rule_words import outcome_in_words
from tagging.services import dictionary, exclusive, ordering
from tagging.services.marks import mark_tags
from tagging.services.ordering import new_orders
from tenants.audit import SYSTEM
from tests.support import tagging
from tests.support.contacts import make_store
from tests.support.core import in_thread, log_in, make_user
from tests.support.tagging import tree_of
from wecom_bridge.models import OutboundCommand

pytestmark = pytest.mark.django_db


@pytest.fixture
def person(guide):
    person = tagging.make_person("王姐", owner=guide, last_added_at=clock.now(), active_follows=1)
    tagging.make_relation(person, guide)
    return person


# --- Order ------------------------------------------------------------------------------------------------------


def test_rows_that_trade_places_trade_numbers_and_ties_are_spread():
    assert new_orders([(1, 5, True), (3, 2, True), (2, 3, True)]) == {1: 5, 3: 3, 2: 2}
    assert new_orders([(1, 0, True), (2, 0, True), (3, 0, True)]) == {1: 2, 2: 1, 3: 0}


def test_what_cannot_be_moved_keeps_its_number_or_the_order_is_refused():
    assert new_orders([(1, 0, True), (2, 7, False), (3, 0, True)]) == {1: 8, 2: 7, 3: 0}
    assert new_orders([(9, 4, False), (1, 0, True), (2, 0, True)]) == {9: 4, 1: 1, 2: 0}
    assert new_orders([(9, 1, False), (1, 0, True), (2, 0, True)]) is None  # no room below it
    assert new_orders([(2, 3, False), (1, 3, False)]) is None  # two that cannot be moved do not change places
    assert new_orders([(1, 2**32 - 1, False), (2, 0, True)]) == {1: 2**32 - 1, 2: 0}
    assert new_orders([(2, 0, True), (1, 2**32 - 1, False)]) is None


def test_up_down_and_dragging_put_tags_and_groups_in_order(acme_client, corp):
    acme_client.post("/tags/groups/", {"name": "肤质", "tags": "油皮\n干皮\n敏感肌", "corp": corp.pk})
    group = TagGroup.objects.get()
    oily, dry, touchy = group.tags.order_by("pk")
    for number, tag in enumerate((oily, dry, touchy)):
        tag.wecom_tag_id = f"et{number}"
        tag.save(update_fields=["wecom_tag_id"])
    acme_client.post(f"/tags/{touchy.pk}/order/", {"to": "earlier"})
    assert [tag.name for tag in ordering.tags_in_order(group)] == ["油皮", "敏感肌", "干皮"]
    acme_client.post(f"/tags/{dry.pk}/order/", {"move_to": oily.pk})
    assert [tag.name for tag in ordering.tags_in_order(group)] == ["干皮", "油皮", "敏感肌"]
    told = OutboundCommand.objects.filter(kind="tag.rename").order_by("pk").values_list("payload", flat=True)
    assert all(set(payload) == {"order", "order_before"} for payload in told) and len(told) >= 3
    acme_client.post("/tags/groups/", {"name": "内部一", "tags": "甲"})
    acme_client.post("/tags/groups/", {"name": "内部二", "tags": "乙"})
    first, second = TagGroup.objects.filter(kind="internal").order_by("pk")
    acme_client.post(f"/tags/groups/{second.pk}/order/", {"to": "earlier"})
    assert list(ordering.groups_in_order(first)) == [second, first]
    gone = acme_client.post(f"/tags/{dry.pk}/order/", {"move_to": 10**9}, HTTP_HX_REQUEST="true")
    assert gone.status_code == 422


# --- Notes and pages --------------------------------------------------------------------------------------------


def test_a_tag_says_what_it_means_who_reads_it_and_why_it_is_on_somebody(acme_client, corp, guide, person):
    tag = tagging.make_tag("敏感肌", corp=corp)
    owner = User.objects.get(username=acme_client.user.username)
    text = {"definition": "换季会泛红,新客问诊后打", "owner": owner.pk, "colour": "teal"}
    assert acme_client.post(f"/tags/{tag.pk}/describe/", text).status_code == 302
    wrong = acme_client.post(f"/tags/{tag.pk}/describe/", {**text, "colour": "plaid"}, HTTP_HX_REQUEST="true")
    assert wrong.status_code == 422
    Rule.objects.create(
        name="问诊", tree=tree_of({"not": {"field": "tag", "op": "any", "value": [tag.pk]}}), created_at=clock.now()
    )
    chosen = {"ids": [person.pk], "expected": "1", "add": [tag.pk], "whose": "owner"}
    acme_client.post("/tags/bulk/", chosen)
    mark = FollowTag.objects.get()
    assert mark.via and mark.via.startswith("bulk:") and mark.actor_id == owner.pk
    page = acme_client.get(f"/tags/{tag.pk}/").content.decode()
    for words in ("换季会泛红", owner.display_name, "规则「问诊」", "王姐", "批量操作「打标签「敏感肌」」", "青"):
        assert words in page, words
    assert "批量操作「打标签「敏感肌」」" in acme_client.get(f"/contacts/{person.pk}/").content.decode()
    assert "敏感肌" in acme_client.get("/tags/?q=泛红").content.decode()
    other = acme_client.get("/tags/?only=undefined").content.decode()
    assert f"/tags/{tag.pk}/" not in other and "没有符合条件的标签" in other
    assert f"/tags/{tag.pk}/" in acme_client.get(f"/tags/?owner={owner.pk}&kind=corp&only=foreign").content.decode()


def test_the_tag_page_shows_people_of_ones_scope_only(acme, corp, guide, person):
    tag = tagging.make_tag("敏感肌", corp=corp)
    tagging.put_tag(person.follows.get(), tag)
    assert "王姐" not in log_in("guide").get(f"/tags/{tag.pk}/").content.decode()


def test_only_who_sees_everybody_changes_the_dictionary(acme, corp):
    tag = tagging.make_tag("敏感肌", corp=corp)
    client = log_in("store", scope=make_store())
    group, one = f"/tags/groups/{tag.group_id}", f"/tags/{tag.pk}"
    for path in ("/tags/groups/", *(f"{group}/{act}" for act in ("", "delete/", "order/", "tags/"))):
        assert client.post(path, {"name": "新", "tags": "甲"}).status_code == 403, path
    for act in ("rename", "delete", "order", "describe"):
        assert client.post(f"{one}/{act}/", {"name": "新", "to": "later"}).status_code == 403, act
    tag.refresh_from_db()
    assert (tag.name, tag.deleted_at, TagGroup.objects.count()) == ("敏感肌", None, 1)
    page = client.get("/tags/").content.decode()
    assert "敏感肌" in page and "新建标签组" not in page and "修改说明" not in client.get(f"{one}/").content.decode()


def test_names_of_what_reads_a_tag_are_told_only_to_who_may_see_them(acme, corp, person):
    tag = tagging.make_tag("敏感肌", corp=corp)
    Rule.objects.create(
        name="秘密规则",
        tree=tree_of({"field": "tag", "op": "any", "value": [tag.pk]}),
        actions=[],
        created_at=clock.now(),
    )
    tagging.put_tag(person.follows.get(), tag)
    closed = log_in(make_user(permissions=["tags.view"])).get(f"/tags/{tag.pk}/").content.decode()
    assert "秘密规则" not in closed and "另有 1 处" in closed and "王姐" not in closed
    opened = (
        log_in(make_user(permissions=["tags.view", "rules.view", "contacts.view"]))
        .get(f"/tags/{tag.pk}/")
        .content.decode()
    )
    assert "秘密规则" in opened and "另有" not in opened and "王姐" in opened


def test_a_name_too_long_for_a_tag_is_compared_with_nothing(acme, corp):
    index = similar.Index([tagging.make_tag("敏感肌", corp=corp)])
    assert index.like("敏感机") and not index.like("敏" * 3_000_000)


def test_a_group_has_its_notes_and_a_foreign_one_keeps_its_name(acme_client, corp):
    group = tagging.make_tag("敏感肌", corp=corp).group
    TagGroup.objects.filter(pk=group.pk).update(is_ours=False, name="肤质")
    page = acme_client.get(f"/tags/groups/{group.pk}/").content.decode()
    assert "只读" in page and "删除标签组" not in page
    acme_client.post(f"/tags/groups/{group.pk}/", {"note": "问诊用", "is_exclusive": "on"})
    group.refresh_from_db()
    assert (group.name, group.note, group.is_exclusive) == ("肤质", "问诊用", True)
    with pytest.raises(UserError, match="不是本系统创建"):
        dictionary.delete_group(group, by=SYSTEM)
    inner = tagging.make_tag("黑名单").group
    acme_client.post(f"/tags/groups/{inner.pk}/delete/")
    inner.refresh_from_db()
    assert inner.deleted_at is not None and not inner.tags.filter(deleted_at__isnull=True).exists()


def test_trees_name_tags_wherever_they_stand_and_let_them_be_replaced():
    leaf = {"field": "tag.owner", "op": "all", "value": [3, 4]}
    tree = tree_of({"all": [{"not": leaf}, {"field": "contact.stage", "op": "in", "value": [3]}]})
    assert tag_readers.tags_named(tree) == {3, 4}
    replaced = tag_readers.with_tags_replaced(tree, {3: 4})
    assert replaced["root"]["all"][0]["not"]["value"] == [4] and replaced["root"]["all"][1]["value"] == [3]


# --- Exclusive groups -------------------------------------------------------------------------------------------


def test_conflicts_inside_an_exclusive_group_are_listed_and_the_latest_is_kept(acme_client, corp, guide, person):
    dry = tagging.make_tag("干皮", corp=corp)
    oily = tagging.make_tag("油皮", dry.group, corp=corp)
    TagGroup.objects.filter(pk=dry.group_id).update(is_exclusive=True)
    other = tagging.make_relation(person, tagging.make_member(corp))
    tagging.put_tag(person.follows.exclude(pk=other.pk).get(), dry)
    page = f"/tags/groups/{dry.group_id}/conflicts/"
    assert "没有这样的客户" in acme_client.get(page).content.decode()
    tagging.put_tag(other, oily, tagged_at=clock.now())
    assert "王姐" in acme_client.get(page).content.decode()
    acme_client.post(page + "latest/", {"person": person.pk})
    assert {mark.tag.name: mark.state for mark in FollowTag.objects.all()} == {"干皮": "removing", "油皮": "on"}
    assert OutboundCommand.objects.get().payload == {"add": [], "remove": [dry.pk]}
    assert not exclusive.conflicting_people(dry.group, Contact.objects.all()).exists()


@pytest.mark.django_db(transaction=True)
def test_of_two_tags_of_an_exclusive_group_put_on_at_the_same_instant_one_stands(acme):
    corp = tagging.make_corp()
    follow = tagging.make_relation(tagging.make_person(), tagging.make_member(corp))
    dry = tagging.make_tag("干皮")
    oily = tagging.make_tag("油皮", dry.group)
    TagGroup.objects.filter(pk=dry.group_id).update(is_exclusive=True)
    put, go_on = threading.Event(), threading.Event()

    def first():
        with transaction.atomic():
            mark_tags([follow.pk], add=[dry.pk], origin="operator", by=SYSTEM)
            put.set()
            go_on.wait(0.5)  # the second waits for this one, so nobody sets it

    thread = in_thread(first)
    put.wait(20)
    mark_tags([follow.pk], add=[oily.pk], origin="operator", by=SYSTEM)
    thread.result()
    assert list(FollowTag.objects.values_list("tag__name", flat=True)) == ["油皮"]


def test_every_reason_for_doing_nothing_has_words(acme):
    for reason in ("tags_merged", "merged", "first_sync"):
        assert outcome_in_words({"baseline": reason}, Rule(name="规则"), ()), reason
