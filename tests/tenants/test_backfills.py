from datetime import timedelta

import pytest

from scrm.lib import clock
from tenants import backfills
from tenants.ledger.models import Backfill as Ledger

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _none_of_the_product(monkeypatch):
    monkeypatch.setattr(backfills, "_backfills", {})


def soon():
    return clock.wall() + timedelta(seconds=20)


def test_it_steps_to_the_end_and_never_again(acme):
    seen = []

    def step(cursor, limit):
        at = cursor.get("at", 0)
        seen.append(at)
        return ({"at": at + 1}, 10) if at < 2 else (None, 4)

    backfills.register(backfills.Backfill("probe.fill", step))
    assert backfills.drain(soon()) is False
    backfills.drain(soon())

    assert seen == [0, 1, 2]
    row = Ledger.objects.get(name="probe.fill")
    assert (row.state, row.rows_done) == ("done", 24)


def test_a_step_that_raises_keeps_the_cursor_and_lets_the_others_go_on(acme):
    broken = [True]

    def step(cursor, limit):
        if cursor.get("at") == 1 and broken:
            raise ValueError("row 17 is odd")
        return ({"at": 1}, 1) if not cursor else (None, 1)

    backfills.register(backfills.Backfill("probe.breaks", step))
    backfills.register(backfills.Backfill("probe.works", lambda cursor, limit: (None, 0)))
    backfills.drain(soon())

    row = Ledger.objects.get(name="probe.breaks")
    assert (row.state, row.cursor) == ("failed", {"at": 1})
    assert "row 17 is odd" in row.last_error
    assert backfills.pending() == ["probe.breaks"]

    broken.clear()
    backfills.drain(soon())
    assert backfills.pending() == []
    assert Ledger.objects.get(name="probe.breaks").last_error == ""


def test_the_deadline_is_kept_between_steps(acme):
    backfills.register(backfills.Backfill("probe.long", lambda cursor, limit: ({"at": cursor.get("at", 0) + 1}, 1)))
    assert backfills.drain(clock.wall()) is True
    assert Ledger.objects.get().cursor == {"at": 1}


def test_a_merchant_born_at_this_release_moves_nothing(acme):
    backfills.register(backfills.Backfill("probe.fill", lambda cursor, limit: pytest.fail("it ran")))
    backfills.mark_all_done()
    assert backfills.drain(soon()) is False
