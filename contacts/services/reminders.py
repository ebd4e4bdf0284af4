"""Reminders of to-dos: an app message (应用消息) to the guide when one is due, in working hours, at most once."""

from collections.abc import Mapping, Sequence
from zoneinfo import ZoneInfo

from django.db.models import Q
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from contacts.models import Todo
from contacts.services.telling import Message, Notice
from tenants.context import current_tenant
from wecom_bridge.models import OutboundCommand

LANE = "todos"
COMMAND = "todo.remind"


def _write(todos: Sequence[Todo]) -> Mapping[int, Sequence[Message]]:
    return {todo.pk: [_message(todo)] for todo in todos}


def _message(todo: Todo) -> Message:
    due = todo.due_at.astimezone(ZoneInfo(current_tenant().time_zone))
    words = _("客户:%(name)s\n到期:%(at)s\n%(text)s") % {
        "name": todo.contact.name or _("未命名客户"), "at": f"{due:%m-%d %H:%M}", "text": todo.text,
    }  # fmt: skip
    return Message("", [todo.member], _("待办到期"), words, reverse("contacts:contact", args=[todo.contact_id]))


def _wish(todo: Todo) -> str:
    """One message for each to-do, due time and guide, for ever."""
    return f"{COMMAND}:{todo.pk}:{int(todo.due_at.timestamp())}:{todo.member_id}"


def _is_of(todo: Todo, command: OutboundCommand) -> bool:
    """While the to-do is due at the time, and for the guide, that the message is about."""
    # Commands written before a to-do could be given to another do not name the guide.
    return command.dedupe_key in (_wish(todo), _wish(todo).rpartition(":")[0])


NOTICE = Notice(
    lane=LANE,
    command=COMMAND,
    label=gettext_lazy("待办提醒"),
    model=Todo,
    due="remind_at",
    state="reminder",
    error="reminder_error",
    quiet=Todo.Reminder.NONE.value,
    open=Q(done_at__isnull=True),
    related=("contact", "member"),
    write=_write,
    key=lambda todo, _corp, _name: _wish(todo),
    is_of=_is_of,
)
