"""/api/v1/: tags read and written, segments listed, explained and counted."""

import json
from typing import Any

import pytest
from django.test import Client

from accounts.services import tokens
from contacts.models import BulkChange, Contact
from scrm.lib import clock
from tagging.models import FollowTag, Segment, SegmentEntry, Tag
from tagging.services.marks import mark_tags
from tenants.audit import SYSTEM
from tests.support import tagging
from tests.support.contacts import make_field
from tests.support.tagging import tree_of
from wecom_bridge.models import OutboundCommand

pytestmark = pytest.mark.django_db


@pytest.fixture
def call(acme: Any) -> Any:
    """call(method, path, body): the answer's status and JSON, with a token for everything."""
    _row, text = tokens.create_token("接口", ["*"], by=SYSTEM)
    client = Client(HTTP_HOST="acme.testserver", HTTP_AUTHORIZATION=f"Bearer {text}")

    def ask(method: str, path: str, body: Any = None) -> tuple[int, Any]:
        given = {} if body is None else {"data": json.dumps(body), "content_type": "application/json"}
        answer = getattr(client, method)(f"/api/v1/{path}", **given)
        return answer.status_code, json.loads(answer.content) if answer.content else None

    return ask


@pytest.fixture
def person(guide: Any) -> Contact:
    person = tagging.make_person("王姐", owner=guide, active_follows=1)
    tagging.make_relation(person, guide)
    return person


def test_tags_are_made_renamed_and_deleted_with_wecom_behind(call, corp):
    group = tagging.make_tag("油皮", corp=corp, is_ours=True).group
    status, made = call("post", "tags/", {"group_id": group.pk, "name": "干皮"})
    assert (status, made["name"], made["wecom_tag_id"], made["is_ours"]) == (201, "干皮", None, True)
    assert call("post", "tags/", {"group_id": group.pk, "name": "干皮"})[0] == 422
    Tag.objects.filter(pk=made["id"]).update(wecom_tag_id="et-dry")
    status, renamed = call("patch", f"tags/{made['id']}/", {"name": "偏干"})
    assert (status, renamed["name"]) == (200, "偏干")
    assert call("delete", f"tags/{made['id']}/")[0] == 204
    kinds = list(OutboundCommand.objects.order_by("pk").values_list("kind", flat=True))
    assert kinds == ["tag.create", "tag.rename", "tag.delete"]


def test_a_tag_made_elsewhere_is_not_renamed_and_says_where(call, corp):
    tag = tagging.make_tag("后台建的", corp=corp)
    status, refused = call("patch", f"tags/{tag.pk}/", {"name": "新名"})
    assert status == 422 and "企业微信管理后台" in refused["error"]["message"]


def test_people_are_marked_in_a_batch_and_each_bad_row_says_why(call, corp, guide, person):
    tag, gone = tagging.make_tag("重点", corp=corp), tagging.make_tag("旧", corp=corp, deleted_at=clock.now())
    alone = tagging.make_person("无好友")
    marks = [
        {"contact_id": person.pk, "add": [tag.pk]},
        {"contact_id": person.pk, "add": [tag.pk]},
        {"contact_id": alone.pk, "add": [tag.pk]},
        {"contact_id": 10**12, "add": [tag.pk]},
        {"contact_id": tagging.make_person("旧标签").pk, "add": [gone.pk]},
        {"contact_id": tagging.make_person("两边").pk, "add": [tag.pk], "remove": [tag.pk]},
        {"contact_id": tagging.make_person("空").pk},
    ]
    status, report = call("post", "tags/marks/", {"marks": marks})
    assert (status, report["changed"]) == (200, 1)
    assert set(report["rejected"]) == set("123456") and "没有这位客户" in report["rejected"]["3"]
    mark = FollowTag.objects.get()
    assert (mark.origin, mark.state) == ("api", "adding")
    assert call("post", "tags/marks/", {"marks": marks[:1]})[1] == {"changed": 0, "rejected": {}, "change_id": None}
    shown = call("get", f"contacts/{person.pk}/tags/")[1]["results"]
    assert [(one["tag"], one["origin"], one["userid"]) for one in shown] == [("重点", "api", guide.userid)]


def test_a_person_takes_back_what_a_token_put_on_where_it_still_is_so(call, corp, guide, person, acme_client):
    new, old = tagging.make_tag("重点", corp=corp), tagging.make_tag("内部")
    other = tagging.make_person("李姐", owner=guide, active_follows=1)
    follow = tagging.make_relation(other, guide)
    tagging.put_tag(follow, old, tagged_at=tagging.NOW)
    marks = [{"contact_id": person.pk, "add": [new.pk]}, {"contact_id": other.pk, "add": [new.pk], "remove": [old.pk]}]
    report = call("post", "tags/marks/", {"marks": marks})[1]
    change = BulkChange.objects.get(pk=report["change_id"])
    assert (report["changed"], change.total, change.changed) == (3, 2, 2)
    assert set(FollowTag.objects.values_list("origin", "via")) == {("api", f"bulk:{change.pk}")}
    mark_tags([person.follows.get().pk], remove=[new.pk], origin="operator", by=SYSTEM)
    assert "API 令牌「接口」" in acme_client.get("/contacts/bulk/changes/").content.decode()
    assert acme_client.post(f"/contacts/bulk/changes/{change.pk}/undo/").status_code == 302
    change.refresh_from_db()
    assert (change.undone, change.kept) == (1, 1)
    assert list(follow.follow_tags.filter(state__in=("on", "adding")).values_list("tag__name", flat=True)) == ["内部"]


def test_two_tags_of_an_exclusive_group_are_refused_with_a_sentence(call, corp, person):
    silver = tagging.make_tag("银卡", corp=corp)
    silver.group.is_exclusive = True
    silver.group.save()
    gold = tagging.make_tag("金卡", silver.group, corp=corp)
    row = {"contact_id": person.pk, "add": [silver.pk, gold.pk]}
    report = call("post", "tags/marks/", {"marks": [row]})[1]
    assert report["changed"] == 0 and "只能有一个" in report["rejected"]["0"]
    assert not FollowTag.objects.exists()


def test_a_merged_customer_is_marked_as_who_she_is_now(call, corp, guide, person):
    branch = tagging.make_person("旧号", root=person)
    tag = tagging.make_tag("重点", corp=corp)
    assert call("post", "tags/marks/", {"marks": [{"contact_id": branch.pk, "add": [tag.pk]}]})[1]["changed"] == 1
    assert FollowTag.objects.get().contact == person


def test_a_segment_tells_who_is_in_it_and_why(call, guide, person):
    tree = tree_of({"all": [{"field": "contact.friends", "op": "gte", "value": 1}]})
    segment = Segment.objects.create(name="好友", tree=tree, created_at=clock.now(), state="fresh")
    SegmentEntry.objects.create(segment=segment, contact=person, entered_at=clock.now())
    assert [row["contact_id"] for row in call("get", f"segments/{segment.pk}/entries/")[1]["results"]] == [person.pk]
    status, told = call("get", f"segments/{segment.pk}/explain/?contact_id={person.pk}")
    assert status == 200 and told["is_member"] is True
    assert [clause["holds"] for clause in told["clauses"]] == [True, True]
    assert call("get", f"segments/{segment.pk}/explain/?contact_id=abc")[0] == 400
    assert call("get", f"segments/{segment.pk}/explain/?contact_id={10**12}")[0] == 404


def test_a_tree_is_counted_and_a_bad_one_is_refused_with_its_path(call, person):
    tree = tree_of({"all": [{"field": "contact.friends", "op": "gte", "value": 1}]})
    status, counted = call("post", "conditions/count/", {"tree": tree})
    assert (status, counted["count"]) == (200, 1) and "好友导购数" in counted["words"]
    status, refused = call("post", "conditions/count/", {"tree": tree_of({"all": [{"field": "nope", "op": "is"}]})})
    assert status == 422 and refused["error"]["fields"] == {"root.all[0].field": "没有「nope」这个字段,请另选一个"}
    assert call("post", "conditions/count/", {"tree": 5})[0] == 422


def test_the_language_is_told_as_data(call, corp):
    tag = tagging.make_tag("油皮", corp=corp)
    fields = {one["key"]: one for one in call("get", "conditions/fields/")[1]["results"]}
    assert {"value": tag.pk, "label": "油皮", "group": tag.group.name} in fields["tag"]["options"]
    assert [one["key"] for one in fields["contact.opt_out"]["operators"]] == ["yes", "no"]


def test_a_token_asks_only_what_its_scopes_read(acme, guide, person):
    make_field("年收入", key="income", api="none")
    make_field("肤质", key="skin", api="read")
    _row, text = tokens.create_token("只读人群", ["segments:read", "segments:write"], by=SYSTEM)
    client = Client(HTTP_HOST="acme.testserver", HTTP_AUTHORIZATION=f"Bearer {text}")
    told = {one["key"] for one in client.get("/api/v1/conditions/fields/").json()["results"]}
    assert "segment" in told and not told & {"order", "tag", "custom.income", "event.order.paid"}

    def count(leaf: dict[str, Any]) -> int:
        body = json.dumps({"tree": tree_of(leaf)})
        return client.post("/api/v1/conditions/count/", body, content_type="application/json").status_code

    assert count({"field": "order", "op": "count_at_least", "value": 1}) == 422
    assert count({"field": "custom.income", "op": "not_empty"}) == 422
    everything = tokens.create_token("全部", ["*"], by=SYSTEM)[1]
    client = Client(HTTP_HOST="acme.testserver", HTTP_AUTHORIZATION=f"Bearer {everything}")
    assert count({"field": "order", "op": "count_at_least", "value": 1}) == 200
    assert count({"field": "custom.skin", "op": "not_empty"}) == 200
    assert count({"field": "custom.income", "op": "not_empty"}) == 422
