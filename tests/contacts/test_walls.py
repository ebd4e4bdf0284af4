"""A dealer's walls, and those of a region, a store and a guide: every list and page shows their own people and places, and no
name of anybody else's."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from accounts.permissions import all_permissions
from accounts.scope import data_scope
from analytics.models import DayMetric
from analytics.queries import facts_in_scope
from commerce.models import Order
from commerce.queries import visible_orders
from contacts.ended import ENDED_KEY
from contacts.models import (
    Contact,
    GroupChat,
    HandoverPlan,
    Member,
    Relation,
    StaffChange,
    Store,
    TimelineEvent,
    Todo,
)
from contacts.queries import visible_contacts, visible_groups, visible_members
from contacts.services import organisation
from contacts.services.handover.reading import visible_plans
from scrm.lib import clock
from tenants.audit import SYSTEM
from tests.support.commerce import make_order
from tests.support.contacts import (
    make_alarm,
    make_contact,
    make_dealer,
    make_follow,
    make_group,
    make_member,
    make_region,
    make_staff_change,
    make_stages,
    make_store,
)
from tests.support.core import log_in, make_user

pytestmark = pytest.mark.django_db
SCOPES = ("dealer", "region", "store", "self")


@dataclass
class World:
    """A part of the organisation; all its names begin with its token, which stands in no other word of the product."""

    token: str
    store: Store
    member: Member
    contact: Contact
    group: GroupChat
    plan: HandoverPlan
    order: Order
    change: StaffChange

    def client(self, kind: str) -> Client:
        """Somebody who may do everything, within this part."""
        codes = [one.code for one in all_permissions() if not one.code.startswith("platform.")]
        place = {"dealer": self.store.dealer, "region": self.store.region, "store": self.store, "self": "self"}[kind]
        user = make_user(permissions=codes, scope=place)
        if kind == "self":
            organisation.link_member(user, self.member, by=SYSTEM)
        return log_in(user)


def world(token: str) -> World:
    region, dealer = make_region(f"{token}大区"), make_dealer(f"{token}经销商")
    store = make_store(f"{token}店", region=region, dealer=dealer, city=f"{token}市")
    member = make_member(f"{token}导购", store=store)
    left = make_member(f"{token}离职", store=store, status="left", left_at=clock.now() - timedelta(hours=1))
    contact = make_follow(make_contact(f"{token}客户", stage=make_stages()["new"]), member).contact
    make_follow(make_contact(f"{token}遗留"), left)
    make_follow(make_contact(f"{token}删除"), member, relation=Relation.DELETED_BY_CUSTOMER)
    group = make_group(f"{token}群", owner=member)
    now = clock.now()
    Todo.objects.create(
        contact=contact, member=member, text=f"{token}待办", due_at=now, created_at=now, author_id=1, author_name="x"
    )
    TimelineEvent.objects.create(
        kind="follow.deleted_by_customer", occurred_at=now, recorded_at=now, source="callback", contact=contact,
        member=member, store=store, region=region, dealer=dealer, fact_key=f"{ENDED_KEY}{token}",
    )  # fmt: skip
    make_alarm(member, raised_at=now, day=now.date())
    plan = HandoverPlan.objects.create(kind="onjob", from_member=member, created_at=now)
    order = make_order(contact, ordered_at=now, store_id=store.pk)
    DayMetric.objects.create(day=now.date(), metric="added", store_id=store.pk, region_id=region.pk, dealer_id=dealer.pk, member_id=member.pk, value=1)  # fmt: skip
    change = make_staff_change(left, "left")
    return World(token, store, member, contact, group, plan, order, change)


LISTS = (
    "/", "/org/", "/org/members/", "/org/changes/?tab=left", "/contacts/", "/board/", "/board/overdue/", "/ended/",
    "/ended/?tab=customer", "/ended/?tab=alarms", "/ended/?tab=win_back", "/groups/", "/groups/repeated/", "/handover/",
    "/handover/leavers/", "/handover/members/", "/orders/", "/reports/lifecycle/", "/reports/lifecycle/rows/", "/reports/funnel/",
    "/reports/days/added/", "/reports/days/orders/", "/broadcasts/", "/broadcasts/new/", "/sops/", "/sops/new/", "/segments/",
    "/segments/new/", "/today/", "/m/customers/", "/tags/",
)  # fmt: skip
# Lists that must show something of one's own, by the narrowest scope that sees it: a wall with nothing behind it proves nothing.
OWN = {
    "/org/": "店", "/org/members/": "导购", "/contacts/": "客户", "/groups/": "群", "/handover/": "导购", "/board/": "客户",
    "/handover/members/": "导购", "/reports/lifecycle/rows/": "客户",
}  # fmt: skip
OF_A_PLACE = {
    "/org/changes/?tab=left": "离职", "/handover/leavers/": "离职", "/ended/?tab=customer": "客户", "/ended/?tab=alarms": "导购",
}  # fmt: skip


@pytest.mark.parametrize("kind", SCOPES)
def test_no_list_names_anybody_behind_the_wall(acme: Any, kind: str) -> None:
    mine, others = world("澜沧"), [world("伏羲"), world("天枢")]
    client = mine.client(kind)
    leaks, empty = [], []
    for path in LISTS:
        page = client.get(path)
        assert page.status_code == 200, (path, page.status_code)
        text = page.content.decode()
        leaks += [path for other in others if other.token in text]
        wanted = OWN.get(path) or (OF_A_PLACE.get(path) if kind != "self" else None)
        empty += [path] if wanted and f"{mine.token}{wanted}" not in text else []
    for number, key in enumerate(("contact.store", "contact.owner", "contact.region", "follow.member", "group")):
        row = {"mode": "tree", "shape": "[0]", "f:r.0": key}
        text = client.post("/contacts/where/", row, HTTP_HX_REQUEST="true").content.decode()
        leaks += [key for other in others if other.token in text]
        empty += [key] if mine.token not in text and (number < 2 or kind != "self") else []
    assert not leaks and not empty


PAGES = ("/contacts/{0.contact.pk}/", "/contacts/{0.contact.pk}/timeline/", "/groups/{0.group.pk}/", "/handover/{0.plan.pk}/",
         "/orders/{0.order.pk}/")  # fmt: skip
DEEDS = ("/contacts/{0.contact.pk}/stage/", "/contacts/{0.contact.pk}/owner/", "/contacts/{0.contact.pk}/unmask/",
         "/contacts/{0.contact.pk}/notes/", "/contacts/{0.contact.pk}/todos/", "/groups/{0.group.pk}/tags/",
         "/handover/{0.plan.pk}/start/", "/handover/{0.plan.pk}/delete/", "/org/changes/{0.change.pk}/decide/")  # fmt: skip


@pytest.mark.parametrize("kind", SCOPES)
def test_no_page_opens_and_no_deed_reaches_behind_the_wall(acme: Any, kind: str) -> None:
    mine, other = world("澜沧"), world("伏羲")
    client = mine.client(kind)
    for path in PAGES:
        assert client.get(path.format(mine)).status_code == 200, path
        assert client.get(path.format(other)).status_code == 404, path
    for path in DEEDS:
        assert client.post(path.format(other), {"name": "x", "text": "x"}).status_code == 404, path
    assert client.post("/handover/new/", {"member": other.member.pk}).status_code == 404
    assert HandoverPlan.objects.filter(pk=other.plan.pk).exists()


def test_a_store_that_changes_dealer_takes_its_people_along_and_leaves_its_past(acme: Any) -> None:
    """Lists scope by today's store, facts by the dealer of then."""
    old, new = world("澜沧"), world("伏羲")
    first, second = (data_scope(client.user) for client in (old.client("dealer"), new.client("dealer")))
    old.store.dealer = new.store.dealer
    organisation.save_store(old.store, by=SYSTEM)

    facts = DayMetric.objects.filter(store_id=old.store.pk)
    for scope, sees in ((first, False), (second, True)):
        assert (old.member in visible_members(scope)) is sees
        assert (old.contact in visible_contacts(scope)) is sees
        assert (old.group in visible_groups(scope)) is sees
        assert (old.plan in visible_plans(scope)) is sees
        assert (old.order in visible_orders(scope)) is not sees
        assert facts.filter(facts_in_scope(scope)).exists() is not sees
    past, today = old.store.placements.order_by("placed_from")
    assert ({past.dealer_id}, {today.dealer_id}) == (first.dealer_ids, second.dealer_ids)
