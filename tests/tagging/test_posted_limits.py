"""What a form or a body can carry is bounded, and what is beyond is told in a sentence, never an error of ours."""

import json

import pytest
from django.http import QueryDict
from django.test import Client

from accounts.services import tokens
from conditions import posting
from contacts.services.imports.registry import BadCell
from scrm.lib.errors import UserError
from tagging import triggers
from tagging.models import Rule
from tagging.services.pretag_imports import _days
from tenants.audit import SYSTEM
from tests.support import tagging

pytestmark = pytest.mark.django_db
LONG = "9" * 5000
BIG = str(10**30)


def form(**fields):
    tag = tagging.make_tag("重点")
    given = {
        "name": "r",
        "mode": "simple",
        "trigger": "event",
        "event": "follow.added",
        "tags_add": [tag.pk],
        "save": "1",
    }
    return {**given, **fields}


def text(answer):
    return answer.content.decode()


def shaped(width, boxes):
    post = QueryDict(mutable=True)
    post["shape"] = json.dumps([[0] * width] * boxes)
    return post


def test_a_form_of_more_rows_than_anybody_edits_is_refused_in_a_sentence(acme_client):
    huge = {"mode": "tree", "shape": json.dumps([[[0] * 100] * 100] * 20)}
    answer = acme_client.post("/segments/preview/", huge)
    assert answer.status_code == 422 and "条件太大了" in text(answer)
    with pytest.raises(UserError, match="条件太大了"):
        posting.from_post(shaped(100, 4))
    assert len(posting.from_post(shaped(99, 4)).children) == 4


def test_pasted_boxes_that_could_not_be_read_back_leave_what_stood_there(acme_client):
    node = {"field": "contact.name", "op": "is", "value": "王姐"}
    for _ in range(6):
        node = {"any": [node]}
    pasted = json.dumps({"version": 1, "root": {"all": [node] * 70}})
    answer = acme_client.post("/segments/preview/", {"mode": "tree", "shape": "[]", "use_json": "1", "json": pasted})
    assert answer.status_code == 200 and answer.context["errors"] and answer.context["tree"]["root"] == {"all": []}


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"ways": ["77"]}, "添加方式里有不认识的"),
        ({"ways": [LONG]}, "添加方式里有不认识的"),
        ({"weekdays": ["8"]}, "周几里有不认识的"),
        ({"states": " ".join(f"s{n}" for n in range(60))}, "渠道最多写 50 个"),
        ({"states": "s" * 65}, "渠道最多写 50 个,每个最多 64 个字"),
        ({"event": "group.joined", "groups": [str(n) for n in range(1, 300)]}, "最多选 200 个客户群"),
        ({"event": "group.joined", "groups": ["999999"]}, "客户群已经不在"),
        ({"event": "group.joined", "groups": [LONG]}, "客户群已经不在"),
        ({"event": "no.such"}, "请选择哪一种动态"),
        ({"trigger": "stage", "trigger_stage": LONG}, "请选择阶段"),
        ({"trigger": "segment", "trigger_segment": BIG}, "请选择人群"),
        ({"trigger": "schedule", "every": "week", "weekday": LONG, "time": "09:00"}, "请选择周几"),
        ({"stage": LONG}, "请选择要改成的阶段"),
        ({"stage": BIG}, "请选择要改成的阶段"),
        ({"tags_add": [LONG]}, "标签已被删除"),
        ({"tags_add": [BIG]}, "标签已被删除"),
        ({"tags_add": [str(n) for n in range(1, 150)]}, "最多打上和去掉 100 个标签"),
    ],
)
def test_what_a_rule_is_narrowed_by_exists_and_is_bounded(acme_client, fields, sentence):
    answer = acme_client.post("/rules/new/", form(**fields))
    assert answer.status_code == 422 and sentence in text(answer) and not Rule.objects.exists()


def test_a_way_that_is_no_number_is_not_taken_for_the_unknown_source():
    params = triggers.from_post(QueryDict("trigger=event&event=follow.added&ways=abc"))
    assert triggers.problems_of(params)
    assert not triggers.problems_of(triggers.from_post(QueryDict("trigger=event&event=follow.added&ways=0&ways=1")))


@pytest.mark.parametrize("act", [f"up:r.{LONG}", f"copy:r.{LONG}.0", f"move:r.0>r:{LONG}"])
def test_a_button_that_names_no_row_does_nothing(acme_client, act):
    sent = {"mode": "tree", "shape": "[0,0]", "f:r.0": "contact.name", "f:r.1": "contact.name", "act": act}
    assert acme_client.post("/segments/preview/", sent).status_code == 200


@pytest.mark.parametrize("amount", ["1e999999", "1e99999", LONG, "NaN", "-Infinity"])
def test_an_amount_beyond_all_money_is_no_amount(acme_client, amount):
    sent = {"mode": "tree", "shape": "[0]", "f:r.0": "order", "o:r.0": "sum_at_least", "v:r.0": amount, "w:r.0": "days"}
    answer = acme_client.post("/segments/preview/", sent)
    assert answer.status_code == 200 and answer.context["count"] is None and "要填金额" in text(answer)


def test_days_of_a_pre_tag_are_days(acme):
    assert _days("180") == 180
    for bad in ("1" * 5000, "000001" + LONG, "0", "x"):
        with pytest.raises(BadCell):
            _days(bad)


def test_a_group_of_tags_is_made_in_no_company_of_endless_digits(acme_client):
    assert acme_client.post("/tags/groups/", {"corp": LONG, "name": "组", "tags": "甲"}).status_code < 500


# --- The API ----------------------------------------------------------------------------------------------------


@pytest.fixture
def client(acme):
    _row, secret = tokens.create_token("接口", ["*"], by=SYSTEM)
    return Client(HTTP_HOST="acme.testserver", HTTP_AUTHORIZATION=f"Bearer {secret}")


@pytest.mark.parametrize("opens", ['{"tree":' * 50_000 + "1" + "}" * 50_000, "[" * 100_000 + "]" * 100_000])
def test_a_body_nested_beyond_reading_is_refused_as_no_json(client, opens):
    answer = client.post("/api/v1/conditions/count/", opens, content_type="application/json")
    assert answer.status_code == 400 and "嵌套太深" in answer.json()["error"]["message"]


def test_numbers_beyond_the_database_are_nobodys(client, corp):
    tag = tagging.make_tag("重点", corp=corp)

    def post(path, body):
        return client.post(f"/api/v1/{path}", json.dumps(body), content_type="application/json")

    assert post("tags/", {"group_id": 10**30, "name": "x"}).status_code in (400, 404, 422)
    for mark in ({"contact_id": 10**30, "add": [tag.pk]}, {"contact_id": 1, "add": [10**30]}):
        assert post("tags/marks/", {"marks": [mark]}).status_code < 500
    assert client.get(f"/api/v1/contacts/{10**30}/tags/").status_code == 404
    assert client.get(f"/api/v1/segments/{LONG}/").status_code == 404
    leaf = {"field": "tag", "op": "any", "value": [10**30]}
    assert post("conditions/count/", {"tree": {"version": 1, "root": {"all": [leaf]}}}).status_code == 422
