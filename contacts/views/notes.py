"""跟进记录 and 待办 on the customer page and in 今日."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from accounts.access import MemberRequest, requires
from accounts.scope import EVERYTHING, data_scope
from contacts.forms import SOON, DueForm, NoteForm, TodoForm
from contacts.models import Contact, Member, Note, Todo
from contacts.panels import Said
from contacts.queries import assignable_members, notes_of, open_todos, own_member_ids, todos_of
from contacts.services import notes, todos
from contacts.views.people import get_contact_or_404
from scrm.lib import clock
from scrm.lib.address import local_path
from scrm.lib.errors import UserError
from scrm.lib.numbers import whole_number

EDIT = "contacts.edit"
NOTES_SHOWN, DONE_SHOWN, TODAY_SHOWN = 5, 3, 20


# --- Panels -----------------------------------------------------------------------------------------------------


def notes_panel(request: Any, contact: Contact, form: NoteForm | None = None) -> dict[str, Any]:
    """The latest notes, and the form of who may write one."""
    now, can_edit = clock.now(), EDIT in request.permissions
    found = list(notes_of(contact)[: NOTES_SHOWN + 1])
    return {
        "notes": [
            {"note": note, "can_change": can_edit and notes.is_editable(note, request.user.pk, now)}
            for note in found[:NOTES_SHOWN]
        ],
        "has_more": len(found) > NOTES_SHOWN,
        "form": (form or NoteForm(auto_id="note_%s")) if can_edit else None,
        "minutes": int(notes.EDITABLE.total_seconds() // 60),
    }


def todos_panel(request: Any, contact: Contact, form: TodoForm | None = None) -> dict[str, Any]:
    """What is open, the last that were done, and the form of who may give something to do."""
    now, can_edit = clock.now(), EDIT in request.permissions
    rows = list(todos_of(contact)[: todos.OPEN_AT_MOST + DONE_SHOWN])
    done = [row for row in rows if row.done_at][:DONE_SHOWN]
    left = [row for row in rows if not row.done_at]
    takers = _takers(request, contact, left) if can_edit and left else {}
    return {
        "open": [_shown(row, now) | {"takers": takers.get(row.pk, [])} for row in left],
        "done": [_shown(row, now) for row in done],
        "can_edit": can_edit,
        "soon": [one for one in SOON if one[0] != "at"],
        "form": (form or _todo_form(request, contact, now)) if can_edit else None,
    }


def todos_card(members: Sequence[Member], now: datetime) -> dict[str, Any] | None:
    """我的待办 in 今日: what a guide has to do, the earliest first."""
    rows = list(open_todos([member.pk for member in members])[: TODAY_SHOWN + 1])
    if not rows:
        return None
    return {"todos": [_shown(row, now) for row in rows[:TODAY_SHOWN]], "has_more": len(rows) > TODAY_SHOWN}


def next_step(request: Any, contact: Contact) -> Said:
    """The first screen's 下一步: the open to-do that is due first."""
    todo = todos_of(contact).filter(done_at__isnull=True).first()
    if todo is None:
        return Said(_("没有待办"))
    local = timezone.localtime(todo.due_at)
    words = _("%(at)s 前,%(name)s") % {"at": f"{local:%m-%d %H:%M}", "name": todo.member}
    return Said(todo.text, _("已逾期:%(words)s") % {"words": words} if todo.due_at < clock.now() else words)


def _shown(todo: Todo, now: datetime) -> dict[str, Any]:
    return {"todo": todo, "is_overdue": todo.done_at is None and todo.due_at < now}


def _givable(request: Any, contact: Contact) -> Any:
    """Guides whom the user may give something to do for this person."""
    scope = data_scope(request.user, EDIT, grants=request.grants)
    return assignable_members(contact, scope).select_related("store")


def _takers(request: Any, contact: Contact, rows: Sequence[Todo]) -> dict[int, list[Member]]:
    """To-do → whom the user may give it to: guides of her scope, and for what is hers to do every guide who knows the person."""
    everybody = list(assignable_members(contact, EVERYTHING).select_related("store"))
    within = set(_givable(request, contact).values_list("pk", flat=True))
    own = set(own_member_ids(data_scope(request.user, EDIT, grants=request.grants)).values_list("member_id", flat=True))
    return {
        row.pk: [one for one in everybody if one.pk != row.member_id and (one.pk in within or row.member_id in own)]
        for row in rows
    }


def _todo_form(request: Any, contact: Contact, now: datetime, data: Any = None) -> TodoForm:
    members = _givable(request, contact)
    own = members.filter(account__user_id=request.user.pk).values_list("pk", flat=True).first()
    return TodoForm(
        data, members=members, now=now, auto_id="todo_%s", initial={"when": "1", "member": own or contact.owner_id}
    )


# --- Acts -------------------------------------------------------------------------------------------------------


@require_POST
@requires(EDIT)
def note_add(request: MemberRequest, pk: int) -> HttpResponse:
    contact = get_contact_or_404(request, pk)
    form = NoteForm(request.POST, auto_id="note_%s")
    if not form.is_valid():
        return _refused(request, contact, "notes", notes_panel(request, contact, form))
    notes.write_note(contact.pk, form.cleaned_data["text"], by=request.actor, at=clock.now())
    return _changed(request, contact, "notes")


@require_POST
@requires(EDIT)
def note_edit(request: MemberRequest, pk: int, note_pk: int) -> HttpResponse:
    """Put an own note right, or take it back."""
    contact = get_contact_or_404(request, pk)
    note: Note = get_object_or_404(notes_of(contact), pk=note_pk)
    if "withdraw" in request.POST:
        notes.withdraw_note(note.pk, by=request.actor, at=clock.now())
    else:
        notes.edit_note(note.pk, request.POST.get("text", ""), by=request.actor, at=clock.now())
    return _changed(request, contact, "notes")


@require_POST
@requires(EDIT)
def todo_add(request: MemberRequest, pk: int) -> HttpResponse:
    contact = get_contact_or_404(request, pk)
    now = clock.now()
    form = _todo_form(request, contact, now, request.POST)
    if not form.is_valid():
        return _refused(request, contact, "todos", todos_panel(request, contact, form))
    data = form.cleaned_data
    todos.add_todo(
        contact.pk, member=data["member"], text=data["text"], due_at=data["due_at"], remind=data["remind"],
        by=request.actor, at=now,
    )  # fmt: skip
    return _changed(request, contact, "todos")


@require_POST
@requires(EDIT)
def todo_due(request: MemberRequest, pk: int, todo_pk: int) -> HttpResponse:
    """At another time."""
    contact = get_contact_or_404(request, pk)
    todo: Todo = get_object_or_404(todos_of(contact), pk=todo_pk)
    now = clock.now()
    form = DueForm(request.POST, now=now)
    if not form.is_valid():
        raise UserError(_("请选择到期时间。"))
    todos.postpone_todo(todo.pk, form.cleaned_data["due_at"], by=request.actor, at=now)
    return _changed(request, contact, "todos")


@require_POST
@requires(EDIT)
def todo_give(request: MemberRequest, pk: int, todo_pk: int) -> HttpResponse:
    """转给: to another guide who knows the customer."""
    contact = get_contact_or_404(request, pk)
    todo: Todo = get_object_or_404(todos_of(contact), pk=todo_pk)
    wanted = whole_number(request.POST.get("member"))
    member = next((one for one in _takers(request, contact, [todo])[todo.pk] if one.pk == wanted), None)
    if member is None:
        raise UserError(_("请选择另一位认识这位客户的在职导购;别人的待办只能转给您管辖范围内的导购。"))
    todos.give_todo(todo.pk, member, by=request.actor, at=clock.now())
    return _changed(request, contact, "todos")


@require_POST
@requires(EDIT)
def todo_done(request: MemberRequest, pk: int, todo_pk: int) -> HttpResponse:
    """Done, or not after all."""
    contact = get_contact_or_404(request, pk)
    todo: Todo = get_object_or_404(todos_of(contact), pk=todo_pk)
    act = todos.reopen_todo if request.POST.get("done") == "0" else todos.finish_todo
    act(todo.pk, by=request.actor, at=clock.now())
    return _changed(request, contact, "todos")


_PANELS: dict[str, Any] = {"notes": notes_panel, "todos": todos_panel}


def _changed(request: MemberRequest, contact: Contact, panel: str) -> HttpResponse:
    if not request.htmx:
        back = local_path(request, request.POST.get("next", ""))
        return redirect(back) if back else redirect("contacts:contact", pk=contact.pk)
    return _panel(request, contact, panel, _PANELS[panel](request, contact))


def _refused(request: MemberRequest, contact: Contact, panel: str, context: dict[str, Any]) -> HttpResponse:
    if request.htmx:
        return _panel(request, contact, panel, context, status=422)
    page = {"contact": contact, "panel": context, "template": f"contacts/_{panel}_panel.html"}
    shell = {"shell": "phone.html" if request.scope.is_own_only else "base.html", "phone_tab": "customers"}
    return render(request, "contacts/panel_alone.html", page | shell, status=422)


def _panel(request: MemberRequest, contact: Contact, panel: str, context: Any, status: int = 200) -> HttpResponse:
    page = {"contact": contact, "panel": context}
    return render(request, f"contacts/_{panel}_panel.html", page, status=status)
