"""Rules act once on who starts to match, never on what only the first sync told, and do not chase each other."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.db import transaction

from accounts.models import Role
from conditions import dirty
from conditions.tree import EVERYONE
from contacts.models import Contact, CustomField, Stage, TimelineEvent, Todo
from contacts.services.stages import change_stage
from contacts.timeline import NewEvent, record_events
from scrm.lib import clock
from scrm.lib.errors import Conflict, UserError
from tagging import actions, causes
from tagging.models import FollowTag, Rule, RuleEvent, RuleMatch, RuleSlot, RuleVersion, Segment, TagGroup
from tagging.policy import RUNS_A_DAY
from tagging.services import rule_backfill, rule_dry_run, rule_schedule, rules, segments
from tagging.services.marks import mark_tags
from tenants.audit import SYSTEM
from tenants.ledger.models import Job
from tests.support import tagging
from tests.support.consuming import built, enabled, members, named, settle, tag_action
from tests.support.contacts import make_field
from tests.support.core import log_in, make_user
from tests.support.tagging import tree_of
from wecom_bridge.models import OutboundCommand

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_fields")]


def test_a_rule_fires_once_for_who_starts_to_match_and_never_for_who_did_already(at, corp, guide):
    tag = tagging.make_tag("老客", corp=corp)
    old, new = tagging.make_person("王姐"), tagging.make_person("别人")
    follows = [tagging.make_relation(person, guide) for person in (old, new)]
    rule = enabled(named("王姐"), tag_action(tag))
    new.name = "王姐"
    new.save()
    for _ in range(3):
        dirty.mark([old.pk, new.pk], "t.name")
        settle()
    assert list(FollowTag.objects.values_list("follow_id", "tag_id", "state", "origin", "rule_id")) == [
        (follows[1].pk, tag.pk, "adding", "rule", rule.pk)
    ]
    assert OutboundCommand.objects.filter(kind="tag.mark").count() == 1
    assert {match.contact_id: set(match.outcome) for match in RuleMatch.objects.all()} == {
        old.pk: {"baseline"},
        new.pk: {"actions"},
    }


def test_a_rule_also_acts_on_who_matches_already_when_asked_to_with_the_count_seen(at, corp, guide):
    tag = tagging.make_tag("老客", corp=corp)
    person = tagging.make_person("王姐")
    tagging.make_relation(person, guide)
    rule = rules.save_rule(None, name="r", tree=named("王姐"), rule_actions=tag_action(tag), by=SYSTEM)
    with transaction.atomic(), pytest.raises(Exception, match="2 人变为 1 人"):
        rules.enable_rule(rule, act_on_existing=True, expected=2, by=SYSTEM)
    rules.enable_rule(rule, act_on_existing=True, expected=1, by=SYSTEM)
    settle()
    assert FollowTag.objects.filter(contact=person, tag=tag).count() == 1


def test_facts_of_the_first_sync_are_noted_without_actions(at, corp, guide):
    tag = tagging.make_tag("老客", corp=corp)
    enabled(named("王姐"), tag_action(tag))
    person = tagging.make_person("王姐")
    tagging.make_relation(person, guide)
    with dirty.told_by("backfill"):
        dirty.mark([person.pk], dirty.EVERYTHING)
    settle()
    dirty.mark([person.pk], "t.name")
    settle()
    assert RuleMatch.objects.get().outcome == {"baseline": "first_sync"}
    assert not FollowTag.objects.exists()


def test_news_of_one_field_does_not_make_the_first_sync_of_another_news(at, corp, guide):
    tag = tagging.make_tag("老客", corp=corp)
    enabled(named("王姐"), tag_action(tag))
    person = tagging.make_person("王姐")
    tagging.make_relation(person, guide)
    other = tagging.make_person("王姐")
    tagging.make_relation(other, guide)
    with dirty.told_by("backfill"):
        dirty.mark([person.pk], "t.name")
    dirty.mark([person.pk], "t.flag")
    dirty.mark([other.pk], "t.name")

    settle()

    outcomes = dict(RuleMatch.objects.values_list("contact_id", "outcome"))
    assert outcomes[person.pk] == {"baseline": "first_sync"} and "actions" in outcomes[other.pk]


def test_entering_a_segment_by_the_first_sync_is_no_news_for_a_rule_that_reads_it(at, corp, guide):
    segment = built("王姐们", named("王姐"))
    tag = tagging.make_tag("老客", corp=corp)
    enabled(tree_of({"field": "segment", "op": "any", "value": [segment.pk]}), tag_action(tag))
    person = tagging.make_person("王姐")
    tagging.make_relation(person, guide)
    with dirty.told_by("backfill"):
        dirty.mark([person.pk], "t.name")

    settle()

    assert members(segment) == {person.pk}
    assert RuleMatch.objects.get().outcome == {"baseline": "first_sync"} and not FollowTag.objects.exists()


def test_a_rule_and_something_that_undoes_it_do_not_chase_each_other_for_ever(at, corp, guide):
    tag = tagging.make_tag("循环")
    person = tagging.make_person("王姐")
    follow = tagging.make_relation(person, guide)
    mark_tags([follow.pk], add=[tag.pk], origin="operator", by=SYSTEM)
    settle()
    enabled(tree_of({"not": {"field": "tag", "op": "any", "value": [tag.pk]}}), tag_action(tag))
    for _ in range(5):
        mark_tags([follow.pk], remove=[tag.pk], origin="operator", by=SYSTEM)
        settle()
    assert RuleMatch.objects.filter(outcome__has_key="actions").count() == RUNS_A_DAY
    assert RuleMatch.objects.filter(outcome={"skipped": "loop"}).count() == 1
    assert not FollowTag.objects.exists()


def test_two_rules_that_undo_each_other_come_to_rest(at, corp, guide):
    tag = tagging.make_tag("循环")
    person = tagging.make_person("王姐")
    follow = tagging.make_relation(person, guide)
    has = {"field": "tag", "op": "any", "value": [tag.pk]}
    enabled(tree_of({"not": has}), tag_action(tag), name="没有就打")
    enabled(tree_of(has), [{"kind": "tag", "remove": [tag.pk], "whose": "all"}], name="有就去掉")
    mark_tags([follow.pk], add=[tag.pk], origin="operator", by=SYSTEM)
    settle()  # raises when it does not end


def test_a_refused_tag_is_not_wished_again_by_the_same_rule(at, corp, guide):
    tag = tagging.make_tag("老客", corp=corp)
    person = tagging.make_person("王姐")
    tagging.make_relation(person, guide)
    enabled(tree_of({"not": {"field": "tag", "op": "any", "value": [tag.pk]}}), tag_action(tag), name="没有就打")
    other = tagging.make_person("新人")
    tagging.make_relation(other, guide)
    dirty.mark([other.pk], dirty.EVERYTHING)
    settle()
    FollowTag.objects.update(state="failed", last_error="不行")
    dirty.mark([other.pk], "tag")
    settle()
    assert FollowTag.objects.get().state == "failed"
    assert OutboundCommand.objects.count() == 1


def test_a_segment_that_a_rule_reads_is_not_archived(at, corp, guide):
    segment = built("VIP", named("王姐"))
    tag = tagging.make_tag("普通", corp=corp)
    rule = enabled(tree_of({"field": "segment", "op": "none", "value": [segment.pk]}), tag_action(tag), name="打普通")

    with pytest.raises(UserError, match="1 处"):
        segments.archive_segment(segment, by=SYSTEM)
    page = f"/segments/{segment.pk}/"
    assert "规则「打普通」" in log_in(make_user(permissions=["segments.view", "rules.view"])).get(page).content.decode()
    closed = log_in(make_user(permissions=["segments.view"])).get(page).content.decode()
    assert "规则「打普通」" not in closed and "另有 1 处" in closed
    rules.disable_rule(rule, by=SYSTEM)
    segments.archive_segment(segment, by=SYSTEM)


def test_off_means_off(at, corp, guide):
    tag = tagging.make_tag("老客")
    rule = enabled(named("王姐"), tag_action(tag))
    rules.disable_rule(rule, by=SYSTEM)
    person = tagging.make_person("王姐")
    tagging.make_relation(person, guide)
    dirty.mark([person.pk], dirty.EVERYTHING)
    settle()
    assert not FollowTag.objects.exists()
    assert Rule.objects.get().state == "off"


# --- What happens to people -------------------------------------------------------------------------------------


def _happened(person, kind="consent.given", key="k1", source="callback", at=tagging.NOW, **more):
    return record_events([NewEvent(kind, at, source, key, contact_id=person.pk, **more)])


def _listening(trigger, actions, name="规则", tree=EVERYONE, **more):
    rule = rules.save_rule(None, name=name, tree=tree, rule_actions=actions, trigger=trigger, by=SYSTEM, **more)
    return rules.enable_rule(rule, by=SYSTEM)


CONSENT = {"kind": "event", "event": "consent.given"}


def test_a_rule_acts_once_on_each_event_that_is_news_and_matches_when_it_is_worked_off(at, corp, guide):
    tag = tagging.make_tag("老客")
    old, new, other = (tagging.make_person(name) for name in ("王姐", "王姐", "别人"))
    follows = [tagging.make_relation(person, guide) for person in (old, new, other)]
    _happened(old, key="before")
    rule = _listening(CONSENT, tag_action(tag), tree=named("王姐"))
    _happened(new, key="now")
    _happened(new, key="now")  # told twice
    _happened(other, key="stranger")
    _happened(old, key="history", source="backfill")
    _happened(old, key="earlier", at=tagging.NOW - timedelta(days=1))
    assert not FollowTag.objects.exists()  # never in the transaction of the fact
    settle()
    assert list(FollowTag.objects.values_list("follow_id", "rule_id")) == [(follows[1].pk, rule.pk)]
    assert dict(RuleEvent.objects.values_list("contact_id", "state")) == {new.pk: "done", other.pk: "skipped"}
    assert RuleEvent.objects.get(contact=other).outcome == {"skipped": "unmatched"}


def test_what_waits_for_a_rule_that_is_switched_off_is_never_done(at, corp, guide):
    tag = tagging.make_tag("老客")
    person = tagging.make_person()
    tagging.make_relation(person, guide)
    rule = _listening(CONSENT, tag_action(tag))
    _happened(person)
    rules.disable_rule(rule, by=SYSTEM)
    at(tagging.NOW + timedelta(minutes=1))
    rules.enable_rule(rule, by=SYSTEM)
    settle()
    assert RuleEvent.objects.get().outcome == {"skipped": "off"} and not FollowTag.objects.exists()


def test_a_rule_answers_by_the_hour_at_which_it_happened(at, corp, guide):
    tag = tagging.make_tag("周日中午")
    person = tagging.make_person()
    tagging.make_relation(person, guide)
    _listening({**CONSENT, "weekdays": [7], "from": "12:00", "to": "13:00"}, tag_action(tag))  # NOW is noon on a Sunday
    at(tagging.NOW + timedelta(hours=9))
    _happened(person, key="late", at=tagging.NOW + timedelta(hours=1))
    assert not RuleEvent.objects.exists()
    _happened(person, key="noon", at=tagging.NOW + timedelta(minutes=59))
    assert RuleEvent.objects.count() == 1


def test_entering_and_leaving_a_segment_and_a_stage_and_paying_wake_their_rules(at, corp, guide):
    tags = [tagging.make_tag(f"标签{n}") for n in range(4)]
    segment = built("王姐们", named("王姐"))
    first, second = (Stage.objects.create(key=key, name=key, order=n) for n, key in enumerate(("甲", "乙"), start=90))
    person = tagging.make_person("别人", stage=first)
    tagging.make_relation(person, guide)
    _listening({"kind": "segment", "segment": segment.pk, "way": "enter"}, tag_action(tags[0]), "进入")
    _listening({"kind": "segment", "segment": segment.pk, "way": "leave"}, tag_action(tags[1]), "离开")
    _listening({"kind": "stage", "stage": first.pk, "way": "leave"}, tag_action(tags[2]), "离开甲")
    _listening({"kind": "order", "at_least": 10_000}, tag_action(tags[3]), "大单")

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
    _happened(person, "order.paid", "small", payload={"amount_minor": 9_999})
    assert carried() == {"标签0", "标签1", "标签2"}
    _happened(person, "order.paid", "large", "import", payload={"amount_minor": 10_000})
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
    _listening(added, [{"kind": "tag", "add": [tags[1].pk], "whose": "all"}], "有新标签就换")
    _listening(ring, [{"kind": "tag", "add": [tags[0].pk], "whose": "all"}], "去掉就加回", daily_cap=50)
    mark_tags([follow.pk], add=[tags[0].pk], origin="operator", by=SYSTEM)
    settle()
    outcomes = list(RuleEvent.objects.order_by("pk").values_list("rule__name", "outcome__skipped"))
    assert ("有新标签就换", None) in outcomes and ("去掉就加回", None) in outcomes
    assert ("有新标签就换", "ring") in outcomes  # its own second tag, and the first one that came back
    assert RuleEvent.objects.filter(state="done").count() == 2


def test_a_rule_acts_so_often_a_day_on_one_person_and_says_when_it_did_not(at, corp, guide):
    person = tagging.make_person()
    tagging.make_relation(person, guide)
    _listening(CONSENT, tag_action(tagging.make_tag("老客")), daily_cap=2)
    for number in range(3):
        _happened(person, key=f"k{number}")
    settle()
    assert sorted(str(outcome.get("skipped")) for outcome in RuleEvent.objects.values_list("outcome", flat=True)) == [
        "None", "None", "loop",
    ]  # fmt: skip


# --- Schedules --------------------------------------------------------------------------------------------------


def test_a_schedule_acts_once_per_time_on_all_who_match_then_and_skips_what_is_too_late(at, corp, guide):
    tag = tagging.make_tag("每天")
    people = [tagging.make_person(name) for name in ("王姐", "王姐", "别人")]
    for person in people:
        tagging.make_relation(person, guide)
    rule = _listening({"kind": "schedule", "every": "day", "time": "12:30"}, tag_action(tag), tree=named("王姐"))
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


# --- Order, contradictions, taking back -------------------------------------------------------------------------


def test_of_two_rules_that_contradict_each_other_the_first_wins_and_the_other_says_so(at, corp, guide):
    tag = tagging.make_tag("老客")
    person = tagging.make_person()
    follow = tagging.make_relation(person, guide)
    taking = _listening(CONSENT, [{"kind": "tag", "remove": [tag.pk], "whose": "all"}], "去掉")
    putting = _listening(CONSENT, tag_action(tag), "打上")
    assert rules.conflicts_among([putting])[putting.pk] == [(taking, "去掉标签「老客」(全部好友关系)", False)]
    rules.shift_rule(putting.pk, later=False, by=SYSTEM)
    _happened(person)
    settle()
    assert FollowTag.objects.get().follow_id == follow.pk
    assert RuleEvent.objects.get(rule=taking).outcome == {"lost": [{"kind": "tag", "to": "打上"}]}


def test_a_rule_takes_off_its_own_tags_alone_when_she_stops_matching(at, corp, guide):
    tag, other = tagging.make_tag("老客"), tagging.make_tag("别的")
    mine, hers = tagging.make_person(), tagging.make_person("王姐")
    follows = [tagging.make_relation(person, guide) for person in (mine, hers)]
    rule = rules.save_rule(None, name="r", tree=named("王姐"), rule_actions=tag_action(tag), takes_back=True, by=SYSTEM)
    rules.enable_rule(rule, by=SYSTEM)
    mark_tags([follows[0].pk], add=[other.pk], origin="operator", by=SYSTEM)
    mark_tags([follows[1].pk], add=[tag.pk], origin="operator", by=SYSTEM)
    for person, name in ((mine, "王姐"), (mine, "别人"), (hers, "别人")):
        Contact.objects.filter(pk=person.pk).update(name=name)
        dirty.mark([person.pk], "t.name")
        settle()
    assert set(FollowTag.objects.values_list("follow_id", "tag_id")) == {
        (follows[0].pk, other.pk),
        (follows[1].pk, tag.pk),
    }
    assert RuleMatch.objects.get(contact=mine).outcome["taken_back"] == 1


def test_a_stage_set_by_hand_stands_until_something_else_makes_her_match(at, corp, guide):
    first, second = (Stage.objects.create(key=key, name=key, order=n) for n, key in enumerate(("甲", "乙"), start=90))
    person = tagging.make_person("王姐", stage=second)
    tree = tree_of(
        {
            "all": [
                {"field": "t.name", "op": "is", "value": "王姐"},
                {"field": "contact.stage", "op": "in", "value": [first.pk]},
            ]
        }
    )
    enabled(tree, [{"kind": "stage", "stage": second.pk}])
    change_stage([person.pk], first, source="manual", reason="", by=SYSTEM, at=tagging.NOW)
    settle()
    person.refresh_from_db()
    assert person.stage_id == first.pk and RuleMatch.objects.get().outcome == {"held": True}
    for name in ("别人", "王姐"):
        Contact.objects.filter(pk=person.pk).update(name=name)
        dirty.mark([person.pk], "t.name")
        settle()
    person.refresh_from_db()
    assert person.stage_id == second.pk


def test_each_saved_change_is_a_version_that_stays_as_it_was(at, corp, guide):
    tag = tagging.make_tag("老客")
    rule = rules.save_rule(None, name="r", tree=named("王姐"), rule_actions=tag_action(tag), by=SYSTEM)
    rules.save_rule(rule, name="r", tree=EVERYONE, rule_actions=tag_action(tag), trigger=CONSENT, by=SYSTEM)
    assert list(RuleVersion.objects.order_by("number").values_list("number", "trigger", "tree")) == [
        (1, None, named("王姐")), (2, CONSENT, EVERYONE),
    ]  # fmt: skip
    with pytest.raises(UserError, match="要有条件"):
        rules.save_rule(rule, name="r", tree=EVERYONE, rule_actions=tag_action(tag), by=SYSTEM)


def test_a_rule_fills_a_field_credits_a_guide_and_gives_somebody_something_to_do(at, corp, guide):
    CustomField.objects.create(key="level", label="等级", type="text", section="", created_at=tagging.NOW)
    person, stranger = tagging.make_person(owner=guide), tagging.make_person()
    colleague = tagging.make_member(corp)
    for member in (guide, colleague):
        tagging.make_relation(person, member)
    _listening(CONSENT, [
        {"kind": "field", "key": "level", "value": "金卡"}, {"kind": "owner", "member": colleague.pk},
        {"kind": "todo", "text": "打个电话", "hours": 24, "to": "guide"},
    ])  # fmt: skip
    _happened(person)
    _happened(stranger, key="k2")
    settle()
    person.refresh_from_db()
    assert (person.custom, person.owner_id) == ({"level": "金卡"}, colleague.pk)
    todo = Todo.objects.get()
    assert (todo.contact_id, todo.member_id, todo.author_name) == (person.pk, colleague.pk, "规则「规则」")
    assert RuleEvent.objects.get(contact=stranger).outcome["actions"][1:] == [
        {"kind": "owner", "moved": False, "stranger": True}, {"kind": "todo", "given": False},
    ]  # fmt: skip


def test_a_rule_puts_people_on_a_fixed_list_which_wakes_the_rules_of_that_list(at, corp, guide):
    person = tagging.make_person()
    tagging.make_relation(person, guide)
    fixed = Segment.objects.create(name="名单", kind="static", state="fresh", created_at=tagging.NOW)
    _listening(CONSENT, [{"kind": "segment", "segment": fixed.pk, "way": "add"}], "加入")
    _listening(
        {"kind": "segment", "segment": fixed.pk, "way": "enter"}, tag_action(tagging.make_tag("在名单")), "打标签"
    )
    _happened(person)
    settle()
    assert members(fixed) == {person.pk} and FollowTag.objects.get().tag.name == "在名单"
    with pytest.raises(UserError, match="2 处"):
        segments.archive_segment(fixed, by=SYSTEM)


# --- Trying it out, and running it over who matches -------------------------------------------------------------


def _work(job, step):
    while not step(job, clock.wall() + timedelta(minutes=1)):
        pass


def test_a_dry_run_counts_day_by_day_whom_the_rule_would_have_touched_and_writes_nothing(at, corp, guide):
    tag = tagging.make_tag("老客", corp=corp)
    people = [tagging.make_person("王姐"), tagging.make_person("王姐"), tagging.make_person("别人")]
    for person in people:
        tagging.make_relation(person, guide)
    for days, person in ((40, people[0]), (3, people[0]), (3, people[1]), (1, people[1]), (1, people[2])):
        _happened(person, key=f"{days}:{person.pk}", at=tagging.NOW - timedelta(days=days))
    rule = rules.save_rule(None, name="r", tree=named("王姐"), rule_actions=tag_action(tag), trigger=CONSENT, by=SYSTEM)
    before = [model.objects.count() for model in (RuleEvent, RuleMatch, FollowTag, OutboundCommand, TimelineEvent)]
    job = rule_dry_run.start(rule, 7, by=SYSTEM)
    _work(job, rule_dry_run.step)
    found = rule_dry_run.figures(job)
    assert [one["people"] for one in found["days"]] == [0, 0, 0, 2, 0, 1, 0]
    assert (found["people"], found["runs"], found["calls"]) == (2, 3, 3)
    assert before == [
        model.objects.count() for model in (RuleEvent, RuleMatch, FollowTag, OutboundCommand, TimelineEvent)
    ]


def test_a_dry_run_of_who_starts_to_match_sees_each_day_as_it_was(at, corp, guide):
    mine = tagging.make_tag("触发")
    people = [tagging.make_person() for _ in range(3)]
    for days, person in zip((10, 2, 0), people, strict=True):
        tagging.put_tag(
            tagging.make_relation(person, guide), mine, tagged_at=tagging.NOW - timedelta(days=days, hours=1)
        )
    tree = tree_of({"field": "tag", "op": "any", "value": [mine.pk]})
    rule = rules.save_rule(None, name="r", tree=tree, rule_actions=tag_action(tagging.make_tag("老客")), by=SYSTEM)
    job = rule_dry_run.start(rule, 3, by=SYSTEM)
    _work(job, rule_dry_run.step)
    assert [one["people"] for one in rule_dry_run.figures(job)["days"]] == [1, 0, 1]
    assert job.result["ids"] == [people[1].pk, people[2].pk]


def test_a_backfill_acts_on_who_matches_now_behind_everything_else_and_can_be_stopped_and_taken_back(
    at, corp, guide, monkeypatch
):
    tag, stage = tagging.make_tag("老客", corp=corp), Stage.objects.create(key="甲", name="甲", order=90)
    people = [tagging.make_person("王姐", stage=None) for _ in range(3)]
    old = Stage.objects.create(key="乙", name="乙", order=91)
    Contact.objects.update(stage=old)
    follows = [tagging.make_relation(person, guide) for person in people]
    mark_tags([follows[0].pk], add=[tag.pk], origin="operator", by=SYSTEM)
    rule = enabled(named("王姐"), [*tag_action(tag), {"kind": "stage", "stage": stage.pk}])
    assert not RuleEvent.objects.exists()
    with pytest.raises(Conflict, match="2 人变为 3 人"), transaction.atomic():
        rule_backfill.start(rule, expected=2, by=SYSTEM)
    monkeypatch.setattr(rule_backfill, "BATCH", 2)
    job = rule_backfill.start(rule, expected=3, by=SYSTEM)
    assert rule_backfill._run_some(job)
    assert rule_backfill.stop(job, by=SYSTEM) == 1
    _work(job, rule_backfill.step)
    assert rule_backfill.counts_of(job) == {"waiting": 0, "done": 2, "stopped": 1, "skipped": 0}
    assert dict(FollowTag.objects.values_list("follow_id", "origin")) == {
        follows[0].pk: "operator",
        follows[1].pk: "rule",
    }
    assert OutboundCommand.objects.get(subject_id=follows[1].pk).priority == causes.LOW
    job.state = Job.State.DONE
    job.save(update_fields=["state"])
    undo = rule_backfill.ask_undo(job, by=SYSTEM)
    _work(undo, rule_backfill.undo_step)
    assert dict(FollowTag.objects.values_list("follow_id", "state")) == {
        follows[0].pk: "adding",
        follows[1].pk: "removing",
    }
    assert set(Contact.objects.values_list("stage_id", flat=True)) == {old.pk}


def test_a_rule_takes_off_what_it_put_on_and_nobody_elses(at, corp, guide):
    tag = tagging.make_tag("老客")
    person, other = (tagging.make_person(name) for name in ("王姐", "李姐"))
    hers, follow = (tagging.make_relation(one, guide) for one in (person, other))
    taking = [{"kind": "tag", "remove": [tag.pk], "whose": "all"}]
    rule = _listening(CONSENT, tag_action(tag), "打上又去掉")
    _happened(person)
    settle()
    mark_tags([follow.pk], add=[tag.pk], origin="guide", by=SYSTEM)
    rules.save_rule(rule, name=rule.name, tree=rule.tree, trigger=rule.trigger, rule_actions=taking, by=SYSTEM)
    rules.enable_rule(rule, by=SYSTEM)
    for number, one in enumerate((person, other)):
        _happened(one, key=f"again{number}")
    settle()
    assert [mark.follow for mark in FollowTag.objects.all()] == [follow] and hers != follow


def test_no_rule_fills_a_field_that_only_some_may_edit(acme):
    role = Role.objects.get(key="hq")
    closed = make_field("信用额度", edit_roles=[role.pk])
    free = make_field("肤质")
    said = {
        field.key: actions.problems_of([{"kind": "field", "key": field.key, "value": "高"}]) for field in (closed, free)
    }
    assert said[closed.key] and not said[free.key]
