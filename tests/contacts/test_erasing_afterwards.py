"""删除个人信息: what WeCom, files and merges tell of her afterwards brings nobody back."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from campaigns.models import (
    MassSend,
)
from campaigns.services import ledger
from commerce.models import Order
from commerce.services.orders import upsert_orders
from contacts import comparing, handlers, inventory
from contacts.models import (
    Contact,
    ContactMerge,
    ErasedKey,
    Follow,
    GroupMembership,
    Identity,
    Relation,
)
from contacts.services import erasing
from contacts.services.merging import merge_roots, undo_merge
from scrm.lib import clock
from scrm.lib.errors import UserError
from tenants.audit import SYSTEM
from tests.support.commerce import order_row
from tests.support.contacts import (
    event_fact,
    follow_info,
    group_info,
    group_member,
    groups_batch,
    make_contact,
    make_follow,
    make_member,
    people_batch,
    person_row,
)
from tests.support.core import actor_of, make_user
from tests.support.erasing import EXTERNAL, PHONE, UNION, ask, erase, full_person, traces, work
from wecom_bridge import answers
from wecom_bridge.models import InboundEvent

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _media(settings: Any, tmp_path: Path) -> Iterator[None]:
    settings.MEDIA_ROOT = str(tmp_path)
    yield


# --- She does not come back by herself -----------------------------------------------------------------------------------


def test_what_wecom_goes_on_telling_of_her_past_is_not_let_in(acme: Any) -> None:
    person = full_person()
    follow = person.follows.get()
    corp, userid, added = follow.corp, follow.member.userid, follow.added_at
    erase(person)
    event = InboundEvent.objects.create(
        corp=corp, digest="d2", lane="inbound", event="change_external_contact", change_type="edit_external_contact",
        entity_key=f"{corp.pk}:p:{EXTERNAL}", body=f"<xml><ExternalUserID>{EXTERNAL}</ExternalUserID></xml>",
        occurred_at=clock.now(), received_at=clock.now(), next_attempt_at=clock.now(),
    )  # fmt: skip
    fact = event_fact("edit_external_contact", EXTERNAL, userid, clock.now())
    batch = people_batch(
        person_row(EXTERNAL, follow_info(userid, added, remark="圆子-敏感肌", remark_mobiles=("13912345678",)), name="欧阳小圆子"),
        corp=corp, events=[type(fact)(**{**vars(fact), "event_id": event.pk})],
    )  # fmt: skip
    assert list(comparing.compare_people(batch)) == []
    handlers.on_people(batch)
    assert traces() == {} and not Identity.objects.filter(value=EXTERNAL).exists()
    listed = inventory.list_follows(corp, [userid])[userid]
    assert len(listed) == inventory.count_follows(corp)[userid] == 2 and not any(one.startswith("~") for one in listed)


def test_a_group_keeps_its_count_and_not_her_name(acme: Any) -> None:
    person = full_person()
    row = GroupMembership.objects.get(contact=person)
    group, joined = row.group, row.joined_at
    erase(person)
    info = group_info(
        group.chat_id, group.owner_userid,
        [group_member(EXTERNAL, joined, name="欧阳小圆子", unionid=UNION), group_member("wmFRIEND", joined)],
    )  # fmt: skip
    batch = groups_batch(info, corp=group.corp)
    handlers.on_groups(batch)
    group.refresh_from_db()
    row.refresh_from_db()
    assert group.customer_count == 2 and row.left_at is None and traces() == {}


def test_who_adds_a_guide_again_is_a_new_person(acme: Any) -> None:
    person = full_person()
    follow = person.follows.get()
    corp, userid = follow.corp, follow.member.userid
    other = make_member("新导购", store=follow.member.store)
    erase(person)
    later = clock.now() + timedelta(minutes=5)
    row = person_row(
        EXTERNAL,
        follow_info(userid, follow.added_at, remark="圆子-敏感肌"),
        follow_info(other.userid, later),
        name="新名字",
    )
    handlers.on_people(people_batch(row, corp=corp, read_at=later))
    new = Contact.objects.get(name="新名字")
    assert new.pk != person.pk and new.opt_out_since is None
    assert [(one.member, one.relation) for one in new.follows.all()] == [(other, Relation.ACTIVE)]
    # Now known again, her new relation is read as anybody's; the old one is still nobody's.
    handlers.on_people(people_batch(row, corp=corp, read_at=later + timedelta(minutes=1)))
    assert new.follows.count() == 1 and not Follow.objects.filter(remark="圆子-敏感肌").exists()
    assert erase(Contact.objects.get(pk=new.pk)).state == "done", "and may be erased again"
    assert ErasedKey.objects.count() == 5


def test_an_old_file_of_orders_brings_no_phone_back_and_a_new_order_is_a_new_buyers(acme: Any) -> None:
    person = full_person()
    order = Order.objects.get()
    erase(person)
    again = order_row(
        number=order.number, phone=PHONE, external_userid=EXTERNAL, total_minor=31_200, ordered_at=order.ordered_at
    )
    later = order_row(phone=PHONE, ordered_at=clock.now() + timedelta(hours=1))
    upsert_orders([again, later], source="pos", by=SYSTEM)
    order.refresh_from_db()
    assert (order.buyer_phone, order.buyer_external_userid, order.contact_id) == ("", "", person.pk)
    assert Order.objects.get(number=later.number).buyer_phone == PHONE


def test_results_that_wecom_goes_on_listing_are_kept_without_her_id(acme: Any) -> None:
    person = full_person()
    sent = MassSend.objects.get()
    erase(person)
    told = {"send_list": [{"external_userid": EXTERNAL, "status": 1}, {"external_userid": "wmFRIEND", "status": 1}]}
    kept = answers.kept(told)
    assert kept["send_list"][1] == told["send_list"][1] and EXTERNAL not in str(kept)
    userid = sent.results.get().userid
    ledger._record_results(sent.corp_id, {"msgid": "m1", "userid": userid}, told)
    assert sent.results.count() == 2 and traces() == {}, "the row of before is found again, and quota still counted"


def test_two_requests_of_people_who_turn_out_to_be_one_remove_her_once(acme: Any) -> None:
    first, second = make_follow().contact, make_follow().contact
    asked, other = ask(first), ask(second)
    merge_roots([(first.pk, second.pk)], now=clock.now(), source="manual")
    assert work(other).waits_for == {erasing.MERGED: 1}
    assert (work(asked).state, asked.people) == ("done", 2)
    assert (work(other).state, other.contact_id) == ("done", first.pk)
    assert merge_roots([(first.pk, make_contact().pk)], now=clock.now(), source="manual") == set(), (
        "an empty shell joins nobody"
    )


def test_a_merge_with_an_erased_person_cannot_be_undone(acme: Any) -> None:
    person = full_person()
    merge = ContactMerge.objects.get()
    erase(person)
    with pytest.raises(UserError, match="已按请求删除"):
        undo_merge(merge.pk, by=actor_of(make_user()))
