"""Readings of the ledger: what others sent is read until it is known, whoever confirms late and whatever was refused."""

from datetime import timedelta

import pytest

from campaigns.models import LedgerCoverage, MassSend, MassSendResult
from campaigns.services import ledger
from scrm.lib import clock
from tests.support import campaigns as make
from tests.support.contacts import make_corp
from wecom_bridge.models import OutboundCommand

pytestmark = pytest.mark.django_db


@pytest.fixture
def corp():
    corp = make_corp()
    LedgerCoverage.objects.create(
        corp=corp, covered_from=make.MORNING - timedelta(days=32), covered_to=make.MORNING - timedelta(days=1)
    )
    return corp


def foreign(corp, age, msgid="theirs"):
    return MassSend.objects.create(
        corp=corp, msgid=msgid, chat_type="single", create_type=0, created_at=make.MORNING - timedelta(days=age)
    )


def read(corp, answers, *, refuse=()):
    """One whole reading: every question gets the answer of its step, or is refused."""
    OutboundCommand.objects.filter(kind=ledger.LEDGER).delete()
    ledger.start_reading(corp.pk)
    asked = []
    while command := OutboundCommand.objects.filter(kind=ledger.LEDGER).order_by("pk").first():
        payload = command.payload
        command.delete()
        asked.append(payload["step"])
        if payload["step"] in refuse:
            ledger.record_failure(corp.pk, payload, "45009")
        else:
            ledger.record_answer(corp.pk, payload, answers.get(payload["step"], {}))
    return asked


def sent(*statuses):
    """Answers of WeCom: one sender confirmed, her customers got these."""
    rows = [
        {"external_userid": f"wm{index}", "status": status, "send_time": int(make.MORNING.timestamp())}
        for index, status in enumerate(statuses)
    ]
    return {"task": {"task_list": [{"userid": "lin", "status": 2}]}, "results": {"send_list": rows}}


NOT_SENT = {"task": {"task_list": [{"userid": "lin", "status": 0}]}}


def test_a_message_confirmed_days_later_is_counted(corp):
    foreign(corp, age=5)
    with make.at_time(make.MORNING):
        read(corp, NOT_SENT)
        assert not MassSendResult.objects.exists()
    with make.at_time(make.MORNING + timedelta(days=1)):
        read(corp, sent(1, 1))

    assert MassSendResult.objects.filter(status=1).count() == 2
    assert MassSend.objects.get().results_final_at is not None


def test_a_message_is_read_until_everybodys_result_is_known_or_thirty_days(corp):
    foreign(corp, age=5)
    foreign(corp, age=31, msgid="too old")
    with make.at_time(make.MORNING):
        assert read(corp, sent(1, 0)).count("task") == 1
        assert MassSend.objects.get(msgid="theirs").results_final_at is None
        assert read(corp, sent(1, 2)).count("results") == 1
        assert read(corp, sent(1, 2)).count("task") == 0


def test_what_was_refused_is_said_and_asked_for_again(corp):
    foreign(corp, age=5)
    with make.at_time(make.MORNING):
        read(corp, sent(1), refuse=["results"])
        coverage = LedgerCoverage.objects.get()
        assert coverage.last_error == "45009" and coverage.covered_to > make.MORNING - timedelta(minutes=1)
        assert ledger.next_due() is None or ledger.next_due() > clock.now()
        read(corp, sent(1))

    assert LedgerCoverage.objects.get().last_error == "" and MassSendResult.objects.count() == 1
