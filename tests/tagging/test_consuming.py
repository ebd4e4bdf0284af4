"""Marks, segments and rules together: exact, instant, once."""

import random
from datetime import timedelta

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conditions import dirty
from conditions.drain import drain_batch, drain_marks, next_due
from conditions.models import DirtyMark
from scrm.lib import clock
from scrm.lib.errors import UserError
from tagging import segments as listeners
from tagging.models import FollowTag, Rule, RuleMatch, Segment, SegmentChange, SegmentEntry, Tag, TagGroup
from tagging.services import rules, segments
from tagging.services.broken import break_readers_of_tags
from tagging.services.marks import mark_tags
from tagging.services.mirror import apply_tags, delete_tags
from tenants.audit import SYSTEM
from tests.support import tagging
from tests.support.core import in_thread
from tests.support.tagging import NOW, TEST_FIELDS, World, random_node, tree_of
from wecom_bridge.contracts import TagGroupInfo, TagInfo, TagsBatch
from wecom_bridge.models import OutboundCommand

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _fields():
    tagging.register_test_fields()


@pytest.fixture
def at(monkeypatch):
    """at(instant): the domain clock stands there."""

    def stand(instant):
        monkeypatch.setattr(clock, "now", lambda: instant)

    stand(NOW)
    return stand


@pytest.fixture
def corp(acme):
    return tagging.make_corp()


@pytest.fixture
def guide(corp):
    return tagging.make_member(corp)


def settle():
    """Work off every due mark."""
    for _ in range(50):
        if not drain_batch():
            return
    raise AssertionError("the marks never end")


def members(segment):
    return set(SegmentEntry.objects.filter(segment=segment).values_list("contact_id", flat=True))


def named(name):
    return tree_of({"field": "t.name", "op": "is", "value": name})


def built(name, tree):
    segment = segments.save_segment(None, name=name, tree=tree, by=SYSTEM)
    segments.build_segment(segment)
    segment.refresh_from_db()
    return segment


def enabled(tree, actions, name="规则", **options):
    rule = rules.save_rule(None, name=name, tree=tree, rule_actions=actions, by=SYSTEM)
    return rules.enable_rule(rule, by=SYSTEM, **options)


# --- Segments ---------------------------------------------------------------------------------------------------


def test_a_change_moves_people_in_and_out_and_tells_the_listeners(at, acme):
    person = tagging.make_person("王姐")
    segment = built("王姐们", named("王姐"))
    heard = []
    listeners.on_change("test", heard.append)
    try:
        person.name = "别人"
        person.save()
        dirty.mark([person.pk], "t.name")
        settle()
        assert members(segment) == set()
        assert [(change.entered, change.left, change.cause) for change in heard] == [([], [person.pk], "change")]
        assert SegmentChange.objects.filter(segment=segment).count() == 2
    finally:
        listeners._listeners.pop("test")
    segment.refresh_from_db()
    assert (segment.size, segment.state, segment.fresh_at) == (0, "fresh", NOW)


def test_a_mark_of_another_field_evaluates_nothing(at, acme, django_assert_max_num_queries):
    person = tagging.make_person("王姐")
    segment = built("王姐们", named("王姐"))
    SegmentEntry.objects.filter(segment=segment).delete()
    dirty.mark([person.pk], "t.order")
    settle()
    assert members(segment) == set()
    assert not DirtyMark.objects.exists()


@pytest.mark.parametrize(
    ("field", "op", "value", "window", "before", "boundary"),
    [
        ("t.added", "within", None, {"days": 7}, True, timedelta(days=6)),
        ("t.added", "older_than", 7, None, False, timedelta(days=6)),
        ("t.added", "within", None, {"days": 7, "skip_days": 3}, False, timedelta(days=2)),
    ],
)
def test_time_alone_moves_people_at_the_very_instant(at, acme, field, op, value, window, before, boundary):
    person = tagging.make_person(first_added_at=NOW - timedelta(days=1))
    leaf = {"field": field, "op": op} | ({"value": value} if value else {}) | ({"window": window} if window else {})
    segment = built("按时间", tree_of(leaf))
    assert (person.pk in members(segment)) is before
    assert next_due() == NOW + boundary
    at(NOW + boundary - timedelta(microseconds=1))
    settle()
    assert (person.pk in members(segment)) is before
    at(NOW + boundary)
    settle()
    assert (person.pk in members(segment)) is not before
    assert DirtyMark.objects.filter(contact_id=person.pk, not_before__isnull=False).count() <= 1


@given(seed=st.integers(0, 10**9))
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_increments_equal_a_full_build_after_any_history(acme, seed):
    dice = random.Random(seed)
    with pytest.MonkeyPatch.context() as patch, transaction.atomic():
        now = NOW
        patch.setattr(clock, "now", lambda: now)
        world = World(dice, size=8)
        kept = [built(f"人群{n}", tree_of(random_node(dice, TEST_FIELDS))) for n in range(4)]
        for _ in range(6):
            now += timedelta(hours=dice.choice((0, 6, 24, 72)))
            _change_something(dice, world, now)
            if dice.random() < 0.5:
                settle()
        settle()
        for segment in kept:
            incremental = members(segment)
            size = Segment.objects.get(pk=segment.pk).size
            segments.build_segment(segment)
            assert members(segment) == incremental, segment.tree
            assert size == len(incremental)
        transaction.set_rollback(True)


def _change_something(dice, world, now):
    person = dice.choice(world.people)
    match dice.randrange(5):
        case 0:
            person.name = dice.choice(tagging.NAMES)
            person.save()
            dirty.mark([person.pk], "t.name")
        case 1:
            world.add_order(person, at=now - timedelta(hours=dice.choice((0, 24, 160))))
            dirty.mark([person.pk], "t.order")
        case 2:
            marks = list(FollowTag.objects.filter(contact=person))
            for mark in marks[:1]:
                mark.delete()
            dirty.mark([person.pk], "t.tag")
        case 3:
            roots = [other for other in world.people if other.root_id is None and other.pk != person.pk]
            if person.root_id is None and roots:
                FollowTag.objects.filter(contact__root=person)  # branches follow her, as a merge makes them
                into = dice.choice(roots)
                for row in world.people:
                    if row.root_id == person.pk or row.pk == person.pk:
                        row.root = into
                        row.save()
                dirty.mark([person.pk, into.pk], dirty.EVERYTHING)
        case 4:
            person = world.add_person()
            dirty.mark([person.pk], dirty.EVERYTHING)


def test_a_segment_in_a_segment_follows_its_parent_and_a_circle_is_refused(at, acme):
    person = tagging.make_person("王姐")
    parent = built("上级", named("王姐"))
    child = built("下级", tree_of({"field": "segment", "op": "any", "value": [parent.pk]}))
    assert members(child) == {person.pk}
    person.name = "x"
    person.save()
    dirty.mark([person.pk], "t.name")
    settle()
    assert members(parent) == members(child) == set()
    with pytest.raises(Exception, match="圈"):
        segments.save_segment(
            parent, name="上级", tree=tree_of({"field": "segment", "op": "any", "value": [child.pk]}), by=SYSTEM
        )


def test_a_frozen_copy_does_not_move(at, acme):
    person = tagging.make_person("王姐")
    source = built("活的", named("王姐"))
    frozen = segments.freeze_segment(source, name="定住的", by=SYSTEM)
    person.name = "x"
    person.save()
    dirty.mark([person.pk], "t.name")
    settle()
    assert members(source) == set()
    assert members(frozen) == {person.pk}


# --- Rules ------------------------------------------------------------------------------------------------------


def tag_action(tag, **more):
    return [{"kind": "tag", "add": [tag.pk], "whose": "owner", **more}]


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
    assert RuleMatch.objects.filter(outcome__has_key="actions").count() == rules.RUNS_A_DAY
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


def test_a_deleted_tag_stops_what_reads_or_puts_it(at, corp, guide):
    tag = tagging.make_tag("老客", corp=corp)
    person = tagging.make_person("王姐")
    tagging.put_tag(tagging.make_relation(person, guide), tag)
    reads_it = built("有标签", tree_of({"field": "tag", "op": "none", "value": [tag.pk]}))
    puts_it = enabled(named("王姐们"), tag_action(tag))
    stays = enabled(named("王姐们"), tag_action(tagging.make_tag("别的")), name="别的")
    delete_tags(Tag.objects.filter(pk=tag.pk), NOW)
    settle()
    for row in (reads_it, puts_it, stays):
        row.refresh_from_db()
    assert (reads_it.state, puts_it.state, stays.state) == ("failed", "broken", "on")
    assert "需修复" in reads_it.last_error
    assert members(reads_it) == set()  # nobody slips into 没有该标签 because the tag is gone
    break_readers_of_tags([tag.pk])


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


# --- Two connections --------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_marks_committed_out_of_id_order_are_not_lost(acme):
    """A later mark is worked off and gone before an earlier one commits; the earlier one is worked off all the same."""
    import threading

    person, other = tagging.make_person("王姐"), tagging.make_person("x")
    segment = built("王姐们", named("王姐"))
    written, go_on = threading.Event(), threading.Event()

    def late():
        with transaction.atomic():
            type(person).objects.filter(pk=person.pk).update(name="改了")
            dirty.mark([person.pk], "t.name")
            written.set()
            go_on.wait(20)

    thread = in_thread(late)
    written.wait(20)
    type(other).objects.filter(pk=other.pk).update(name="王姐")
    dirty.mark([other.pk], "t.name")
    drain_marks(clock.wall() + timedelta(seconds=20))
    assert members(segment) == {person.pk, other.pk}
    assert not DirtyMark.objects.exists()
    go_on.set()
    thread.result()
    drain_marks(clock.wall() + timedelta(seconds=20))
    assert members(segment) == {other.pk}


@pytest.mark.django_db(transaction=True)
def test_two_drains_at_once_act_once(acme):
    corp = tagging.make_corp()
    guide = tagging.make_member(corp)
    tag = tagging.make_tag("老客", corp=corp)
    enabled(named("王姐"), tag_action(tag))
    people = [tagging.make_person("王姐") for _ in range(30)]
    for person in people:
        tagging.make_relation(person, guide)
    for _ in range(2):
        dirty.mark([person.pk for person in people], dirty.EVERYTHING)

    def work():
        deadline = clock.wall() + timedelta(seconds=20)
        while drain_marks(deadline) and DirtyMark.objects.exists() and clock.wall() < deadline:
            pass

    threads = [in_thread(work) for _ in range(3)]
    for thread in threads:
        thread.result()
    assert not DirtyMark.objects.exists()
    assert RuleMatch.objects.count() == FollowTag.objects.count() == OutboundCommand.objects.count() == 30


# --- What only the first sync told ------------------------------------------------------------------------------


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


def test_a_segment_edited_while_it_is_built_is_built_again(at, acme, monkeypatch):
    """The build of the old tree must not end as 已更新 under the new one."""
    tagging.make_person("王姐")
    segment = segments.save_segment(None, name="人群", tree=named("王姐"), by=SYSTEM)
    matching = segments.matching_people

    def edited_meanwhile(tree, now):
        monkeypatch.setattr(segments, "matching_people", matching)
        segments.save_segment(segment, name="人群", tree=named("别人"), by=SYSTEM)
        return matching(tree, now)

    monkeypatch.setattr(segments, "matching_people", edited_meanwhile)
    segments.build_segment(segment)

    segment.refresh_from_db()
    assert segment.state in ("stale", "building") and segment in segments.waiting_segments()
    segments.build_segment(segment)
    segment.refresh_from_db()
    assert segment.state == "fresh" and members(segment) == set()


def test_a_segment_that_breaks_does_not_hold_up_the_others_of_the_same_people(at, acme, monkeypatch):
    first, second = built("甲", named("王姐")), built("乙", named("王姐"))
    person = tagging.make_person("王姐")
    decide = segments._decide

    def breaks(segment, *rest):
        if segment.pk == first.pk:
            raise RuntimeError("a listener broke")
        return decide(segment, *rest)

    monkeypatch.setattr(segments, "_decide", breaks)
    dirty.mark([person.pk], "t.name")
    settle()
    assert (members(first), members(second)) == (set(), {person.pk})
    monkeypatch.setattr(segments, "_decide", decide)
    at(NOW + segments.RETRY_AFTER)
    settle()
    assert members(first) == {person.pk}


def test_a_segment_that_a_rule_reads_is_not_archived(at, corp, guide):
    segment = built("VIP", named("王姐"))
    tag = tagging.make_tag("普通", corp=corp)
    rule = enabled(tree_of({"field": "segment", "op": "none", "value": [segment.pk]}), tag_action(tag), name="打普通")

    with pytest.raises(UserError, match="规则「打普通」"):
        segments.archive_segment(segment, by=SYSTEM)
    rules.disable_rule(rule, by=SYSTEM)
    segments.archive_segment(segment, by=SYSTEM)


def full_list(corp, tags, **deleted):
    told = [TagInfo(tag.wecom_tag_id, tag.name, 0, None) for tag in tags]
    group = TagGroupInfo("g", "组", 0, tuple(told))
    apply_tags(TagsBatch(corp, "reconcile", NOW, [group] if told else [], is_full=True, **deleted))


def test_a_tag_list_cut_short_deletes_nothing_it_does_not_name(at, corp):
    group = tagging.make_tag("标签0", corp=corp).group
    TagGroup.objects.filter(pk=group.pk).update(wecom_group_id="g")
    tags = [Tag.objects.get(), *(Tag.objects.create(group=group, corp=corp, name=f"标签{n}") for n in range(1, 30))]
    for tag in tags:
        tag.wecom_tag_id = f"et{tag.pk}"
        tag.save(update_fields=["wecom_tag_id"])

    full_list(corp, [])
    assert Tag.objects.filter(deleted_at__isnull=True).count() == 30
    full_list(corp, tags[:20], deleted_tag_ids=[tag.wecom_tag_id for tag in tags[20:]])
    assert Tag.objects.filter(deleted_at__isnull=True).count() == 20
    full_list(corp, tags[:18])
    assert Tag.objects.filter(deleted_at__isnull=True).count() == 18
