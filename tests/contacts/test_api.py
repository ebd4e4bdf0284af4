"""/api/v1/ contacts, groups, orders, events."""

from typing import Any

import pytest
from django.test import Client

from accounts.models import ApiToken
from commerce.models import Order
from contacts.api import SETTLED_AFTER
from contacts.models import TimelineEvent
from contacts.timeline import NewEvent, record_events
from scrm.lib import clock
from scrm.lib.crypto import token_digest
from tests.support.contacts import at, make_contact, make_follow, make_group, make_identity, make_member, make_store

pytestmark = pytest.mark.django_db


@pytest.fixture
def api(db: None) -> Client:
    ApiToken.objects.create(
        name="t", prefix="pre", token_digest=token_digest("secret"), scopes=["*"], created_at=clock.wall()
    )
    return Client(HTTP_HOST="acme.testserver", headers={"authorization": "Bearer pre.secret"})


def answer(response: Any, status: int = 200) -> Any:
    assert response.status_code == status, response.content
    return response.json()


def test_contacts_are_roots_with_identities_and_follows(api: Client) -> None:
    follow = make_follow(member=make_member(userid="lin", store=make_store()))
    make_contact(root=follow.contact)
    rows = answer(api.get("/api/v1/contacts/"))["results"]
    assert [row["id"] for row in rows] == [follow.contact_id]
    detail = answer(api.get(f"/api/v1/contacts/{follow.contact_id}/"))
    assert detail["follows"][0]["userid"] == "lin"
    assert detail["identities"][0]["kind"] == "external"
    found = answer(api.get("/api/v1/contacts/", {"external_userid": detail["identities"][0]["value"]}))["results"]
    assert len(found) == 1
    assert answer(api.get("/api/v1/contacts/", {"updated_since": "yesterday"}), 400)["error"]["fields"]


def test_custom_fields_are_written_and_removed(api: Client) -> None:
    person = make_follow().contact
    url = f"/api/v1/contacts/{person.pk}/"
    body = answer(api.patch(url, {"custom": {"skin": "oily"}, "birthday": "1990-03-01"}, "application/json"))
    assert (body["custom"], body["birthday"]) == ({"skin": "oily"}, "1990-03-01")
    assert answer(api.patch(url, {"custom": {"skin": None}}, "application/json"))["custom"] == {}
    assert answer(api.patch(url, {"custom": {"Bad Key": "x"}}, "application/json"), 422)["error"]["message"]


def test_groups_and_their_people(api: Client) -> None:
    group = make_group("福利群")
    group.memberships.create(kind=2, userid="wm1", name="小圆子", joined_at=at(0))
    assert answer(api.get("/api/v1/groups/"))["results"][0]["name"] == "福利群"
    assert answer(api.get(f"/api/v1/groups/{group.pk}/members/"))["results"][0]["userid"] == "wm1"


def test_orders_come_in_by_batch_and_are_told_one_by_one(api: Client) -> None:
    external = make_identity(make_follow().contact, value="wmX").value
    make_store(code="S1")
    orders = [
        {"number": "A1", "total_minor": 1000, "ordered_at": "2026-01-31T18:30:00+08:00", "external_userid": external, "store": "S1",
         "lines": [{"name": "面膜", "quantity": "2", "amount_minor": 1000, "product_code": "SKU"}]},
        {"number": "A2", "total_minor": 1000, "ordered_at": "2026-01-31T18:30:00+08:00", "store": "NOPE"},
        {"number": "A3", "total_minor": 10, "ordered_at": "2026-01-31T18:30:00+08:00",
         "refunds": [{"number": "R", "amount_minor": 11, "refunded_at": "2026-02-01T00:00:00+08:00"}]},
        {"number": "A4", "total_minor": 10, "ordered_at": "2026-01-31T18:30:00+08:00"},
    ]  # fmt: skip
    report = answer(api.post("/api/v1/orders/", {"source": "erp", "orders": orders}, "application/json"))
    assert (report["created"], set(report["rejected"]), report["unbound"]) == (["A1", "A4"], {"A2", "A3"}, 1)
    order = Order.objects.get(number="A1")
    assert order.bound_by == "external_userid"
    assert answer(api.get(f"/api/v1/orders/{order.pk}/"))["lines"][0]["product_code"] == "SKU"
    assert [row["number"] for row in answer(api.get("/api/v1/orders/", {"bound": "no"}))["results"]] == ["A4"]
    assert TimelineEvent.objects.get(kind="order.paid").source == "api"


def test_refunds_come_in_apart_from_their_orders(api: Client) -> None:
    paid = {"total_minor": 1000, "ordered_at": "2026-01-31T18:30:00+08:00"}
    batch = [{"number": "A1", **paid}, {"number": "A2", **paid}]
    answer(api.post("/api/v1/orders/", {"source": "erp", "orders": batch}, "application/json"))
    when = "2026-02-01T00:00:00+08:00"
    refunds = [
        {"order_number": order, "number": number, "amount_minor": amount, "refunded_at": when}
        for order, number, amount in (("A1", "R1", 400), ("A2", "R2", 1001), ("A3", "R3", 7))
    ]
    report = answer(api.post("/api/v1/orders/refunds/", {"source": "erp", "refunds": refunds}, "application/json"))
    assert (report["counted"], report["waiting"], set(report["rejected"])) == (["R1"], ["R3"], {"R2"})

    answer(api.post("/api/v1/orders/", {"source": "erp", "orders": [{"number": "A3", **paid}]}, "application/json"))
    money = dict(Order.objects.values_list("number", "refunded_minor"))
    assert money == {"A1": 400, "A2": 0, "A3": 7}


def test_a_batch_is_limited_and_idempotent_by_key(api: Client) -> None:
    one = {"total_minor": 1, "ordered_at": "2026-01-31T18:30:00+08:00"}
    many = {"orders": [{"number": str(n), **one} for n in range(501)]}
    assert answer(api.post("/api/v1/orders/", many, "application/json"), 400)["error"]["code"]
    body = {"orders": [{"number": "K1", **one}]}
    first = api.post("/api/v1/orders/", body, "application/json", headers={"idempotency-key": "k"})
    again = api.post("/api/v1/orders/", body, "application/json", headers={"idempotency-key": "k"})
    assert answer(first)["created"] == answer(again)["created"] == ["K1"]


def test_the_feed_is_in_order_and_holds_back_what_may_still_be_overtaken(api: Client) -> None:
    person = make_contact()
    for number in range(3):
        record_events([NewEvent("opt_out.set", at(number), "product", f"f:{number}", contact_id=person.pk)])
    assert answer(api.get("/api/v1/events/"))["results"] == []
    TimelineEvent.objects.update(recorded_at=clock.now() - SETTLED_AFTER)
    body = answer(api.get("/api/v1/events/", {"limit": 2}))
    ids = [row["id"] for row in body["results"]]
    ids += [row["id"] for row in answer(api.get(body["next"]))["results"]]
    assert ids == list(TimelineEvent.objects.order_by("pk").values_list("pk", flat=True))
    assert answer(api.get("/api/v1/events/", {"kind": "order.paid"}))["results"] == []


def test_a_token_without_the_scope_is_refused(api: Client) -> None:
    ApiToken.objects.update(scopes=["tags:read"])
    for path in ("contacts", "groups", "orders", "events"):
        assert api.get(f"/api/v1/{path}/").status_code == 403
