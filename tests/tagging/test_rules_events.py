"""Rules answer to what happens to people, and to the clock: once each, at its time."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from conditions import dirty
from contacts.models import Contact, Stage, TimelineEvent
from contacts.services.stages import change_stage
from scrm.lib import clock
from scrm.lib.errors import UserError
from tagging import triggers
from tagging.models import FollowTag, RuleEvent, RuleSlot, TagGroup
from tagging.services import rule_schedule, rules, segments
from tagging.services.marks import mark_tags
from tenants.audit import SYSTEM
from tests.support import tagging
from tests.support.consuming import CONSENT, built, happened, listening, named, settle, tag_action

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_fields")]


def test_a_rule_acts_once_on_each_event_that_is_news_and_matches_when_it_is_worked_off(at, corp, guide):
    tag = tagging.make_tag("老客")
    old, new, other = (tagging.make_person(name) for name in ("王姐", "王姐", "别人"))
    follows = [tagging.make_relation(person, guide) for person in (old, new, other)]
    happened(old, key="before")
    rule = listening(CONSENT, tag_action(tag), tree=named("王姐"))
    happened(new, key="now")
    happened(new, key="now")  # told twice
    happened(other, key="stranger")
    happened(old, key="history", source="backfill")
    happened(old, key="earlier", at=tagging.NOW - timedelta(days=1))
    assert not FollowTag.objects.exists()  # never in the transaction of the fact
    settle()
    assert list(FollowTag.objects.values_list("follow_id", "rule_id")) == [(follows[1].pk, rule.pk)]
    assert dict(RuleEvent.objects.values_list("contact_id", "state")) == {new.pk: "done", other.pk: "skipped"}
    assert RuleEvent.objects.get(contact=other).outcome == {"skipped": "unmatched"}


def test_what_waits_for_a_rule_that_is_switched_off_is_never_done(at, corp, guide):
    tag = tagging.make_tag("老客")
    person = tagging.make_person()
    tagging.make_relation(person, guide)
    rule = listening(CONSENT, tag_action(tag))
    happened(person)
    rules.disable_rule(rule, by=SYSTEM)
    at(tagging.NOW + timedelta(minutes=1))
    rules.enable_rule(rule, by=SYSTEM)
    settle()
    assert RuleEvent.objects.get().outcome == {"skipped": "off"} and not FollowTag.objects.exists()


def test_a_rule_answers_by_the_hour_at_which_ithappened(at, corp, guide):
    tag = tagging.make_tag("周日中午")
    person = tagging.make_person()
    tagging.make_relation(person, guide)
    listening({**CONSENT, "weekdays": [7], "from": "12:00", "to": "13:00"}, tag_action(tag))  # NOW is noon on a Sunday
    at(tagging.NOW + timedelta(hours=9))
    happened(person, key="late", at=tagging.NOW + timedelta(hours=1))
    assert not RuleEvent.objects.exists()
    happened(person, key="noon", at=tagging.NOW + timedelta(minutes=59))
    assert RuleEvent.objects.count() == 1


def test_entering_and_leaving_a_segment_and_a_stage_and_paying_wake_their_rules(at, corp, guide):
    tags = [tagging.make_tag(f"标签{n}") for n in range(4)]
    segment = built("王姐们", named("王姐"))
    first, second = (Stage.objects.create(key=key, name=key, order=n) for n, key in enumerate(("甲", "乙"), start=90))
    person = tagging.make_person("别人", stage=first)
    tagging.make_relation(person, guide)
    listening({"kind": "segment", "segment": segment.pk, "way": "enter"}, tag_action(tags[0]), "进入")
    listening({"kind": "segment", "segment": segment.pk, "way": "leave"}, tag_action(tags[1]), "离开")
    listening({"kind": "stage", "stage": first.pk, "way": "leave"}, tag_action(tags[2]), "离开甲")
    listening({"kind": "order", "at_least": 10_000}, tag_action(tags[3]), "大单")

    def carried():
        settle()
        return set(FollowTag.objects.values_list("tag__name", flat=True))

    Contact.objects.filter(pk=person.pk).update(name="王姐")
    dirty.mark([person.pk], "t.name")
    assert carried() == {"标签0"}
    Contact.objects.filter(pk=person.pk).update(name="别人")
    dirty.mark([person.pk], "t.name")
    assert carried() == {"标签0", "标签1"}
    change_stage([person.pk], second, source="manual", reason="", by=SYSTEM, at=tagging.NOW)
    assert carried() == {"标签0", "标签1", "标签2"}
    happened(person, "order.paid", "small", payload={"amount_minor": 9_999})
    assert carried() == {"标签0", "标签1", "标签2"}
    happened(person, "order.paid", "large", "import", payload={"amount_minor": 10_000})
    assert carried() == {"标签0", "标签1", "标签2", "标签3"}
    with pytest.raises(UserError, match="2 处"):
        segments.archive_segment(segment, by=SYSTEM)


def test_a_rule_does_not_answer_to_itself_nor_to_what_came_of_it(at, corp, guide):
    tags = [tagging.make_tag("甲")]
    TagGroup.objects.update(is_exclusive=True)  # the second takes the first one off
    tags.append(tagging.make_tag("乙", TagGroup.objects.get()))
    person = tagging.make_person()
    follow = tagging.make_relation(person, guide)
    added = {"kind": "event", "event": "tag.added"}
    ring = {"kind": "event", "event": "tag.removed"}
    listening(added, [{"kind": "tag", "add": [tags[1].pk], "whose": "all"}], "有新标签就换")
    listening(ring, [{"kind": "tag", "add": [tags[0].pk], "whose": "all"}], "去掉就加回", daily_cap=50)
    mark_tags([follow.pk], add=[tags[0].pk], origin="operator", by=SYSTEM)
    settle()
    outcomes = list(RuleEvent.objects.order_by("pk").values_list("rule__name", "outcome__skipped"))
    assert ("有新标签就换", None) in outcomes and ("去掉就加回", None) in outcomes
    assert ("有新标签就换", "ring") in outcomes  # its own second tag, and the first one that came back
    assert RuleEvent.objects.filter(state="done").count() == 2


def test_a_rule_acts_so_often_a_day_on_one_person_and_says_when_it_did_not(at, corp, guide):
    person = tagging.make_person()
    tagging.make_relation(person, guide)
    listening(CONSENT, tag_action(tagging.make_tag("老客")), daily_cap=2)
    for number in range(3):
        happened(person, key=f"k{number}")
    settle()
    assert sorted(str(outcome.get("skipped")) for outcome in RuleEvent.objects.values_list("outcome", flat=True)) == [
        "None", "None", "loop",
    ]  # fmt: skip


def test_a_schedule_acts_once_per_time_on_all_who_match_then_and_skips_what_is_too_late(at, corp, guide):
    tag = tagging.make_tag("每天")
    people = [tagging.make_person(name) for name in ("王姐", "王姐", "别人")]
    for person in people:
        tagging.make_relation(person, guide)
    rule = listening({"kind": "schedule", "every": "day", "time": "12:30"}, tag_action(tag), tree=named("王姐"))
    deadline = clock.wall() + timedelta(minutes=1)
    rule_schedule.drain(deadline)
    assert not RuleSlot.objects.exists()  # half an hour too early
    at(tagging.NOW + timedelta(hours=6, minutes=29))  # late, and in time
    for _ in range(2):
        rule_schedule.drain(deadline)
    assert RuleEvent.objects.filter(state="done").count() == FollowTag.objects.count() == 2
    at(tagging.NOW + timedelta(days=2))  # 12:30 of yesterday was missed
    rule_schedule.drain(deadline)
    assert list(RuleSlot.objects.order_by("slot_at").values_list("is_missed", "people")) == [(False, 2), (True, 0)]
    assert rule_schedule.next_due() == tagging.NOW + timedelta(days=2, minutes=30)
    rules.disable_rule(rule, by=SYSTEM)
    assert rule_schedule.next_due() is None


@pytest.mark.parametrize(
    ("when", "after", "expected"),
    [
        (
            {"every": "day", "time": "02:30"},
            "2026-03-28T23:00",
            "2026-03-29T01:30",
        ),  # 02:30 does not exist: 03:30 summer time
        ({"every": "day", "time": "02:30"}, "2026-10-24T23:00", "2026-10-25T00:30"),  # twice: the first
        ({"every": "day", "time": "02:30"}, "2026-10-25T00:30", "2026-10-26T01:30"),
        ({"every": "week", "weekday": 1, "time": "09:00"}, "2026-03-02T08:00", "2026-03-09T08:00"),
        ({"every": "month", "day": 31, "time": "00:00"}, "2026-01-30T23:00", "2026-02-27T23:00"),
    ],
)
def test_a_schedule_keeps_the_merchants_clock_through_summer_time_and_short_months(monkeypatch, when, after, expected):
    monkeypatch.setattr(rule_schedule, "zone", lambda: ZoneInfo("Europe/Berlin"))
    begins, follows = (datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (after, expected))
    assert rule_schedule.next_slot({"kind": "schedule", **when}, begins) == follows


def test_the_past_of_a_stage_that_was_renamed_is_found_by_its_id_and_that_of_old_facts_by_the_name(at, corp, guide):
    first, second = (Stage.objects.create(key=key, name=key, order=n) for n, key in enumerate(("甲", "乙"), start=90))
    person = tagging.make_person("王姐", stage=first)
    happened(person, "stage.changed", "of old", payload={"from": "甲", "to": "乙"})
    happened(person, "stage.changed", "another's", payload={"from": "新名", "from_id": second.pk, "to": "甲"})
    change_stage([person.pk], second, source="manual", reason="", by=SYSTEM, at=tagging.NOW)
    facts = TimelineEvent.objects.filter(contact=person)
    left = triggers.events_of({"kind": "stage", "stage": first.pk, "way": "leave"})

    assert left.count() == 2
    Stage.objects.filter(pk=first.pk).update(name="新名")
    by_id = triggers.events_of({"kind": "stage", "stage": first.pk, "way": "leave"})
    assert facts.count() == 3 and by_id.get().payload["from_id"] == first.pk
