"""What the bridge and the apps above it agree on: the shapes WeCom's entities have here, who is told of them, and how an
app asks for a call without ever making one.

Inbound: an event says "this entity is dirty"; the bridge refetches it and tells the registered handlers, in layer order, in
one transaction, set-based. Outbound: an app registers a CommandKind and enqueues commands (wecom_bridge.commands).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise as Promise

    from wecom_bridge.models import Corp, OutboundCommand

# --- What WeCom told us, as values ------------------------------------------------------------------------------


@dataclass(frozen=True)
class DepartmentInfo:
    department_id: int
    name: str
    parent_id: int
    order: int


@dataclass(frozen=True)
class MemberInfo:
    """A member. status is contacts.Member.Status's value; name may equal userid where WeCom hides names."""

    userid: str
    name: str
    department_ids: tuple[int, ...]
    status: str
    has_customer_contact: bool
    alias: str = ""
    position: str = ""
    mobile: str = ""
    avatar_url: str = ""


@dataclass(frozen=True)
class TagInfo:
    tag_id: str
    name: str
    order: int
    created_at: datetime | None
    deleted: bool = False


@dataclass(frozen=True)
class TagGroupInfo:
    group_id: str
    name: str
    order: int
    tags: tuple[TagInfo, ...]
    deleted: bool = False


@dataclass(frozen=True)
class ExternalContactInfo:
    external_userid: str
    name: str
    kind: int  # 1 WeChat user, 2 WeCom user
    avatar_url: str = ""
    gender: int = 0
    unionid: str = ""
    corp_name: str = ""


@dataclass(frozen=True)
class FollowInfo:
    """One entry of follow_user, or the follow_info of a batch page. tag_ids: corp tags; personal_tags: names without ids.

    personal_tags is None where the endpoint does not tell (batch/get_by_user).
    """

    userid: str
    created_at: datetime
    remark: str = ""
    description: str = ""
    remark_company: str = ""
    remark_mobiles: tuple[str, ...] = ()
    tag_ids: tuple[str, ...] = ()
    personal_tags: tuple[str, ...] | None = None
    add_way: int = 0
    state: str = ""
    oper_userid: str = ""


@dataclass(frozen=True)
class GroupMemberInfo:
    userid: str
    kind: int  # 1 corp member, 2 external
    joined_at: datetime
    join_scene: int
    name: str = ""
    group_nickname: str = ""
    unionid: str = ""
    invitor_userid: str = ""
    state: str = ""


@dataclass(frozen=True)
class GroupChatInfo:
    chat_id: str
    name: str
    owner_userid: str
    created_at: datetime
    notice: str
    members: tuple[GroupMemberInfo, ...]
    admin_userids: tuple[str, ...]
    member_version: str
    status: int = 0


# --- Inbound: batches and their handlers ------------------------------------------------------------------------


@dataclass(frozen=True)
class EventFact:
    """What only the callback knows. fields: the event's elements by WeCom's own names (UserID, ExternalUserID, State,
    WelcomeCode, Source, FailReason, UpdateDetail, QuitScene …); event_id: the InboundEvent row; choices: of a template
    card, question_key → the option ids chosen."""

    event_id: int
    event: str  # change_external_contact …
    change_type: str  # add_external_contact …
    occurred_at: datetime
    received_at: datetime
    fields: Mapping[str, str]
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def listed(self, name: str) -> tuple[str, ...]:
        """The values of a list element, whether WeCom sent Items or one text with commas; empty when it sent none."""
        parts = (part.strip() for part in self.fields.get(name, "").replace("\n", ",").split(","))
        return tuple(part for part in parts if part)


Source = Literal["callback", "backfill", "reconcile"]


@dataclass(frozen=True)
class PersonRow:
    """A customer with the follows that were read. follows_complete: true when these are all her follows (EC/get)."""

    person: ExternalContactInfo
    follows: tuple[FollowInfo, ...]
    follows_complete: bool


@dataclass(frozen=True)
class PeopleBatch:
    """kind `people`. gone: external_userids WeCom refuses as no relation (84061) for the named member: (external, userid).

    alongside: another batch of the same first sync, with other people, is being written at the same time. A handler that meets
    somebody whom both might touch raises Contended, and hears of the batch again when it is alone.
    """

    corp: "Corp"
    source: Source
    read_at: datetime
    rows: Sequence[PersonRow] = ()
    events: Sequence[EventFact] = ()
    gone: Sequence[tuple[str, str]] = ()
    alongside: bool = False


class Contended(Exception):
    """This batch cannot be written beside another: tell it again, alone."""


@dataclass(frozen=True)
class MembersBatch:
    """kind `members`: the whole visible directory (is_full) or single changed members."""

    corp: "Corp"
    source: Source
    read_at: datetime
    departments: Sequence[DepartmentInfo] = ()
    members: Sequence[MemberInfo] = ()
    is_full: bool = False
    left_userids: Sequence[str] = ()
    events: Sequence[EventFact] = ()


@dataclass(frozen=True)
class TagsBatch:
    """kind `tags`: all corp tags (is_full) or the groups that changed."""

    corp: "Corp"
    source: Source
    read_at: datetime
    groups: Sequence[TagGroupInfo] = ()
    is_full: bool = False
    deleted_group_ids: Sequence[str] = ()
    deleted_tag_ids: Sequence[str] = ()
    events: Sequence[EventFact] = ()


@dataclass(frozen=True)
class GroupsBatch:
    """kind `groups`: groups as read now; dismissed: chat_ids that are gone (an event or 49008 said so)."""

    corp: "Corp"
    source: Source
    read_at: datetime
    groups: Sequence[GroupChatInfo] = ()
    dismissed: Sequence[str] = ()
    events: Sequence[EventFact] = ()


@dataclass(frozen=True)
class RemovalsBatch:
    """kind `removals`: after a complete, validated read, what we have and WeCom has not: (external_userid, userid) pairs
    and chat_ids. A failed or denied member never appears here."""

    corp: "Corp"
    source: Source
    read_at: datetime
    follows: Sequence[tuple[str, str]] = ()
    groups: Sequence[str] = ()


BatchKind = Literal["people", "members", "tags", "groups", "removals"]
Handler = Callable[[Any], None]

# Layer order: contacts 100, commerce 200, tagging 300, campaigns 500.
_handlers: dict[str, list[tuple[int, str, Handler]]] = {}


def on_batch(kind: BatchKind, *, order: int, name: str, handler: Handler) -> None:
    """Register a handler of batches of a kind. It runs inside the bridge's transaction and must not call out.

    It must be idempotent: the same batch may come again, and events within may be old.
    """
    entries = _handlers.setdefault(kind, [])
    if all(existing != name for _order, existing, _handler in entries):
        entries.append((order, name, handler))
        entries.sort(key=lambda entry: entry[:2])


def handlers_for(kind: BatchKind) -> list[Handler]:
    """The handlers of a kind, in layer order."""
    return [handler for _order, _name, handler in _handlers.get(kind, [])]


@dataclass(frozen=True)
class Inventory:
    """What we have of a corp, for comparing after a complete read. Registered by contacts.

    follow_counts: userid → how many relations her list in WeCom should show; follows: (corp, userids) → userid → the
    external_userids of her friends; groups: chat_id → userid of the owner, of groups not dismissed; newer: (corp, read_at) →
    (pairs, chat_ids) that began or were read again since; members: userid → whether she serves customers, of those who have not
    left; departments: ids of those not gone; names: (corp, userids) → userid → name; standing: (corp, pairs) → those of these
    (external_userid, userid) that are friends.
    """

    follow_counts: "Callable[[Corp], Mapping[str, int]]"
    follows: "Callable[[Corp, Sequence[str]], Mapping[str, set[str]]]"
    groups: "Callable[[Corp], Mapping[str, str]]"
    newer: "Callable[[Corp, datetime], tuple[set[tuple[str, str]], set[str]]]" = lambda corp, read_at: (set(), set())
    members: "Callable[[Corp], Mapping[str, bool]]" = lambda corp: {}
    departments: "Callable[[Corp], set[int]]" = lambda corp: set()
    names: "Callable[[Corp, Sequence[str]], Mapping[str, str]]" = lambda corp, userids: {}
    standing: "Callable[[Corp, Sequence[tuple[str, str]]], set[tuple[str, str]]]" = lambda corp, pairs: set()


_inventory: list[Inventory] = []


def register_inventory(inventory: Inventory) -> None:
    """Say how to look up what we have. There is one; without it a sync adds and changes, and removes nothing."""
    _inventory[:] = [inventory]


def inventory() -> Inventory | None:
    return _inventory[0] if _inventory else None


# Events that make nothing dirty, or of which an app wants the words themselves.
EventHandler = Callable[["Corp", EventFact], None]
_event_handlers: dict[tuple[str, str], list[tuple[int, str, EventHandler]]] = {}


def on_event(event: str, *, change_type: str = "", order: int, name: str, handler: EventHandler) -> None:
    """Hear of each callback of a kind (`template_card_event`, `enter_agent`, `customer_acquisition` …): (corp, fact) → None.

    change_type: only these; empty for all of the event. For an event that makes an entity dirty the handler runs after the
    batch of that entity, in its transaction. Any other is claimed, ordered per person (link, job), tried again and parked
    like those; nothing is read for it. Nobody's events are kept as ignored. The handler must be idempotent, must not
    call out, and may hear an event again when a person replays it.
    """
    entries = _event_handlers.setdefault((event, change_type), [])
    if all(existing != name for _order, existing, _handler in entries):
        entries.append((order, name, handler))
        entries.sort(key=lambda entry: entry[:2])


def event_handlers_for(event: str, change_type: str) -> list[EventHandler]:
    """Who wants an event, in layer order."""
    keys = {(event, change_type), (event, "")}
    found = [entry for key in keys for entry in _event_handlers.get(key, [])]
    return [handler for _order, _name, handler in sorted(found, key=lambda entry: entry[:2])]


def wanted_events() -> list[tuple[str, str]]:
    """(event, change type or empty) of every registered handler."""
    return sorted(key for key, entries in _event_handlers.items() if entries)


# Welcome first: called before anything else for an event that carries a WelcomeCode, in its own short transaction, without
# any refetch: (corp, fact) → None. The one registered resolver writes its row and enqueues the welcome command.
WelcomeResolver = Callable[["Corp", EventFact], None]
_welcome: list[WelcomeResolver] = []


def on_welcome_code(resolver: WelcomeResolver) -> None:
    """Register the resolver of welcome codes (campaigns). There is one."""
    if resolver not in _welcome:
        _welcome[:] = [resolver]


def welcome_resolver() -> WelcomeResolver | None:
    return _welcome[0] if _welcome else None


# --- Outbound: command kinds ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Call:
    """A typed gateway method by name, with its keyword arguments: Call("mark_tag", {"userid": …, "add_tag": […]})."""

    method: str
    kwargs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Refusal:
    """WeCom's final no, or our own: errcode as WeCom gave it (or None), and a sentence."""

    errcode: int | None
    message: str


class WeComReader(Protocol):
    """What a settle procedure may ask WeCom. The gateway is one; apps never import it."""

    def call(self, method: str, **kwargs: Any) -> dict[str, Any]:
        """The answer of a reading gateway method. Raises the bridge's CallError."""
        ...


@dataclass(frozen=True)
class Settled:
    """What asking found out. done: it had happened, with `result` as the call would have answered; not done: it had not.

    None from a settle procedure means: still unknown, ask again later.
    """

    done: bool
    result: Mapping[str, Any] = field(default_factory=dict)
    message: str = ""


@dataclass(frozen=True)
class CommandKind:
    """A kind of outbound command.

    build: outside any transaction, from the command's payload and rows; None means there is nothing left to call for
    (the row it is about moved on) and the command is cancelled.
    on_result, on_refused: inside the transaction that settles the command. on_refused gets a final refusal; retryable
    answers (-1, 45009, 45033, time-outs of idempotent calls) never reach it.
    on_parked, on_cancelled: optional, inside the same transaction as well. Parked: the tries are used up and a person has to
    decide (retry, or drop, which is told to on_refused); of a `once` kind, sent_at says that the call may have happened. Cancelled: build
    found nothing left to call for.
    settle: outside any transaction, for policy `once` after a lost answer; see Settled.
    already: errcodes by which WeCom says that what an idempotent command wants is so already; told to on_result, with an empty answer.
    label: what an operator calls it, for the pages.
    """

    name: str
    policy: Literal["idempotent", "once"]
    build: "Callable[[OutboundCommand], Call | None]"
    on_result: "Callable[[OutboundCommand, Mapping[str, Any]], None]"
    on_refused: "Callable[[OutboundCommand, Refusal], None]"
    settle: "Callable[[OutboundCommand, WeComReader], Settled | None] | None" = None
    on_parked: "Callable[[OutboundCommand], None] | None" = None
    on_cancelled: "Callable[[OutboundCommand], None] | None" = None
    already: frozenset[int] = frozenset()
    lane: Literal["welcome", "outbound"] = "outbound"
    priority: int = 50
    max_attempts: int = 8
    label: "str | Promise" = ""


_kinds: dict[str, CommandKind] = {}


def register_command(kind: CommandKind) -> None:
    """Add a kind. Raises ValueError for a taken name, or a `once` kind without a way to settle."""
    if kind.policy == "once" and kind.settle is None:
        raise ValueError(f"command kind {kind.name} may run once but cannot be settled")
    if _kinds.get(kind.name, kind) != kind:
        raise ValueError(f"command kind {kind.name} is registered twice")
    _kinds[kind.name] = kind


def command_kind(name: str) -> CommandKind:
    """The kind of a name. Raises KeyError for an unknown one."""
    return _kinds[name]


def all_kinds() -> list[CommandKind]:
    """Every registered kind."""
    return list(_kinds.values())
