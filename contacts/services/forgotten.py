"""The door for people who were erased: what WeCom, a file or an API still tells of their past is not let in.

WeCom goes on listing an erased customer for as long as she is somebody's friend there. An id of hers is known again by its keyed
digest: what began before the erasure is left out, what begins later (she adds a guide again, buys again) is a new person's.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from contacts.models import ErasedKey, ErasureSecret, Follow, Identity
from tenants.erasure import digest_of, mark_of
from wecom_bridge.callbacks import told
from wecom_bridge.contracts import EventFact, GroupChatInfo, GroupMemberInfo, GroupsBatch, PeopleBatch, PersonRow
from wecom_bridge.models import Corp

ADD = "add_external_contact"
Pair = tuple[str, str]  # (external_userid, userid)


@dataclass(frozen=True)
class Forgotten:
    """Ids that belonged to erased people: value → when she was erased."""

    since: Mapping[str, datetime] = field(default_factory=dict)
    secret: str = ""

    def holds(self, value: str, at: datetime) -> bool:
        """Whether what this id says of an instant is an erased person's past."""
        return value in self.since and at <= self.since[value]

    def marks(self) -> dict[str, str]:
        """What stands in place of each id."""
        return {value: mark_of(self.secret, value) for value in self.since}


def find_forgotten(values: Iterable[str]) -> Forgotten:
    """Which of these ids and phones belonged to somebody erased. One query where nobody ever was, else two."""
    secret = ErasureSecret.objects.order_by("pk").values_list("secret", flat=True).first()
    if secret is None:
        return Forgotten()
    digests = {digest_of(secret, value): value for value in values if value}
    rows = ErasedKey.objects.filter(digest__any_of=set(digests)).values_list("digest", "erased_at")
    return Forgotten({digests[digest]: at for digest, at in rows}, secret)


# --- What is kept of answers ------------------------------------------------------------------------------------------


def redact_answer(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    """Results of a mass send or a hand-over go on listing her: they are kept with marks."""
    forgotten = find_forgotten(set(_texts(answer)))
    return _masked(answer, forgotten.marks()) if forgotten.since else answer


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from _texts(one)


def _masked(value: Any, marks: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return marks.get(value, value)
    if isinstance(value, Mapping):
        return {key: _masked(one, marks) for key, one in value.items()}
    return [_masked(one, marks) for one in value] if isinstance(value, (list, tuple)) else value


# --- People -----------------------------------------------------------------------------------------------------------


def screen_people(batch: PeopleBatch) -> PeopleBatch:
    """The batch without what it tells of erased people's past. Callbacks that told it lose her ids as well."""
    externals = {row.person.external_userid for row in batch.rows} | {_external(one) for one in batch.events}
    unions = {row.person.unionid for row in batch.rows}
    forgotten = find_forgotten(externals | unions | {external for external, _userid in batch.gone})
    if not forgotten.since:
        return batch
    begun = dict(forgotten.since)  # by external_userid, for a unionid says who she is as well
    for row in batch.rows:
        if row.person.unionid in begun:
            begun[row.person.external_userid] = begun[row.person.unionid]
    fresh = _begun_since(batch.corp, begun, batch.events)
    events = [one for one in batch.events if _external(one) not in begun or _pair(one) in fresh]
    passed = {one.event_id for one in events}
    gone = [one.event_id for one in batch.events if one.event_id not in passed]
    told.redact(gone, {key: mark_of(forgotten.secret, key) for key in begun})
    rows = [row if row.person.external_userid not in begun else _narrowed(row, begun, fresh) for row in batch.rows]
    return replace(
        batch,
        rows=[row for row in rows if row is not None],
        events=events,
        gone=[pair for pair in batch.gone if pair[0] not in begun or pair in fresh],
    )


def _external(event: EventFact) -> str:
    return event.fields.get("ExternalUserID", "")


def _pair(event: EventFact) -> Pair:
    return _external(event), event.fields.get("UserID", "")


def _begun_since(corp: Corp, begun: Mapping[str, datetime], events: Iterable[EventFact]) -> set[Pair]:
    """Relations of these people that are a new person's: known by now, or added by an event after the erasure."""
    rows = Follow.objects.filter(corp=corp, **Identity.named(corp, begun))
    known = set(rows.values_list("identity__value", "member__userid"))
    return known | {
        _pair(one)
        for one in events
        if one.change_type == ADD and _external(one) in begun and one.occurred_at > begun[_external(one)]
    }


def _narrowed(row: PersonRow, begun: Mapping[str, datetime], fresh: set[Pair]) -> PersonRow | None:
    external = row.person.external_userid
    follows = tuple(one for one in row.follows if one.created_at > begun[external] or (external, one.userid) in fresh)
    return replace(row, follows=follows) if follows else None


# --- Groups -----------------------------------------------------------------------------------------------------------


def screen_groups(batch: GroupsBatch) -> GroupsBatch:
    """The batch with marks in place of erased people: the group keeps its count, nobody her name. Who joins again is let in."""
    people = {one.userid for group in batch.groups for one in group.members if one.kind == 2}
    people |= {one.invitor_userid for group in batch.groups for one in group.members}
    listed = {name for event in batch.events for name in event.listed("MemChangeList")}
    forgotten = find_forgotten(people | listed)
    if not forgotten.since:
        return batch
    marks = forgotten.marks()
    gone = [one.event_id for one in batch.events if set(one.listed("MemChangeList")) & set(marks)]
    told.redact(gone, marks)
    return replace(
        batch,
        groups=[_masked_group(group, forgotten, marks) for group in batch.groups],
        events=[_masked_event(event, forgotten, marks) for event in batch.events],
    )


def _masked_group(group: GroupChatInfo, forgotten: Forgotten, marks: Mapping[str, str]) -> GroupChatInfo:
    return replace(group, members=tuple(_masked_member(one, forgotten, marks) for one in group.members))


def _masked_member(one: GroupMemberInfo, forgotten: Forgotten, marks: Mapping[str, str]) -> GroupMemberInfo:
    invitor = marks.get(one.invitor_userid, one.invitor_userid)
    changes: dict[str, Any] = {} if invitor == one.invitor_userid else {"invitor_userid": invitor}
    at = forgotten.since.get(one.userid)
    if at is not None and one.joined_at <= at:
        changes |= {"userid": marks[one.userid], "name": "", "group_nickname": "", "unionid": ""}
    return replace(one, **changes) if changes else one


def _masked_event(event: EventFact, forgotten: Forgotten, marks: Mapping[str, str]) -> EventFact:
    """A leaving names her by her id: her standing membership carries the mark."""
    names = event.listed("MemChangeList")
    if not set(names) & set(marks) or event.fields.get("UpdateDetail") != "del_member":
        return event
    return replace(event, fields={**event.fields, "MemChangeList": ",".join(marks.get(one, one) for one in names)})
