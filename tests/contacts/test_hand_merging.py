"""合并客户 by hand: what is shown first is what happens, what cannot be is refused with a sentence, and 30 days to undo it."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from campaigns.models import Enrollment, Sop, SopVersion
from contacts.models import Contact, ContactMerge, OwnershipChange, Stage
from contacts.services.hand_merging import merge_by_hand, plan_merge, plan_undo, undo_by_hand
from contacts.services.merging import merge_roots, undo_merge
from contacts.services.opt_out import set_opt_out
from contacts.services.ownership import assign_owner
from contacts.services.stages import change_stage
from contacts.services.standing import refresh_standing
from scrm.lib import clock
from scrm.lib.errors import Conflict, UserError
from tenants.audit import SYSTEM, Actor
from tenants.ledger.models import AuditEntry
from tests.support.commerce import make_order
from tests.support.contacts import (
    at,
    make_contact,
    make_follow,
    make_member,
    make_phone,
    make_region,
    make_stages,
    make_store,
)
from tests.support.core import log_in, make_user
from tests.support.fuzzing import often

pytestmark = pytest.mark.django_db
HQ = Actor("user", 1, "李敏")


def customer(name: str, minutes: float = 0, **fields: Any) -> Contact:
    """A guide's friend since then, owned by the first adding."""
    follow = make_follow(make_contact(name, **fields), added_at=at(minutes), own=False)
    refresh_standing([follow.contact_id], now=at(minutes))
    return Contact.objects.get(pk=follow.contact_id)


def fresh(*people: Contact) -> list[Contact]:
    return [Contact.objects.get(pk=person.pk) for person in people]


def merged(first: Contact, second: Contact) -> ContactMerge:
    return merge_by_hand(first.pk, second.pk, seen=plan_merge(*fresh(first, second)).token, by=HQ)


STANDING = ("name", "stage_id", "owner_id", "birthday", "opt_out_since", "opt_out_until")


def test_what_the_page_foretells_is_what_happens() -> None:
    stages = make_stages()
    kept, gone = customer("甲", 50), customer("乙", 5, birthday="1990-03-01")
    change_stage([gone.pk], stages["loyal"], source="manual", by=SYSTEM, at=at(60))
    set_opt_out(gone.pk, "forever", by=SYSTEM, at=at(61))
    now = clock.now()
    for name in ("新客", "沉睡"):
        sop = Sop.objects.create(name=name, created_at=now)
        version = SopVersion.objects.create(sop=sop, number=1, created_at=now)
        for contact in (kept, gone) if name == "新客" else (gone,):
            Enrollment.objects.create(
                version=version, sop=sop, target=f"c{contact.pk}", contact=contact, trigger_key="k", entered_at=now
            )
    plan = plan_merge(*fresh(gone, kept))
    assert (plan.kept, plan.gone, plan.after.owner_id) == (kept, gone, gone.owner_id)  # the earlier adding owns
    assert plan.effects == ("SOP「新客」在两边都在跑,只继续一个", "SOP「沉睡」继续跑")
    merge = merge_by_hand(gone.pk, kept.pk, seen=plan.token, by=HQ)
    (real,) = fresh(kept)
    assert [getattr(real, name) for name in STANDING] == [getattr(plan.after, name) for name in STANDING]
    assert Enrollment.objects.filter(state="running").count() == 2
    assert (merge.source, merge.actor_id) == ("manual", HQ.id)
    assert AuditEntry.objects.filter(action="contact.merged", actor_id=HQ.id).count() == 1


def test_an_owner_chosen_by_hand_stands_in_the_preview_and_after() -> None:
    kept, gone = customer("甲", 50), customer("乙", 5)
    assign_owner([kept.pk], make_follow(kept, added_at=at(55), own=False).member, by=SYSTEM, at=at(56))
    chosen = fresh(kept)[0].owner_id
    assert plan_merge(*fresh(kept, gone)).after.owner_id == chosen
    merged(kept, gone)
    assert fresh(kept)[0].owner_id == chosen


def test_the_page_shows_both_and_merges_them(acme_client: Client) -> None:
    kept, gone = customer("甲小姐", 50), customer("乙小姐", 5)
    make_order(gone, ordered_at=at(90))
    page = acme_client.get(f"/contacts/{gone.pk}/merge/{kept.pk}/")
    text = page.content.decode()
    assert [side["person"] for side in page.context["sides"]] == [kept, gone]
    assert "将被并入" in text and "归属导购" in text and "累计消费" in text
    seen = page.context["plan"].token
    answer = acme_client.post(f"/contacts/{gone.pk}/merge/{kept.pk}/", {"seen": seen})
    assert (answer.status_code, answer["Location"]) == (302, f"/contacts/{kept.pk}/")
    assert fresh(gone)[0].root_id == kept.pk
    again = acme_client.post(f"/contacts/{gone.pk}/merge/{kept.pk}/", {"seen": seen})
    assert again.status_code == 422 and "已经是同一位客户" in again.content.decode()


def test_an_order_that_waited_between_two_people_binds_when_they_are_one(acme_client: Client) -> None:
    one, two = customer("甲"), customer("乙")
    for person in (one, two):
        make_phone(person)
    order = make_order(phone="+8613800138000", ordered_at=at(90))
    assert order.contact_id is None
    merged(one, two)
    order.refresh_from_db()
    assert (order.contact_id, order.bound_by) == (one.pk, "phone")


def test_who_is_the_other_is_looked_for_within_the_scope() -> None:
    region = make_region()
    store = make_store(region=region)
    here = make_follow(make_contact("阿May", search_text="阿may amay"), make_member(store=store)).contact
    near = make_follow(make_contact("小May", search_text="小may"), make_member(store=store)).contact
    far = make_follow(make_contact("远May", search_text="远may")).contact
    client = log_in(make_user(permissions=["contacts.merge", "contacts.view"], scope=region))
    response = client.get(f"/contacts/{here.pk}/merge/", {"q": "may"})
    assert list(response.context["found"]) == [near]
    assert client.get(f"/contacts/{here.pk}/merge/{far.pk}/").status_code == 404
    assert client.post(f"/contacts/{here.pk}/merge/{far.pk}/", {"seen": ""}).status_code == 404
    assert "merge/" in client.get(f"/contacts/{here.pk}/").content.decode()
    assert log_in("guide").get(f"/contacts/{here.pk}/merge/").status_code == 403


def test_impossible_merges_say_why(acme_client: Client) -> None:
    one, two = customer("甲"), customer("乙")
    with pytest.raises(UserError, match="另一位"):
        plan_merge(one, one)
    assert acme_client.get(f"/contacts/{one.pk}/merge/{one.pk}/").status_code == 422
    merged(one, two)
    with pytest.raises(UserError, match="已经是同一位"):
        merge_by_hand(one.pk, two.pk, seen="", by=HQ)
    with pytest.raises(UserError, match="已被删除"):
        merge_by_hand(one.pk, 999_999_999, seen="", by=HQ)


def test_what_changed_since_it_was_seen_is_looked_at_again(acme_client: Client) -> None:
    stages = make_stages()
    one, two = customer("甲"), customer("乙")
    seen = plan_merge(one, two).token
    change_stage([two.pk], stages["loyal"], source="manual", by=SYSTEM, at=at(60))
    with pytest.raises(Conflict, match="重新核对"):
        merge_by_hand(one.pk, two.pk, seen=seen, by=HQ)
    answer = acme_client.post(f"/contacts/{one.pk}/merge/{two.pk}/", {"seen": seen})
    assert answer.status_code == 409 and answer.context["plan"].token != seen
    assert not ContactMerge.objects.exists()


def test_the_undo_foretells_what_comes_back() -> None:
    stages = make_stages()
    kept, gone = customer("甲", 50), customer("乙", 5, birthday="1990-03-01")
    change_stage([gone.pk], stages["loyal"], source="manual", by=SYSTEM, at=at(60))
    owners = (kept.owner_id, gone.owner_id)
    merge = merged(kept, gone)
    Contact.objects.filter(pk=kept.pk).update(birthday="1991-01-01")
    plan = plan_undo(ContactMerge.objects.get())
    assert (plan.friends, plan.stays, plan.kept.stage_id) == (1, ("birthday",), None)
    assert (plan.kept.owner_id, plan.gone.owner_id) == owners
    with pytest.raises(Conflict):
        undo_by_hand(merge.pk, seen="stale", by=HQ)
    undo_by_hand(merge.pk, seen=plan.token, by=HQ)
    apart = fresh(kept, gone)
    assert [(one.root_id, one.owner_id, one.stage_id) for one in apart] == [
        (None, owners[0], None), (None, owners[1], stages["loyal"].pk)
    ]  # fmt: skip
    with pytest.raises(UserError, match="已撤销"):
        undo_by_hand(merge.pk, seen=plan.token, by=HQ)


def test_after_thirty_days_it_stands(acme_client: Client) -> None:
    merge = merged(customer("甲"), customer("乙"))
    assert acme_client.get("/merges/").context["rows"][0]["can_undo"]
    ContactMerge.objects.update(merged_at=clock.now() - timedelta(days=30, minutes=1))
    with pytest.raises(UserError, match="30 天"):
        undo_by_hand(merge.pk, seen="", by=HQ)
    page = acme_client.get(f"/merges/{merge.pk}/undo/")
    assert page.status_code == 422 and "30 天" in page.content.decode()
    (row,) = acme_client.get("/merges/").context["rows"]
    assert not row["can_undo"]


def test_the_record_shows_who_merged_whom_and_undoes_it(acme_client: Client) -> None:
    kept, gone = customer("甲", 50), customer("乙", 5)
    merge = merged(kept, gone)
    user = make_user(permissions=["contacts.merge", "contacts.view"], scope=make_region())
    assert log_in(user).get("/merges/").context["total"] == 0
    assert log_in(user).get(f"/merges/{merge.pk}/undo/").status_code == 404
    page = acme_client.get(f"/merges/{merge.pk}/undo/")
    assert acme_client.post(f"/merges/{merge.pk}/undo/", {"seen": page.context["plan"].token}).status_code == 302
    (row,) = acme_client.get("/merges/").context["rows"]
    assert row["undone_by"] == acme_client.user
    assert fresh(gone)[0].root_id is None


def test_the_merge_page_costs_the_same_with_many_friends(acme_client: Client) -> None:
    one, two = customer("甲"), customer("乙")

    def cost() -> int:
        with CaptureQueriesContext(connection) as spent:
            assert acme_client.get(f"/contacts/{one.pk}/merge/{two.pk}/").status_code == 200
        return len(spent)

    cost()
    few = cost()
    for person in (one, two):
        for minute in range(4):
            make_follow(person, added_at=at(minute), remark="王姐")
    assert cost() == few <= 60


# --- Any order of merges and undos ----------------------------------------------------------------------------------

ACTS = st.lists(st.tuples(st.booleans(), st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=5)


class Model:
    """The same said plainly: who counts as whom, and what the kept one had nothing of."""

    def __init__(self, people: list[Contact], stages: list[int | None]) -> None:
        self.ids = [person.pk for person in people]
        self.root = {pk: pk for pk in self.ids}
        self.stage = dict(zip(self.ids, stages, strict=True))
        self.merges: list[tuple[int, int, list[int], int | None]] = []

    def family(self, pk: int) -> list[int]:
        return [one for one in self.ids if self.root[one] == pk]

    def merge(self, first: int, second: int) -> None:
        kept, gone = sorted((self.root[first], self.root[second]))
        moved = self.family(gone)
        taken = self.stage[gone] if self.stage[kept] is None else None
        self.stage[kept] = self.stage[kept] or taken
        for pk in moved:
            self.root[pk] = kept
        self.merges.append((kept, gone, moved, taken))

    def undo(self) -> None:
        kept, gone, moved, taken = self.merges.pop()
        for pk in moved:
            self.root[pk] = gone
        if taken:
            self.stage[kept] = None


@settings(max_examples=often(20), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acts=ACTS, staged=st.lists(st.booleans(), min_size=4, max_size=4))
def test_any_sequence_of_merges_and_undos_leaves_what_a_plain_model_says(
    four: list[Contact], acts: list[tuple[bool, int, int]], staged: list[bool]
) -> None:
    with transaction.atomic():
        stages = list(Stage.objects.all())
        standing = [stages[n].pk if staged[n] else None for n in range(4)]
        for contact, stage_id in zip(four, standing, strict=True):
            Contact.objects.filter(pk=contact.pk).update(stage=stage_id, stage_since=at(60) if stage_id else None)
        model = Model(four, standing)
        for number, (undoes, first, second) in enumerate(acts):
            a, b = four[first].pk, four[second].pk
            if undoes and model.merges:
                undo_merge(ContactMerge.objects.filter(undone_at__isnull=True).latest("pk").pk, by=SYSTEM)
                model.undo()
            elif model.root[a] != model.root[b]:
                merge_roots([(a, b)], now=at(100 + number), source="manual")
                model.merge(a, b)
        rows = {row.pk: row for row in Contact.objects.filter(pk__in=model.ids)}
        assert {pk: row.root_pk for pk, row in rows.items()} == model.root
        for root in set(model.root.values()):
            family = [contact for contact in four if model.root[contact.pk] == root]
            eldest = min(family, key=lambda contact: contact.first_added_at)
            row = rows[root]
            assert (row.stage_id, row.active_follows) == (model.stage[root], len(family))
            assert (row.owner_id, row.first_added_at) == (eldest.owner_id, eldest.first_added_at)
            assert OwnershipChange.objects.filter(contact=row).count() == 1
        transaction.set_rollback(True)


@pytest.fixture
def four() -> list[Contact]:
    """Four people, the eldest row not the first added."""
    make_stages()
    return [customer(f"客{n}", minutes) for n, minutes in enumerate((30, 10, 40, 20))]
