"""删除个人信息: one person is removed on request, a piece at a time, and the removal is proved.

    waiting   what is under way for her is stopped, or waited for; nobody may write to her any more
    (the cut) in one transaction her ids become digests: from here on nobody finds her, and nothing old is let in (forgotten)
    running   each app's rows, then the tables in which an id may stand anywhere, then files
    checking  every text and JSON column of the merchant's schema is searched for her ids; the count of what is left is the proof

Each piece commits with the place it came to, so that a killed worker goes on there. The keys by which she is sought are kept
encrypted, and only while she is.
"""

import json
import logging
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Min
from django.utils.translation import gettext as _

from contacts.models import (
    Contact,
    ContactPhone,
    ErasedKey,
    ErasureRequest,
    ErasureSecret,
    Follow,
    Identity,
    Todo,
)
from contacts.phones import show_phone
from contacts.services.files_of_people import erase_files
from contacts.services.groups import lock_groups
from contacts.services.inbound import lock_people
from contacts.services.locking import lock_person
from contacts.services.opt_out import end_opt_out, set_opt_out
from contacts.timeline import NewEvent, record_events
from scrm.lib import clock
from scrm.lib.crypto import random_token
from scrm.lib.errors import Conflict, UserError
from tenants import audit, erasure, jobs
from tenants.audit import SYSTEM, Actor
from tenants.erasure import Subject, digest_of, mark_of

logger = logging.getLogger(__name__)
LANE = "erasures"
LOOK_AGAIN = timedelta(minutes=2)
REST = timedelta(minutes=5)  # after an error
PIECE = timedelta(seconds=2)  # of work in one transaction
ROUNDS = 3  # of removing and checking; what is left then is said
SHORTEST = 8  # a key that might stand inside other words names nobody
WORD = 3  # so many characters of a name or remark, and equal words elsewhere are worth telling
SOURCE = "erasure"  # Contact.opt_out_source of the 免打扰 that a request sets
MERGED = "merged"  # in waits_for: another request has the person into whom this one was merged
State = ErasureRequest.State


# --- Asking for it ----------------------------------------------------------------------------------------------------


@transaction.atomic
def request_erasure(
    contact_id: int, *, asked_by: str, reason: str, typed: str, by: Actor, at: datetime
) -> ErasureRequest:
    """Begin to remove a person (a root). It cannot be undone: the number of the customer is typed.

    Raises UserError for another number, no reason, or an unknown asker; Conflict while another request for her is open.
    """
    if asked_by not in ErasureRequest.AskedBy.values:
        raise UserError(_("请选择是谁提出的。"))
    if not reason.strip():
        raise UserError(_("请写明理由,例如客户来信的日期。"))
    if typed.strip() != str(contact_id):
        raise UserError(_("输入的客户编号不对。请照页面上的编号再输一次,确认删的是这一位。"))
    lock_people()
    person = lock_person(contact_id)
    if ErasureRequest.objects.filter(contact=person, state__in=ErasureRequest.OPEN).exists():
        raise Conflict(_("这位客户已经有一个进行中的删除请求。"))
    request = ErasureRequest.objects.create(
        contact=person, asked_by=asked_by, reason=reason.strip()[:300], requested_at=at, next_at=at,
        requested_by_id=by.id if by.kind == "user" else None, requested_by_name=by.name[:80],
        people=len(person.family_ids),
    )  # fmt: skip
    set_opt_out(person.pk, "forever", by=by, at=at, source=SOURCE)
    audit.record("contact.erasure_requested", request, by=by, contact=person.pk, asked_by=asked_by)
    jobs.nudge(LANE)
    return request


@transaction.atomic
def take_back(request_id: int, *, by: Actor, at: datetime) -> ErasureRequest:
    """The customer thought better of it, while the request still waits. Raises Conflict once the removal has begun."""
    request = ErasureRequest.objects.select_for_update(of=("self",)).get(pk=request_id)
    if request.state == State.TAKEN_BACK:
        return request
    if request.state != State.WAITING:
        raise Conflict(_("删除已经开始,不能撤回。"))
    request.state, request.reason, request.next_at, request.finished_at = State.TAKEN_BACK, "", None, at
    request.waits_for = {}
    request.save(update_fields=["state", "reason", "next_at", "finished_at", "waits_for"])
    Contact.objects.filter(pk=request.contact_id, root__isnull=False, opt_out_source=SOURCE).update(
        opt_out_since=None, opt_out_until=None, opt_out_source=""
    )  # merged meanwhile: should that be undone, she is to be as she was
    person = Contact.objects.get(pk=Contact.objects.get(pk=request.contact_id).root_pk)
    if person.opt_out_source == SOURCE and open_request_of(person) is None:
        end_opt_out(person.pk, by=by, at=at)
    audit.record("contact.erasure_taken_back", request, by=by, contact=request.contact_id)
    return request


def preview(contact: Contact, at: datetime) -> list[tuple[str, int]]:
    """(what, how many rows) of a person's own rows, per table that has some. A constant number of queries."""
    subject = _subject_of(contact, at, secret="")
    counted = [
        (str(one.name), one.rows(subject).count())
        for cut in (True, False)
        for one in erasure.erasers(at_cut=cut)
        if one.find
    ]
    return [(name, count) for name, count in counted if count]


def searched_tables() -> list[str]:
    """Names of the tables that are gone through row by row for her ids."""
    return [str(one.name) for one in erasure.sweepers()]


# --- Who she is -------------------------------------------------------------------------------------------------------


def _subject_of(contact: Contact, at: datetime, *, secret: str) -> Subject:
    """Her rows and keys as they stand. Without a secret the marks mean nothing: enough for counting."""
    family = frozenset(contact.family_ids)
    follows = Follow.objects.filter(contact_id__in=family)
    rows = {
        "contacts.Contact": family,
        "contacts.Identity": frozenset(Identity.objects.filter(contact_id__in=family).values_list("pk", flat=True)),
        "contacts.Follow": frozenset(follows.values_list("pk", flat=True)),
        "contacts.Todo": frozenset(Todo.objects.filter(contact_id__in=family).values_list("pk", flat=True)),
    }
    subject = Subject(rows, {}, at, secret)
    keys = _keys_of(family) | erasure.keys_of(subject)
    marks = {key: mark_of(secret, key) for key in keys - _shared(family, keys) if len(key) >= SHORTEST}
    subject = replace(subject, marks=marks)
    return replace(subject, entities=erasure.entities_of(subject))


def _keys_of(family: Iterable[int]) -> set[str]:
    """Ids, and phones as stored, as people write them, and as her guides typed them."""
    ids = Identity.objects.filter(contact_id__in=family).exclude(value__startswith="~")  # those of an erasure before
    keys = set(ids.values_list("value", flat=True))
    phones = set(ContactPhone.objects.filter(contact_id__in=family).values_list("phone", flat=True))
    typed = Follow.objects.filter(contact_id__in=family).values_list("remark_mobiles", flat=True)
    return keys | phones | {show_phone(phone) for phone in phones} | {one for some in typed for one in some}


def _shared(family: Iterable[int], keys: set[str]) -> set[str]:
    """Phones that are somebody else's as well: those stay with the other."""
    others = ContactPhone.objects.filter(phone__in=keys | {f"+86{key}" for key in keys}).exclude(contact_id__in=family)
    phones = set(others.values_list("phone", flat=True))
    return phones | {show_phone(phone) for phone in phones}


def _words_of(family: Iterable[int]) -> list[str]:
    """Names and remarks: other people may be called so, so they are told and not touched."""
    names = set(Contact.objects.filter(pk__in=family).values_list("name", flat=True))
    names |= set(Follow.objects.filter(contact_id__in=family).values_list("remark", flat=True))
    return sorted(name for name in names if len(name) >= WORD)


def _secret(at: datetime) -> str:
    """The merchant's own, made with the first erasure."""
    row = ErasureSecret.objects.order_by("pk").first()
    if row is None:
        row = ErasureSecret.objects.create(secret=random_token(), created_at=at)
    return str(row.secret)


# --- Working it off ---------------------------------------------------------------------------------------------------


def drain(deadline: datetime) -> bool:
    """Work on due requests, a piece at a time, until the slice is over. True when work is left."""
    while clock.wall() < deadline:
        request_id = _due().order_by("next_at", "pk").values_list("pk", flat=True).first()
        if request_id is None:
            return False
        try:
            if not advance(request_id):
                return True
        except Exception as error:
            logger.exception("erasure %s failed", request_id)
            ErasureRequest.objects.filter(pk=request_id).update(
                next_at=clock.now() + REST, last_error=type(error).__name__
            )
    return bool(_due().exists())


def _due() -> Any:
    return ErasureRequest.objects.filter(next_at__lte=clock.now(), state__in=ErasureRequest.OPEN)


def count_due() -> int:
    """Requests with work now, for the sandbox driver."""
    return int(_due().count())


def next_due() -> datetime | None:
    """The domain instant of the next piece."""
    found: datetime | None = ErasureRequest.objects.filter(state__in=ErasureRequest.OPEN).aggregate(at=Min("next_at"))[
        "at"
    ]
    return found


@transaction.atomic
def advance(request_id: int) -> bool:
    """The next piece of a request: what it did and where it stands are one transaction. False when another is at it."""
    rows = ErasureRequest.objects.select_for_update(skip_locked=True, of=("self",)).select_related("contact")
    request = rows.filter(pk=request_id, state__in=ErasureRequest.OPEN).first()
    if request is None:
        return False
    request.last_error = ""
    _PIECES[State(request.state)](request)
    request.save(
        update_fields=[
            "state", "waits_for", "next_at", "keys", "step", "after", "counts", "left", "rounds", "people", "cut_at", "finished_at",
            "reason", "last_error", "contact",
        ]
    )  # fmt: skip
    return True


def _wait_or_cut(request: ErasureRequest) -> None:
    lock_people()
    lock_groups()
    now = clock.now()
    person = request.contact
    if person.root_id is not None:  # merged meanwhile: the whole person goes
        person = Contact.objects.get(pk=person.root_pk)
        if open_request_of(person) is not None:
            request.waits_for, request.next_at = {MERGED: 1}, now + LOOK_AGAIN
            return
        request.contact = person
    subject = _subject_of(person, now, secret=_secret(now))
    for holdup in erasure.holdups():
        holdup.prepare(subject)
    counts = {one.name: one.count(subject) for one in erasure.holdups()}
    request.waits_for = {name: count for name, count in counts.items() if count}
    if request.waits_for:
        request.next_at = now + LOOK_AGAIN
        return
    _cut(request, subject)


def _cut(request: ErasureRequest, subject: Subject) -> None:
    """From here on nobody finds her by any id, and what is told of her past is not let in."""
    words = _words_of(subject.pks("contacts.Contact"))
    for key in subject.texts():
        ErasedKey.objects.update_or_create(digest=digest_of(subject.secret, key), defaults={"erased_at": subject.at})
    for eraser in erasure.erasers(at_cut=True):
        after: int | None = 0
        while after is not None:
            count, after = erasure.erase_rows(eraser, subject, after)
            _add(request.counts, eraser.label, count)
    record_events([
        NewEvent("contact.erased", subject.at, "product", f"contact.erased:{request.pk}", contact_id=request.contact_id,
                 actor="system", subject=f"erasure:{request.pk}")
    ])  # fmt: skip
    request.people, request.cut_at = len(subject.pks("contacts.Contact")), subject.at
    request.keys = json.dumps(
        {
            "rows": {label: sorted(ids) for label, ids in subject.rows.items()},
            "keys": subject.texts(), "entities": sorted(subject.entities), "words": words,
        }
    )  # fmt: skip
    request.state, request.step, request.after = State.RUNNING, "", 0


def _kept(request: ErasureRequest) -> tuple[Subject, list[str]]:
    """The subject as the cut left it, and the words."""
    known = json.loads(str(request.keys))
    at = request.cut_at or request.requested_at
    secret = _secret(at)
    rows = {label: frozenset(ids) for label, ids in known["rows"].items()}
    marks = {key: mark_of(secret, key) for key in known["keys"]}
    return Subject(rows, marks, at, secret, frozenset(known["entities"])), known["words"]


def _erase(request: ErasureRequest) -> None:
    """Rows of one table after the other, then windows of those in which an id may stand anywhere, then the files."""
    subject, words = _kept(request)
    steps = [f"rows:{one.label}" for one in erasure.erasers(at_cut=False) if one.find]
    steps += [f"sweep:{one.label}" for one in erasure.sweepers()] + ["files"]
    until = clock.wall() + PIECE
    while request.state == State.RUNNING and clock.wall() < until:
        step = request.step if request.step in steps else steps[0]
        way, _colon, label = step.partition(":")
        after: int | None = None
        if way == "files":
            count, label = erase_files(subject, words), way
        elif way == "rows":
            count, after = erasure.erase_rows(erasure.eraser_of(label), subject, request.after)
        else:
            count, after = erasure.sweep_rows(erasure.eraser_of(label), subject, request.after)
        _add(request.counts, label, count)
        _go_on(request, steps, step, after, State.CHECKING)


def _check(request: ErasureRequest) -> None:
    """One table after the other is searched for her keys, and for her words, a window at a time."""
    subject, words = _kept(request)
    models = {model._meta.label: model for model in erasure.tenant_models() if erasure.is_searchable(model)}
    steps = list(models)
    until = clock.wall() + PIECE
    while request.state == State.CHECKING and clock.wall() < until:
        step = request.step if request.step in models else steps[0]
        if step == steps[0] and request.after == 0:
            request.reason = ""  # it may name her
            request.left = {"keys": {}, "words": {}, "tables": len(steps)}
        (keys, same), after = erasure.count_traces(models[step], (subject.texts(), words), request.after)
        _add(request.left["keys"], step, keys)
        _add(request.left["words"], step, same)
        _go_on(request, steps, step, after, State.DONE)
    if request.state == State.DONE:
        _conclude(request, subject)


def _conclude(request: ErasureRequest, subject: Subject) -> None:
    """Whether something came back meanwhile; then once more, and after some rounds it is said."""
    for eraser in erasure.erasers(at_cut=False):
        if eraser.deletes:
            _add(request.left["keys"], eraser.label, eraser.rows(subject).count())
    if request.left["keys"]:
        request.rounds += 1
        request.state = State.RUNNING if request.rounds < ROUNDS else State.LEFT_OVER
    if request.state == State.RUNNING:
        return
    request.finished_at, request.next_at = clock.now(), None
    request.keys = request.reason = ""
    total = sum(request.counts.values())
    audit.record(
        "contact.erased", request, by=SYSTEM, rows=total, tables=len(request.counts), left=len(request.left["keys"])
    )


def _go_on(request: ErasureRequest, steps: list[str], step: str, after: int | None, then: State) -> None:
    """To the next window, the next step, or the next state."""
    index = steps.index(step)
    if after is not None:
        request.step, request.after = step, after
    elif index + 1 < len(steps):
        request.step, request.after = steps[index + 1], 0
    else:
        request.state, request.step, request.after = then, "", 0


def _add(counts: dict[str, int], label: str, count: int) -> None:
    if count:
        counts[label] = counts.get(label, 0) + count


_PIECES = {State.WAITING: _wait_or_cut, State.RUNNING: _erase, State.CHECKING: _check}


def open_request_of(contact: Contact) -> ErasureRequest | None:
    """The request under way for a person."""
    return ErasureRequest.objects.filter(contact=contact, state__in=ErasureRequest.OPEN).first()
