"""为什么 of a rule for one person: what set it off, or would have, and what became of it."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from conditions import dirty
from contacts.models import Contact
from scrm.lib import clock
from tagging.models import RuleEvent
from tagging.services import rule_schedule, rules
from tagging.setting_off import sparks_of
from tenants.audit import SYSTEM
from tests.support import tagging
from tests.support.consuming import CONSENT, built, happened, listening, named, settle, tag_action
from tests.support.core import log_in, make_user

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_fields")]


@pytest.fixture
def her(at, guide):
    person = tagging.make_person("王姐", owner=guide)
    tagging.make_relation(person, guide)
    return person


def told(rule, person):
    return [(spark.state, spark.fate) for spark in sparks_of(rule, Contact.objects.get(pk=person.pk))]


def test_a_fact_tells_what_became_of_it_and_of_whoever_was_merged_into_her(her, at, tag, guide, acme_client):
    rule = listening(CONSENT, tag_action(tag), tree=named("王姐"))
    url = f"/rules/{rule.pk}/why/{her.pk}/"
    assert "启用以来,这位客户没有发生会触发它的事" in acme_client.get(url).content.decode()
    happened(her, key="first")
    assert told(rule, her) == [("待执行", "")]
    settle()
    other = tagging.make_person("别人")
    at(tagging.NOW + timedelta(minutes=1))
    happened(other, key="second", at=clock.now())
    settle()
    Contact.objects.filter(pk=other.pk).update(root=her.pk)
    assert [state for state, _fate in told(rule, her)] == ["未执行", "已执行"]
    page = acme_client.get(url)
    text = page.content.decode()
    assert "当时不符合条件,未执行" in text and "敏感肌" in text and "回调" in text
    assert [run.contact_id for run in page.context["runs"]] == [other.pk, her.pk]  # hers of before the merge too


def test_a_fact_that_no_row_stands_for_says_why(her, at, tag):
    rule = listening({"kind": "order", "at_least": 100}, tag_action(tag))
    rules.disable_rule(rule, by=SYSTEM)
    happened(her, "order.paid", "off", payload={"amount_minor": 100})
    rule.refresh_from_db()
    assert "没有启用" in told(rule, her)[0][1]
    at(tagging.NOW + timedelta(minutes=1))
    rules.save_rule(rule, name="规则", tree=rule.tree, rule_actions=rule.actions, by=SYSTEM, trigger={"kind": "order"})
    rule.refresh_from_db()
    assert "还不是现在这一版" in told(rule, her)[0][1]
    draft = rules.save_rule(None, name="草稿", tree=rule.tree, rule_actions=rule.actions, by=SYSTEM, trigger=CONSENT)
    assert told(draft, her) == []


def test_moves_of_a_segment_and_times_of_a_schedule_tell_too(her, at, tag):
    segment = built("李姐们", named("李姐"))
    rule = listening({"kind": "segment", "segment": segment.pk, "way": "enter"}, tag_action(tag), "进入")
    daily = listening(
        {"kind": "schedule", "every": "day", "time": "12:30"}, tag_action(tag), "每天", tree=named("王姐")
    )
    at(tagging.NOW + timedelta(minutes=30))
    rule_schedule.drain(clock.wall() + timedelta(minutes=1))
    assert [state for state, _fate in told(daily, her)] == ["已执行"]
    Contact.objects.filter(pk=her.pk).update(name="李姐")
    dirty.mark([her.pk], "t.name")
    settle()
    assert [state for state, _fate in told(rule, her)] == ["已执行"]
    at(tagging.NOW + timedelta(days=1, minutes=30))
    rule_schedule.drain(clock.wall() + timedelta(minutes=1))
    assert told(daily, her)[0] == ("没有触发", "当时不符合条件,未执行")


def test_whoever_may_not_see_such_facts_is_told_none(her, at, tag):
    rule = listening({"kind": "order"}, tag_action(tag))
    happened(her, "order.paid", "o", payload={"amount_minor": 100})
    page = log_in(make_user(permissions=["rules.view", "contacts.view"])).get(f"/rules/{rule.pk}/why/{her.pk}/")
    assert page.context["sparks"] is None and "什么触发过它" not in page.content.decode()


def test_ten_facts_cost_what_one_does_and_an_index_finds_what_became_of_them(her, at, tag):
    rule = listening(CONSENT, tag_action(tag))

    def queries():
        contact = Contact.objects.get(pk=her.pk)
        with CaptureQueriesContext(
            connection,
        ) as asked:
            assert sparks_of(rule, contact)
        return len(asked)

    happened(her, key="one")
    once = queries()
    for number in range(9):
        happened(her, key=f"more{number}")
    assert queries() == once
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
    plan = RuleEvent.objects.filter(rule=rule, contact__in=[her.pk, her.pk + 1]).explain()
    assert "rule_event_contact" in plan
