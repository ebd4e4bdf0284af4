"""One merchant in a flood, one with a single event: who waits for whom."""

from datetime import timedelta
from time import perf_counter, sleep

import pytest

from scrm.lib import clock
from tenants import drains, lanes
from tenants.context import public_scope, tenant_scope
from tenants.models import DueHint, LaneLease
from tests.support.core import in_thread
from tests.support.wecom import arrive
from wecom_bridge.gateway import Gateway
from wecom_bridge.models import InboundEvent
from wecom_bridge.services import inbox

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def slow(monkeypatch):
    """WeCom takes its time for each customer."""
    read = Gateway.get_customer

    def late(*args, **kwargs):
        sleep(0.05)
        return read(*args, **kwargs)

    monkeypatch.setattr(Gateway, "get_customer", late)
    monkeypatch.setattr(inbox, "SLICE", timedelta(seconds=1))


@pytest.fixture
def flooded(wecom, acme, globex, heard, slow):
    """acme has 600 customers to read, globex one."""
    heard("people")
    corp = wecom.connect()
    rows = [row for row in wecom.get("customers?limit=600")["customers"] if row["followers"]]
    for row in rows:
        arrive(corp, "edit_external_contact", UserID=row["followers"][0], ExternalUserID=row["external_userid"])
    with tenant_scope(globex):
        theirs = wecom.connect()
        arrive(
            theirs, "edit_external_contact", UserID=rows[0]["followers"][0], ExternalUserID=rows[0]["external_userid"]
        )
    return acme, globex


def left(tenant):
    with tenant_scope(tenant):
        return InboundEvent.objects.filter(state="waiting").count()


def test_a_flooding_merchant_holds_one_worker_for_one_short_slice(flooded):
    """One worker: the flood is put down after its slice, with a hint to go on, and the other merchant's turn comes."""
    acme, globex = flooded
    lane = lanes.get("inbound")

    began = perf_counter()
    assert drains.drain_now(acme.pk, lane)
    slice_took = perf_counter() - began

    assert slice_took < 3 and left(acme) > 100
    with public_scope():
        assert DueHint.objects.filter(tenant_id=acme.pk, lane="inbound").exists()
    assert drains.drain_now(globex.pk, lane) and left(globex) == 0
    assert left(acme) > 100, "it waited, and nothing of it is lost"
    with tenant_scope(acme):
        assert not InboundEvent.objects.filter(claimed_until__gte=clock.wall()).exists()


def test_a_second_worker_is_not_taken_by_the_same_merchant(flooded):
    """Two workers: while one drains the flood the other is refused there at once and free for the other merchant."""
    acme, globex = flooded
    lane = lanes.get("inbound")
    worker = in_thread(lambda: drains.drain_now(acme.pk, lane))
    while not held(acme):
        sleep(0.01)

    began = perf_counter()
    assert drains.drain_now(acme.pk, lane) is False
    assert drains.drain_now(globex.pk, lane) and left(globex) == 0

    assert perf_counter() - began < 1 and held(acme), "the flood is still being worked at"
    assert worker.result() is True


def held(tenant):
    with public_scope():
        return LaneLease.objects.filter(tenant_id=tenant.pk, lane="inbound", leased_until__gt=clock.wall()).exists()


def test_inside_a_merchant_an_entity_in_a_flood_is_read_once_beside_the_others(wecom, heard, slow):
    heard("people")
    corp = wecom.connect()
    rows = [row for row in wecom.get("customers?limit=60")["customers"] if row["followers"]][:30]
    for number in range(300):
        arrive(
            corp,
            "edit_external_contact",
            created=1718000000 + number,
            UserID=rows[0]["followers"][0],
            ExternalUserID=rows[0]["external_userid"],
        )
    for row in rows[1:]:
        arrive(corp, "edit_external_contact", UserID=row["followers"][0], ExternalUserID=row["external_userid"])

    inbox.drain(clock.wall() + timedelta(seconds=20))

    asked = [call["args"].get("external_userid") for call in wecom.calls("externalcontact/get")]
    assert asked.count(rows[0]["external_userid"]) == 1 and len(asked) == len(rows)
    assert not InboundEvent.objects.filter(state="waiting").exists()
