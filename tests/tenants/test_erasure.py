"""The registry of erasers: no personal column is forgotten, and texts are found and replaced wherever they stand."""

from typing import Any

import pytest
from django.db import models

from scrm.lib import clock
from tenants import erasure
from tenants.erasure import Eraser, Subject
from tenants.ledger.models import AuditEntry

KEYS = {"wmONE%_": "~1", "wmONE%_2": "~2"}


def subject() -> Subject:
    return Subject({}, KEYS, clock.now(), "secret")


def test_every_personal_column_has_an_eraser_or_a_reason_why_it_knows_nobody():
    assert erasure.uncovered() == []


def test_a_column_that_nobody_reaches_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    some = {label: one for label, one in erasure._erasers.items() if label != "contacts.Note"}
    some["contacts.Follow"] = Eraser("contacts.Follow", "x", lambda one: models.Q(), blank={"remark": ""})
    some["contacts.Gone"] = Eraser("contacts.Gone", "x")
    monkeypatch.setattr(erasure, "_erasers", some)
    found = erasure.uncovered()
    assert {"contacts.Note.text", "contacts.Follow.description", "contacts.Gone (stale)"} <= set(found)
    assert "contacts.Follow.remark" not in found


@pytest.mark.django_db
def test_texts_are_replaced_in_any_depth_and_other_rows_stay(acme: Any) -> None:
    def row(data: Any) -> AuditEntry:
        return AuditEntry.objects.create(at=clock.now(), actor_kind="system", action="probe", data=data)

    hers, others = row({"a": ["x wmONE%_2 y", {"wmONE%_": 1}], "n": 5}), row({"a": "wmONExx"})
    eraser = erasure.eraser_of("ledger.AuditEntry")
    assert erasure.count_traces(AuditEntry, [list(KEYS), [], ["xx"]], 0) == ([1, 0, 1], None)
    assert erasure.sweep_rows(eraser, subject(), 0) == (1, None)
    hers.refresh_from_db()
    others.refresh_from_db()
    assert (hers.data, others.data) == ({"a": ["x ~2 y", {"~1": 1}], "n": 5}, {"a": "wmONExx"})
    assert erasure.count_traces(AuditEntry, [list(KEYS)], 0) == ([0], None)


@pytest.mark.django_db
def test_a_long_table_is_looked_through_window_by_window(acme: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erasure, "WINDOW", 2)
    rows = [
        AuditEntry.objects.create(at=clock.now(), actor_kind="system", action="probe", data={"key": "wmONE%_"})
        for _row in range(5)
    ]
    found, after, windows = 0, 0, 0
    while after is not None:
        (count,), after = erasure.count_traces(AuditEntry, [["wmONE%_"]], after)
        found, windows = found + count, windows + 1
    assert (found, windows >= 3) == (len(rows), True)
