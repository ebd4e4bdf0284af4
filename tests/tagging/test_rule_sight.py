"""Whoever may not see what a rule asks learns its name and that, nothing of people by it; nor by an explanation."""

from datetime import timedelta

import pytest
from django.test import Client

from accounts.models import Role
from accounts.services import tokens
from conditions import registry
from conditions.drain import drain_batch
from conditions.explain import explain
from conditions.operators import ValueType
from conditions.registry import Asker, Field, Option, Trait
from contacts import longjobs
from scrm.lib import clock
from tagging.models import FollowTag, Rule, RuleMatch
from tagging.services import rules
from tenants.audit import SYSTEM
from tenants.ledger.models import Job
from tests.support import tagging
from tests.support.consuming import built
from tests.support.contacts import make_field
from tests.support.core import grant, log_in, make_user
from tests.support.tagging import tree_of

pytestmark = pytest.mark.django_db
RULES = ["rules.view", "rules.edit", "segments.view", "tags.view", "tags.edit", "contacts.view", "contacts.edit"]


@pytest.fixture
def tag(corp):
    return tagging.make_tag("重点", corp=corp)


@pytest.fixture
def sick(guide):
    """A customer of whom a field for doctors alone knows something."""
    doctor = Role.objects.create(name="医生", permissions=RULES)
    make_field("病史", key="illness", see_roles=[doctor.pk])
    person = tagging.make_person("王病人", owner=guide, last_added_at=clock.now(), custom={"illness": "花粉过敏"})
    tagging.make_relation(person, guide)
    return person


def asks_illness():
    return tree_of({"all": [{"field": "custom.illness", "op": "contains", "value": "花粉"}]})


@pytest.fixture
def rule(sick, tag):
    """On, and it took her."""
    saved = rules.save_rule(
        None,
        name="过敏打标",
        tree=asks_illness(),
        rule_actions=[{"kind": "tag", "add": [tag.pk], "whose": "all"}],
        by=SYSTEM,
    )
    rules.enable_rule(saved, act_on_existing=True, by=SYSTEM)
    while drain_batch():
        pass
    assert RuleMatch.objects.filter(rule=saved, contact=sick).exists()
    return saved


@pytest.fixture
def outsider(acme):
    """She makes rules, and is no doctor."""
    return log_in(make_user(permissions=RULES))


@pytest.fixture
def doctor(sick):
    user = make_user(None)
    grant(user, Role.objects.get(name="医生"), "all")
    return log_in(user)


def text(answer):
    return answer.content.decode()


def test_the_page_of_a_rule_on_a_closed_field_names_the_field_and_nobody(rule, sick, outsider, doctor):
    hers = doctor.get(f"/rules/{rule.pk}/")
    assert "王病人" in text(hers) and "花粉" in text(hers)
    page = outsider.get(f"/rules/{rule.pk}/")
    assert page.status_code == 200 and "过敏打标" in text(page) and "用到您看不到的「病史」" in text(page)
    assert "王病人" not in text(page) and "花粉" not in text(page) and "runs" not in page.context
    for door in ("", f"{rule.pk}/history/"):
        shown = text(outsider.get(f"/rules/{door}"))
        assert "花粉" not in shown and "用到您看不到的「病史」" in shown


def test_why_a_rule_took_somebody_tells_no_result_of_a_closed_clause(rule, sick, outsider, doctor):
    told = doctor.get(f"/rules/{rule.pk}/why/{sick.pk}/").context
    assert [clause.holds for clause in told["clauses"]] == [True, True] and told["runs"]
    page = outsider.get(f"/rules/{rule.pk}/why/{sick.pk}/")
    assert page.status_code == 200 and "无权查看" in text(page)
    assert [clause.holds for clause in page.context["clauses"]] == [None, None]
    assert page.context["runs"] == [] and page.context["answers"] == []


def test_trials_backfills_and_changes_of_a_rule_on_a_closed_field_are_refused(rule, outsider, doctor):
    for door in ("dry", "backfill", "edit"):
        for answer in (outsider.get(f"/rules/{rule.pk}/{door}/"), outsider.post(f"/rules/{rule.pk}/{door}/", {"days": 2, "expected": 1})):  # fmt: skip
            assert answer.status_code == 403 and "您看不到的「病史」" in text(answer), door
        assert doctor.get(f"/rules/{rule.pk}/{door}/").status_code == 200, door
    assert not Job.objects.exists()
    assert outsider.post(f"/rules/{rule.pk}/retry/{RuleMatch.objects.get().contact_id}/").status_code == 403
    assert outsider.post(f"/rules/{rule.pk}/disable/").status_code == 302, "off at once is everybody's"
    refused = outsider.post(f"/rules/{rule.pk}/enable/")
    assert refused.status_code == 403 and Rule.objects.get().state == "off"
    assert doctor.post(f"/rules/{rule.pk}/enable/").status_code == 302 and Rule.objects.get().state == "on"


def test_taking_back_a_backfill_of_a_rule_on_a_closed_field_is_refused(rule, outsider, doctor):
    doctor.post(f"/rules/{rule.pk}/backfill/", {"expected": "1"})
    longjobs.drain(clock.wall() + timedelta(seconds=20))
    job = Job.objects.get()
    assert outsider.post(f"/rules/{rule.pk}/backfill/{job.pk}/undo/").status_code == 403
    assert FollowTag.objects.exclude(state="removing").count() == 1
    assert doctor.post(f"/rules/{rule.pk}/backfill/{job.pk}/undo/").status_code == 302


def test_a_rule_that_hears_what_she_may_not_see_is_as_closed_as_one_that_asks_it(tag, outsider, acme_client):
    rule = rules.save_rule(
        None, name="大单", tree=tree_of({"all": []}), rule_actions=[{"kind": "tag", "add": [tag.pk]}],
        trigger={"kind": "order"}, by=SYSTEM,
    )  # fmt: skip
    assert "runs" in acme_client.get(f"/rules/{rule.pk}/").context
    page = outsider.get(f"/rules/{rule.pk}/")
    assert "用到您看不到的" in text(page) and "runs" not in page.context
    assert outsider.get(f"/rules/{rule.pk}/dry/").status_code == 403


# --- What a rule may hear ---------------------------------------------------------------------------------------


def test_the_form_offers_only_what_she_may_let_a_rule_hear(outsider, acme_client):
    def offered(client, kind="event"):
        page = client.post("/rules/trigger/", {"trigger": kind})
        return {one.key for one, _closed in page.context["trigger_kinds"]}, {
            key for key, *_rest in page.context["trigger_options"].get("event_kinds", ())
        }

    sorts, kinds = offered(acme_client)
    assert "order" in sorts and "order.paid" in kinds
    sorts, kinds = offered(outsider)
    assert (
        "order" not in sorts and "order.paid" not in kinds and {"segment", "event"} <= sorts and "follow.added" in kinds
    )
    blind = log_in(make_user(permissions=[one for one in RULES if one != "segments.view"]))
    assert "segment" not in offered(blind)[0]


def test_who_may_not_see_segments_lets_no_rule_hear_one(tag):
    segment = built("老客", tree_of({"all": [{"field": "contact.friends", "op": "gte", "value": 1}]}))
    blind = log_in(make_user(permissions=[one for one in RULES if one != "segments.view"]))
    fields = {
        "name": "进群", "mode": "simple", "trigger": "segment", "trigger_segment": segment.pk, "segment_way": "enter",
        "tags_add": [tag.pk], "save": "1",
    }  # fmt: skip
    refused = blind.post("/rules/new/", fields)
    assert (
        refused.status_code == 422 and "您看不到「进入或离开一个人群」" in text(refused) and not Rule.objects.exists()
    )


# --- Explanations -----------------------------------------------------------------------------------------------

LEAF = {"field": "custom.illness", "op": "contains", "value": "花粉"}
NAMED = {"field": "contact.name", "op": "is", "value": "王病人"}
OTHER = {"field": "contact.name", "op": "is", "value": "别人"}


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        ({"all": [LEAF, NAMED]}, [None, None, True]),
        ({"all": [LEAF, OTHER]}, [False, None, False]),
        ({"any": [LEAF, NAMED]}, [True, None, True]),
        ({"any": [LEAF, OTHER]}, [None, None, False]),
        ({"not": LEAF}, [None, None]),
        ({"at_least": 2, "of": [LEAF, NAMED, OTHER]}, [None, None, True, False]),
        ({"at_least": 1, "of": [LEAF, NAMED, OTHER]}, [True, None, True, False]),
        ({"at_least": 3, "of": [LEAF, NAMED, OTHER]}, [False, None, True, False]),
    ],
)
def test_an_explanation_tells_no_more_than_what_she_may_see_decides(sick, node, expected):
    blind = Asker(frozenset({"contacts.view"}), frozenset())
    clauses = explain(tree_of(node), sick.pk, clock.now(), blind)
    assert [clause.holds for clause in clauses] == expected
    seer = Asker(frozenset({"contacts.view"}), frozenset(Role.objects.filter(name="医生").values_list("pk", flat=True)))
    assert None not in [clause.holds for clause in explain(tree_of(node), sick.pk, clock.now(), seer)]


def test_a_token_is_told_only_the_traits_that_its_scopes_read(acme):
    trait = Trait("member", "导购", "member", lambda: [Option(1, "林小雅")], permissions=("orders.view",))
    field = Field(
        "x.rows", "行", "测试", ValueType.SET, rows=FollowTag.objects.all, value="tag_id", at="tagged_at",
        read=lambda ids: {}, options=list, traits=(trait, Trait("origin", "来源", "origin", list)),
    )  # fmt: skip
    registry.register(field)
    try:
        told = {}
        for scopes in (["segments:read"], ["segments:read", "orders:read"]):
            _row, secret = tokens.create_token("接口", scopes, by=SYSTEM)
            client = Client(HTTP_HOST="acme.testserver", HTTP_AUTHORIZATION=f"Bearer {secret}")
            rows = {one["key"]: one for one in client.get("/api/v1/conditions/fields/").json()["results"]}
            told[len(scopes)] = [one["key"] for one in rows["x.rows"]["traits"]]
    finally:
        del registry._fields["x.rows"]
    assert told == {1: ["origin"], 2: ["member", "origin"]}
