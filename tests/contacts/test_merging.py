"""A merge is written down, can be undone, and every reading of the past follows the rows of the person."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from analytics.services.check import check_rollups
from campaigns.models import Enrollment, Sop, SopVersion
from commerce.models import Order
from contacts.models import Contact, ContactMerge, FactSource, OwnershipChange, Stage, StageTransition, TimelineEvent
from contacts.services import merging, ownership
from contacts.services import stages as stage_services
from contacts.services.details import change_details
from contacts.services.merging import merge_roots, undo_merge
from contacts.services.opt_out import end_opt_out, set_opt_out
from contacts.services.ownership import assign_owner
from contacts.services.stages import change_stage, move_by_hand
from contacts.timeline import NewEvent, Restated, record_events, restate_events
from scrm.lib import clock
from scrm.lib.errors import Conflict, UserError
from tagging.models import Rule, RuleMatch
from tenants.audit import SYSTEM
from tests.support.commerce import make_order
from tests.support.contacts import at, make_contact, make_follow, make_member, make_stages, make_store

pytestmark = pytest.mark.django_db


@pytest.fixture
def stages() -> dict[str, Stage]:
    return make_stages()


def enter(contact: Contact, stage: Stage, when: datetime) -> None:
    change_stage([contact.pk], stage, source="manual", by=SYSTEM, at=when)


def merge(first: Contact, second: Contact, when: datetime) -> ContactMerge:
    merge_roots([(first.pk, second.pk)], now=when, source="manual")
    for row in (first, second):
        row.refresh_from_db()
    return ContactMerge.objects.latest("pk")


def stage_of_fact(contact: Contact, when: datetime) -> Any:
    key = f"probe:{contact.pk}:{when.timestamp()}"
    record_events([NewEvent("opt_out.ended", when, "product", key, contact_id=contact.pk)])
    found = TimelineEvent.objects.get(fact_key=key).stage
    return found.key if found else None


def test_a_merge_says_who_came_and_what_was_taken(stages: dict[str, Stage]) -> None:
    kept, gone = make_contact("", search_text=""), make_contact("王姐", birthday="1990-03-01")
    Contact.objects.filter(pk=kept.pk).update(name="")
    branch = make_contact(root=gone)
    enter(gone, stages["interested"], at(1))
    row = merge(kept, gone, at(10))

    branch.refresh_from_db()
    assert (gone.root, branch.root, row.moved_ids, row.merged_at) == (kept, kept, [gone.pk, branch.pk], at(10))
    assert row.taken["name"] == ["", "王姐"]
    assert row.taken["birthday"] == [None, "1990-03-01"]
    transition = StageTransition.objects.get(contact=kept)  # the stage taken over is a word of the record
    assert (transition.to_stage, transition.changed_at, transition.source) == (stages["interested"], at(10), "merge")


def test_an_undo_gives_each_her_own_again(stages: dict[str, Stage]) -> None:
    kept, gone = make_contact("甲"), make_contact("乙", birthday="1990-03-01")
    branch = make_contact(root=gone)
    ours, theirs = make_follow(kept, added_at=at(50), own=False), make_follow(gone, added_at=at(5))
    assign_owner([gone.pk], theirs.member, by=SYSTEM, at=at(6))
    merging.refresh_standing([kept.pk], now=at(60))
    assert Contact.objects.get(pk=kept.pk).owner == ours.member
    enter(gone, stages["loyal"], at(7))
    row = merge(kept, gone, at(100))
    assert (kept.stage, kept.active_follows, kept.owner) == (stages["loyal"], 2, theirs.member)  # the first adding owns

    undo_merge(row.pk, by=SYSTEM)

    for contact in (kept, gone, branch):
        contact.refresh_from_db()
    assert (kept.root, gone.root, branch.root) == (None, None, gone)
    assert (kept.stage, kept.birthday, kept.active_follows, kept.owner) == (None, None, 1, ours.member)
    assert (gone.stage, gone.active_follows, gone.owner) == (stages["loyal"], 1, theirs.member)
    assert not StageTransition.objects.filter(contact=kept).exists()
    row.refresh_from_db()
    assert row.undone_at is not None
    with pytest.raises(UserError):
        undo_merge(row.pk, by=SYSTEM)


def test_an_undo_keeps_what_was_decided_since(stages: dict[str, Stage]) -> None:
    kept, gone = make_contact(), make_contact(birthday="1990-03-01")
    enter(gone, stages["interested"], at(1))
    row = merge(kept, gone, at(10))
    Contact.objects.filter(pk=kept.pk).update(birthday="1991-01-01")
    enter(kept, stages["loyal"], at(20))
    undo_merge(row.pk, by=SYSTEM)
    kept.refresh_from_db()
    assert (kept.stage, str(kept.birthday)) == (stages["loyal"], "1991-01-01")
    assert StageTransition.objects.filter(contact=kept).count() == 2


def test_what_was_decided_otherwise_and_then_back_is_no_longer_the_merges(stages: dict[str, Stage]) -> None:
    kept, gone = make_contact(), make_contact()
    guide, other = make_member(store=make_store()), make_member(store=make_store())
    assign_owner([gone.pk], guide, by=SYSTEM, at=at(1), must_be_friend=False)
    enter(gone, stages["interested"], at(1))
    row = merge(kept, gone, at(10))
    assert (kept.owner, kept.store, kept.stage) == (guide, guide.store, stages["interested"])
    for stage, member, when in ((stages["loyal"], other, at(20)), (stages["interested"], guide, at(30))):
        enter(kept, stage, when)
        assign_owner([kept.pk], member, by=SYSTEM, at=when, must_be_friend=False)
    undo_merge(row.pk, by=SYSTEM)
    kept.refresh_from_db()
    assert (kept.stage, kept.stage_since) == (stages["interested"], at(30))
    assert (kept.owner, kept.store) == (guide, guide.store)


def test_a_store_comes_and_goes_with_its_owner() -> None:
    kept, gone = make_contact(), make_contact()
    guide, homeless = make_member(store=make_store()), make_member()
    assign_owner([gone.pk], guide, by=SYSTEM, at=at(1), must_be_friend=False)
    assign_owner([kept.pk], homeless, by=SYSTEM, at=at(1), must_be_friend=False)
    merge(kept, gone, at(10))
    assert (kept.owner, kept.store) == (homeless, None)  # the store of the other's guide is not hers

    bare = make_contact()
    row = merge(bare, make_contact(owner=guide, store=guide.store), at(20))
    assert (bare.owner, bare.store) == (guide, guide.store)
    Contact.objects.filter(pk=bare.pk).update(store=make_store())  # her guide moved, and she came along
    undo_merge(row.pk, by=SYSTEM)
    bare.refresh_from_db()
    assert (bare.owner, bare.store) == (None, None)


def test_merges_come_apart_from_the_last_one_on() -> None:
    oldest, middle, youngest = make_contact(), make_contact(), make_contact()
    inner = merge(middle, youngest, at(1))
    outer = merge(oldest, middle, at(2))
    with pytest.raises(UserError):
        undo_merge(inner.pk, by=SYSTEM)
    undo_merge(outer.pk, by=SYSTEM)
    youngest.refresh_from_db()
    assert youngest.root == middle
    undo_merge(inner.pk, by=SYSTEM)
    assert not Contact.objects.filter(root__isnull=False).exists()


def test_what_somebody_took_apart_stays_apart_for_the_sync() -> None:
    first, second = make_contact(), make_contact()
    undo_merge(merge(first, second, at(1)).pk, by=SYSTEM)
    merge_roots([(first.pk, second.pk)], now=at(9))
    second.refresh_from_db()
    assert second.root is None
    assert merge(first, second, at(10)).undone_at is None  # by hand they may meet again


def test_the_past_is_read_by_the_row_of_then(stages: dict[str, Stage]) -> None:
    kept, gone = make_contact(), make_contact()
    enter(kept, stages["interested"], at(10))
    enter(gone, stages["loyal"], at(20))
    row = merge(kept, gone, at(30))
    enter(kept, stages["repeat"], at(40))

    assert stage_of_fact(gone, at(25)) == "loyal"  # she was her own person then
    assert stage_of_fact(kept, at(25)) == "interested"
    assert stage_of_fact(gone, at(35)) == "interested"  # one person, whose stage stood
    assert stage_of_fact(gone, at(45)) == "repeat"
    undo_merge(row.pk, by=SYSTEM)
    later = clock.now()
    assert stage_of_fact(gone, later) == "loyal"


def test_a_row_without_record_of_its_own_reads_the_others(stages: dict[str, Stage]) -> None:
    kept, gone = make_contact(), make_contact()
    enter(gone, stages["loyal"], at(20))
    merge(kept, gone, at(30))
    assert stage_of_fact(kept, at(25)) == "loyal"


def test_an_order_of_a_branch_counts_for_the_owner_of_then() -> None:
    kept, gone = make_contact(), make_contact()
    first, second = make_member(store=make_store()), make_member(store=make_store())
    for contact, member in ((kept, first), (gone, second)):
        Contact.objects.filter(pk=contact.pk).update(owner=member)
        OwnershipChange.objects.create(contact=contact, to_member=member, changed_at=at(1), reason="manual")
    merge(kept, gone, at(30))
    assert make_order(gone, ordered_at=at(20)).member == second
    assert make_order(gone, ordered_at=at(40)).member == first
    assert Order.objects.count() == 2


def test_an_owner_taken_over_is_written_down() -> None:
    kept, gone, guide = make_contact(), make_contact(), make_member(store=make_store())
    Contact.objects.filter(pk=gone.pk).update(owner=guide)
    OwnershipChange.objects.create(contact=gone, to_member=guide, changed_at=at(1), reason="manual")
    row = merge(kept, gone, at(30))
    change = OwnershipChange.objects.get(contact=kept)
    assert (kept.owner, change.to_member, change.reason) == (guide, guide, "merge")
    undo_merge(row.pk, by=SYSTEM)
    kept.refresh_from_db()
    assert (kept.owner, OwnershipChange.objects.filter(contact=kept).count()) == (None, 0)


def test_a_root_that_became_a_branch_meanwhile_is_looked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    oldest, middle, youngest = make_contact(), make_contact(), make_contact()
    merge(oldest, middle, at(1))
    stale = iter([{middle.pk: middle.pk, youngest.pk: youngest.pk}])  # read before the other transaction committed
    monkeypatch.setattr(merging, "roots_of", lambda ids, real=merging.roots_of: next(stale, None) or real(ids))
    merge_roots([(middle.pk, youngest.pk)], now=at(2))
    youngest.refresh_from_db()
    assert youngest.root == oldest
    assert not merging.deep_branches().exists()


def test_what_is_decided_of_somebody_who_was_merged_meanwhile_is_refused_and_moves_nobody(
    stages: dict[str, Stage], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, gone, guide = make_contact(), make_contact(), make_member(store=make_store())
    merge(kept, gone, at(1))
    deeds: list[Callable[[], object]] = [
        lambda: move_by_hand(gone.pk, stages["loyal"].pk, seen=None, reason="", by=SYSTEM, at=at(2)),
        lambda: set_opt_out(gone.pk, "30", by=SYSTEM, at=at(2)),
        lambda: end_opt_out(gone.pk, by=SYSTEM, at=at(2)),
        lambda: change_details(gone.pk, by=SYSTEM, custom={"skin": "干"}),
    ]
    for module in (ownership, stage_services):  # read before the other transaction committed
        monkeypatch.setattr(module, "roots_of", lambda ids: {pk: pk for pk in ids})
    deeds.append(lambda: assign_owner([gone.pk], guide, by=SYSTEM, at=at(2), must_be_friend=False))
    for deed in deeds:
        with pytest.raises(Conflict, match="刚与其他客户合并"):
            deed()
    assert change_stage([gone.pk], stages["loyal"], source="rule", by=SYSTEM, at=at(2)) == set()
    assert not StageTransition.objects.exists() and not OwnershipChange.objects.exists()


def test_the_check_finds_a_branch_of_a_branch() -> None:
    middle = make_contact(root=make_contact())
    assert check_rollups().differing == 0
    make_contact(root=middle)
    found = check_rollups()
    assert [one["metric"] for one in found.differences] == ["people.deep_branches"]


def test_runs_and_matches_of_a_person_who_is_gone_end() -> None:
    kept, gone, other = make_contact(), make_contact(), make_contact()
    now = clock.now()
    sop = Sop.objects.create(name="新客", created_at=now)
    version = SopVersion.objects.create(sop=sop, number=1, created_at=now)
    for contact in (kept, gone, other):
        Enrollment.objects.create(
            version=version, sop=sop, target=f"c{contact.pk}", contact=contact, trigger_key="k", entered_at=now
        )
    both, alone = (Rule.objects.create(name=name, created_at=now) for name in ("两人都符合", "只有她符合"))
    for rule, contact in ((both, kept), (both, gone), (alone, gone)):
        RuleMatch.objects.create(rule=rule, contact=contact, rule_version=1, entered_at=now)
    merge(kept, gone, now)

    states = dict(Enrollment.objects.values_list("contact_id", "state"))
    assert states == {kept.pk: "running", gone.pk: "exited", other.pk: "running"}
    open_matches = RuleMatch.objects.filter(left_at__isnull=True).values_list("rule__name", "contact_id")
    assert set(open_matches) == {("两人都符合", kept.pk), ("只有她符合", gone.pk)}


def test_a_fact_put_right_stands_where_everybody_stood_then(stages: dict[str, Stage]) -> None:
    home, later = make_store(), make_store()
    member = make_member(store=home)
    from contacts.services.members import move_members

    person = make_contact()
    enter(person, stages["interested"], at(1))
    enter(person, stages["loyal"], at(20))
    move_members([(member, later.pk)], now=at(20))
    fact = NewEvent("follow.lost", at(30), FactSource.RECONCILE, "f:1", contact_id=person.pk, member_id=member.pk)
    named = NewEvent("follow.lost", at(30), FactSource.RECONCILE, "f:2", member_id=member.pk, store_id=home.pk)
    record_events([fact, named])
    restate_events([Restated(key, "follow.deleted_by_customer", at(10)) for key in ("f:1", "f:2")])

    row = TimelineEvent.objects.get(fact_key="f:1")
    assert (row.occurred_at, row.store, row.stage) == (at(10), home, stages["interested"])
    assert TimelineEvent.objects.get(fact_key="f:2").store == home
