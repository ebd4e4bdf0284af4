"""Runs of imports: killed, given up, started twice, and resumed where they stood; they go by their trial."""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from contacts.models import (
    Contact,
    ContactPhone,
    DetailChange,
    ImportRun,
    ImportState,
)
from contacts.services.details import change_details
from contacts.services.imports import people, running, staging, writing
from contacts.services.imports.registry import import_kind
from scrm.lib import clock
from scrm.lib.errors import Conflict
from tenants.audit import SYSTEM
from tenants.ledger.models import AuditEntry, Job
from tests.support.contacts import make_contact, make_identity
from tests.support.imports import cast, figures, people_scope, problems, told_of, tried, upload, work

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _files(settings: Any, tmp_path: Any) -> None:
    settings.MEDIA_ROOT = tmp_path


def slices_of(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    monkeypatch.setattr(running, "import_kind", lambda key: replace(import_kind(key), slice_rows=rows))


class Killed(BaseException):
    """The worker is gone in the middle."""


def test_a_killed_worker_goes_on_at_the_next_row(monkeypatch: pytest.MonkeyPatch) -> None:
    cast(12)
    slices_of(monkeypatch, 3)
    monkeypatch.setattr(staging, "SLICE", 5)
    text = "external_userid,新增手机号\n" + "".join(f"wm{n},138000000{n:02d}\n" for n in range(1, 13))

    reached = running._reached
    calls = {"n": 0}

    def dying(*args: Any) -> None:
        calls["n"] += 1
        reached(*args)
        if calls["n"] % 3 == 0:
            raise Killed

    monkeypatch.setattr(running, "_reached", dying)
    run = running.take_upload(import_kind("contacts"), upload(text), people_scope(), by=SYSTEM)
    running.check(run.pk, run.mapping, by=SYSTEM)
    for _attempt in range(3):
        try:
            work()
        except Killed:
            continue
    running.start(run.pk, acts=False, by=SYSTEM)
    calls["n"] = 0
    with pytest.raises(Killed):
        work()
    run.refresh_from_db()
    assert ContactPhone.objects.count() == run.rows_updated == run.applied_line - 1 == 6
    for _attempt in range(3):
        try:
            work()
        except Killed:
            continue
    run.refresh_from_db()
    assert (run.state, figures(run)) == (ImportState.DONE, (0, 12, 0, 0))
    assert ContactPhone.objects.count() == 12


def test_a_job_given_up_is_resumed_where_it_stood(monkeypatch: pytest.MonkeyPatch) -> None:
    cast(6)
    run = tried("external_userid,新增手机号\n" + "".join(f"wm{n},1380000000{n}\n" for n in range(1, 7)))
    slices_of(monkeypatch, 2)
    write = writing._write_phones

    def failing(part: Any, now: Any) -> None:
        if part.after >= 4:
            raise RuntimeError("disk")
        write(part, now)

    monkeypatch.setattr(writing, "_write_phones", failing)
    running.start(run.pk, acts=False, by=SYSTEM)
    work()
    assert Job.objects.get(pk=ImportRun.objects.get(pk=run.pk).job_id).state == Job.State.FAILED
    assert ContactPhone.objects.count() == 4
    monkeypatch.setattr(writing, "_write_phones", write)
    running.start(run.pk, acts=False, by=SYSTEM)
    work()
    run.refresh_from_db()
    assert (run.state, figures(run)) == (ImportState.DONE, (0, 6, 0, 0))
    assert ContactPhone.objects.count() == 6


def test_a_double_start_is_one_run_and_one_before_the_trial_is_refused() -> None:
    cast(1)
    run = running.take_upload(
        import_kind("contacts"), upload("external_userid,生日\nwm1,1990-01-01\n"), people_scope(), by=SYSTEM
    )
    with pytest.raises(Conflict):
        running.start(run.pk, acts=False, by=SYSTEM)
    running.check(run.pk, run.mapping, by=SYSTEM)
    running.check(run.pk, run.mapping, by=SYSTEM)
    work()
    first = running.start(run.pk, acts=False, by=SYSTEM)
    second = running.start(run.pk, acts=True, by=SYSTEM)
    assert (first.job_id, second.acts) == (second.job_id, False)
    work()
    running.start(run.pk, acts=False, by=SYSTEM)
    assert Job.objects.filter(kind=running.RUN).count() == Job.objects.filter(kind=running.CHECK).count() == 1
    assert AuditEntry.objects.filter(action="import.started").count() == 1


def test_two_uploads_of_the_same_rows_end_as_one() -> None:
    cast(2)
    text = "external_userid,新增手机号\nwm1,13800000001\nwm2,13800000002\n"
    first, second = tried(text), tried(text)
    assert figures(first) == figures(second) == (0, 2, 0, 0)
    for run in (first, second):
        running.start(run.pk, acts=False, by=SYSTEM)
    work()
    first.refresh_from_db()
    second.refresh_from_db()
    assert (figures(first), figures(second)) == ((0, 2, 0, 0), (0, 0, 2, 0))
    assert ContactPhone.objects.count() == 2


def test_a_run_goes_by_the_trial_except_for_whom_somebody_changed_since(monkeypatch: pytest.MonkeyPatch) -> None:
    cast(6)
    first, second, third, fourth, _fifth, sixth = Contact.objects.order_by("pk")
    run = tried(
        "external_userid,生日,新增手机号\n"
        + "".join(f"wm{n},1990-01-0{n},1380000000{n}\n" for n in range(1, 7))
        + "wm7,1990-01-07,\n"
    )
    change_details(first.pk, by=SYSTEM, birthday=date(1980, 1, 1))
    change_details(second.pk, by=SYSTEM, birthday=date(1990, 1, 2))
    ContactPhone.objects.create(contact=second, phone="+8613800000002", source="order", created_at=clock.now())
    ContactPhone.objects.create(contact=third, phone="+8613800000003", source="order", created_at=clock.now())
    make_identity(make_contact("后来的"), value="wm7")
    judged: list[Any] = []
    judge = people._judge

    def listening(part: Any, lines: Any = None) -> bool:
        judged.append(lines)
        return judge(part, lines)

    monkeypatch.setattr(people, "_judge", listening)
    running.start(run.pk, acts=False, by=SYSTEM)
    work()
    run.refresh_from_db()
    assert judged == [[2, 3, 4, 8], None], "wm7 means somebody now, so the whole slice was judged anew"
    assert figures(run) == (0, 6, 1, 0)
    assert told_of(first)[1] == ("contact.birthday", "1980-01-01", "1990-01-01")
    assert not DetailChange.objects.filter(contact=second, key="contact.phone").exists()
    assert ContactPhone.objects.get(contact=third).source == "order"

    run = tried("external_userid,生日\nwm4,2000-01-04\nwm5,2000-01-05\nwm6,2000-01-06\n")
    sixth.root = fourth
    sixth.save(update_fields=["root"])
    judged.clear()
    running.start(run.pk, acts=False, by=SYSTEM)
    work()
    run.refresh_from_db()
    assert (judged[0], figures(run)) == ([4], (0, 2, 0, 1))
    assert "与第 2 行是同一位客户" in problems(run)[4]

    run = tried("external_userid,生日\nwm4,2001-01-04\nwm5,2001-01-05\n")
    change_details(fourth.pk, by=SYSTEM, birthday=date(2001, 1, 4))
    judged.clear()
    running.start(run.pk, acts=False, by=SYSTEM)
    work()
    run.refresh_from_db()
    assert (judged, figures(run)) == ([[2]], (0, 1, 1, 0))

    slices_of(monkeypatch, 1)
    run = tried("手机号,external_userid,生日\n13900000001,,2002-01-04\n,wm4,2002-01-05\n")
    assert figures(run) == (0, 1, 0, 1)
    ContactPhone.objects.create(contact=fourth, phone="+8613900000001", source="order", created_at=clock.now())
    running.start(run.pk, acts=False, by=SYSTEM)
    work()
    run.refresh_from_db()
    fourth.refresh_from_db()
    assert (figures(run), fourth.birthday) == ((0, 1, 0, 1), date(2002, 1, 4))
    assert "与第 2 行是同一位客户" in problems(run)[3], "she is an earlier slice's line by now"
