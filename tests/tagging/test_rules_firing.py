"""Rules act once on who starts to match, never on what only the first sync told, and do not chase each other."""

import pytest
from django.db import transaction

from conditions import dirty
from scrm.lib.errors import UserError
from tagging.models import FollowTag, Rule, RuleMatch
from tagging.policy import RUNS_A_DAY
from tagging.services import rules, segments
from tagging.services.marks import mark_tags
from tenants.audit import SYSTEM
from tests.support import tagging
from tests.support.consuming import built, enabled, members, named, settle, tag_action
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
