"""Trying a rule out on past days, and running it over who matches."""

from datetime import timedelta

import pytest
from django.db import transaction

from contacts.models import Contact, Stage, TimelineEvent
from scrm.lib import clock
from scrm.lib.errors import Conflict
from tagging import causes
from tagging.models import FollowTag, RuleEvent, RuleMatch
from tagging.services import rule_backfill, rule_dry_run, rules
from tagging.services.marks import mark_tags
from tenants.audit import SYSTEM
from tenants.ledger.models import Job
from tests.support import tagging
from tests.support.consuming import CONSENT, enabled, happened, named, tag_action
from tests.support.tagging import tree_of
from wecom_bridge.models import OutboundCommand

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_fields")]


def _work(job, step):
    while not step(job, clock.wall() + timedelta(minutes=1)):
        pass


def test_a_dry_run_counts_day_by_day_whom_the_rule_would_have_touched_and_writes_nothing(at, corp, guide):
    tag = tagging.make_tag("老客", corp=corp)
    people = [tagging.make_person("王姐"), tagging.make_person("王姐"), tagging.make_person("别人")]
    for person in people:
        tagging.make_relation(person, guide)
    for days, person in ((40, people[0]), (3, people[0]), (3, people[1]), (1, people[1]), (1, people[2])):
        happened(person, key=f"{days}:{person.pk}", at=tagging.NOW - timedelta(days=days))
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
