"""What begins by itself: once a night, once an hour, and never for a merchant without a synced corp."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from contacts.models import Contact
from scrm.lib import clock
from tenants.audit import SYSTEM
from tenants.context import current_tenant, tenant_scope
from tests.support.core import in_thread
from tests.support.syncing import drain, first_synced
from wecom_bridge.models import CorpCredential, SyncRun, SyncUnit
from wecom_bridge.services.sync import drive, keeping, nightly, runs

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def corp(wecom):
    """A shop after its first sync."""
    return first_synced(wecom)


def kinds():
    return list(SyncRun.objects.order_by("id").values_list("kind", "state"))


def shifted_past_tonight():
    """Domain time is shortly after the next night's hour."""
    return clock.shifted(nightly.latest_night(clock.now()) + timedelta(days=1, minutes=1) - clock.wall())


def test_a_merchant_without_a_synced_corp_has_nothing_due(wecom):
    wecom.connect()

    assert drain() is False and drive.next_due() is None and not SyncRun.objects.exists()


def test_the_night_begins_one_reconciliation_and_no_second(corp):
    nightly.begin_due()
    assert kinds() == [("first", "done")], "what was just read need not be read again"

    with shifted_past_tonight():
        started = nightly.latest_night(clock.now())
        workers = [in_thread(nightly.begin_due) for _n in range(3)]
        [worker.result() for worker in workers]
        nightly.begin_due()
        run = SyncRun.objects.get(kind="reconcile")
        assert run.night == started.date() and run.state == "running"


def test_a_night_that_was_missed_is_made_up_for(corp):
    with clock.shifted(timedelta(days=3, hours=5)):
        nightly.begin_due()
        assert SyncRun.objects.filter(kind="reconcile").count() == 1


def test_a_read_under_way_is_tonights(corp):
    run = runs.start_sync(corp, by=SYSTEM)

    with shifted_past_tonight():
        nightly.begin_due()

    run.refresh_from_db()
    assert run.night is not None and SyncRun.objects.filter(kind="reconcile").count() == 1


@pytest.mark.parametrize("trouble", ["resting", "broken", "waiting"])
def test_a_night_that_cannot_be_is_skipped_with_its_reason(corp, trouble):
    if trouble == "resting":
        type(corp).objects.update(is_active=False)
    elif trouble == "broken":
        CorpCredential.objects.update(broken_at=clock.wall())
    else:
        run = runs.start_sync(corp, by=SYSTEM)
        SyncRun.objects.filter(pk=run.pk).update(state="confirm")

    with shifted_past_tonight():
        nightly.begin_due()
        nightly.begin_due()

        skipped = SyncRun.objects.get(state="skipped")
        assert skipped.last_error and skipped.night
        assert nightly.next_due() > clock.now()


def test_the_lane_comes_back_within_the_hour_by_itself(corp):
    due = drive.next_due()

    assert clock.now() < due <= clock.now() + timedelta(hours=1)
    with clock.shifted(due - clock.wall() + timedelta(seconds=1)):
        drain()
    assert SyncRun.objects.filter(kind__in=("lists", "reconcile"), state="done").exists()


def test_merchants_are_spread_over_the_night(acme, globex):
    noon = datetime(2026, 3, 2, 12, tzinfo=UTC)
    with tenant_scope(acme):
        ours = nightly.latest_night(noon)
    with tenant_scope(globex):
        theirs = nightly.latest_night(noon)
    assert ours != theirs
    for moment in (ours, theirs):
        minutes = (moment.hour - nightly.HOUR) * 60 + moment.minute
        assert str(moment.tzinfo) == current_tenant().time_zone and 0 <= minutes < 90


def test_the_hour_reads_only_the_cheap_lists_and_tells_what_changed(wecom, corp, monkeypatch):
    here = clock.now().astimezone(ZoneInfo(current_tenant().time_zone))
    monkeypatch.setattr(nightly, "HOUR", (here.hour + 12) % 24)  # or a suite that runs at night would read by the way
    wecom.hand("member_changes", userid="hechen", position="店长")
    pages = len(wecom.calls("externalcontact/batch/get_by_user"))

    with clock.shifted(timedelta(minutes=59)):
        nightly.begin_due()
        assert kinds() == [("first", "done")]
    with clock.shifted(timedelta(minutes=61)):
        nightly.begin_due()
    drain()

    run = SyncRun.objects.get(kind="lists")
    assert run.state == "done" and run.drift_counts["member"]["different"] >= 1
    assert run.drift.filter(key="hechen").get().repaired_at
    assert len(wecom.calls("externalcontact/batch/get_by_user")) == pages
    assert not SyncUnit.objects.filter(run=run, kind="contacts").exists()


def test_hours_that_found_nothing_leave_one_row(corp):
    for _hour in range(3):
        runs.start_lists(corp)
        drain()

    assert SyncRun.objects.filter(kind="lists").count() == 1


def test_a_person_may_start_a_full_read_while_the_lists_are_read(corp):
    lists = runs.start_lists(corp)
    assert runs.start_lists(corp) is None, "a double start is one run"

    run = runs.start_sync(corp, by=SYSTEM)
    assert run.pk != lists.pk and run.kind == "reconcile"
    drain()
    assert {state for _kind, state in kinds()} == {"done"}


def test_people_are_shown_before_a_slow_reading_ends(wecom):
    """Of 704 relations a page's people stand in the list while the others are still to be read."""
    made = wecom.connect()
    wecom.script("externalcontact/batch/get_by_user", errcode=-1, skip=1, times=500)
    run = runs.start_sync(made.corp, by=SYSTEM)

    drain()

    run.refresh_from_db()
    assert (run.state, run.step) == ("running", "customers")
    shown = Contact.objects.filter(active_follows__gt=0)
    assert shown.count() >= 50 and not shown.filter(owner=None).exists()
    assert SyncUnit.objects.filter(run=run, kind="contacts", state="waiting").count() == 4


def test_old_units_and_runs_are_pruned_but_the_latest_full_one(corp):
    old = clock.wall() - timedelta(days=100)
    first = SyncRun.objects.get()
    again = runs.start_sync(corp, by=SYSTEM)
    drain()
    SyncRun.objects.update(finished_at=old)

    assert keeping.prune_units(clock.now(), 2_000) > 0 and not SyncUnit.objects.exists()
    assert keeping.prune_runs(clock.now(), 2_000) == 1
    assert not SyncRun.objects.filter(pk=first.pk).exists() and SyncRun.objects.filter(pk=again.pk).exists()
