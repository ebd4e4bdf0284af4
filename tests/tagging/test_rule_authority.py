"""Nobody lets a rule do what she may not do by hand; a frozen log-in starts no rule."""

from datetime import timedelta

import pytest
from django.test import Client

from accounts.models import Role
from contacts import longjobs
from contacts.models import Stage
from scrm.lib import clock
from scrm.lib.errors import NotAllowed
from tagging import actions
from tagging.models import Rule, RuleEvent, Segment
from tagging.services import rule_backfill, rules
from tenants.audit import SYSTEM
from tenants.ledger.models import Job
from tests.support import tagging
from tests.support.contacts import make_alarm, make_field, make_store
from tests.support.contacts import make_member as make_shop_guide
from tests.support.core import actor_of, grant, log_in, make_user
from tests.support.tagging import tree_of

pytestmark = pytest.mark.django_db
LOOKING = ["rules.view", "rules.edit", "segments.view", "tags.view", "contacts.view"]
NO_STAGE = tree_of({"all": [{"field": "contact.stage", "op": "empty"}]})


@pytest.fixture
def tag(corp):
    return tagging.make_tag("重点", corp=corp)


@pytest.fixture
def forms(tag, guide):
    """What the form sends for each action: kind → (permission it takes by hand, fields)."""
    stage = Stage.objects.create(key="s1", name="有意向", order=1)
    listed = Segment.objects.create(name="名单", kind="static", state="fresh", created_at=clock.now())
    make_field("肤质", key="skin")
    return {
        "tag": ("tags.edit", {"tags_add": [tag.pk]}),
        "stage": ("contacts.edit", {"stage": stage.pk}),
        "owner": ("contacts.edit", {"owner_member": guide.pk}),
        "field": ("contacts.edit", {"field_key": "skin", "field_value": "油"}),
        "todo": ("contacts.edit", {"todo_text": "打电话", "todo_hours": "24", "todo_to": "guide"}),
        "segment": ("segments.edit", {"list_segment": listed.pk, "list_way": "add"}),
    }


def form(fields, **more):
    return {
        "name": "规则",
        "mode": "simple",
        "trigger": "schedule",
        "every": "day",
        "time": "09:00",
        "save": "1",
        **fields,
        **more,
    }


def text(answer):
    return answer.content.decode()


def tagging_rule(tag, **more):
    acts = [{"kind": "tag", "add": [tag.pk], "whose": "all"}]
    return rules.save_rule(None, name="r", tree=NO_STAGE, rule_actions=acts, by=SYSTEM, **more)


def test_every_action_asks_for_what_it_takes_by_hand(forms):
    wanted = {kind: permission for kind, (permission, _fields) in forms.items()} | {"sop": "sops.edit"}
    assert {kind.key: kind.permission for kind in actions.all_kinds()} == wanted


@pytest.mark.parametrize("kind", ["tag", "stage", "owner", "field", "todo", "segment"])
def test_a_rule_is_saved_only_by_who_may_do_it_by_hand(forms, kind):
    permission, fields = forms[kind]
    blind, able = (log_in(make_user(permissions=held)) for held in (LOOKING, [*LOOKING, permission]))
    refused = blind.post("/rules/new/", form(fields))
    assert refused.status_code == 403 and not Rule.objects.exists()
    assert "不能让规则替您" in text(refused) and str(actions.find(kind).label) in text(refused)
    assert able.post("/rules/new/", form(fields)).status_code == 302 and Rule.objects.get().actions[0]["kind"] == kind


def test_a_permission_over_one_store_is_none_over_everybody(tag):
    user = make_user(permissions=LOOKING)
    grant(user, Role.objects.create(name="店里的", permissions=["contacts.view", "tags.edit"]), make_store())
    refused = log_in(user).post("/rules/new/", form({"tags_add": [tag.pk]}))
    assert refused.status_code == 403 and "您只在部分门店有" in text(refused) and not Rule.objects.exists()


def test_a_template_gives_nobody_more(tag):
    blind = log_in(make_user(permissions=LOOKING))
    page = blind.get("/rules/new/?ready=group")
    assert page.status_code == 200 and page.context["parts"] == []
    given = {
        "name": "入群",
        "mode": "simple",
        "trigger": "event",
        "event": "group.joined",
        "tags_add": [tag.pk],
        "save": "1",
    }
    assert blind.post("/rules/new/?ready=group", given).status_code == 403


def test_enabling_and_backfilling_ask_again(tag, guide):
    person = tagging.make_person("王姐", owner=guide, last_added_at=clock.now())
    tagging.make_relation(person, guide)
    rule = tagging_rule(tag)
    blind, able = (log_in(make_user(permissions=held)) for held in (LOOKING, [*LOOKING, "tags.edit"]))
    refused = blind.post(f"/rules/{rule.pk}/enable/")
    assert refused.status_code == 403 and "打标签" in text(refused) and Rule.objects.get().state == "draft"
    assert able.post(f"/rules/{rule.pk}/enable/").status_code == 302 and Rule.objects.get().state == "on"
    assert blind.post(f"/rules/{rule.pk}/backfill/", {"expected": "1"}).status_code == 403 and not Job.objects.exists()
    assert able.post(f"/rules/{rule.pk}/backfill/", {"expected": "1"}).status_code == 302
    longjobs.drain(clock.wall() + timedelta(seconds=20))
    job = Job.objects.get()
    assert blind.post(f"/rules/{rule.pk}/backfill/{job.pk}/undo/").status_code == 403
    with pytest.raises(NotAllowed, match="打标签"):
        rule_backfill.ask_undo(job, by=actor_of(blind.user))
    assert blind.post(f"/rules/{rule.pk}/disable/").status_code == 302, "off at once is everybody's"


def test_an_action_that_somebody_else_set_stands_shut_and_is_neither_lost_nor_saved_by_her(tag, forms):
    rule = tagging_rule(tag)
    stages = log_in(make_user(permissions=[*LOOKING, "contacts.edit"]))
    page = stages.get(f"/rules/{rule.pk}/edit/")
    parts = {part["kind"].key: part for part in page.context["parts"]}
    assert set(parts) == {"tag", "stage", "owner", "field", "todo"} and "o" not in parts["tag"]
    assert "「重点」" in text(page) and 'name="tags_add"' not in text(page)
    sent = form(forms["stage"][1], name="r")
    refused = stages.post(f"/rules/{rule.pk}/edit/", sent)
    assert refused.status_code == 403 and "打标签" in text(refused)
    rule.refresh_from_db()
    assert [one["kind"] for one in rule.actions] == ["tag"] and rule.version == 1
    assert stages.post(f"/rules/{rule.pk}/edit/", {**sent, "drop_action": "tag"}).status_code == 302
    rule.refresh_from_db()
    assert [one["kind"] for one in rule.actions] == ["stage"]


# --- Frozen -----------------------------------------------------------------------------------------------------


@pytest.fixture
def frozen(acme):
    """A log-in that holds everything, of a guide who deleted far too many customers."""
    user = make_user()
    member = make_shop_guide("林小雅", store=make_store(), user=user)
    make_alarm(member, raised_at=clock.now(), frozen_at=clock.now(), frozen_user_id=user.pk)
    return log_in(user)


def test_a_frozen_log_in_enables_and_backfills_nothing(frozen: Client, tag, guide, acme_client):
    person = tagging.make_person("王姐", owner=guide, last_added_at=clock.now())
    tagging.make_relation(person, guide)
    rule = tagging_rule(tag)
    for sent in ({}, {"act_on_existing": "on", "expected": "1"}):
        refused = frozen.post(f"/rules/{rule.pk}/enable/", sent)
        assert refused.status_code == 403 and "核实后解除" in text(refused), sent
    assert Rule.objects.get().state == "draft"
    assert acme_client.post(f"/rules/{rule.pk}/enable/").status_code == 302
    refused = frozen.post(f"/rules/{rule.pk}/backfill/", {"expected": "1"})
    assert refused.status_code == 403 and "核实后解除" in text(refused)
    assert not Job.objects.exists() and not RuleEvent.objects.exists()
    acme_client.post(f"/rules/{rule.pk}/backfill/", {"expected": "1"})
    longjobs.drain(clock.wall() + timedelta(seconds=20))
    assert frozen.post(f"/rules/{rule.pk}/backfill/{Job.objects.get().pk}/undo/").status_code == 403
    assert frozen.post(f"/rules/{rule.pk}/disable/").status_code == 302, "off she may switch it"
