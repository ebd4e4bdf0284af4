"""Events say what is dirty; here it is read again, and becomes batches for the handlers. No transaction is open meanwhile."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from scrm.lib import clock
from wecom_bridge import contracts as c
from wecom_bridge.callbacks.parsing import read_choices, read_fields
from wecom_bridge.gateway import Gateway
from wecom_bridge.gateway.errors import (
    GONE_MEMBER,
    GROUP_GONE,
    NO_RELATION,
    OUT_OF_RANGE,
    UNKNOWN_CUSTOMER,
    UNKNOWN_GROUP,
    CallError,
)
from wecom_bridge.models import InboundEvent

# What an add event announces may not be readable yet (pains 1.1). So long, and so often, it is waited for.
NOT_YET = timedelta(minutes=2)
NOT_YET_TRIES = 3
NOTICE = "e"
CARDS = {"template_card_event", "template_card_menu_event"}


@dataclass
class Dirty:
    """An entity and the events that say so, oldest first. `entity` is the key within the corp: p:, g:, t:, m:, d:; or e: for
    events that make nothing dirty."""

    entity: str
    rows: list[InboundEvent]
    read_at: datetime | None = None
    parts: dict[str, Any] = field(default_factory=dict)  # what was read, by the names of the batch's fields

    @property
    def kind(self) -> c.BatchKind:
        return _KINDS[self.entity[0]]

    @property
    def id(self) -> str:
        return self.entity[2:]

    @property
    def is_notice(self) -> bool:
        return self.entity[0] == NOTICE

    @property
    def digest(self) -> str:
        """Of what was read: equal when WeCom's answer was."""
        return hashlib.blake2b(repr(sorted(self.parts.items())).encode(), digest_size=16).hexdigest()

    @cached_property
    def facts(self) -> list[c.EventFact]:
        return [fact_of(row) for row in self.rows]


_KINDS: dict[str, c.BatchKind] = {"p": "people", "g": "groups", "t": "tags", "m": "members", "d": "members"}


def fact_of(row: InboundEvent) -> c.EventFact:
    """The event as handlers see it."""
    body = row.body.encode()
    choices = read_choices(body) if row.event in CARDS else {}
    fields = read_fields(body)
    return c.EventFact(row.pk, row.event, row.change_type, row.occurred_at, row.received_at, fields, choices)


def read_again(dirty: Dirty, gateway: Gateway) -> Dirty:
    """Fill in what WeCom says now. Raises CallError when it cannot be known; a plain "gone" is knowledge, not an error."""
    dirty.read_at = clock.now()
    _READERS[dirty.entity[0]](dirty, gateway)
    return dirty


def _read_person(dirty: Dirty, gateway: Gateway) -> None:
    try:
        row = gateway.get_customer(dirty.id)
        _wait_for_adds(dirty, {follow.userid for follow in row.follows})
        dirty.parts["rows"] = [row]
    except CallError as error:
        if error.errcode not in (NO_RELATION, UNKNOWN_CUSTOMER):
            raise
        _wait_for_adds(dirty, set())
        members = {fact.fields["UserID"] for fact in dirty.facts if fact.fields.get("UserID")}
        dirty.parts["gone"] = [(dirty.id, userid) for userid in sorted(members)] if error.errcode == NO_RELATION else []


def _wait_for_adds(dirty: Dirty, seen: set[str]) -> None:
    """Raises CallError while an add that has just come in cannot be read yet, unless its end came with it."""
    last = {fact.fields.get("UserID", ""): fact for fact in dirty.facts if fact.change_type in _ADD_OR_END}
    if max(row.attempts for row in dirty.rows) > NOT_YET_TRIES:
        return
    fresh = clock.wall() - NOT_YET
    for userid, fact in last.items():
        if fact.change_type == ADD and userid not in seen and fact.received_at > fresh:
            raise CallError("not readable yet", retryable=True, retry_after=3.0)


ADD = "add_external_contact"
ENDS = {"del_external_contact", "del_follow_user"}
_ADD_OR_END = {ADD, *ENDS}


def proven_ends(dirty: Dirty) -> list[c.EventFact]:
    """What a customer's events prove without a reading: which relations ended; and the adds of these, one of which may have
    come after the end."""
    if dirty.entity[0] != "p" or not any(row.change_type in ENDS for row in dirty.rows):
        return []
    ended = {fact.fields.get("UserID") for fact in dirty.facts if fact.change_type in ENDS}
    return [fact for fact in dirty.facts if fact.change_type in _ADD_OR_END and fact.fields.get("UserID") in ended]


def _read_group(dirty: Dirty, gateway: Gateway) -> None:
    try:
        dirty.parts["groups"] = [gateway.get_group(dirty.id)]
    except CallError as error:
        if error.errcode not in UNKNOWN_GROUP:
            raise
        dirty.parts["dismissed"] = [dirty.id] if error.errcode == GROUP_GONE else []


def _read_tags(dirty: Dirty, gateway: Gateway) -> None:
    deleted = [fact.fields for fact in dirty.facts if fact.change_type == "delete" and fact.fields.get("Id")]
    dirty.parts["groups"] = gateway.get_tag_groups()
    dirty.parts["is_full"] = True
    dirty.parts["deleted_group_ids"] = [row["Id"] for row in deleted if row.get("TagType") == "tag_group"]
    dirty.parts["deleted_tag_ids"] = [row["Id"] for row in deleted if row.get("TagType") == "tag"]


def _read_member(dirty: Dirty, gateway: Gateway) -> None:
    userids = [dirty.id] + [fact.fields["NewUserID"] for fact in dirty.facts if fact.fields.get("NewUserID")]
    serving = set(gateway.get_follow_users())
    members, left = [], []
    for userid in dict.fromkeys(userids):
        try:
            members.append(gateway.get_member(userid, serves=userid in serving))
        except CallError as error:
            if error.errcode in GONE_MEMBER:
                left.append(userid)
            elif error.errcode not in OUT_OF_RANGE:
                raise
    dirty.parts["members"], dirty.parts["left_userids"] = members, left


def _read_departments(dirty: Dirty, gateway: Gateway) -> None:
    dirty.parts["departments"] = gateway.get_departments()


_READERS = {"p": _read_person, "g": _read_group, "t": _read_tags, "m": _read_member, "d": _read_departments}

_BATCHES: dict[str, Any] = {
    "people": c.PeopleBatch,
    "groups": c.GroupsBatch,
    "tags": c.TagsBatch,
    "members": c.MembersBatch,
}


def to_batches(dirties: Sequence[Dirty], corp: Any) -> list[tuple[c.BatchKind, Any]]:
    """What was read, as few batches as its kinds allow. Tags and departments are whole lists, so they stay by themselves."""
    batches: list[tuple[c.BatchKind, Any]] = []
    together: dict[c.BatchKind, list[Dirty]] = {}
    for dirty in dirties:
        if dirty.is_notice:
            continue
        if dirty.entity[0] in "td":
            batches.append((dirty.kind, _batch(dirty.kind, [dirty], corp)))
        else:
            together.setdefault(dirty.kind, []).append(dirty)
    # Members before the customers and groups they own.
    for kind in ("members", "people", "groups"):
        if kind in together:
            batches.append((kind, _batch(kind, together[kind], corp)))  # type: ignore[arg-type,index]
    return batches


def _batch(kind: c.BatchKind, dirties: Sequence[Dirty], corp: Any) -> Any:
    parts: dict[str, Any] = {}
    for dirty in dirties:
        for name, value in dirty.parts.items():
            parts[name] = value if isinstance(value, bool) else [*parts.get(name, []), *value]
    events = [fact for dirty in dirties for fact in dirty.facts]
    read_at = min(dirty.read_at for dirty in dirties if dirty.read_at)
    return _BATCHES[kind](corp=corp, source="callback", read_at=read_at, events=events, **parts)
