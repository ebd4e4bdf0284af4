"""Bringing files in, as the worker does it."""

import csv
import io
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile

from accounts.scope import EVERYTHING, DataScope
from contacts import longjobs
from contacts.models import Contact, DetailChange, ImportRun, ImportState, TimelineEvent
from contacts.services.imports import running
from contacts.services.imports.registry import import_kind
from scrm.lib import clock
from tenants.audit import SYSTEM
from tenants.ledger.models import Job
from tests.support.contacts import make_contact, make_identity


def upload(text: str | bytes, name: str = "客户.csv") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, text.encode() if isinstance(text, str) else text)


def work() -> None:
    """The lane, until nothing is left."""
    longjobs.drain(clock.wall() + timedelta(seconds=30))


def tried(text: str | bytes, kind: str = "contacts", scope: Any = EVERYTHING, **mapping: int) -> ImportRun:
    """A file after its trial, with the columns as guessed."""
    run = running.take_upload(import_kind(kind), upload(text), scope, by=SYSTEM)
    running.check(run.pk, mapping or run.mapping, by=SYSTEM)
    work()
    run.refresh_from_db()
    assert run.state == ImportState.CHECKED, Job.objects.get(pk=run.job_id).last_error
    assert_adds_up(run)
    return run


def brought_in(text: str | bytes, kind: str = "contacts", *, acts: bool = False, **rest: Any) -> ImportRun:
    """A file after its run."""
    run = tried(text, kind, **rest)
    running.start(run.pk, acts=acts, by=SYSTEM)
    work()
    run.refresh_from_db()
    assert run.state == ImportState.DONE, Job.objects.get(pk=run.job_id).last_error
    assert_adds_up(run)
    return run


def taken_back(run: ImportRun) -> ImportRun:
    running.undo(run.pk, by=SYSTEM)
    work()
    run.refresh_from_db()
    assert run.state == ImportState.UNDONE, Job.objects.get(pk=run.job_id).last_error
    return run


def figures(run: ImportRun) -> tuple[int, int, int, int]:
    """created, updated, unchanged, rejected."""
    return run.rows_created, run.rows_updated, run.rows_unchanged, run.rows_rejected


def assert_adds_up(run: ImportRun) -> None:
    assert sum(figures(run)) == run.rows_read


def problems(run: ImportRun) -> dict[int, str]:
    """Line → why it did not come in."""
    return dict(run.rows.filter(outcome="rejected").order_by("line").values_list("line", "problem"))


def reject_lines(run: ImportRun) -> list[list[str]]:
    path = Path(settings.MEDIA_ROOT) / Job.objects.get(pk=run.job_id).file_path
    return list(csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig"))))


def cast(count: int = 3) -> list[Contact]:
    """People with external_userids wm1, wm2 …"""
    found = [make_contact(f"客户{n}") for n in range(1, count + 1)]
    for n, person in enumerate(found, start=1):
        make_identity(person, value=f"wm{n}")
    return found


def people_scope() -> DataScope:
    """Of the account that brings the files in."""
    return DataScope(user_id=0, sees_all=True)


def told_of(person: Contact) -> list[tuple[str, Any, Any]]:
    """What the timeline says of a person's values, each change belonging to a fact that names its field."""
    rows = TimelineEvent.objects.filter(contact=person, kind="details.changed", actor="system")
    facts = {event.occurred_at: set(event.payload["fields"]) for event in rows}
    changes = DetailChange.objects.filter(contact=person).order_by("changed_at", "key")
    named: dict[Any, set[str]] = {}
    for change in changes:
        named.setdefault(change.changed_at, set()).add(change.key)
    assert named == facts
    return [(change.key, change.before, change.after) for change in changes]
