"""The rules to begin with, from the page that offers them to the tag on the customer, and off at once."""

from datetime import datetime, timedelta
from html.parser import HTMLParser
from zoneinfo import ZoneInfo

import pytest

from contacts.models import Follow, Identity
from tagging import rule_templates
from tagging.models import FollowTag, Rule, RuleEvent
from tests.support import tagging
from tests.support.consuming import settle
from tests.support.contacts import (
    event_fact,
    follow_info,
    group_info,
    group_member,
    groups_batch,
    make_group,
    people_batch,
    person_row,
)
from wecom_bridge.contracts import handlers_for
from wecom_bridge.models import OutboundCommand

pytestmark = pytest.mark.django_db
NOON = tagging.NOW + timedelta(days=1)  # a Monday


class Form(HTMLParser):
    """What a browser would send of the form that has a field `name`."""

    def __init__(self, page):
        super().__init__()
        self.sent, self._select, self._taken, self._seen = {}, "", False, []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if tag == "form":
            self.sent = {}
        if tag == "select":
            self._select, self._taken = given.get("name", ""), False
        if tag == "option" and self._select and (not self._taken or "selected" in given):
            self._taken = True  # without one that is selected, the first
            self.sent[self._select] = [given.get("value", "")]
        is_on = given.get("type") not in ("checkbox", "radio") or "checked" in given
        if tag == "input" and given.get("name") and is_on:
            self.sent.setdefault(given["name"], []).append(given.get("value", ""))

    def handle_endtag(self, tag):
        if tag == "select":
            self._select = ""
        if tag == "form":
            self._seen.append(self.sent)

    @property
    def fields(self):
        return next(sent for sent in self._seen if "trigger" in sent)


@pytest.fixture
def tag(corp):
    return tagging.make_tag("自动", corp=corp)


def made(client, key, tag, **answers):
    """The rule of a template, chosen and saved on its page, and switched on."""
    offered = client.get("/rules/").content.decode()
    assert f"ready={key}" in offered and str(rule_templates.find(key).name) in offered
    fields = Form(client.get(f"/rules/new/?ready={key}").content.decode()).fields
    saved = client.post("/rules/new/", {**fields, **answers, "tags_add": [tag.pk], "whose": "all", "save": "1"})
    assert saved.status_code == 302, saved.content.decode()
    rule = Rule.objects.get()
    client.post(f"/rules/{rule.pk}/enable/", {"expected": ""})
    rule.refresh_from_db()
    assert rule.state == Rule.State.ON
    return rule


def switched_off(client, rule):
    client.post(f"/rules/{rule.pk}/disable/")
    rule.refresh_from_db()
    assert rule.state == Rule.State.OFF


def tagged():
    """external_userids of the relations that carry the tag, after everything that waits."""
    settle()
    marks = FollowTag.objects.filter(origin="rule", state="adding")
    assert OutboundCommand.objects.filter(kind="tag.mark").count() == marks.count(), "WeCom is asked once for each"
    return set(marks.values_list("follow__identity__value", flat=True))


def adds(corp, guide, external, at, **how):
    """She adds the guide: the callback, and what was read because of it."""
    told = person_row(external, follow_info(guide.userid, at, **how))
    fact = event_fact("add_external_contact", external, guide.userid, at)
    for handler in handlers_for("people"):
        handler(people_batch(told, events=[fact], corp=corp, read_at=at))


def test_in_which_group_she_joins_decides(at, acme_client, corp, guide, tag):
    at(NOON)
    mine, other = [make_group(owner=guide) for _ in range(2)]
    for number in range(4):
        adds(corp, guide, f"wm{number}", NOON - timedelta(days=1))

    def joins(group, *numbers, instant):
        listed = [group_member(f"wm{n}", instant) for n in numbers]
        info = group_info(group.chat_id, guide.userid, listed, member_version=f"{instant}")
        for handler in handlers_for("groups"):
            handler(groups_batch(info, corp=corp, read_at=instant))

    joins(mine, 0, instant=NOON - timedelta(hours=1))
    rule = made(acme_client, "group", tag, groups=[mine.pk])
    assert tagged() == set(), "who was there before the rule is no news"

    later = NOON + timedelta(minutes=5)
    at(later)
    joins(other, 1, instant=later)
    joins(mine, 2, instant=later)
    assert tagged() == {"wm2"}

    at(later + timedelta(minutes=5))
    joins(mine, 2, 3, instant=later + timedelta(minutes=5))  # heard, not yet acted upon
    switched_off(acme_client, rule)
    assert tagged() == {"wm2"}
    assert RuleEvent.objects.get(contact=Identity.objects.get(value="wm3").contact).outcome == {"skipped": "off"}


def test_at_which_hour_she_adds_a_guide_decides(at, acme_client, corp, guide, tag):
    shanghai = ZoneInfo("Asia/Shanghai")
    at(datetime(2026, 3, 2, 8, tzinfo=shanghai))
    rule = made(acme_client, "hours", tag)
    assert (rule.when["weekdays"], rule.when["from"], rule.when["to"]) == ([1, 2, 3, 4, 5], "09:00", "18:00")
    moments = {
        "early": datetime(2026, 3, 2, 8, 59, 59, tzinfo=shanghai), "nine": datetime(2026, 3, 2, 9, tzinfo=shanghai),
        "late": datetime(2026, 3, 2, 17, 59, 59, tzinfo=shanghai), "six": datetime(2026, 3, 2, 18, tzinfo=shanghai),
        "saturday": datetime(2026, 3, 7, 12, tzinfo=shanghai),
    }  # fmt: skip
    at(datetime(2026, 3, 8, 20, tzinfo=shanghai))  # told late: the hour at which it happened counts
    for external, moment in moments.items():
        adds(corp, guide, external, moment)
    assert tagged() == {"nine", "late"}

    switched_off(acme_client, rule)
    adds(corp, guide, "monday", datetime(2026, 3, 9, 12, tzinfo=shanghai))
    assert tagged() == {"nine", "late"}


def test_by_which_channel_or_way_she_adds_a_guide_decides(at, acme_client, corp, guide, tag):
    at(NOON)
    rule = made(acme_client, "touch", tag, states="till, 门口")
    at(NOON + timedelta(hours=1))
    for external, state in (("a", "till"), ("b", "Till"), ("c", "门口"), ("d", "")):
        adds(corp, guide, external, NOON + timedelta(minutes=30), add_way=1, state=state)
    assert tagged() == {"a", "c"}
    assert Follow.objects.count() == 4

    adds(corp, guide, "e", NOON + timedelta(minutes=40), add_way=1, state="till")
    switched_off(acme_client, rule)
    assert tagged() == {"a", "c"}, "what waited when it was switched off is not done"


def test_every_template_is_tried_above():
    assert [one.key for one in rule_templates.TEMPLATES] == ["group", "hours", "touch"]
