"""App messages (应用消息) about rows: when they are due, in working hours, at most once each, and what became of them.

A Notice says which rows wait, what is written about them and to whom. The lane, the command and its outcomes are the same for all.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from django.db import transaction
from django.db.models import Min, Q, QuerySet
from django.utils.translation import gettext as _

from contacts.models import Member
from scrm.lib import clock
from tenants.context import current_tenant
from tenants.services.domains import site_url
from wecom_bridge import commands
from wecom_bridge.contracts import Call, CommandKind, Refusal, Settled, WeComReader
from wecom_bridge.models import CorpCredential, OutboundCommand
from wecom_bridge.settling import app_messages

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise as Promise

# Colleagues are left alone outside of these, tenant time.
OPENS, CLOSES = time(9), time(21)
BATCH = 100
TITLE, DESCRIPTION = 128, 512  # bytes of a textcard (platform reference E)
# States of a row that every kind has under the same names; what stands where no message was wanted is the kind's own.
WAITING, SENDING, SENT, FAILED = "waiting", "sending", "sent", "failed"


@dataclass(frozen=True)
class Message:
    """One message about a row. name tells the messages of a row apart; path is the page it opens."""

    name: str
    members: Sequence[Member]
    title: str
    text: str
    path: str


def _any_command(_row: Any, _command: OutboundCommand) -> bool:
    return True


@dataclass(frozen=True)
class Notice:
    """A kind of row that tells members something.

    due, state, error: its columns of when, how far and what went wrong. quiet: the state without a message. open: rows that still
    wait for somebody; the others tell nothing any more. related: what is loaded with a row.
    write(rows): the messages of each, by the row's id. key(row, corp id, message name): one message for it, for ever.
    is_of(row, command): whether a command is about the row as it is now.
    """

    lane: str
    command: str
    label: "str | Promise"
    model: Any
    due: str
    state: str
    error: str
    quiet: str
    open: Q
    related: tuple[str, ...]
    write: Callable[[Sequence[Any]], Mapping[int, Sequence[Message]]]
    key: Callable[[Any, int, str], str]
    is_of: Callable[[Any, OutboundCommand], bool] = _any_command

    # --- The lane -----------------------------------------------------------------------------------------------

    def drain(self, deadline: datetime) -> bool:
        """Write the commands of what is due. True when the slice was over first."""
        while clock.wall() < deadline:
            if not self._tell_some(clock.now(), site_url("")):
                return False
        return self.count_due() > 0

    def next_due(self) -> datetime | None:
        """When the next is due."""
        found: datetime | None = self._waiting().aggregate(at=Min(self.due))["at"]
        return found

    def count_due(self) -> int:
        """Due at this instant, for sandbox drivers."""
        return self._waiting().filter(**{f"{self.due}__lte": clock.now()}).count()

    def _waiting(self) -> QuerySet[Any]:
        rows: QuerySet[Any] = self.model.objects.filter(self.open, **{f"{self.due}__isnull": False})
        return rows

    @transaction.atomic
    def _tell_some(self, now: datetime, site: str) -> int:
        due = self._waiting().filter(**{f"{self.due}__lte": now})
        opens = working_instant(now)
        if opens > now:  # it was due in the day, and the night came first
            due.update(**{self.due: opens})
            return 0
        locked = due.select_for_update(skip_locked=True, of=("self",)).select_related(*self.related)
        rows = list(locked.order_by(self.due, "pk")[:BATCH])
        written = self.write(rows)
        told = [member for messages in written.values() for one in messages for member in one.members]
        agents = _agents_of({member.corp_id for member in told})
        for row in rows:
            state, error = self._post(row, written.get(row.pk, ()), agents, site)
            for column, value in ((self.due, None), (self.state, state), (self.error, error)):
                setattr(row, column, value)
            row.save(update_fields=[self.due, self.state, self.error])
        return len(rows)

    def _post(self, row: Any, messages: Sequence[Message], agents: Mapping[int, str], site: str) -> tuple[str, str]:
        """Write the commands, or say why there is none."""
        state, error = FAILED, _("没有可以通知的人")
        for message in messages:
            by_corp: dict[int, list[str]] = defaultdict(list)
            for member in message.members:
                if member.status == Member.Status.LEFT:
                    error = error if state != FAILED else _("导购已离职")
                elif not agents.get(member.corp_id, "").isdecimal():
                    error = error if state != FAILED else _("企业微信接入里没有应用的 AgentId")
                else:
                    by_corp[member.corp_id].append(member.userid)
            for corp_id, userids in sorted(by_corp.items()):
                # Kept with the command: a message in doubt is settled by an equal body, whatever the row says by then.
                body = app_messages.stable_body(
                    agentid=agents[corp_id], touser=userids, msgtype="textcard", content=_card(message, site)
                )
                written = commands.enqueue(
                    self.command, corp=corp_id, entity_key=f"{self.command.partition('.')[0]}:{row.pk}", payload=body,
                    subject_id=row.pk, dedupe_key=self.key(row, corp_id, message.name),
                )  # fmt: skip
                state, error = (SENDING if written else SENT), ""
        return state, error

    # --- The command --------------------------------------------------------------------------------------------

    def kind(self) -> CommandKind:
        """How its messages are sent and what their outcomes say."""
        return CommandKind(
            name=self.command,
            policy="once",
            build=self._build,
            on_result=self._on_result,
            on_refused=self._on_refused,
            settle=_settle,
            on_parked=self._on_parked,
            on_cancelled=self._on_cancelled,
            priority=40,
            label=self.label,
        )

    def _build(self, command: OutboundCommand) -> Call | None:
        """Nothing, once somebody has dealt with the row."""
        row = self.model.objects.filter(self.open, pk=command.subject_id or 0).first()
        return Call(app_messages.METHOD, command.payload) if row and self.is_of(row, command) else None

    def _on_result(self, command: OutboundCommand, result: Mapping[str, Any]) -> None:
        # WeCom takes a message to members without a licence, and gives it to nobody.
        unheard = {one for one in str(result.get("unlicenseduser") or "").split("|") if one}
        if unheard >= set(command.payload["touser"]):
            self._mark(command, FAILED, _("导购没有企业微信的接口许可,收不到应用消息"))
        else:
            self._mark(command, SENT, _("部分导购没有企业微信的接口许可,收不到应用消息") if unheard else "")

    def _on_refused(self, command: OutboundCommand, refusal: Refusal) -> None:
        known = {
            81013: _("导购不在应用的可见范围里,收不到应用消息"),
            40056: _("企业微信接入里的 AgentId 不对"),
            301002: _("企业微信接入里的 AgentId 不对"),
        }
        self._mark(command, FAILED, known.get(refusal.errcode or 0) or refusal.message)

    def _on_parked(self, command: OutboundCommand) -> None:
        self._mark(command, FAILED, _("多次发送没有成功,已搁置"))

    def _on_cancelled(self, command: OutboundCommand) -> None:
        self._mark(command, self.quiet)

    def _mark(self, command: OutboundCommand, state: str, error: str = "") -> None:
        """The worst word of a row's messages stands: what one of them did not reach is not covered by another's success. A row
        that waits for a new time has had none yet."""
        rows = self.model.objects.filter(pk=command.subject_id or 0, **{f"{self.due}__isnull": True})
        row = rows.first()
        if row is None or not self.is_of(row, command):
            return
        if state != FAILED:
            rows = rows.exclude(**{self.state: FAILED})
        rows.update(**{self.state: state, self.error: error[:200]})


def working_instant(at: datetime) -> datetime:
    """The instant itself within working hours (their beginning belongs to them), else the next time they begin."""
    zone = ZoneInfo(current_tenant().time_zone)
    local = at.astimezone(zone)
    if OPENS <= local.time() < CLOSES:
        return at
    day = local.date() if local.time() < OPENS else local.date() + timedelta(days=1)
    return datetime.combine(day, OPENS, zone).astimezone(UTC)


def _agents_of(corp_ids: set[int]) -> dict[int, str]:
    """Corp → the agent id of the app that speaks for it."""
    rows = CorpCredential.objects.filter(corp_id__in=corp_ids, kind=CorpCredential.Kind.APP).order_by("-pk")
    return dict(rows.values_list("corp_id", "agent_id"))


def _card(message: Message, site: str) -> dict[str, str]:
    return {
        "title": _cut_bytes(message.title, TITLE),
        # A textcard reads tags.
        "description": _cut_bytes(message.text.replace("<", "〈").replace(">", "〉"), DESCRIPTION),
        "url": site + message.path,
        "btntxt": _("打开"),
    }


def _cut_bytes(text: str, most: int) -> str:
    return text.encode()[:most].decode("utf-8", "ignore")


def _settle(command: OutboundCommand, reader: WeComReader) -> Settled | None:
    sent_at = command.sent_at
    return app_messages.settle(command.payload, sent_at, clock.wall(), reader) if sent_at else None
