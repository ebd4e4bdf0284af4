"""Two at once, on real connections: one audience, one task, one agreement."""

from datetime import timedelta

import pytest

from accounts.scope import EVERYTHING
from campaigns import tasks
from campaigns.models import Delivery, Dispatch, Push
from campaigns.services import agreeing, approvals, claiming
from scrm.lib import clock
from scrm.lib.errors import UserError
from tenants.models import Tenant
from tests.support import campaigns as make
from tests.support.core import in_thread
from wecom_bridge.models import OutboundCommand

pytestmark = pytest.mark.django_db(transaction=True)


def shift(instant):
    """Every connection's domain clock shows this instant: the offset is the tenant's own."""
    offset = int((instant - clock.wall()).total_seconds())
    Tenant.objects.filter(slug="acme").update(clock_offset_seconds=offset, is_sandbox=True)
    return Tenant.objects.get(slug="acme")


def at_once(work, tenant, number=2):
    """What each of the threads returned, or the sentence it was refused with."""

    def guarded():
        try:
            return work()
        except UserError as error:
            return error.code

    return [run.result() for run in [in_thread(guarded, tenant=tenant) for _ in range(number)]]


def test_two_approvers_at_once_freeze_one_audience():
    with make.at_time(make.MORNING):
        draft = make.make_draft(make.make_customers(20))
        make.submit(draft)
        approvers = [make.approver(), make.approver()]
    work = lambda: approvals.approve_broadcast(draft.pk, by=approvers.pop(), scope=EVERYTHING).push_id  # noqa: E731
    found = at_once(work, shift(make.MORNING))
    assert len(set(found)) == 1
    assert Push.objects.count() == 1
    assert Delivery.objects.count() == 20 and Dispatch.objects.count() == 1


def test_agreeing_and_draining_at_once_asks_for_one_task():
    with make.at_time(make.MORNING):
        push = make.released(make.make_customers(5))
        [unit] = make.units(push)
        by = make.author()
    tenant = shift(make.local(10, 5))

    def both():
        agreeing.agree(unit.pk, member_ids=[unit.sender_id], by=by)
        tasks.drain(clock.wall() + timedelta(seconds=5))
        return True

    at_once(both, tenant, number=3)
    assert OutboundCommand.objects.filter(kind="groupmsg.create").count() == 1
    unit.refresh_from_db()
    assert unit.state == "creating"


def test_agreeing_and_skipping_at_once_leaves_one_answer():
    with make.at_time(make.MORNING):
        push = make.released(make.make_customers(3))
        [unit] = make.units(push)
        by = make.author()
    tenant = shift(make.MORNING)
    skip = in_thread(
        lambda: agreeing.skip(unit.pk, member_ids=[unit.sender_id], reason="on_leave", by=by), tenant=tenant
    )
    at_once(lambda: agreeing.agree(unit.pk, member_ids=[unit.sender_id], by=by), tenant, number=1)
    skip.result()
    unit.refresh_from_db()
    assert unit.state == "skipped"  # until the task exists, 不发 wins over 同意
    assert make.states(push) == {"skipped": 3}


def test_two_claims_at_once_spend_the_cap_once():
    """The same person in two agreed pushes of one day: whichever comes second finds her capped."""
    with make.at_time(make.MORNING):
        customers = make.make_customers(1)
        first = make.released(customers, text="一")
        Delivery.objects.filter(push=first).update(state="skipped")  # so that the second freeze finds her free
        second = make.released(customers, text="二")
        Delivery.objects.filter(push=first).update(state="planned")
        for push in (first, second):
            make.agree(make.units(push)[0])
    at_once(lambda: [claiming.claim_due() for _ in range(2)], shift(make.local(10, 5)))
    assert OutboundCommand.objects.filter(kind="groupmsg.create").count() == 1
    assert sorted(Delivery.objects.values_list("state", "reason")) == [("planned", ""), ("skipped", "cap")]
