"""Reminders of to-dos: an app message (应用消息) to the guide when one is due, in working hours, at most once."""

from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db import transaction
from django.db.models import Min, QuerySet
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from contacts.models import Member, Todo
from scrm.lib import clock
from tenants.context import current_tenant
from tenants.services.domains import site_url
from wecom_bridge import commands
from wecom_bridge.contracts import Call, CommandKind, Refusal, Settled, WeComReader
from wecom_bridge.models import CorpCredential, OutboundCommand
from wecom_bridge.settling import app_messages

LANE = "todos"
COMMAND = "todo.remind"
# Colleagues are left alone outside of these, tenant time.
OPENS, CLOSES = time(9), time(21)
BATCH = 100
TITLE, DESCRIPTION = 128, 512  # bytes of a textcard (platform reference E)
_Reminder = Todo.Reminder


def working_instant(at: datetime) -> datetime:
    """The instant itself within working hours (their beginning belongs to them), else the next time they begin."""
    zone = ZoneInfo(current_tenant().time_zone)
    local = at.astimezone(zone)
    if OPENS <= local.time() < CLOSES:
        return at
    day = local.date() if local.time() < OPENS else local.date() + timedelta(days=1)
    return datetime.combine(day, OPENS, zone).astimezone(UTC)


# --- The lane ---------------------------------------------------------------------------------------------------


def drain(deadline: datetime) -> bool:
    """Write the commands of what is due. True when the slice was over first."""
    while clock.wall() < deadline:
        if not _remind_some(clock.now(), site_url("")):
            return False
    return count_due() > 0


def next_due() -> datetime | None:
    """When the next reminder is due."""
    found: datetime | None = _waiting().aggregate(at=Min("remind_at"))["at"]
    return found


def count_due() -> int:
    """Reminders due at this instant, for sandbox drivers."""
    return _waiting().filter(remind_at__lte=clock.now()).count()


def _waiting() -> QuerySet[Todo]:
    return Todo.objects.filter(remind_at__isnull=False, done_at__isnull=True)


@transaction.atomic
def _remind_some(now: datetime, site: str) -> int:
    due = _waiting().filter(remind_at__lte=now)
    opens = working_instant(now)
    if opens > now:  # it was due in the day, and the night came first
        due.update(remind_at=opens)
        return 0
    rows = due.select_for_update(skip_locked=True, of=("self",)).select_related("contact", "member__corp")
    todos = list(rows.order_by("remind_at", "pk")[:BATCH])
    agents = agents_of({todo.member.corp_id for todo in todos})
    for todo in todos:
        todo.remind_at = None
        _ask(todo, agents.get(todo.member.corp_id, ""), site)
        todo.save(update_fields=["remind_at", "reminder", "reminder_error"])
    return len(todos)


def agents_of(corp_ids: set[int]) -> dict[int, str]:
    """Corp → the agent id of the app that speaks for it."""
    rows = CorpCredential.objects.filter(corp_id__in=corp_ids, kind=CorpCredential.Kind.APP).order_by("-pk")
    return dict(rows.values_list("corp_id", "agent_id"))


def _ask(todo: Todo, agent_id: str, site: str) -> None:
    """Write the command, or say why none can be."""
    if todo.member.status == Member.Status.LEFT:
        todo.reminder, todo.reminder_error = _Reminder.FAILED, _("导购已离职")
        return
    if not agent_id.isdecimal():
        todo.reminder, todo.reminder_error = _Reminder.FAILED, _("企业微信接入里没有应用的 AgentId")
        return
    # Kept with the command: a message in doubt is settled by an equal body, whatever her name is by then.
    body = app_messages.stable_body(
        agentid=agent_id, touser=[todo.member.userid], msgtype="textcard", content=_card(todo, site)
    )
    written = commands.enqueue(
        COMMAND, corp=todo.member.corp_id, entity_key=f"todo:{todo.pk}", payload=body, subject_id=todo.pk,
        dedupe_key=_wish(todo),
    )  # fmt: skip
    todo.reminder = _Reminder.SENDING if written else _Reminder.SENT


def _wish(todo: Todo) -> str:
    """One message for each to-do, due time and guide, for ever."""
    return f"{COMMAND}:{todo.pk}:{int(todo.due_at.timestamp())}:{todo.member_id}"


def _card(todo: Todo, site: str) -> dict[str, str]:
    due = todo.due_at.astimezone(ZoneInfo(current_tenant().time_zone))
    words = _("客户:%(name)s\n到期:%(at)s\n%(text)s") % {
        "name": todo.contact.name or _("未命名客户"), "at": f"{due:%m-%d %H:%M}", "text": todo.text,
    }  # fmt: skip
    return {
        "title": cut_bytes(_("待办到期"), TITLE),
        "description": cut_bytes(words.replace("<", "〈").replace(">", "〉"), DESCRIPTION),  # a textcard reads tags
        "url": site + reverse("contacts:contact", args=[todo.contact_id]),
        "btntxt": _("打开"),
    }


def cut_bytes(text: str, most: int) -> str:
    return text.encode()[:most].decode("utf-8", "ignore")


# --- The command ------------------------------------------------------------------------------------------------


def _build(command: OutboundCommand) -> Call | None:
    """Nothing, once the to-do is done or postponed."""
    todo = _todo_of(command)
    return Call(app_messages.METHOD, command.payload) if todo and todo.done_at is None else None


def _settle(command: OutboundCommand, reader: WeComReader) -> Settled | None:
    sent_at = command.sent_at
    return app_messages.settle(command.payload, sent_at, clock.wall(), reader) if sent_at else None


def _on_result(command: OutboundCommand, result: Mapping[str, Any]) -> None:
    if result.get("unlicenseduser"):  # WeCom takes the message and gives it to nobody
        _note(command, _Reminder.FAILED, _("导购没有企业微信的接口许可,收不到应用消息"))
    else:
        _note(command, _Reminder.SENT)


def _on_refused(command: OutboundCommand, refusal: Refusal) -> None:
    known = {
        81013: _("导购不在应用的可见范围里,收不到应用消息"),
        40056: _("企业微信接入里的 AgentId 不对"),
        301002: _("企业微信接入里的 AgentId 不对"),
    }
    _note(command, _Reminder.FAILED, known.get(refusal.errcode or 0) or refusal.message)


def _on_parked(command: OutboundCommand) -> None:
    _note(command, _Reminder.FAILED, _("多次发送没有成功,已搁置"))


def _on_cancelled(command: OutboundCommand) -> None:
    _note(command, _Reminder.NONE)


def _todo_of(command: OutboundCommand) -> Todo | None:
    """The to-do while it is due at the time, and for the guide, that this message is about."""
    todo = Todo.objects.filter(pk=command.subject_id or 0).first()
    if todo is None:
        return None
    # Commands written before a to-do could be given to another do not name the guide.
    return todo if command.dedupe_key in (_wish(todo), _wish(todo).rpartition(":")[0]) else None


def _note(command: OutboundCommand, reminder: str, error: str = "") -> None:
    todo = _todo_of(command)
    if todo is not None and todo.remind_at is None:  # else it waits for its new time
        todo.reminder, todo.reminder_error = reminder, error[:200]
        todo.save(update_fields=["reminder", "reminder_error"])


REMIND_COMMAND = CommandKind(
    name=COMMAND,
    policy="once",
    build=_build,
    on_result=_on_result,
    on_refused=_on_refused,
    settle=_settle,
    on_parked=_on_parked,
    on_cancelled=_on_cancelled,
    priority=40,
    label=gettext_lazy("待办提醒"),
)
