"""草稿 → 待审批 → 审批: what is frozen, what an edit voids, who may release."""

import hashlib

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.scope import EVERYTHING, DataScope
from campaigns.models import Approval, Broadcast, Delivery, Dispatch
from campaigns.queries.differences import lines_of
from campaigns.services import approvals, broadcasts
from campaigns.services.broadcasts import Draft
from conditions.tree import EVERYONE
from scrm.lib import clock
from scrm.lib.errors import Conflict, NotAllowed, UserError
from tagging.models import Segment, SegmentEntry
from tests.support import campaigns as make
from tests.support import contacts as people
from tests.support import core

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _morning():
    with make.at_time(make.MORNING):
        yield


@pytest.fixture
def three():
    return make.make_customers(3)


def test_approving_freezes_the_audience_and_cuts_a_unit_per_guide(three):
    others = make.make_customers(2)

    push = make.released([*three, *others])

    assert push.audience_count == 5
    targets = "\n".join(sorted(f"c{person.pk}" for person in [*three, *others]))
    assert push.audience_hash == hashlib.sha256(targets.encode()).hexdigest()
    assert sorted(unit.planned for unit in make.units(push)) == [2, 3]
    assert not Delivery.objects.filter(push=push, dispatch__isnull=True).exists()


def test_a_unit_carries_the_text_of_its_guide_and_store():
    guide = people.make_member("林小雅", store=people.make_store("静安寺店"))
    push = make.released(make.make_customers(1, guide))

    assert make.units(push)[0].text == "周末到店领小样,静安寺店等您。林小雅"


def test_approving_twice_freezes_one_audience(three):
    draft = make.make_draft(three)
    first = make.release(draft)
    again = approvals.approve_broadcast(draft.pk, by=make.approver(), scope=EVERYTHING)

    assert again.push == first.push
    assert Delivery.objects.filter(push=first.push).count() == 3
    assert Dispatch.objects.filter(push=first.push).count() == 1


def test_submitting_twice_asks_once(three):
    draft, by = make.make_draft(three), make.author()

    assert make.submit(draft, by=by) == make.submit(draft, by=by)


def test_an_edit_raises_the_version_and_voids_the_request(three):
    draft = make.make_draft(three)
    approval = make.submit(draft)
    broadcasts.edit_broadcast(draft.pk, Draft(text="到店立减 189 元"), by=make.author())

    approval.refresh_from_db()
    draft.refresh_from_db()
    assert (approval.state, draft.state, draft.version) == ("void", "draft", 2)
    with pytest.raises(Conflict):
        approvals.approve_broadcast(draft.pk, by=make.approver(), scope=EVERYTHING)


def test_an_edit_that_changes_nothing_voids_nothing(three):
    draft = make.make_draft(three)
    make.submit(draft)
    same = broadcasts.edit_broadcast(
        draft.pk, Draft(name=draft.name, text=draft.content_version.text), by=make.author()
    )

    assert (same.state, same.version) == ("submitted", 1)


def test_a_released_broadcast_cannot_be_edited(three):
    draft = make.release(make.make_draft(three))

    with pytest.raises(Conflict):
        broadcasts.edit_broadcast(draft.pk, Draft(text="别的"), by=make.author())


def test_an_approver_who_saw_an_older_version_is_refused(three):
    draft = make.make_draft(three)
    broadcasts.edit_broadcast(draft.pk, Draft(text="新的一版"), by=make.author())
    make.submit(draft)

    with pytest.raises(Conflict) as refused:
        approvals.approve_broadcast(draft.pk, by=make.approver(), scope=EVERYTHING, version=1)
    assert refused.value.code == "changed"


def test_an_expired_request_is_refused_and_lapses(three):
    draft = make.make_draft(three)
    make.submit(draft)

    with make.at_time(make.local(19, 30)):
        with pytest.raises(Conflict) as refused:
            approvals.approve_broadcast(draft.pk, by=make.approver(), scope=EVERYTHING)
        assert approvals.lapse_approvals() == 1
    draft.refresh_from_db()
    assert refused.value.code == "expired"
    assert (draft.state, draft.draft_note) == ("draft", "审批已过期")
    assert Approval.objects.get().state == "lapsed"


def test_the_author_may_not_release_her_own(three):
    make.approver()
    by = core.actor_of(core.make_user(role="hq"))
    draft = make.make_draft(three, by=by)
    make.submit(draft, by=by)

    with pytest.raises(NotAllowed):
        approvals.approve_broadcast(draft.pk, by=by, scope=EVERYTHING)


def test_the_only_approver_releases_her_own_by_typing_the_count(three):
    by = core.actor_of(core.make_user(role="hq"))
    draft = make.make_draft(three, by=by)
    make.submit(draft, by=by)

    with pytest.raises(UserError) as missing:
        approvals.approve_broadcast(draft.pk, by=by, scope=EVERYTHING)
    with pytest.raises(UserError) as wrong:
        approvals.approve_broadcast(draft.pk, by=by, scope=EVERYTHING, typed_count=4)
    assert (missing.value.code, wrong.value.code) == ("type_the_count", "count_differs")
    assert not Delivery.objects.exists()

    approvals.approve_broadcast(draft.pk, by=by, scope=EVERYTHING, typed_count=3)
    assert Approval.objects.get().is_own_release


def test_the_ladder_follows_the_stores_of_the_audience():
    east, west = people.make_region(), people.make_region()
    store_a, store_b, store_c = (people.make_store(region=region) for region in (east, east, west))
    a, b, c = (make.make_customers(1, people.make_member(store=store)) for store in (store_a, store_b, store_c))

    levels = [make.submit(make.make_draft(who)).level for who in (a, [*a, *b], [*a, *b, *c])]
    assert levels == ["store", "region", "hq"]

    two_stores = Broadcast.objects.order_by("pk")[1]
    store_scope = DataScope(user_id=1, store_ids=frozenset({store_a.pk, store_b.pk}))
    other_region = DataScope(user_id=1, region_ids=frozenset({west.pk}))
    for scope in (store_scope, other_region):
        with pytest.raises(NotAllowed):
            approvals.approve_broadcast(two_stores.pk, by=make.approver(), scope=scope)
    own_region = DataScope(user_id=1, region_ids=frozenset({east.pk}))
    assert approvals.approve_broadcast(two_stores.pk, by=make.approver(), scope=own_region).push


def test_rejecting_sends_it_back_with_the_reason(three):
    draft = make.make_draft(three)
    make.submit(draft)
    approvals.reject_broadcast(draft.pk, by=make.approver(), scope=EVERYTHING, comment="价格写错了")

    draft.refresh_from_db()
    assert (draft.state, draft.draft_note) == ("draft", "已驳回:价格写错了")


def test_times_in_quiet_hours_or_too_close_are_refused(three):
    for times in (
        {"notify_at": make.local(8)},
        {"confirm_by": make.local(21, 30)},
        {"notify_at": make.local(10), "confirm_by": make.local(10)},
        {"notify_at": make.local(9, 35), "confirm_by": make.local(10, 15)},
    ):
        with pytest.raises(UserError):
            make.submit(make.make_draft(three, **times))


def test_nobody_reachable_cannot_be_submitted():
    stranger = people.make_contact()
    with pytest.raises(UserError) as refused:
        make.submit(make.make_draft([stranger]))
    assert refused.value.code == "nobody_reachable"


def test_a_variable_without_a_value_cannot_be_submitted(three):
    with pytest.raises(UserError) as refused:
        make.submit(make.make_draft(three, text="电话 {门店电话}"))
    assert refused.value.code == "empty_variable"


def test_the_authors_scope_limits_audience_and_senders(three):
    own = people.make_store()
    mine = make.make_customers(2, people.make_member(store=own))
    scope = DataScope(user_id=1, store_ids=frozenset({own.pk}))

    push = make.released([*three, *mine], within=scope)
    assert push.audience_count == 2


def test_the_holdout_is_drawn_from_the_reachable_by_a_stable_hash():
    customers = make.make_customers(60)
    draft = make.make_draft(customers, holdout_percent=30)
    push = make.release(draft).push

    def drawn(pk: int) -> bool:
        return int(hashlib.md5(f"{pk}:broadcast:{draft.pk}".encode()).hexdigest()[:8], 16) % 10000 < 3000

    held = set(Delivery.objects.filter(push=push, state="holdout").values_list("contact_id", flat=True))
    assert held == {person.pk for person in customers if drawn(person.pk)}
    assert 0 < len(held) < 60
    assert make.units(push)[0].planned == 60 - len(held)


def test_a_segment_still_computed_can_be_looked_at_but_not_submitted_or_released(three):
    """Its stored members are not yet what its condition says: a push would reach fewer, or others."""
    segment = Segment.objects.create(name="近30天新加", tree=EVERYONE, state="fresh", created_at=clock.now())
    SegmentEntry.objects.bulk_create(
        SegmentEntry(segment=segment, contact=one, entered_at=clock.now()) for one in three
    )
    broadcast = make.make_draft([], audience={"segment": segment.pk})
    make.submit(broadcast)
    Segment.objects.update(state="building")

    with pytest.raises(UserError, match="计算中"):
        approvals.approve_broadcast(broadcast.pk, by=make.approver(), scope=EVERYTHING)
    broadcasts.withdraw_broadcast(broadcast.pk, by=make.author())
    with pytest.raises(UserError, match="计算中"):
        make.submit(broadcast)
    assert broadcasts.preflight_of(broadcast).reachable == 3


def test_whoever_wrote_or_changed_it_may_not_release_it_whoever_submits(three):
    make.approver()
    writer, editor = (core.actor_of(core.make_user(role="hq")) for _ in range(2))
    draft = make.make_draft(three, by=writer)
    broadcasts.edit_broadcast(draft.pk, Draft(text="改过的文字,{门店名}"), by=editor)
    make.submit(draft)

    for by in (writer, editor):
        with pytest.raises(NotAllowed) as refused:
            approvals.approve_broadcast(draft.pk, by=by, scope=EVERYTHING)
        assert refused.value.code == "own_request"
    assert approvals.approve_broadcast(draft.pk, by=make.approver(), scope=EVERYTHING).push


def test_an_audience_that_grew_beyond_the_approvers_reach_is_not_released():
    """The request was of one store; somebody of another store has entered the segment since."""
    store, other = people.make_store(), people.make_store()
    [known], [newcomer] = (make.make_customers(1, people.make_member(store=one)) for one in (store, other))
    segment = Segment.objects.create(name="近30天新加", kind="static", state="fresh", created_at=clock.now())
    SegmentEntry.objects.create(segment=segment, contact=known, entered_at=clock.now())
    draft = make.make_draft([], audience={"segment": segment.pk})
    assert make.submit(draft).level == "store"
    SegmentEntry.objects.create(segment=segment, contact=newcomer, entered_at=clock.now())

    with pytest.raises(Conflict) as refused:
        scope = DataScope(user_id=1, store_ids=frozenset({store.pk}))
        approvals.approve_broadcast(draft.pk, by=make.approver(), scope=scope)

    assert refused.value.code == "reach_grew" and not Delivery.objects.exists()


def test_a_store_that_lost_its_value_since_the_request_stops_the_release(three):
    store = three[0].follows.get().member.store
    store.phone = "021-1"
    store.save(update_fields=["phone"])
    draft = make.make_draft(three, text="{门店电话}")
    make.submit(draft)
    store.phone = ""
    store.save(update_fields=["phone"])

    with pytest.raises(UserError) as refused:
        approvals.approve_broadcast(draft.pk, by=make.approver(), scope=EVERYTHING)

    assert refused.value.code == "empty_variable" and not Delivery.objects.exists()


def test_changing_a_copy_leaves_the_original_as_it_was_requested(three):
    draft = make.make_draft(three, message_class="promotion")
    make.submit(draft)

    copy = broadcasts.copy_broadcast(draft.pk, by=make.author(), scope=EVERYTHING)
    broadcasts.edit_broadcast(copy.pk, Draft(message_class="service", text="另一句"), by=make.author())

    draft.refresh_from_db()
    assert draft.content_version.content.message_class == "promotion" and draft.state == "submitted"
    assert approvals.approve_broadcast(draft.pk, by=make.approver(), scope=EVERYTHING).push.message_class == "promotion"


def test_a_copy_reaches_no_further_than_its_copier(three):
    hers = DataScope(user_id=1, store_ids=frozenset({0}))
    draft = make.make_draft(three)

    copy = broadcasts.copy_broadcast(draft.pk, by=make.author(), scope=hers)

    assert broadcasts.preflight_of(copy).total == 0 and broadcasts.preflight_of(draft).total == 3


def test_the_difference_names_other_times_and_another_list_of_the_same_length(three):
    draft = make.make_draft(three[:2])
    earlier = make.submit(draft).snapshot
    changed = Draft(audience={"contacts": [three[0].pk, three[2].pk]}, notify_at=make.local(15), holdout_percent=10)
    broadcasts.edit_broadcast(draft.pk, changed, by=make.author())

    rows = {row["what"]: row["after"] for row in lines_of(earlier, make.submit(draft).snapshot)}

    assert rows["名单"] == "2 个,其中换入 1 个,换出 1 个"
    assert rows["时间"].startswith("03-03 15:00") and rows["对照组(不触达)"] == "10"


def test_customers_without_a_store_are_hqs_to_release():
    """They stand in no store's reach: a store's manager does not release to them beside her own."""
    store = people.make_store()
    [hers] = make.make_customers(1, people.make_member(store=store))
    [unplaced] = make.make_customers(1, people.make_member())
    draft = make.make_draft([hers, unplaced])

    assert make.submit(draft).level == "hq"
    with pytest.raises(NotAllowed):
        scope = DataScope(user_id=1, store_ids=frozenset({store.pk}))
        approvals.approve_broadcast(draft.pk, by=make.approver(), scope=scope)


def test_a_request_that_lapses_locks_its_broadcast_first(three):
    """As whoever approves it does: else the two could wait for each other."""
    make.submit(make.make_draft(three))
    with make.at_time(make.local(19, 30)), CaptureQueriesContext(connection) as seen:
        approvals.lapse_approvals()

    locks = [query["sql"] for query in seen.captured_queries if "FOR UPDATE" in query["sql"]]
    assert 'FROM "campaigns_broadcast" ' in locks[0] and 'FROM "campaigns_approval" ' in locks[1]
