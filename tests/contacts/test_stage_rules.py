"""Entry rules of the stages: who newly answers to one moves; what a person decided stands until the answer changes."""

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conditions import dirty
from contacts import longjobs
from contacts.models import Contact, Stage, StageTransition
from contacts.services import stage_answers, stage_rules
from contacts.services.stages import change_stage
from scrm.lib import clock
from scrm.lib.errors import Conflict, UserError
from tenants.audit import Actor
from tests.support import contacts as people
from tests.support.consuming import settle
from tests.support.core import log_in
from tests.support.fuzzing import often
from tests.support.tagging import tree_of

pytestmark = pytest.mark.django_db
HQ = Actor("user", 1, "李敏")


def has(word: str) -> dict[str, Any]:
    return tree_of({"field": "contact.name", "op": "contains", "value": word})


def rule(stage: Stage, tree: dict[str, Any] | None, *, leads_back: bool = False) -> None:
    stage_rules.save_rule(stage.pk, tree=tree, leads_back=leads_back, by=HQ)


def rename(person: Contact, name: str, *, backfill: bool = False) -> str | None:
    """Her name changes, as a callback (or the first sync) tells; the key of the stage she stands in after it."""
    Contact.objects.filter(pk=person.pk).update(name=name)
    dirty.mark([person.pk], "contact.name", backfill=backfill)
    settle()
    return stage_of(person)


def stage_of(person: Contact) -> str | None:
    return Contact.objects.values_list("stage__key", flat=True).get(pk=person.pk)


def by_hand(person: Contact, stage: Stage) -> None:
    change_stage([person.pk], stage, source="manual", reason="看过了", by=HQ, at=clock.now())
    settle()


@pytest.fixture
def stages() -> dict[str, Stage]:
    return people.make_stages()


def test_who_starts_to_match_moves_on_record_and_the_last_matching_stage_wins(stages):
    rule(stages["first_order"], has("买"))
    rule(stages["repeat"], has("买买"))
    person = people.make_contact("小圆子")
    assert rename(person, "买") == "first_order"
    assert rename(person, "买买") == "repeat"
    sources = StageTransition.objects.filter(contact=person).order_by("pk").values_list("source", "to_stage__key")
    assert list(sources) == [("rule", "first_order"), ("rule", "repeat")]


def test_rules_lead_forward_only_unless_the_stage_may_lead_back(stages):
    rule(stages["interested"], has("看"))
    rule(stages["repeat"], has("买"), leads_back=True)
    person = people.make_contact("甲", stage=stages["dormant"], stage_since=clock.now())
    assert rename(person, "看") == "dormant"
    assert rename(person, "买") == "repeat"


def test_a_stage_set_by_hand_stands_until_the_rules_answer_otherwise(stages):
    rule(stages["first_order"], has("买"))
    rule(stages["loyal"], has("熟"))
    person = people.make_contact("甲")
    rename(person, "买")
    by_hand(person, stages["interested"])
    assert rename(person, "又买") == "interested"  # the same answer as before
    assert rename(person, "买熟") == "loyal"  # another one


def test_saving_a_rule_moves_nobody_who_matches_already_until_asked(stages):
    first, second = (
        people.make_contact("买一"),
        people.make_contact("买二", stage=stages["loyal"], stage_since=clock.now()),
    )
    rule(stages["first_order"], has("买"))
    dirty.mark([first.pk, second.pk], "contact.name")
    settle()
    assert (stage_of(first), stage_of(second)) == (None, "loyal")
    with pytest.raises(Conflict, match="7 人变为 1 人"):
        stage_rules.apply_rule(stages["first_order"].pk, expected=7, by=HQ)
    assert stage_rules.apply_rule(stages["first_order"].pk, expected=1, by=HQ) == 1
    settle()
    assert (stage_of(first), stage_of(second)) == ("first_order", "loyal")


def test_facts_of_the_first_sync_place_who_has_no_stage_and_move_nobody(stages):
    rule(stages["first_order"], has("买"))
    fresh = people.make_contact("甲")
    known = people.make_contact("乙", stage=stages["new"], stage_since=clock.now() - timedelta(days=3))
    assert rename(fresh, "买", backfill=True) == "first_order"
    assert rename(known, "买", backfill=True) == "new"
    assert StageTransition.objects.get(contact=fresh).source == "backfill"
    assert rename(known, "买买") == "new"  # noted: the answer is no news


def test_time_alone_moves_who_grows_into_a_rule(stages):
    quiet = {"field": "contact.added_at", "op": "older_than", "value": 60}
    rule(stages["dormant"], tree_of(quiet))
    now = clock.now()
    person = people.make_contact("甲", last_added_at=now - timedelta(days=59))
    dirty.mark([person.pk], "contact.added_at")
    settle()
    assert stage_of(person) is None
    with time_machine.travel(now + timedelta(days=2), tick=False):
        settle()
        assert stage_of(person) == "dormant"


def test_two_rules_that_chase_each_other_stop_after_some_moves_a_day(stages):
    def stands_in(key: str) -> dict[str, Any]:
        return tree_of({"field": "contact.stage", "op": "in", "value": [stages[key].pk]})

    person = people.make_contact("甲")
    rule(stages["new"], stands_in("interested"), leads_back=True)
    rule(stages["interested"], stands_in("new"), leads_back=True)
    by_hand(person, stages["new"])
    moves = StageTransition.objects.filter(contact=person, source="rule").count()
    assert moves == stage_rules.MOVES_A_DAY


def test_a_rule_without_conditions_or_for_a_stage_out_of_use_is_refused(stages):
    with pytest.raises(UserError, match="还没有条件"):
        rule(stages["loyal"], tree_of({"all": []}))
    Stage.objects.filter(key="loyal").update(is_archived=True)
    with pytest.raises(UserError, match="已停用"):
        rule(stages["loyal"], has("买"))


def test_without_a_rule_nothing_is_decided_any_more(stages):
    rule(stages["first_order"], has("买"))
    rule(stages["first_order"], None)
    assert stage_rules.reads() == set()
    assert rename(people.make_contact("甲"), "买") is None


def test_a_batch_costs_the_same_for_two_people_and_for_fifty(stages):
    rule(stages["first_order"], has("买"))
    rule(stages["loyal"], has("熟"))

    def cost(count: int) -> int:
        ids = [people.make_contact(f"{'买熟'[n % 2]}{count}").pk for n in range(count)]
        with CaptureQueriesContext(connection) as spent:
            stage_rules.consume(ids, frozenset({"contact.name"}), clock.now())
        assert StageTransition.objects.filter(contact_id__in=ids).count() == count
        return len(spent)

    assert cost(2) == cost(50)


WORDS = {"new": "子", "interested": "丑", "repeat": "寅", "dormant": "卯"}
ORDER = list(WORDS)


@settings(max_examples=often(15), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    back=st.sets(st.sampled_from(ORDER)),
    steps=st.lists(st.tuples(st.sampled_from(["fact", "hand"]), st.sets(st.sampled_from(ORDER))), max_size=6),
)
def test_the_stage_is_what_the_written_order_of_moves_says(stages, back, steps):
    """A model without SQL: the last matching stage, acted upon when it changes, forward or where it leads back."""
    for key, word in WORDS.items():
        rule(stages[key], has(word), leads_back=key in back)
    person = people.make_contact("甲")
    stands: str | None = None
    before: str | None = None
    moves = 0
    for kind, keys in steps:
        last = max(keys, key=ORDER.index, default=None)
        if kind == "hand" and last:
            by_hand(person, stages[last])
            stands = last
        if kind == "fact":
            is_news = last is not None and last not in (before, stands) and moves < stage_rules.MOVES_A_DAY
            if is_news and (stands is None or ORDER.index(last) > ORDER.index(stands) or last in back):
                stands, moves = last, moves + 1
            before = last
            rename(person, "甲" + "".join(WORDS[key] for key in sorted(keys)))
        assert stage_of(person) == stands


class TestManyPeople:
    """More than are noted within the request: a job notes them, batch after batch."""

    @pytest.fixture
    def crowd(self, stages, monkeypatch):
        monkeypatch.setattr(stage_answers, "AT_ONCE", 2)
        monkeypatch.setattr(stage_answers, "BATCH", 2)
        return [people.make_contact(f"买{n}") for n in range(5)]

    def batch(self):
        stage_answers.note_step(stage_answers.unfinished().get(), clock.wall() + timedelta(milliseconds=1))

    def finish(self):
        longjobs.drain(clock.wall() + timedelta(seconds=10))

    def test_nobody_moves_who_matched_before_wherever_the_job_is(self, stages, crowd):
        rule(stages["first_order"], has("买"))
        self.batch()
        dirty.mark([one.pk for one in crowd], "contact.name")
        settle()
        assert {stage_of(one) for one in crowd} == {None}
        self.finish()
        dirty.mark([one.pk for one in crowd], "contact.name")
        settle()
        assert {stage_of(one) for one in crowd} == {None}
        assert not stage_answers.unfinished().exists()

    def test_rules_move_whom_the_job_reached_and_who_came_since(self, stages, crowd):
        rule(stages["loyal"], has("熟"))
        self.batch()
        assert rename(crowd[0], "熟") == "loyal"
        assert rename(crowd[4], "熟") is None, "her answer is part of what is noted"
        newcomer = people.make_contact("新")
        assert rename(newcomer, "熟") == "loyal"
        self.finish()
        assert rename(crowd[4], "又熟") is None and rename(crowd[3], "熟") == "loyal"

    def test_saving_again_begins_again_and_the_older_job_ends(self, stages, crowd):
        rule(stages["loyal"], has("熟"))
        older = stage_answers.unfinished().get()
        self.batch()
        rule(stages["first_order"], has("买"))
        assert stage_answers.note_step(older, clock.wall() + timedelta(seconds=5)) is False
        assert stage_answers.unfinished().get().pk != older.pk
        self.finish()
        older.refresh_from_db()
        assert older.state == "cancelled" and not stage_answers.unfinished().exists()
        assert set(Contact.objects.values_list("ruled_stage", flat=True)) == {stages["first_order"].pk}

    def test_who_matches_already_is_moved_when_all_are_noted(self, stages, crowd):
        rule(stages["first_order"], has("买"))
        with pytest.raises(Conflict, match="核对"):
            stage_rules.apply_rule(stages["first_order"].pk, expected=5, by=HQ)
        self.finish()
        assert stage_rules.apply_rule(stages["first_order"].pk, expected=5, by=HQ) == 5
        settle()
        assert {stage_of(one) for one in crowd} == {"first_order"}

    def test_the_page_says_how_far_it_is(self, stages, crowd, acme):
        rule(stages["first_order"], has("买"))
        self.batch()
        page = log_in("hq").get(f"/stages/{stages['first_order'].pk}/rule/").content.decode()
        assert "2 / 5" in page and "现在移入" not in page
