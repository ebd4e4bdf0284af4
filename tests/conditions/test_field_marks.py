"""Whoever changes what a condition field says marks the person: one change per field, by the service that makes it."""

import random
from datetime import timedelta

import pytest
from django.db import transaction

from campaigns.models import Content, ContentVersion, Delivery, Dispatch, Enrollment, Push, Sop, SopVersion
from campaigns.services.agreeing import skip
from campaigns.services.results import record_refusal
from campaigns.services.sop_running import leave_all
from commerce.services.refunds import LateRefund, upsert_refunds
from commerce.services.rows import RefundRow
from conditions import registry
from conditions.models import DirtyMark
from conditions.tree import Leaf
from contacts.models import Contact, Follow, FollowPeriod, GroupMembership, GroupTagging, Store
from contacts.services.archiving import archive, restore
from contacts.services.consents import record_consent
from contacts.services.grouptags import delete_tag, put_on, take_off
from contacts.services.inbound import apply_people
from contacts.services.members import apply_members
from contacts.services.organisation import save_store
from scrm.lib import clock
from tagging.models import Tag
from tagging.services.mirror import apply_tags
from tenants.audit import SYSTEM
from tests.support.commerce import make_order
from tests.support.contacts import (
    event_fact,
    follow_info,
    make_dealer,
    make_group,
    members_batch,
    people_batch,
    person_row,
)
from tests.support.fieldworld import FullWorld
from tests.support.tagging import NOW, make_relation, make_tag, put_tag
from wecom_bridge.contracts import MemberInfo, TagGroupInfo, TagInfo, TagsBatch

pytestmark = pytest.mark.django_db


@pytest.fixture
def world(acme, monkeypatch):
    monkeypatch.setattr(clock, "now", lambda: NOW)
    return FullWorld(random.Random(11), size=4)


def _store_of(world):
    store, person = world.stores[0], world.somebody
    Contact.objects.filter(pk=person.pk).update(store=store, owner=world.members[0])
    return Store.objects.get(pk=store.pk)


def _change_dealer(world):
    store = _store_of(world)
    store.dealer = make_dealer()
    save_store(store, by=SYSTEM)


def _close_store(world):
    store = _store_of(world)
    store.is_open = False
    save_store(store, by=SYSTEM)


def _archive_store(world):
    archive(_store_of(world), by=SYSTEM)


def _restore_store(world):
    store = _store_of(world)
    Store.objects.filter(pk=store.pk).update(archived_at=NOW)
    restore(store, by=SYSTEM)


def _guide_leaves(world):
    _store_of(world)
    apply_members(members_batch(corp=world.corp, left_userids=(world.members[0].userid,)))


def _guide_is_disabled(world):
    _store_of(world)
    info = MemberInfo(world.members[0].userid, "导购", (1,), "disabled", True)
    apply_members(members_batch(info, corp=world.corp))


def _her_follow(world, **values):
    follow = Follow.objects.filter(contact=world.somebody).first() or make_relation(world.somebody, world.members[0])
    Follow.objects.filter(pk=follow.pk).update(**values)
    return Follow.objects.select_related("identity", "member").get(pk=follow.pk)


def _read_again(world, **info):
    follow = _her_follow(world, relation="active", remark="", synced_at=NOW - timedelta(days=1))
    first = follow.periods.order_by("added_at").first()
    told = follow_info(follow.member.userid, first.added_at if first else follow.added_at, **info)
    apply_people(people_batch(person_row(follow.identity.value, told), corp=world.corp, read_at=NOW))
    return follow


def _guide_remarks(world):
    _read_again(world, remark="爱喝茶")


def _guide_notes_a_phone(world):
    _read_again(world, remark_mobiles=("13900000001",))


def _she_is_added_again(world):
    follow = _her_follow(world)
    told = follow_info(follow.member.userid, NOW + timedelta(minutes=9))
    apply_people(
        people_batch(person_row(follow.identity.value, told), corp=world.corp, read_at=NOW + timedelta(hours=1))
    )


def _she_deletes_her_guide(world):
    follow = _her_follow(world, relation="active", relation_since=NOW - timedelta(days=50))
    FollowPeriod.objects.filter(follow=follow).delete()
    FollowPeriod.objects.create(follow=follow, added_at=NOW - timedelta(days=50), source="callback")
    event = event_fact("del_follow_user", follow.identity.value, follow.member.userid, NOW)
    apply_people(people_batch(events=(event,), corp=world.corp, read_at=NOW))


def _she_consents(world):
    record_consent(
        world.somebody.pk, purpose="sharing", decision="given", channel="store", source="customer", evidence="门店登记表",
        on=NOW.date(), by=SYSTEM, at=NOW,
    )  # fmt: skip


def _in_a_group(world):
    group = make_group(owner=world.members[0])
    GroupMembership.objects.create(group=group, kind=2, userid="wmx", contact=world.somebody, joined_at=NOW)
    return group


def _group_gets_a_tag(world):
    put_on([_in_a_group(world)], world.group_tags[0], by=SYSTEM)


def _group_loses_a_tag(world):
    group = _in_a_group(world)
    GroupTagging.objects.create(tag=world.group_tags[0], group=group, tagged_at=NOW)
    take_off([group], world.group_tags[0].pk, by=SYSTEM)


def _group_tag_is_deleted(world):
    GroupTagging.objects.create(tag=world.group_tags[0], group=_in_a_group(world), tagged_at=NOW)
    delete_tag(world.group_tags[0], by=SYSTEM)


def _her_order(world):
    order = make_order(world.somebody, ordered_at=NOW)
    DirtyMark.objects.all().delete()
    return order


def _she_orders(world):
    make_order(world.somebody, ordered_at=NOW)


def _she_is_refunded(world):
    order = _her_order(world)
    late = LateRefund(order.number, RefundRow("R-late", 100, NOW))
    upsert_refunds([late], source=order.source, by=SYSTEM)


def _tag_moves_to_another_group(world):
    follow = _her_follow(world, relation="active")
    put_tag(follow, make_tag("搬家", corp=world.corp))
    tag = Tag.objects.select_related("group").get(name="搬家")
    mine = TagInfo(tag.wecom_tag_id, tag.name, 0, None)
    apply_tags(TagsBatch(world.corp, "callback", NOW, (TagGroupInfo("etnew", "新组", 0, (mine,)),)))


def _her_push(world, state):
    guide = world.members[0]
    push = Push.objects.first()
    content = Content.objects.create(title="内容", created_at=NOW)
    version = ContentVersion.objects.create(content=content, number=1, text="你好", created_at=NOW)
    unit = Dispatch.objects.create(push=push, sender=guide, content_version=version, content_digest="d", state=state)
    Delivery.objects.filter(push=push, target=f"c{world.somebody.pk}").delete()
    Delivery.objects.create(
        push=push, target=f"c{world.somebody.pk}", contact=world.somebody, dispatch=unit, external_userid="wmx",
        state="planned", frozen_at=NOW,
    )  # fmt: skip
    return unit


def _guide_sends_nothing(world):
    unit = _her_push(world, "waiting")
    skip(unit.pk, member_ids=[unit.sender_id], reason="on_leave", by=SYSTEM)


def _wecom_refuses_the_task(world):
    record_refusal(_her_push(world, "creating").pk, message="no")


def _her_run_ends(world):
    sop = Sop.objects.create(name="退出", state="on", created_at=NOW)
    version = SopVersion.objects.create(sop=sop, number=1, trigger="follow_added", created_at=NOW)
    run = Enrollment.objects.create(
        version=version,
        sop=sop,
        target=f"c{world.somebody.pk}",
        contact=world.somebody,
        trigger_key="x",
        entered_at=NOW,
    )
    leave_all(Enrollment.objects.filter(pk=run.pk), "exit_rule", NOW)


CHANGES = (
    ("contact.dealer", "contact.store", _change_dealer),
    ("contact.store_open", "contact.store_open", _close_store),
    ("contact.store_open", "contact.store_open", _archive_store),
    ("contact.store_open", "contact.store_open", _restore_store),
    ("contact.owner_left", "contact.owner_left", _guide_leaves),
    ("contact.owner_left", "contact.owner_left", _guide_is_disabled),
    ("follow.remark", "follow.remark", _guide_remarks),
    ("contact.has_phone", "contact.has_phone", _guide_notes_a_phone),
    ("follow.added", "follow.added", _she_is_added_again),
    ("follow.ended", "follow.ended", _she_deletes_her_guide),
    ("added_day", "contact.added_at", _she_is_added_again),
    ("consent.sharing", "consent.sharing", _she_consents),
    ("group.joined", "group.tag", _group_gets_a_tag),
    ("group.joined", "group.tag", _group_loses_a_tag),
    ("group.joined", "group.tag", _group_tag_is_deleted),
    ("order", "order", _she_orders),
    ("order.line", "order", _she_orders),
    ("order.category", "order", _she_orders),
    ("order.refund", "order", _she_is_refunded),
    ("tag", "tag", _tag_moves_to_another_group),
    ("push", "push", _guide_sends_nothing),
    ("push", "push", _wecom_refuses_the_task),
    ("sop", "sop", _her_run_ends),
    ("sop.entered", "sop", _her_run_ends),
)


def test_whoever_changes_a_field_s_facts_marks_the_person(world):
    """One change per field, by the service that makes it; the mark is one of those the field says it is changed by."""
    for key, mark, change in CHANGES:
        field = registry.get(key)
        where = {"tag": [0]} if key == "group.joined" else {}
        keys = field.keys_for(Leaf(key, field.allowed[0].key, None, None, where))
        point = transaction.savepoint()
        DirtyMark.objects.all().delete()
        change(world)
        told = DirtyMark.objects.filter(contact_id=world.somebody.pk).values_list("field_key", flat=True)
        assert mark in keys and mark in set(told), (key, change.__name__, sorted(set(told)))
        transaction.savepoint_rollback(point)
