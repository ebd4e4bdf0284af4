"""A callback is acknowledged for a committed row alone, whatever ends the thread that writes for others."""

import threading
from datetime import timedelta

import pytest
from django.db import InterfaceError, OperationalError
from django.test import Client

from scrm.lib import clock
from tenants import jobs
from tenants.context import current_tenant, public_scope
from tenants.models import DueHint
from tests.support.wecom import event_xml, make_connection, seal
from wecom_bridge.callbacks import nudges, routes, rows

pytestmark = pytest.mark.django_db
HOST = "admin.testserver"


@pytest.fixture
def group(monkeypatch):
    """The rows of a tenant that wait, with nobody else's."""
    group = rows._Group()
    monkeypatch.setattr(rows, "_groups", {current_tenant().schema_name: group})
    return group


@pytest.mark.parametrize(
    "failure", [UnicodeEncodeError("utf-8", "x", 0, 1, "odd"), InterfaceError("gone"), SystemExit()]
)
def test_a_follower_is_not_told_success_when_its_writer_breaks(group, monkeypatch, failure):
    """Both rows are taken by one leader, who meets something else than a DatabaseError."""

    def breaks(tenant, taken):
        raise failure

    monkeypatch.setattr(rows, "insert", breaks)
    tenant, told = current_tenant(), []

    leader = group.join(("leader",))
    follower = threading.Thread(target=lambda: told.append(_outcome(tenant)))
    follower.start()
    while not group.waiting[1:]:
        pass
    try:
        rows._lead(tenant, group)
    except SystemExit:
        pass
    follower.join(10)

    assert told == ["not stored"] and not leader.is_stored


def _outcome(tenant):
    try:
        rows.store(tenant, ("follower",))
    except rows.NotStored:
        return "not stored"
    return "success"


@pytest.mark.parametrize("error", [OperationalError("away"), InterfaceError("connection already closed")])
@pytest.mark.parametrize("where", [(routes, "_load"), (rows, "insert")])
def test_a_database_that_is_away_asks_wecom_to_come_again(monkeypatch, where, error):
    connection = make_connection()

    def breaks(*args):
        raise error

    monkeypatch.setattr(*where, breaks)
    xml = event_xml(connection.corp.corp_id, "change_external_contact", "add_external_contact",
                    UserID="zhangsan", ExternalUserID="wmAAA")  # fmt: skip
    sealed = seal(connection, xml)
    path = connection.callback_url.split("/", 3)[3]
    query = "&".join(f"{name}={value}" for name, value in sealed.query.items())

    answer = Client(HTTP_HOST=HOST).post(f"/{path}?{query}", sealed.body, content_type="text/xml")

    assert (answer.status_code, answer.content) == (503, b"try again")


def test_a_group_that_settles_does_not_hold_back_a_customer(monkeypatch):
    """Noted in one breath: the drain is asked for now, and a hint stays for the later one."""
    drains = []
    nudges.wait_until_idle()  # the helper thread of an earlier test may still be writing
    with public_scope():
        DueHint.objects.filter(lane="inbound").delete()
    now, tenant = clock.wall(), current_tenant().pk
    late = now + timedelta(seconds=2.5)

    with monkeypatch.context() as patch:
        patch.setattr(jobs, "send_drain", lambda tenant_id, lane: drains.append(lane.name))
        patch.setattr(nudges, "_noted", {})
        patch.setattr(nudges, "_thread", threading.current_thread())  # the test writes the hints itself
        nudges.note(tenant, "inbound", now)
        nudges.note(tenant, "inbound", late)
        nudges._flush(dict(nudges._noted))

    assert drains == ["inbound"]
    with public_scope():
        hints = sorted(DueHint.objects.filter(tenant_id=tenant, lane="inbound").values_list("due_at", flat=True))
    assert hints[-1] == late and now <= hints[0] < late
