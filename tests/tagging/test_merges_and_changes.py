"""A merge of tags among what people do meanwhile: taken back before WeCom heard of all of it, and beside changes of their own."""

from datetime import timedelta

import pytest

from conditions import dirty
from conditions.tree import EVERYONE
from contacts.models import Contact, Follow, TimelineEvent
from scrm.lib import clock
from tagging.models import FollowTag, RuleEvent, RuleMatch
from tagging.services import merging, rules, segment_state, segments
from tagging.services.marks import mark_tags
from tenants.audit import SYSTEM
from tenants.ledger.models import Job
from tests.support import tagging
from tests.support.consuming import built, enabled, members, settle, tag_action
from tests.support.merging import answered, has, work
from tests.support.tagging import NOW

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_fields")]


@pytest.fixture
def people(guide):
    """Six friends of the guide."""
    found = [tagging.make_person(f"客户{n}", owner=guide, last_added_at=NOW) for n in range(6)]
    for person in found:
        tagging.make_relation(person, guide)
    return found


def marks(tag):
    return dict(FollowTag.objects.filter(tag=tag).values_list("contact__name", "state"))


def put(person, *tags):
    mark_tags([person.follows.get().pk], add=[tag.pk for tag in tags], origin="operator", by=SYSTEM)


def take(person, *tags):
    mark_tags([person.follows.get().pk], remove=[tag.pk for tag in tags], origin="operator", by=SYSTEM)


# --- Taken back -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("told", ["none", "half", "all"])
def test_an_undo_before_wecom_heard_of_everything_leaves_no_mark_on_its_way(pair, people, monkeypatch, told):
    """The first and the second have nothing done to them, the second had both tags; of the third the kept tag was taken off, of the
    fourth taken off and put on again, of the fifth, who had both, taken off; the sixth ended her relation."""
    old, kept = pair
    for person in people:
        tagging.put_tag(person.follows.get(), old)
    for person in (people[1], people[4]):
        tagging.put_tag(person.follows.get(), kept)
    monkeypatch.setattr(merging, "PART", 3)
    merge = merging.start(old, kept, by=SYSTEM)
    if told == "all":
        work()
    elif told == "half":
        assert not merging.step(Job.objects.get(pk=merge.job_id), clock.wall())
    else:
        merging._switch(merge.pk)
    assert merge.moves.filter(is_told=True).count() == {"none": 0, "half": 3, "all": 6}[told]

    take(people[2], kept)
    take(people[3], kept)
    put(people[3], kept)
    take(people[4], kept)
    Follow.objects.filter(contact=people[5]).update(relation="by_customer")
    merging.ask_undo(merge.pk, by=SYSTEM)
    work()
    answered()

    merge.refresh_from_db()
    assert (merge.state, merge.undone, merging.waiting_in_wecom(merge)) == ("undone", 2, 0)
    ended_with = {"客户5": "on"}
    assert marks(old) == {"客户0": "on", "客户1": "on"} | ({} if told == "all" else ended_with)
    assert marks(kept) == {"客户1": "on", "客户3": "on"} | (ended_with if told == "all" else {})


def test_an_undo_of_internal_tags_writes_what_became_of_whoever_it_left_alone(at, people):
    old, kept = tagging.make_tag("老会员"), tagging.make_tag("会员")
    for person in people[:2]:
        tagging.put_tag(person.follows.get(), old)
    merge = merging.start(old, kept, by=SYSTEM)
    merging._switch(merge.pk)
    take(people[1], kept)
    merging.ask_undo(merge.pk, by=SYSTEM)
    work()
    assert marks(old) == {"客户0": "on"} and marks(kept) == {}
    facts = TimelineEvent.objects.filter(source="backfill").values_list("contact__name", "kind", "subject")
    assert set(facts) == {
        ("客户0", "tag.added", f"tag:{old.pk}"), ("客户0", "tag.removed", f"tag:{kept.pk}"),
        ("客户1", "tag.added", f"tag:{kept.pk}"), ("客户1", "tag.removed", f"tag:{old.pk}"),
    }  # fmt: skip


# --- Beside changes of their own --------------------------------------------------------------------------------


def test_whose_own_change_waits_when_tags_are_merged_is_acted_upon_and_whom_the_merge_moved_is_not(pair, people):
    """A rule that reads the kept tag: of the second it was just put on, of the third it was just taken off."""
    old, kept = pair
    tagging.put_tag(people[0].follows.get(), old)
    tagging.put_tag(people[2].follows.get(), kept)
    rule = enabled(has(kept), tag_action(tagging.make_tag("重点")), name="读新")
    put(people[1], kept)
    take(people[2], kept)
    merging.start(old, kept, by=SYSTEM)
    work()
    settle()
    found = {pk: (outcome, left_at) for pk, outcome, left_at in RuleMatch.objects.filter(rule=rule).values_list("contact_id", "outcome", "left_at")}  # fmt: skip
    assert found[people[0].pk] == ({"baseline": "tags_merged"}, None)
    assert found[people[1].pk][0]["actions"] and found[people[1].pk][1] is None
    assert found[people[2].pk] == ({"baseline": "enabled"}, NOW)


def test_a_rule_that_named_the_merged_tag_says_another_thing_now_so_its_answers_are_noted(pair, people):
    old, kept = pair
    rule = enabled(has(old), tag_action(tagging.make_tag("重点")), name="读旧")
    put(people[1], kept)
    merging.start(old, kept, by=SYSTEM)
    work()
    settle()
    assert RuleMatch.objects.get(rule=rule).outcome == {"baseline": "tags_merged"}


def test_segments_that_read_merged_tags_say_until_when_they_were_right_and_tell_nobody(at, pair, people):
    old, kept = pair
    tagging.put_tag(people[0].follows.get(), old)
    reads_old, reads_kept = built("旧", has(old)), built("新", has(kept))
    for segment in (reads_old, reads_kept):
        trigger = {"kind": "segment", "segment": segment.pk, "way": "enter"}
        rule = rules.save_rule(
            None, name=segment.name, tree=EVERYONE, trigger=trigger, by=SYSTEM,
            rule_actions=tag_action(tagging.make_tag(segment.name)),
        )  # fmt: skip
        rules.enable_rule(rule, by=SYSTEM)
    later = NOW + timedelta(hours=3)
    at(later)
    merging.start(old, kept, by=SYSTEM)
    work()
    for segment in (reads_old, reads_kept):
        segment.refresh_from_db()
        assert (segment.state, segment.fresh_at, segment.built_version) == ("stale", later, None)
    at(later + timedelta(hours=1))
    assert segment_state.as_of(reads_kept, clock.now()) == later
    Contact.objects.filter(pk=people[0].pk).update(name="改名")
    dirty.mark([people[0].pk], dirty.EVERYTHING)
    settle()
    segments.drain_builds(clock.wall() + timedelta(seconds=20))
    settle()
    assert members(reads_old) == members(reads_kept) == {people[0].pk}
    assert not RuleEvent.objects.exists()
