"""Rules as people use them: form, order, versions, record, trials."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from campaigns.models import Sop
from conditions.drain import drain_batch
from contacts import longjobs
from contacts.models import Stage
from scrm.lib import clock
from tagging.models import FollowTag, Rule, RuleMatch, Segment, TagGroup
from tagging.services import rules, segments
from tenants.audit import SYSTEM
from tests.support import tagging
from tests.support.contacts import make_field, make_group
from tests.support.core import log_in, make_user
from tests.support.tagging import tree_of
from wecom_bridge.models import OutboundCommand

pytestmark = pytest.mark.django_db


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
    assert f"如果:标签 有任一 「{tag.name}」。就:" in page.content.decode(), "said once more before it is enabled"
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


def test_the_list_of_rules_costs_the_same_however_many_there_are(acme, corp, guide, django_assert_num_queries):
    """Every kind of trigger, condition and action: words and contradictions of many are read like those of one."""
    stage = Stage.objects.create(key="s1", name="有意向", order=1)
    group = TagGroup.objects.create(kind="corp", corp=corp, wecom_group_id="eg1", name="肤质", is_exclusive=True)
    field = make_field("皮肤问题")

    def make(number):
        tags = [tagging.make_tag(f"标签{number}-{side}", group, corp=corp) for side in "ab"]
        fixed = segments.create_list(name=f"名单{number}", by=SYSTEM)
        sop = Sop.objects.create(name=f"SOP{number}", state="on", created_at=clock.now())
        tree = tree_of(
            {
                "all": [
                    {"field": "tag", "op": "any", "value": [tags[0].pk]},
                    {"field": "contact.owner", "op": "in", "value": [guide.pk]},
                ]
            }
        )
        acts = [
            {"kind": "tag", "add": [tags[0].pk], "remove": [tags[1].pk], "whose": "all"}, {"kind": "stage", "stage": stage.pk},
            {"kind": "owner", "member": guide.pk}, {"kind": "segment", "segment": fixed.pk, "way": "add"},
            {"kind": "field", "key": field.key, "value": "泛红"}, {"kind": "sop", "sop": sop.pk, "way": "out"},
        ]  # fmt: skip
        chat = make_group(f"群{number}")
        for trigger in (
            {"kind": "match"}, {"kind": "event", "event": "group.joined", "groups": [chat.pk]},
            {"kind": "stage", "stage": stage.pk, "way": "enter"}, {"kind": "segment", "segment": fixed.pk, "way": "leave"},
        ):  # fmt: skip
            rule = rules.save_rule(
                None, name=f"{trigger['kind']}{number}", tree=tree, rule_actions=acts, trigger=trigger, by=SYSTEM
            )
            rules.enable_rule(rule, by=SYSTEM)
        return rule

    client = log_in("hq")
    one = make(0)
    client.get("/rules/")  # what is kept of a session is read
    with CaptureQueriesContext(connection) as few:
        client.get("/rules/")
    for number in range(1, 6):
        make(number)
    with django_assert_num_queries(len(few)):
        page = client.get("/rules/").content.decode()
    assert (
        "「标签5-a」" in page
        and "群:群5" in page
        and "「名单5」" in page
        and "SOP「SOP5」" in page
        and "与规则「match1」矛盾" in page
    )
    assert len(few) < 40
    with CaptureQueriesContext(connection) as seen:
        assert client.get(f"/rules/{one.pk}/").status_code == 200
    assert len(seen) < 50
