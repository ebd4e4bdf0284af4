"""Places and members are archived, never deleted: gone from lists and pickers, named by history, back when wanted."""

from typing import Any

import pytest
from django.test import Client

from contacts.models import Department, Member, Store
from contacts.queries import list_dealers, list_regions, list_stores
from contacts.services.archiving import archive, restore
from scrm.lib.errors import UserError
from tenants.audit import SYSTEM
from tenants.ledger.models import AuditEntry
from tests.support.contacts import (
    make_corp,
    make_dealer,
    make_follow,
    make_member,
    make_region,
    make_store,
)

pytestmark = pytest.mark.django_db


def refuse(row: Any) -> None:
    with pytest.raises(UserError):
        archive(row, by=SYSTEM)
    row.refresh_from_db()
    assert row.archived_at is None


def test_a_region_or_dealer_with_stores_of_today_stays() -> None:
    region, dealer = make_region(), make_dealer()
    store = make_store(region=region, dealer=dealer)
    refuse(region)
    refuse(dealer)
    archive(store, by=SYSTEM)
    archive(region, by=SYSTEM)
    archive(dealer, by=SYSTEM)
    assert (list_regions(), list_dealers(), list_stores()) == ([], [], [])
    assert [name for _pk, name in list_stores([store.pk])] == [store.name]  # whoever names it still finds it
    restore(region, by=SYSTEM)
    assert len(list_regions()) == 1
    assert set(AuditEntry.objects.values_list("action", flat=True)) >= {"region.archived", "region.restored"}


def test_a_store_stays_while_members_or_departments_stand_there() -> None:
    store = make_store()
    member = make_member(store=store)
    refuse(store)
    Member.objects.filter(pk=member.pk).update(status=Member.Status.LEFT)
    department = Department.objects.create(corp=make_corp(), department_id=7, store=store)
    refuse(store)
    department.delete()
    archive(store, by=SYSTEM)
    assert Store.objects.filter(archived_at__isnull=False).get() == store


def test_a_member_goes_when_she_has_left_and_owns_nobody() -> None:
    follow = make_follow()
    member = follow.member
    refuse(member)
    Member.objects.filter(pk=member.pk).update(status=Member.Status.LEFT)
    type(follow.contact).objects.filter(pk=follow.contact_id).update(owner=member)
    refuse(member)
    type(follow.contact).objects.filter(pk=follow.contact_id).update(owner=None)
    archive(member, by=SYSTEM)
    follow.refresh_from_db()
    assert follow.member.archived_at is not None


@pytest.mark.parametrize(("noun", "make"), [("stores", make_store), ("regions", make_region), ("dealers", make_dealer)])
def test_the_page_archives_and_restores(acme_client: Client, noun: str, make: Any) -> None:
    row = make()
    url = f"/org/{noun}/{row.pk}/archive/"
    assert "data-confirm" in acme_client.get(f"/org/{noun}/{row.pk}/").content.decode()
    assert acme_client.post(url).status_code == 302
    row.refresh_from_db()
    assert row.archived_at is not None
    assert "undo" in acme_client.get(f"/org/{noun}/{row.pk}/").content.decode()
    acme_client.post(url, {"undo": "1"})
    row.refresh_from_db()
    assert row.archived_at is None


def test_archived_places_are_in_no_picker(acme_client: Client) -> None:
    region, store, member = make_region("旧大区"), make_store("旧门店"), make_member()
    archive(region, by=SYSTEM)
    archive(store, by=SYSTEM)
    assert "旧大区" not in acme_client.get("/org/stores/new/").content.decode()
    assert "旧门店" not in acme_client.get(f"/org/members/{member.pk}/").content.decode()
    assert "旧门店" not in acme_client.get("/contacts/").content.decode()
    assert "旧门店" not in acme_client.get("/org/").content.decode()
    assert "旧门店" in acme_client.get("/org/?archived=1").content.decode()
    assert acme_client.post(f"/org/members/{member.pk}/store/", {"store": store.pk}).status_code == 422


def test_a_member_is_archived_on_her_page(acme_client: Client) -> None:
    member = make_member("离职的人", status=Member.Status.LEFT)
    assert acme_client.post(f"/org/members/{member.pk}/archive/").status_code == 302
    assert "离职的人" not in acme_client.get("/org/members/").content.decode()
    assert "离职的人" in acme_client.get("/org/members/?status=archived").content.decode()


def test_somebody_who_works_here_cannot_be_archived_by_the_page(acme_client: Client) -> None:
    member = make_member()
    assert acme_client.post(f"/org/members/{member.pk}/archive/").status_code == 422
