"""Statements over everybody ask by sweeps, in room for them: the tenant's lock of the marks is held meanwhile."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tagging.models import RuleEvent, RuleMatch
from tagging.queries import exactly
from tagging.services import merged_readers, rule_dry_run, rule_schedule, rules, segments
from tagging.services.segment_pins import pin
from tenants.audit import SYSTEM
from tests.support import tagging
from tests.support.consuming import tag_action
from tests.support.tagging import NOW, tree_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_fields", "at", "acme")]
SWEPT = "NOT EXISTS (SELECT 1 FROM (SELECT"  # one anti-join instead of a probe per person


@pytest.fixture
def people():
    return [tagging.make_person(name) for name in ("王姐", "李姐")]


@pytest.fixture
def tree(guide, people):
    """Without a tag, which the first of them carries."""
    tag = tagging.make_tag("老客")
    tagging.put_tag(tagging.make_relation(people[0], guide), tag)
    return tree_of({"all": [{"field": "t.tag", "op": "none", "value": [tag.pk]}]})


@pytest.fixture
def rule(tree):
    return rules.save_rule(None, name="规则", tree=tree, rule_actions=tag_action(tagging.make_tag("新客")), by=SYSTEM)


def asked(work, what):
    """The statements of `work` that hold some words, each with the work_mem of its time."""
    found, room = [], ""
    with CaptureQueriesContext(
        connection,
    ) as captured:
        work()
    for one in captured.captured_queries:
        if "SET LOCAL work_mem" in one["sql"]:
            room = one["sql"].rpartition("=")[2].strip(" '")
        elif what in one["sql"]:
            found.append((one["sql"], room))
    return found


DEEDS = {
    "enabling": (lambda rule: rules.enable_rule(rule, by=SYSTEM), 'INSERT INTO "tagging_rulematch"'),
    "enabling for those who match": (
        lambda rule: rules.enable_rule(rule, act_on_existing=True, expected=1, by=SYSTEM),
        "matched.id, ",
    ),
    "a time of a schedule, or 补跑": (
        lambda rule: rule_schedule.insert_keyed(rule, "slot:x:", NOW, NOW),
        'INSERT INTO "tagging_ruleevent"',
    ),
    "a merge of tags": (
        lambda rule: merged_readers._note_matches(rule, None, NOW),
        'INSERT INTO "tagging_rulematch"',
    ),
    "试算": (
        lambda rule: rule_dry_run._count_day(rule, rule_dry_run.start(rule, 1, by=SYSTEM)),
        "WITH found (id) AS MATERIALIZED",
    ),
}  # fmt: skip


@pytest.mark.parametrize("deed", DEEDS)
def test_everybody_is_asked_by_one_sweep(rule, people, deed):
    work, what = DEEDS[deed]
    statements = asked(lambda: work(rule), what)
    assert statements
    for sql, room in statements:
        assert SWEPT in sql and room == "128MB"


def test_of_the_two_the_one_without_the_tag_is_found(rule, people):
    rules.enable_rule(rule, by=SYSTEM)
    assert list(RuleMatch.objects.values_list("contact_id", flat=True)) == [people[1].pk]
    rule_schedule.insert_keyed(rule, "slot:x:", NOW, NOW)
    assert list(RuleEvent.objects.values_list("contact_id", flat=True)) == [people[1].pk]


@pytest.mark.parametrize(("pinned", "is_joined"), [(None, True), (False, True), (True, False)])
def test_a_segment_without_pins_is_asked_without_them(tree, people, pinned, is_joined):
    """Under the OR of those pinned in an anti-join would be a probe per person."""
    segment = segments.save_segment(None, name="无标签", tree=tree, by=SYSTEM)
    if pinned is not None:
        pin(segment, [people[0].pk], is_in=pinned, reason="", by=SYSTEM)
    wanted = type(people[0]).objects.filter(exactly(segment, NOW))
    sql = str(wanted.query)
    assert ("NOT EXISTS" in sql) == is_joined
    assert ("segmentpin" in sql) == (pinned is not None)
    assert {one.pk for one in wanted} == {one.pk for one in people if pinned or one != people[0]}
