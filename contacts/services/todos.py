"""待办: what a guide is to do for a person, done by whom and when."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Count
from django.utils.translation import gettext as _

from contacts.models import Follow, Member, Todo
from contacts.queries import family_of
from contacts.services.notes import member_of, user_of
from contacts.services.reminders import LANE
from contacts.services.stages import actor_label
from contacts.services.telling import working_instant
from contacts.successions import TakenOver
from contacts.timeline import NewEvent, record_events, roots_of
from scrm.lib import clock
from scrm.lib.db.bulk import clean_text, update_rows
from scrm.lib.errors import UserError
from tenants import audit, jobs
from tenants.audit import SYSTEM, Actor

LONGEST = 200
FARTHEST = timedelta(days=366)
OPEN_AT_MOST = 50  # of one person: more is a list nobody works off
_Reminder = Todo.Reminder


@transaction.atomic
def add_todo(
    contact_id: int, *, member: Member, text: str, due_at: datetime, remind: bool, by: Actor, at: datetime
) -> Todo:
    """Give a guide something to do for a person (a root). remind: an app message to her when it is due, in working hours.

    Who may be chosen is the caller's to check. Raises UserError for an empty or too long text, a time that is past or more than a
    year away, and a person with too many open ones.
    """
    text = clean_text(text).strip()
    if not text or len(text) > LONGEST:
        raise UserError(_("请写下要做什么,最多 %(limit)d 字。") % {"limit": LONGEST})
    _check_due(due_at, at)
    if Todo.objects.filter(contact_id=contact_id, done_at=None).count() >= OPEN_AT_MOST:
        raise UserError(_("这位客户已有 %(count)d 条未完成的待办,请先完成一些。") % {"count": OPEN_AT_MOST})
    remind_at = working_instant(due_at) if remind else None
    todo = Todo.objects.create(
        contact_id=contact_id, member=member, text=text, due_at=due_at, remind_at=remind_at, created_at=at,
        reminder=_Reminder.WAITING if remind else _Reminder.NONE, author_id=user_of(by), author_name=by.name[:40],
    )  # fmt: skip
    _tell(todo, "todo.created", f"todo:{todo.pk}", member.pk, by=by, at=at)
    if remind_at:
        jobs.nudge(LANE, due_at=remind_at)
    return todo


@dataclass(frozen=True)
class Wanted:
    """What a rule gives somebody to do."""

    text: str
    due_at: datetime
    author_name: str


@transaction.atomic
def add_by_rule(whom: Mapping[int, int], wanted: Wanted, *, author_id: int, at: datetime) -> set[int]:
    """Give each member (root contact → member) the same to do for her person, reminded when it is due; for whom. Who has too many
    open ones gets none. author_id: who made the rule, 0 for nobody. A number of statements that does not depend on how many there are."""
    open_ones = Todo.objects.filter(contact_id__in=whom, done_at=None).values("contact_id").annotate(n=Count("pk"))
    full = set(open_ones.filter(n__gte=OPEN_AT_MOST).order_by().values_list("contact_id", flat=True))
    remind_at = working_instant(wanted.due_at)
    todos = Todo.objects.bulk_create(
        [
            Todo(
                contact_id=pk, member_id=member_id, text=wanted.text, due_at=wanted.due_at, remind_at=remind_at, created_at=at,
                reminder=_Reminder.WAITING, author_id=author_id, author_name=wanted.author_name[:40],
            )
            for pk, member_id in sorted(whom.items())
            if pk not in full
        ],
        batch_size=1000,
    )  # fmt: skip
    record_events([
        NewEvent("todo.created", at, "product", f"todo:{todo.pk}", contact_id=todo.contact_id, member_id=todo.member_id,
                 actor=actor_label(SYSTEM), subject=f"todo:{todo.pk}", payload={})
        for todo in todos
    ])  # fmt: skip
    if todos:
        jobs.nudge(LANE, due_at=remind_at)
    return {todo.contact_id for todo in todos}


@transaction.atomic
def postpone_todo(todo_id: int, due_at: datetime, *, by: Actor, at: datetime) -> Todo:
    """Due at another time. Who was to be reminded is reminded then. Raises UserError for a to-do that is done, and as add_todo."""
    todo = _locked(todo_id)
    if todo.done_at is not None:
        raise UserError(_("这条待办已经完成。要再做一次,请先重新打开。"))
    _check_due(due_at, at)
    user_of(by)
    if due_at == todo.due_at:
        return todo
    todo.due_at = due_at
    if todo.reminder != _Reminder.NONE:
        todo.remind_at, todo.reminder, todo.reminder_error = working_instant(due_at), _Reminder.WAITING, ""
    todo.save(update_fields=["due_at", "remind_at", "reminder", "reminder_error"])
    _tell(todo, "todo.postponed", _key(todo, "postponed", at), member_of(by), by=by, at=at, due=due_at.isoformat())
    if todo.remind_at:
        jobs.nudge(LANE, due_at=todo.remind_at)
    return todo


@transaction.atomic
def give_todo(todo_id: int, member: Member, *, by: Actor, at: datetime) -> Todo:
    """转给: another guide is to do it. Who was to be reminded, the next one is: when it is due, or now when that is past.

    Who may be chosen is the caller's to check. Raises UserError for a to-do that is done.
    """
    todo = _locked(todo_id)
    if todo.done_at is not None:
        raise UserError(_("这条待办已经完成,不能再转给别人。"))
    user_of(by)
    if member.pk == todo.member_id:
        return todo
    _move([todo], {todo.pk: member.pk}, by=by, at=at)
    audit.record("todo.given", todo.contact, by=by, todo=todo.pk)
    return todo


@transaction.atomic
def hand_on(moves: Mapping[int, int], *, by: Actor, at: datetime) -> int:
    """To-do → the member who does it from now on; how many moved. Those done, and those that are hers already, stay.

    A number of statements that does not depend on how many there are; the audit row is the caller's.
    """
    rows = Todo.objects.select_for_update(of=("self",)).filter(pk__in=moves, done_at__isnull=True).order_by("pk")
    return _move([todo for todo in rows if todo.member_id != moves[todo.pk]], moves, by=by, at=at)


def take_over(taken: Sequence[TakenOver]) -> None:
    """What the giver still had to do for customers who were handed over is their successors' to do."""
    follows = Follow.objects.in_bulk({pk for one in taken for pk in (one.old_follow_id, one.new_follow_id)})
    pairs = [(follows[one.old_follow_id], follows[one.new_follow_id]) for one in taken]
    roots = roots_of(old.contact_id for old, _new in pairs)
    successor = {(roots[old.contact_id], old.member_id): new.member_id for old, new in pairs}
    family = family_of(roots.values())
    open_ones = Todo.objects.filter(
        contact_id__in=family, member_id__in={old.member_id for old, _new in pairs}, done_at__isnull=True
    )
    moves = {
        pk: successor[family[contact_id], member_id]
        for pk, contact_id, member_id in open_ones.values_list("pk", "contact_id", "member_id")
        if (family[contact_id], member_id) in successor
    }
    hand_on(moves, by=SYSTEM, at=clock.now())


def _move(todos: Sequence[Todo], moves: Mapping[int, int], *, by: Actor, at: datetime) -> int:
    """Another is to do these, and is reminded where the one before was to be: when it is due, or now when that is past."""
    for todo in todos:
        todo.member_id = moves[todo.pk]
        if todo.reminder != _Reminder.NONE:
            todo.remind_at, todo.reminder = working_instant(max(todo.due_at, at)), _Reminder.WAITING
            todo.reminder_error = ""
    columns = ("member_id", "remind_at", "reminder", "reminder_error")
    update_rows(Todo, [{"id": todo.pk, **{name: getattr(todo, name) for name in columns}} for todo in todos])
    record_events([
        NewEvent("todo.given", at, "product", _key(todo, "given", at), contact_id=todo.contact_id, member_id=todo.member_id,
                 actor=actor_label(by), subject=f"todo:{todo.pk}", payload={})
        for todo in todos
    ])  # fmt: skip
    reminded = [todo.remind_at for todo in todos if todo.remind_at]
    if reminded:
        jobs.nudge(LANE, due_at=min(reminded))
    return len(todos)


@transaction.atomic
def finish_todo(todo_id: int, *, by: Actor, at: datetime) -> Todo:
    """Done. Finishing it again changes nothing."""
    todo = _locked(todo_id)
    if todo.done_at is None:
        todo.done_at, todo.done_by_id, todo.done_by_name = at, user_of(by), by.name[:40]
        todo.save(update_fields=["done_at", "done_by_id", "done_by_name"])
        _tell(todo, "todo.done", _key(todo, "done", at), member_of(by), by=by, at=at)
    return todo


@transaction.atomic
def reopen_todo(todo_id: int, *, by: Actor, at: datetime) -> Todo:
    """Not done after all. A reminder whose time is still to come stands; one whose time went by is not made up for."""
    todo = _locked(todo_id)
    if todo.done_at is None:
        return todo
    user_of(by)
    todo.done_at, todo.done_by_id, todo.done_by_name = None, None, ""
    if todo.remind_at is not None and todo.remind_at <= at:
        todo.remind_at, todo.reminder = None, _Reminder.NONE
    todo.save(update_fields=["done_at", "done_by_id", "done_by_name", "remind_at", "reminder"])
    _tell(todo, "todo.reopened", _key(todo, "reopened", at), member_of(by), by=by, at=at)
    if todo.remind_at:
        jobs.nudge(LANE, due_at=todo.remind_at)
    return todo


def _check_due(due_at: datetime, at: datetime) -> None:
    if not at < due_at <= at + FARTHEST:
        raise UserError(_("到期时间要在现在之后、一年之内,请重新选择。"))


def _locked(todo_id: int) -> Todo:
    rows = Todo.objects.select_for_update(of=("self",)).select_related("contact")
    return rows.get(pk=todo_id)


def _key(todo: Todo, what: str, at: datetime) -> str:
    return f"todo.{what}:{todo.pk}:{int(at.timestamp() * 1000)}"


def _tell(
    todo: Todo, kind: str, fact_key: str, member_id: int | None, *, by: Actor, at: datetime, **payload: str
) -> None:
    record_events([
        NewEvent(kind, at, "product", fact_key, contact_id=todo.contact_id, member_id=member_id, actor=actor_label(by),
                 subject=f"todo:{todo.pk}", payload=dict(payload))
    ])  # fmt: skip
    audit.record(kind, todo.contact, by=by, todo=todo.pk, **payload)
