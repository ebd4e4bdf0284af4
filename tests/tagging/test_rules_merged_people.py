"""Two people noted for one time of a schedule, or for one 补跑, who become one are acted on once."""

from datetime import timedelta

import pytest

from contacts.models import Contact, Todo
from scrm.lib import clock
from tagging.models import RuleEvent
from tagging.rule_words import outcome_in_words
from tagging.services import rule_backfill, rule_schedule, rules
from tenants.audit import SYSTEM
from tests.support import tagging
from tests.support.consuming import enabled, named

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_fields")]
TO_DO = [{"kind": "todo", "text": "打个电话", "hours": 24, "to": "guide"}]


@pytest.fixture
def pair(guide):
    people = [tagging.make_person("王姐", owner=guide) for _ in range(2)]
    for person in people:
        tagging.make_relation(person, guide)
    return people


@pytest.fixture
def rule(at, pair):
    made = rules.save_rule(
        None, name="每天", tree=named("王姐"), rule_actions=TO_DO, by=SYSTEM,
        trigger={"kind": "schedule", "every": "day", "time": "12:30"},
    )  # fmt: skip
    enabled_rule = rules.enable_rule(made, by=SYSTEM)
    at(tagging.NOW + timedelta(minutes=30))
    return enabled_rule


def merge(branch, root):
    Contact.objects.filter(pk=branch.pk).update(root=root)


def drain():
    rule_schedule.drain(clock.wall() + timedelta(minutes=1))


@pytest.mark.parametrize(("kept", "gone"), [(0, 1), (1, 0)])
def test_of_one_time_of_a_schedule_she_has_one_turn(rule, pair, kept, gone):
    assert rule_schedule._begin_one()
    merge(pair[gone], pair[kept])

    drain()

    assert Todo.objects.get().contact == pair[kept]
    assert RuleEvent.objects.get(contact=pair[kept]).state == "done"
    twin = RuleEvent.objects.get(contact=pair[gone])
    assert (twin.state, twin.outcome) == ("skipped", {"skipped": "twin"})
    assert "已合并为一人" in outcome_in_words(twin.outcome, rule, TO_DO)


@pytest.mark.parametrize(("kept", "gone"), [(0, 1), (1, 0)])
def test_whom_it_acted_on_before_they_were_one_it_does_not_act_on_again(rule, pair, kept, gone, monkeypatch):
    monkeypatch.setattr(rule_schedule, "BATCH", 1)
    assert rule_schedule._begin_one()
    assert rule_schedule._work_off_some(set())
    assert Todo.objects.get().contact == pair[0]
    merge(pair[gone], pair[kept])

    drain()

    assert Todo.objects.count() == 1
    assert RuleEvent.objects.get(contact=pair[1]).outcome == {"skipped": "twin"}


def test_the_next_time_is_another_turn(rule, pair, at):
    assert rule_schedule._begin_one()
    merge(pair[1], pair[0])
    drain()
    at(tagging.NOW + timedelta(days=1, minutes=30))
    drain()

    assert RuleEvent.objects.filter(state="done", contact=pair[0]).count() == Todo.objects.count() == 2


def test_of_one_backfill_she_has_one_turn(at, pair):
    rule = enabled(named("王姐"), TO_DO)
    job = rule_backfill.start(rule, expected=2, by=SYSTEM)
    merge(pair[1], pair[0])

    while not rule_backfill.step(job, clock.wall() + timedelta(minutes=1)):
        pass

    assert Todo.objects.get().contact == pair[0]
    assert rule_backfill.counts_of(job) == {"waiting": 0, "done": 1, "stopped": 0, "skipped": 1}
