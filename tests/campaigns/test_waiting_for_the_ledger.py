"""After an outage the ledger of mass sends is old: what is due waits for it to be read again, while its deadline allows."""

from datetime import time, timedelta

import pytest

from accounts.scope import EVERYTHING
from campaigns import tasks
from campaigns.models import EnrollmentStep, LedgerCoverage, Push
from campaigns.services import ledger, sops
from campaigns.services.sops import Plan, Step
from contacts.timeline import NewEvent, record_events
from scrm.lib import clock
from tests.support import campaigns as make
from tests.support import contacts as people
from tests.support.units import drain
from wecom_bridge.models import Corp, OutboundCommand

pytestmark = pytest.mark.django_db


@pytest.fixture
def hints(monkeypatch):
    """The lanes nudged by the ledger."""
    lanes: list[str] = []
    monkeypatch.setattr(ledger.jobs, "nudge", lambda lane, **options: lanes.append(lane))
    return lanes


@pytest.fixture
def guide():
    member = people.make_member("林小雅", store=people.make_store("静安寺店"))
    make.cover(member.corp)
    Corp.objects.filter(pk=member.corp_id).update(connected_at=make.MORNING - timedelta(days=90))
    member.corp.refresh_from_db()
    return member


def grow_old(corp, now):
    LedgerCoverage.objects.filter(corp=corp).update(covered_to=now - timedelta(hours=30))


def fail_reading(corp):
    """Every answer of the reading under way is a refusal."""
    for command in OutboundCommand.objects.filter(kind=ledger.LEDGER, corp=corp):
        ledger.record_failure(corp.pk, command.payload, "45009")


def agreed_unit(guide):
    make.cover(guide.corp)
    push = make.released([people.make_follow(people.make_contact(), guide).contact])
    make.agree(make.units(push)[0])
    return push


def test_a_unit_waits_until_the_ledger_is_read(guide):
    with make.at_time(make.MORNING):
        push = agreed_unit(guide)
    with make.at_time(make.local(10, 5)):
        grow_old(guide.corp, clock.now())
        drain()

        assert make.units(push)[0].state == "agreed" and make.states(push) == {"planned": 1}
        assert OutboundCommand.objects.filter(kind=ledger.LEDGER).exists(), "a reading has begun"
        assert tasks.count_due() == 0, "nothing can be done before an answer"
        make.cover(guide.corp)
        drain()

    assert make.units(push)[0].state == "creating"


def test_near_the_deadline_a_unit_goes_on_without_the_ledger(guide):
    """Whoever's quota nobody knows is left out, and the page says so."""
    with make.at_time(make.MORNING):
        push = agreed_unit(guide)
    with make.at_time(make.local(20, 1)):
        grow_old(guide.corp, clock.now())
        drain()

    assert make.states(push) == {"skipped": 1}
    assert push.deliveries.get().reason == "quota_unknown"


def test_the_lane_comes_back_when_waiting_ends(guide):
    with make.at_time(make.MORNING):
        agreed_unit(guide)
    with make.at_time(make.local(10, 5)):
        grow_old(guide.corp, clock.now())
        drain()
        fail_reading(guide.corp)
        at = tasks.next_due()

        assert clock.now() < at <= clock.now() + ledger.RETRY_AFTER


def test_groups_do_not_wait(guide):
    """Quota is a customer's; a group has none."""
    group = people.make_group(owner=guide)
    with make.at_time(make.MORNING):
        push = make.release(make.make_group_draft([group])).push
        make.agree(make.units(push)[0])
    with make.at_time(make.local(10, 5)):
        grow_old(guide.corp, clock.now())
        drain()

    assert make.units(push)[0].state == "creating"


def running_sop():
    plan = Plan(steps=[Step(0, time(10), "欢迎来{门店名}")], within=EVERYTHING)
    version = sops.create_sop("新客", plan, by=make.author())
    sops.submit_version(version.pk, by=make.author())
    return sops.release_version(version.pk, by=make.approver(), scope=EVERYTHING)


def enrol(guide):
    follow = people.make_follow(people.make_contact(), guide, added_at=clock.now())
    fact = NewEvent(
        kind="follow.added", occurred_at=clock.now(), source="callback", fact_key=f"follow.added:{follow.pk}",
        contact_id=follow.contact_id, identity_id=follow.identity_id, member_id=guide.pk,
    )  # fmt: skip
    record_events([fact])


def test_a_sop_step_waits_until_the_ledger_is_read(guide):
    with make.at_time(make.MORNING):
        running_sop()
        enrol(guide)
    with make.at_time(make.local(12)):
        grow_old(guide.corp, clock.now())
        drain()

        assert EnrollmentStep.objects.get().state == "due" and not Push.objects.exists()
        assert tasks.count_due() == 0
        make.cover(guide.corp)
        drain()

    assert EnrollmentStep.objects.get().state == "pushed"


def test_a_sop_step_past_its_deadline_is_missed_without_waiting(guide):
    with make.at_time(make.MORNING):
        running_sop()
        enrol(guide)
    with make.at_time(make.local(21)):
        grow_old(guide.corp, clock.now())
        drain()

    assert EnrollmentStep.objects.get().state == "missed"


def test_the_last_answer_of_a_reading_wakes_the_lane(guide, hints):
    with make.at_time(make.MORNING):
        LedgerCoverage.objects.filter(corp=guide.corp).update(covered_to=clock.now() - timedelta(hours=1))
        ledger.start_reading(guide.corp.pk)
        asked = OutboundCommand.objects.filter(kind=ledger.LEDGER)
        hints.clear()
        for command in asked:
            ledger.record_answer(guide.corp.pk, command.payload, {"group_msg_list": []})

    assert hints == ["campaigns"]
