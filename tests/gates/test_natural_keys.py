"""Each thing that has a name outside of us, written by six at the same instant: one row of it, and nobody fails.

Row 34 of the defects others had (docs/people.md): duplicate rows where two workers wrote the same thing.
"""

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.apps import apps
from django.db import transaction
from django.db.models import UniqueConstraint

from commerce.services.orders import upsert_orders
from commerce.services.refunds import LateRefund, upsert_refunds
from commerce.services.rows import LineRow, RefundRow
from contacts.models import Contact, Dealer, Department, GroupChat, Region, Store
from contacts.services import erasing, grouptags, organisation, saved_views, stage_editing, wecom_login
from contacts.services.handover import planning, unassigned
from contacts.services.phones import add_phones
from scrm.lib import clock
from scrm.lib.errors import Conflict, UserError
from tagging.models import Tag
from tagging.services import marks, rules, segments
from tagging.services import merging as tag_merging
from tenants.audit import SYSTEM, Actor
from tests.support import contacts as make
from tests.support import handover
from tests.support.commerce import order_row
from tests.support.core import in_thread, make_user
from tests.support.wecom import arrive, make_connection
from wecom_bridge import commands, contracts
from wecom_bridge.contracts import DepartmentInfo, MemberInfo, TagGroupInfo, TagInfo, TagsBatch

pytestmark = [pytest.mark.gate, pytest.mark.django_db(transaction=True)]
AT_ONCE = 6
TREE = {"version": 1, "root": {"all": [{"field": "contact.first_added_at", "op": "within", "window": {"days": 1}}]}}
Write = Callable[[], Any]


class Case:
    """prepare() lays what must be there and returns the write; rows: model → how many stand afterwards.

    refuses: a person at a form may be told that somebody was quicker; a machine never is.
    """

    def __init__(self, prepare: Callable[[], Write], *, refuses: bool = False, **rows: int) -> None:
        self.prepare, self.refuses = prepare, refuses
        self.rows = {label.replace("__", "."): count for label, count in rows.items()}


def _tell(kind: Any, batch: Any) -> None:
    """As the bridge does: all handlers in one transaction."""
    with transaction.atomic():
        for handler in contracts.handlers_for(kind):
            handler(batch)


def a_customer_added() -> Write:
    corp, when = make.make_corp(), clock.now()
    make.make_member(userid="lin", corp=corp)
    row = make.person_row("wm1", make.follow_info("lin", when, remark_mobiles=("13800000001",)))
    event = make.event_fact("add_external_contact", "wm1", "lin", when)
    batch = make.people_batch(row, corp=corp, events=[event], read_at=when)
    return lambda: _tell("people", batch)


def a_customer_who_deletes_and_comes_back() -> Write:
    a_customer_added()()
    corp, later = make.make_corp(), clock.now() + timedelta(minutes=5)
    left = make.event_fact("del_follow_user", "wm1", "lin", later - timedelta(minutes=2))
    came = make.event_fact("add_external_contact", "wm1", "lin", later)
    batch = make.people_batch(
        make.person_row("wm1", make.follow_info("lin", later)), corp=corp, events=[left, came], read_at=later
    )
    return lambda: _tell("people", batch)


def a_clash_of_two_guides() -> Write:
    a_customer_added()()
    corp, then = make.make_corp(), clock.now() + timedelta(minutes=5)
    make.make_member(userid="mei", corp=corp)
    first = make.follow_info("lin", Contact.objects.get().first_added_at or then)
    row = make.person_row("wm1", first, make.follow_info("mei", then))
    event = make.event_fact("add_external_contact", "wm1", "mei", then)
    batch = make.people_batch(row, corp=corp, events=[event], read_at=then)
    return lambda: _tell("people", batch)


def two_people_of_one_phone() -> Write:
    people = [make.make_follow().contact.pk for _ in range(2)]
    given = [(pk, "+8613800000001", "manual") for pk in people]

    def write() -> None:
        with transaction.atomic():
            add_phones(given, now=clock.now())

    return write


def a_group_with_members() -> Write:
    corp, when = make.make_corp(), clock.now()
    make.make_member(userid="lin", corp=corp)
    members = [make.group_member("lin", when, kind=1), make.group_member("wm9", when)]
    batch = make.groups_batch(make.group_info("wr1", "lin", members), corp=corp, read_at=when)
    return lambda: _tell("groups", batch)


def a_directory() -> Write:
    corp = make.make_corp()
    lin = MemberInfo("lin", "林小雅", (1,), "active", True)
    batch = make.members_batch(lin, corp=corp, departments=[DepartmentInfo(1, "总部", 0, 0)], is_full=True)
    return lambda: _tell("members", batch)


def a_dictionary_of_tags() -> Write:
    group = TagGroupInfo("eg1", "等级", 0, (TagInfo("et1", "金卡", 0, clock.now()), TagInfo("et2", "银卡", 1, None)))
    batch = TagsBatch(make.make_corp(), "callback", clock.now(), groups=(group,))
    return lambda: _tell("tags", batch)


def a_mark() -> Write:
    a_dictionary_of_tags()()
    follow, tag = make.make_follow(), Tag.objects.get(wecom_tag_id="et1")
    return lambda: marks.mark_tags([follow.pk], add=[tag.pk], origin="operator", by=SYSTEM)


def a_merge_of_tags() -> Write:
    a_dictionary_of_tags()()
    kept, old = Tag.objects.get(wecom_tag_id="et1"), Tag.objects.get(wecom_tag_id="et2")
    return lambda: tag_merging.start(old, kept, by=SYSTEM)


def an_order_with_lines() -> Write:
    row = order_row(number="N1", lines=(LineRow("精华", Decimal(1), 10_000, "P1"),))
    return lambda: upsert_orders([row], source="pos", by=SYSTEM)


def a_refund() -> Write:
    upsert_orders([order_row(number="N1")], source="pos", by=SYSTEM)
    late = LateRefund(order_number="N1", refund=RefundRow(number="R1", amount_minor=100, refunded_at=clock.now()))
    return lambda: upsert_refunds([late], source="pos", by=SYSTEM)


def a_store() -> Write:
    return lambda: organisation.save_store(Store(code="S1", name="静安寺"), by=SYSTEM)


def a_store_that_moves() -> Write:
    pk, region = make.make_store().pk, make.make_region()

    def write() -> None:
        store = Store.objects.get(pk=pk)
        store.region = region
        organisation.save_store(store, by=SYSTEM)

    return write


def a_guide_who_moves() -> Write:
    member, store = make.make_member(store=make.make_store()), make.make_store()
    return lambda: organisation.move_member(member.pk, store, by=SYSTEM)


def a_region() -> Write:
    return lambda: organisation.save_region(Region(name="华东"), by=SYSTEM)


def a_dealer() -> Write:
    return lambda: organisation.save_dealer(Dealer(name="老王"), by=SYSTEM)


def a_handover_plan() -> Write:
    member = make.make_member(store=make.make_store())
    return lambda: planning.open_plan(member, by=SYSTEM)


def a_count_of_the_unassigned() -> Write:
    corp = make.make_corp()
    make.make_member(userid="lin", corp=corp, status="left")
    info = [{"handover_userid": "lin", "dimission_time": 1_700_000_000}]

    def write() -> None:
        with transaction.atomic():
            unassigned.record_page(corp, {"cursor": "", "counts": {}}, info, "")

    return write


def a_group_tag_set() -> Write:
    return lambda: grouptags.create_set("门店类型", ["街边店", "商场店"], by=SYSTEM)


def a_group_tag() -> Write:
    group = make.make_group()
    return lambda: grouptags.add_tag(GroupChat.objects.get(pk=group.pk), "福利", by=SYSTEM)


def a_saved_view() -> Write:
    by = Actor("user", make_user(role="operator").pk)
    content = saved_views.Content({}, None, "", [])
    return lambda: saved_views.create_view("我的", content, is_shared=False, by=by)


def a_choice_of_columns() -> Write:
    user = make_user(role="operator").pk
    return lambda: saved_views.choose_columns(user, None, ["name"])


def a_callback() -> Write:
    connection, created = make_connection(), int(clock.wall().timestamp())
    fields = {"UserID": "lin", "ExternalUserID": "wm1"}
    return lambda: arrive(connection, "add_external_contact", created=created, **fields)


def a_wish_to_call() -> Write:
    corp = make.make_corp()

    def write() -> None:
        with transaction.atomic():
            commands.enqueue("follow.remark", corp=corp.pk, entity_key="follow:1", dedupe_key="one", subject_id=1)

    return write


def a_segment() -> Write:
    return lambda: segments.save_segment(None, name="老客", tree=TREE, by=SYSTEM)


def a_rule() -> Write:
    a_dictionary_of_tags()()
    act = {"kind": "tag", "add": [Tag.objects.get(wecom_tag_id="et1").pk]}
    return lambda: rules.save_rule(None, name="老客", tree=TREE, rule_actions=[act], by=SYSTEM)


def a_stage() -> Write:
    return lambda: stage_editing.save_stage(None, name="观望", needs_reason=False, max_days=None, by=SYSTEM)


def a_custom_field() -> Write:
    return lambda: make.make_field("肤质", key="skin")


def a_linked_account() -> Write:
    user, member = make_user(role="guide"), make.make_member()
    return lambda: organisation.link_member(user, member, by=SYSTEM)


def a_rule_of_logging_in() -> Write:
    corp = make.make_corp()
    return lambda: wecom_login.set_rule(corp, makes_accounts=True, by=SYSTEM)


def a_request_to_be_erased() -> Write:
    pk = make.make_follow().contact.pk
    given: dict[str, Any] = {
        "asked_by": "customer",
        "reason": "来信",
        "typed": str(pk),
        "by": SYSTEM,
        "at": clock.now(),
    }
    return lambda: erasing.request_erasure(pk, **given)


def a_plan_that_starts() -> Write:
    taker = make.make_member(store=make.make_store())
    plan = handover.draft(make.make_follow().member, taker)
    return lambda: planning.start_plan(plan.pk, expected=1, by=SYSTEM)


def a_guide_who_deletes_six() -> Write:
    corp, when = make.make_corp(), clock.now()
    make.make_member(userid="lin", corp=corp, store=make.make_store())
    added = when - timedelta(days=9)
    rows = [make.person_row(f"wm{n}", make.follow_info("lin", added)) for n in range(6)]
    _tell("people", make.people_batch(*rows, corp=corp, read_at=added))
    events = [make.event_fact("del_external_contact", f"wm{n}", "lin", when) for n in range(6)]
    batch = make.people_batch(corp=corp, events=events, read_at=when)
    return lambda: _tell("people", batch)


def a_guide_whose_department_is_another_store() -> Write:
    corp, home, other = make.make_corp(), make.make_store(), make.make_store()
    make.make_follow(member=make.make_member("林小雅", userid="lin", corp=corp, store=home))
    Department.objects.create(corp=corp, department_id=7, name="五角场", store=other)
    batch = make.members_batch(MemberInfo("lin", "林小雅", (7,), "active", True), corp=corp)
    return lambda: _tell("members", batch)


CASES = {
    "added": Case(a_customer_added, contacts__Contact=1, contacts__Identity=1, contacts__Follow=1, contacts__FollowPeriod=1, contacts__ContactPhone=1, contacts__Member=1),
    "returned": Case(a_customer_who_deletes_and_comes_back, contacts__Contact=1, contacts__Follow=1, contacts__FollowPeriod=2),
    "clash": Case(a_clash_of_two_guides, contacts__Clash=1, contacts__Contact=1, contacts__Follow=2),
    "phone": Case(two_people_of_one_phone, contacts__ContactPhone=2, contacts__Duplicate=1),
    "group": Case(a_group_with_members, contacts__GroupChat=1, contacts__GroupMembership=2),
    "directory": Case(a_directory, contacts__Member=1, contacts__Department=1),
    "tags": Case(a_dictionary_of_tags, tagging__TagGroup=1, tagging__Tag=2),
    "mark": Case(a_mark, tagging__FollowTag=1),
    "merge of tags": Case(a_merge_of_tags, refuses=True, tagging__TagMerge=1),
    "order": Case(an_order_with_lines, commerce__Order=1, commerce__OrderLine=1, commerce__Product=1),
    "refund": Case(a_refund, commerce__Order=1, commerce__Refund=1),
    "store": Case(a_store, refuses=True, contacts__Store=1, contacts__StorePlacement=1),
    "store moves": Case(a_store_that_moves, contacts__StorePlacement=2),
    "guide moves": Case(a_guide_who_moves, contacts__MemberPlacement=2),
    "region": Case(a_region, refuses=True, contacts__Region=1),
    "dealer": Case(a_dealer, refuses=True, contacts__Dealer=1),
    "plan": Case(a_handover_plan, contacts__HandoverPlan=1),
    "unassigned": Case(a_count_of_the_unassigned, contacts__UnassignedCount=1),
    "group tag set": Case(a_group_tag_set, refuses=True, contacts__GroupTagSet=1, contacts__GroupTag=2),
    "group tag": Case(a_group_tag, contacts__GroupTag=1, contacts__GroupTagging=1),
    "view": Case(a_saved_view, refuses=True, contacts__SavedView=1),
    "columns": Case(a_choice_of_columns, contacts__ColumnChoice=1),
    "segment": Case(a_segment, refuses=True, tagging__Segment=1),
    "rule": Case(a_rule, refuses=True, tagging__Rule=1),
    "stage": Case(a_stage, refuses=True, contacts__Stage=8),
    "field": Case(a_custom_field, refuses=True, contacts__CustomField=1),
    "account": Case(a_linked_account, contacts__MemberAccount=1),
    "log-in rule": Case(a_rule_of_logging_in, contacts__WecomLoginRule=1),
    "erasure": Case(a_request_to_be_erased, refuses=True, contacts__ErasureRequest=1),
    "plan starts": Case(a_plan_that_starts, refuses=True, contacts__HandoverRow=1),
    "deletions": Case(a_guide_who_deletes_six, contacts__DeletionAlarm=1, contacts__FollowPeriod=6),
    "staff": Case(a_guide_whose_department_is_another_store, contacts__StaffChange=1),
    "callback": Case(a_callback, wecom_bridge__InboundEvent=1),
    "wish": Case(a_wish_to_call, wecom_bridge__OutboundCommand=1),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_six_who_write_the_same_at_once_leave_one_row(acme: Any, name: str) -> None:
    case = CASES[name]
    write, gate = case.prepare(), threading.Barrier(AT_ONCE)

    def one() -> bool:
        gate.wait(10)
        try:
            write()
        except (UserError, Conflict):
            return False
        return True

    wrote = [running.result() for running in [in_thread(one) for _ in range(AT_ONCE)]]
    assert any(wrote) and (all(wrote) or case.refuses)
    found = {label: apps.get_model(label).objects.count() for label in case.rows}
    assert found == case.rows


# Written by one worker at a time, or proven with threads of its own.
ELSEWHERE = {
    "contacts.TimelineEvent": "one fact of each adding: `added`, `returned` and `clash` count what hears them",
    "contacts.BulkPart": "its job: a job is one worker's, by the lease on it",
    "contacts.ImportRow": "its job",
    "contacts.ImportHead": "its job",
    "contacts.PhoneBatch": "its import's job",
    "contacts.PhoneToAdd": "an import's job, under the lock of people, as `phone`",
    "contacts.ErasedKey": "its request, which is taken by a lock: `erasure`",
    "contacts.ContactMerge": "tests/contacts/test_merge_concurrency.py",
    "contacts.SharedPhone": "under the lock of people, as `phone`",
    "tagging.TagMergeMove": "its merge's job",
    "tagging.TagCapacity": "what a refusal of WeCom says, command after command",
    "tagging.PreTag": "its import's job",
    "tagging.SegmentEntry": "tests/tagging/test_marks_at_once.py",
    "tagging.SegmentPin": "under the lock of the marks' batches",
    "tagging.SegmentSize": "written with ON CONFLICT by whoever changes the size",
    "tagging.RuleMatch": "tests/tagging/test_marks_at_once.py",
    "tagging.RuleVersion": "its rule, locked by whoever saves it",
    "tagging.RuleEvent": "its fact, which one transaction writes; or its schedule, under the lock of the loop",
    "tagging.RuleSlot": "the lane of rules: one worker's, by its lease, and under the lock of the loop",
    "commerce.StoreDailySales": "written by the demo alone",
}


def test_every_key_of_a_synced_or_imported_thing_has_its_case() -> None:
    """A new model of people, tags or orders with a unique key is written by a case above, or says why not."""
    written = {label for case in CASES.values() for label in case.rows}
    unproven = sorted(set(_keyed()) - written - set(ELSEWHERE))
    assert not unproven


def _keyed() -> Iterator[str]:
    """Models of these apps with a unique key besides their id."""
    for app in ("contacts", "commerce", "tagging"):
        for model in apps.get_app_config(app).get_models():
            columns = [field for field in model._meta.local_concrete_fields if field.unique and not field.primary_key]
            if columns or any(isinstance(one, UniqueConstraint) for one in model._meta.constraints):
                yield model._meta.label
