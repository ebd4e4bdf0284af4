"""People arrive, leave and come back, through the registered handler."""

from collections.abc import Callable
from datetime import datetime
from itertools import permutations
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from contacts.models import (
    Contact,
    ContactPhone,
    Follow,
    FollowPeriod,
    Identity,
    OwnershipChange,
    Relation,
    TimelineEvent,
)
from tests.support.contacts import (
    at,
    event_fact,
    follow_info,
    make_corp,
    make_member,
    make_region,
    make_store,
    people_batch,
    person_row,
)
from wecom_bridge.comparing import find_differences
from wecom_bridge.contracts import PeopleBatch, RemovalsBatch, handlers_for

pytestmark = pytest.mark.django_db


def deliver(batch: PeopleBatch | RemovalsBatch) -> None:
    """Hand a batch to every registered handler, as the bridge does."""
    for handler in handlers_for("people" if isinstance(batch, PeopleBatch) else "removals"):
        handler(batch)


def kinds() -> list[str]:
    return list(follow_facts().order_by("occurred_at", "id").values_list("kind", flat=True))


def follow_facts() -> Any:
    """Facts of relations; apps above record theirs (the first stage) beside them."""
    return TimelineEvent.objects.filter(kind__startswith="follow.")


def added(
    external: str = "wm1", userid: str = "lin", created: datetime | None = None, **options: object
) -> PeopleBatch:
    created = created or at(0)
    row = person_row(external, follow_info(userid, created, add_way=1, state="till"))
    return people_batch(
        row, events=[event_fact("add_external_contact", external, userid, created)], read_at=created, **options
    )


def test_an_add_makes_person_follow_period_and_fact() -> None:
    store = make_store("上海静安寺", region=make_region("华东"))
    lin = make_member(userid="lin", store=store)

    deliver(added())

    person = Contact.objects.get()
    follow = Follow.objects.get()
    assert (person.name, person.active_follows, person.owner_id, person.store_id) == ("小圆子", 1, lin.pk, store.pk)
    assert person.first_added_at == person.last_added_at == follow.added_at == at(0)
    assert (follow.relation, follow.add_way, follow.state) == ("active", 1, "till")
    period = FollowPeriod.objects.get()
    assert (period.added_at, period.ended_at, period.source, period.store_id) == (at(0), None, "callback", store.pk)
    fact = follow_facts().get()
    assert (fact.kind, fact.contact_id, fact.store_id, fact.region_id) == (
        "follow.added",
        person.pk,
        store.pk,
        store.region_id,
    )
    assert OwnershipChange.objects.get().to_member_id == lin.pk


def test_replay_and_sync_write_nothing_more() -> None:
    make_member(userid="lin")
    deliver(added())
    before = list(Follow.objects.values()), list(follow_facts().values())

    deliver(added())
    deliver(
        people_batch(
            person_row("wm1", follow_info("lin", at(0), add_way=1, state="till")), source="reconcile", read_at=at(60)
        )
    )

    follow = Follow.objects.get()
    assert (follow.added_at, follow.relation_since) == (before[0][0]["added_at"], before[0][0]["relation_since"])
    assert list(follow_facts().values()) == before[1]
    assert (FollowPeriod.objects.count(), Contact.objects.count(), OwnershipChange.objects.count()) == (1, 1, 1)


def test_a_customer_who_deleted_is_not_revived_by_a_sync() -> None:
    make_member(userid="lin")
    deliver(added())
    row = person_row("wm1", follow_info("lin", at(0)))
    deliver(people_batch(row, events=[event_fact("del_follow_user", "wm1", "lin", at(90))], read_at=at(91)))
    assert Follow.objects.get().relation == "by_customer"

    deliver(people_batch(row, source="reconcile", read_at=at(days=1)))

    follow = Follow.objects.get()
    assert (follow.relation, follow.relation_since) == ("by_customer", at(90))
    assert Contact.objects.get().active_follows == 0
    assert kinds() == ["follow.added", "follow.deleted_by_customer"]


def test_a_new_add_after_a_deletion_is_a_second_period() -> None:
    make_member(userid="lin")
    deliver(added())
    deliver(
        people_batch(
            events=[event_fact("del_external_contact", "wm1", "lin", at(90))], read_at=at(91), gone=[("wm1", "lin")]
        )
    )
    assert Follow.objects.get().relation == "by_guide"

    deliver(added(created=at(200)))

    assert [(p.added_at, p.ended_at, p.ended_by) for p in FollowPeriod.objects.order_by("added_at")] == [
        (at(0), at(90), "guide"),
        (at(200), None, ""),
    ]
    person = Contact.objects.get()
    assert (person.active_follows, person.first_added_at, person.last_added_at) == (1, at(0), at(200))
    assert kinds() == ["follow.added", "follow.deleted_by_guide", "follow.added"]


def test_a_new_add_counts_even_where_wecom_keeps_the_old_createtime() -> None:
    make_member(userid="lin")
    deliver(added())
    row = person_row("wm1", follow_info("lin", at(0)))
    deliver(people_batch(row, events=[event_fact("del_follow_user", "wm1", "lin", at(90))], read_at=at(91)))

    deliver(people_batch(row, events=[event_fact("add_external_contact", "wm1", "lin", at(300))], read_at=at(301)))

    follow = Follow.objects.get()
    assert (follow.relation, follow.added_at, FollowPeriod.objects.count()) == ("active", at(300), 2)


def test_a_hand_over_is_a_transfer() -> None:
    make_member(userid="lin")
    deliver(added())
    gone = event_fact("del_external_contact", "wm1", "lin", at(50), Source="DELETE_BY_TRANSFER")
    deliver(
        people_batch(
            person_row("wm1", follow_info("mei", at(50), add_way=202)),
            events=[gone],
            read_at=at(51),
            gone=[("wm1", "lin")],
        )
    )

    assert {f.member.userid: f.relation for f in Follow.objects.select_related("member")} == {
        "lin": "transferred",
        "mei": "active",
    }
    assert kinds() == ["follow.added", "follow.added", "follow.transferred"] or kinds() == [
        "follow.added",
        "follow.transferred",
        "follow.added",
    ]


def test_a_half_add_is_no_relation_until_the_add() -> None:
    make_member(userid="lin")
    deliver(
        people_batch(
            events=[event_fact("add_half_external_contact", "wm1", "lin", at(0))], read_at=at(1), gone=[("wm1", "lin")]
        )
    )
    assert Follow.objects.count() == 0

    deliver(added(created=at(5)))

    assert Follow.objects.get().relation == "active"
    assert kinds() == ["follow.added"]


def test_a_deletion_that_arrives_before_its_add_still_ends_it() -> None:
    make_member(userid="lin")
    deliver(
        people_batch(
            events=[event_fact("del_external_contact", "wm1", "lin", at(90))], read_at=at(91), gone=[("wm1", "lin")]
        )
    )
    deliver(people_batch(person_row("wm1", follow_info("lin", at(0))), read_at=at(30)))

    follow = Follow.objects.get()
    assert (follow.relation, follow.relation_since) == ("by_guide", at(90))
    assert kinds() == ["follow.added", "follow.deleted_by_guide"]
    assert set(follow_facts().values_list("contact_id", flat=True)) == {follow.contact_id}


def test_what_a_complete_read_lacks_is_lost_and_a_later_sight_brings_it_back() -> None:
    make_member(userid="lin")
    deliver(added())
    deliver(RemovalsBatch(make_corp(), "reconcile", at(days=1), follows=[("wm1", "lin")]))
    assert Follow.objects.get().relation == "unknown"
    assert FollowPeriod.objects.get().ended_by == "unknown"

    deliver(people_batch(person_row("wm1", follow_info("lin", at(0))), source="reconcile", read_at=at(days=2)))

    assert Follow.objects.get().relation == "active"
    assert FollowPeriod.objects.get().ended_at is None


def test_a_late_delete_event_puts_an_inferred_ending_right() -> None:
    make_member(userid="lin")
    deliver(added())
    deliver(RemovalsBatch(make_corp(), "reconcile", at(days=1), follows=[("wm1", "lin")]))

    deliver(
        people_batch(
            events=[event_fact("del_external_contact", "wm1", "lin", at(100))],
            read_at=at(days=1),
            gone=[("wm1", "lin")],
        )
    )

    period = FollowPeriod.objects.get()
    assert (period.ended_at, period.ended_by) == (at(100), "guide")
    assert [(e.kind, e.occurred_at) for e in follow_facts().exclude(kind="follow.added")] == [
        ("follow.deleted_by_guide", at(100))
    ]


def test_unionid_joins_two_corps() -> None:
    first, second = make_corp(open_account="open1"), make_corp(open_account="open1")
    for corp, external, name in ((first, "wmA", "王姐"), (second, "wmB", "王小雨")):
        row = person_row(external, follow_info("lin", at(0)), name=name, unionid="oU1")
        deliver(people_batch(row, corp=corp, read_at=at(1)))

    person = Contact.objects.get()
    assert Follow.objects.filter(contact=person).count() == 2
    assert Identity.objects.filter(contact=person).count() == 3
    assert person.active_follows == 2


def test_a_unionid_that_comes_later_merges_roots_and_moves_no_fact() -> None:
    first, second = make_corp(open_account="open1"), make_corp(open_account="open1")
    deliver(people_batch(person_row("wmA", follow_info("lin", at(0)), unionid="oU1"), corp=first, read_at=at(1)))
    deliver(people_batch(person_row("wmB", follow_info("mei", at(5))), corp=second, read_at=at(6)))
    older, younger = Contact.objects.order_by("pk")
    facts = dict(follow_facts().values_list("fact_key", "contact_id"))

    deliver(people_batch(person_row("wmB", follow_info("mei", at(5)), unionid="oU1"), corp=second, read_at=at(10)))

    younger.refresh_from_db()
    older.refresh_from_db()
    assert (younger.root_id, older.root_id, older.active_follows) == (older.pk, None, 2)
    assert dict(follow_facts().values_list("fact_key", "contact_id")) == facts


def test_search_text_knows_pinyin_remark_and_phone_tail() -> None:
    make_member(userid="lin")
    info = follow_info("lin", at(0), remark="王姐-敏感肌", remark_mobiles=("138 1234 5678",))
    deliver(people_batch(person_row("wm1", info, name="A静"), read_at=at(1)))

    text = Contact.objects.get().search_text
    for part in ("a静", "王姐", "wangjie", "wj", "5678"):
        assert part in text, part
    assert ContactPhone.objects.get().phone == "+8613812345678"

    deliver(people_batch(person_row("wm1", follow_info("lin", at(0), remark="老王"), name="A静"), read_at=at(9)))
    text = Contact.objects.get().search_text
    assert "laowang" in text and "敏感肌" not in text and "5678" not in text
    assert ContactPhone.objects.count() == 0


def test_an_older_read_does_not_overwrite_a_newer_remark() -> None:
    make_member(userid="lin")
    deliver(people_batch(person_row("wm1", follow_info("lin", at(0), remark="新")), read_at=at(50)))
    deliver(people_batch(person_row("wm1", follow_info("lin", at(0), remark="旧")), read_at=at(40)))
    assert Follow.objects.get().remark == "新"


def test_an_older_read_does_not_overwrite_a_newer_name() -> None:
    """A nightly read began, she was renamed and read for an event, and only then the night's page is written."""
    deliver(people_batch(person_row("wm1", follow_info("lin", at(0)), name="王小雨"), read_at=at(50)))
    old = people_batch(person_row("wm1", follow_info("lin", at(0)), name="小雨"), read_at=at(20), source="reconcile")
    assert not find_differences("people", old)
    deliver(old)
    assert Contact.objects.get().name == "王小雨"


def test_the_first_add_owns_whatever_order_the_first_sync_reads_in() -> None:
    make_member(userid="lin")
    make_member(userid="mei")
    for userid, created in (("mei", at(100)), ("lin", at(0))):
        deliver(
            people_batch(
                person_row("wm1", follow_info(userid, created), complete=False), source="backfill", read_at=at(500)
            )
        )

    assert Contact.objects.get().owner.userid == "lin"
    assert OwnershipChange.objects.get().to_member.userid == "lin"


def test_names_with_nul_and_lone_surrogates_are_stored_clean() -> None:
    make_member(userid="lin")
    deliver(
        people_batch(person_row("wm1", follow_info("lin", at(0), remark="a\x00b"), name="小\ud83d圆"), read_at=at(1))
    )
    assert Contact.objects.get().name == "小圆"
    assert Follow.objects.get().remark == "ab"


def test_a_batch_of_many_costs_as_many_statements_as_a_batch_of_few() -> None:
    make_member(userid="lin", store=make_store())

    def cost(prefix: str, size: int, source: str) -> int:
        rows = [
            person_row(f"{prefix}{n}", follow_info("lin", at(n), remark_mobiles=(f"13812{ord(prefix)}{n:04d}",)))
            for n in range(size)
        ]
        with CaptureQueriesContext(
            connection,
        ) as captured:
            deliver(people_batch(*rows, source=source, read_at=at(9999)))
        return len(captured)

    assert cost("a", 60, "backfill") == cost("b", 300, "backfill")
    assert cost("a", 60, "reconcile") == cost("b", 300, "reconcile")


Step = Callable[[], PeopleBatch | RemovalsBatch]


def story() -> list[Step]:
    """Added, deleted by the customer, deleted by the guide, added again; sync pages read in between."""
    first, second = follow_info("lin", at(0)), follow_info("lin", at(300))
    return [
        lambda: people_batch(person_row("wm1", first), events=[event_fact("add_external_contact", "wm1", "lin", at(0))], read_at=at(1)),
        lambda: people_batch(person_row("wm1", first), events=[event_fact("del_follow_user", "wm1", "lin", at(100))], read_at=at(101)),
        lambda: people_batch(events=[event_fact("del_external_contact", "wm1", "lin", at(200))], read_at=at(201), gone=[("wm1", "lin")]),
        lambda: people_batch(person_row("wm1", second), source="reconcile", read_at=at(400)),
        lambda: people_batch(person_row("wm1", first), source="reconcile", read_at=at(150)),
    ]  # fmt: skip


def outcome() -> tuple[object, ...]:
    follow = Follow.objects.get()
    return (
        follow.relation, follow.relation_since, follow.added_at, Contact.objects.get().active_follows,
        [(p.added_at, p.ended_at, p.ended_by) for p in FollowPeriod.objects.order_by("added_at")],
        sorted((e.kind, e.occurred_at) for e in follow_facts()),
    )  # fmt: skip


@pytest.mark.parametrize("order", list(permutations(range(5)))[::7])
def test_the_same_facts_in_any_order_give_the_same_follow(order: tuple[int, ...]) -> None:
    make_member(userid="lin")
    steps = story()
    for index in order:
        deliver(steps[index]())

    relation, since, added_at, friends, periods, facts = outcome()
    assert (relation, since, added_at, friends) == ("active", at(300), at(300), 1)
    assert periods == [(at(0), at(100), "customer"), (at(300), None, "")]
    assert facts == [
        ("follow.added", at(0)), ("follow.added", at(300)),
        ("follow.deleted_by_customer", at(100)), ("follow.deleted_by_guide", at(200)),
    ]  # fmt: skip


def lost(*pairs: tuple[str, str], read_at: datetime) -> RemovalsBatch:
    return RemovalsBatch(make_corp(), "reconcile", read_at, list(pairs), [])


def test_who_was_added_while_a_run_read_is_not_lost() -> None:
    """The run's reading speaks of its beginning: it may have passed her guide before she came."""
    make_member(userid="lin")
    deliver(added(created=at(60)))

    deliver(lost(("wm1", "lin"), read_at=at(30)))

    assert Follow.objects.get().relation == "active" and kinds() == ["follow.added"]


def test_a_loss_that_was_none_leaves_no_fact_that_swallows_the_real_ending() -> None:
    make_member(userid="lin")
    deliver(added())
    deliver(lost(("wm1", "lin"), read_at=at(60)))
    deliver(people_batch(person_row("wm1", follow_info("lin", at(0))), source="reconcile", read_at=at(120)))
    assert kinds() == ["follow.added"]

    gone = event_fact("del_follow_user", "wm1", "lin", at(500))
    deliver(people_batch(events=[gone], read_at=at(501)))

    last = follow_facts().order_by("occurred_at").last()
    assert (last.kind, last.occurred_at) == ("follow.deleted_by_customer", at(500))


def test_a_first_sight_of_who_had_been_deleted_before_counts_no_friend() -> None:
    """The delete event came before the row of the first sync was written."""
    make_member(userid="lin")
    deliver(people_batch(events=[event_fact("del_external_contact", "wm1", "lin", at(5))], read_at=at(6)))

    deliver(people_batch(person_row("wm1", follow_info("lin", at(0))), source="backfill", read_at=at(1)))

    assert Follow.objects.get().relation == Relation.DELETED_BY_GUIDE
    assert Contact.objects.get().active_follows == 0
