"""What rules do: the first of two that contradict each other, their own tags alone, fields, guides, to-dos and lists."""

import pytest

from accounts.models import Role
from conditions import dirty
from conditions.tree import EVERYONE
from contacts.models import Contact, CustomField, Stage, Todo
from contacts.services.stages import change_stage
from scrm.lib.errors import UserError
from tagging import actions
from tagging.models import FollowTag, RuleEvent, RuleMatch, RuleVersion, Segment
from tagging.services import rules, segments
from tagging.services.marks import mark_tags
from tenants.audit import SYSTEM
from tests.support import tagging
from tests.support.consuming import CONSENT, enabled, happened, listening, members, named, settle, tag_action
from tests.support.contacts import make_field
from tests.support.tagging import tree_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_fields")]


def test_of_two_rules_that_contradict_each_other_the_first_wins_and_the_other_says_so(at, corp, guide):
    tag = tagging.make_tag("老客")
    person = tagging.make_person()
    follow = tagging.make_relation(person, guide)
    taking = listening(CONSENT, [{"kind": "tag", "remove": [tag.pk], "whose": "all"}], "去掉")
    putting = listening(CONSENT, tag_action(tag), "打上")
    assert rules.conflicts_among([putting])[putting.pk] == [(taking, "去掉标签「老客」(全部好友关系)", False)]
    rules.shift_rule(putting.pk, later=False, by=SYSTEM)
    happened(person)
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
    listening(CONSENT, [
        {"kind": "field", "key": "level", "value": "金卡"}, {"kind": "owner", "member": colleague.pk},
        {"kind": "todo", "text": "打个电话", "hours": 24, "to": "guide"},
    ])  # fmt: skip
    happened(person)
    happened(stranger, key="k2")
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
    listening(CONSENT, [{"kind": "segment", "segment": fixed.pk, "way": "add"}], "加入")
    listening(
        {"kind": "segment", "segment": fixed.pk, "way": "enter"}, tag_action(tagging.make_tag("在名单")), "打标签"
    )
    happened(person)
    settle()
    assert members(fixed) == {person.pk} and FollowTag.objects.get().tag.name == "在名单"
    with pytest.raises(UserError, match="2 处"):
        segments.archive_segment(fixed, by=SYSTEM)


def test_a_rule_takes_off_what_it_put_on_and_nobody_elses(at, corp, guide):
    tag = tagging.make_tag("老客")
    person, other = (tagging.make_person(name) for name in ("王姐", "李姐"))
    hers, follow = (tagging.make_relation(one, guide) for one in (person, other))
    taking = [{"kind": "tag", "remove": [tag.pk], "whose": "all"}]
    rule = listening(CONSENT, tag_action(tag), "打上又去掉")
    happened(person)
    settle()
    mark_tags([follow.pk], add=[tag.pk], origin="guide", by=SYSTEM)
    rules.save_rule(rule, name=rule.name, tree=rule.tree, trigger=rule.trigger, rule_actions=taking, by=SYSTEM)
    rules.enable_rule(rule, by=SYSTEM)
    for number, one in enumerate((person, other)):
        happened(one, key=f"again{number}")
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
