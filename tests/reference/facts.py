"""What the tables say of each person, by section 8 of docs/conditions.md: every row read once, nothing decided.

Written from the document and the models alone, with nothing of `conditions`, so that it may disagree with the compiler.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from campaigns.models import Delivery, Enrollment
from commerce.models import Order, OrderLine, Refund
from contacts.models import (
    ConsentRecord,
    Contact,
    ContactPhone,
    CustomField,
    Follow,
    FollowPeriod,
    GroupMembership,
    GroupTagging,
    Member,
    Store,
    TimelineEvent,
)
from tagging.models import FollowTag, SegmentEntry

DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
Traits = Mapping[str, frozenset[Any]]


@dataclass(frozen=True)
class Row:
    """A row of a set, of facts or of a sequence. value: the option, or the kind of event. traits: what it has of each."""

    at: datetime | None = None
    value: Any = None
    amount: int = 0
    traits: Traits = field(default_factory=dict)


@dataclass
class Person:
    """A root contact with everything that counts as hers. values: the fields of one value, None where it is missing."""

    id: int
    values: dict[str, Any] = field(default_factory=dict)
    rows: dict[str, list[Row]] = field(default_factory=lambda: defaultdict(list))
    opt_out: tuple[datetime | None, datetime | None] = (None, None)  # since, until
    store: Store | None = None  # hers of today
    custom: dict[str, Any] = field(default_factory=dict)  # as stored


@dataclass
class Facts:
    """Everybody, and what each custom field is. types: of fields that are not in the document's tables."""

    people: dict[int, Person]
    custom: dict[str, str]  # key → CustomField.Type
    root_of: dict[int, int]
    types: dict[str, str] = field(default_factory=dict)

    def add(self, key: str, contact_id: int | None, row: Row) -> None:
        """Section 2: facts of contacts merged into her count as hers."""
        root = self.root_of.get(contact_id or 0)
        if root in self.people:
            self.people[root].rows[key].append(row)


def traits(**given: Any) -> Traits:
    """Section 3: a row that lacks a trait (None, or a text of length 0) is kept by no list of it."""
    return {name: frozenset(() if value is None or value == "" else (value,)) for name, value in given.items()}


def load(zone: str) -> Facts:
    """Read the tenant in scope. zone: of its days."""
    facts = Facts({}, dict(CustomField.objects.values_list("key", "type")), {})
    _people(facts, ZoneInfo(zone))
    _phones(facts)
    _consents(facts)
    _relations(facts)
    _periods(facts)
    _groups(facts)
    _tags(facts)
    _segments(facts)
    _orders(facts)
    _refunds(facts)
    _events(facts)
    _pushes(facts)
    _sops(facts)
    return facts


# --- Fields of one value ------------------------------------------------------------------------------------------


def _people(facts: Facts, zone: ZoneInfo) -> None:
    members = dict(Member.objects.values_list("pk", "status"))
    stores = {store.pk: store for store in Store.objects.all()}
    for contact in Contact.objects.all():
        facts.root_of[contact.pk] = contact.root_id or contact.pk
        if contact.root_id is None and contact.erased_at is None:
            person = facts.people[contact.pk] = Person(contact.pk)
            person.opt_out = (contact.opt_out_since, contact.opt_out_until)
            person.store = stores.get(contact.store_id or 0)
            person.custom = contact.custom
            person.values |= _columns(contact, members, stores, zone)
            person.values |= dict(_custom(contact, facts.custom, zone))


def _columns(contact: Contact, members: dict[int, str], stores: dict[int, Store], zone: ZoneInfo) -> dict[str, Any]:
    """Section 8: columns of the root contact as it stands."""
    store = stores.get(contact.store_id or 0)
    first = contact.first_added_at
    return {
        "contact.name": contact.name or None,
        "contact.gender": contact.gender,
        "contact.stage": contact.stage_id,
        "contact.stage_since": contact.stage_since,
        "contact.owner": contact.owner_id,
        "contact.owner_left": contact.owner_id is not None and members[contact.owner_id] in ("left", "disabled"),
        "contact.store": contact.store_id,
        "contact.region": store.region_id if store else None,
        "contact.dealer": store.dealer_id if store else None,
        "contact.added_at": contact.last_added_at,
        "contact.first_added_at": first,
        "contact.friends": contact.active_follows,
        "contact.has_phone": False,
        "birthday": contact.birthday,
        "added_day": first.astimezone(zone).date() if first else None,
    }


def _custom(contact: Contact, types: dict[str, str], zone: ZoneInfo) -> Iterator[tuple[str, Any]]:
    """`custom.<key>` and `yearly.<key>`: a value of another type than the field's is none."""
    for key, kind in types.items():
        value = contact.custom.get(key) if isinstance(contact.custom, dict) else None
        if kind in ("text", "long", "phone", "url", "one"):
            yield f"custom.{key}", value if isinstance(value, str) and value else None
        elif kind in ("int", "dec"):
            yield f"custom.{key}", value if isinstance(value, int | float) and not isinstance(value, bool) else None
        elif kind == "flag":
            yield f"custom.{key}", value is True
        elif kind == "date":
            day = _day(value)
            yield f"yearly.{key}", day
            yield f"custom.{key}", start_of(day, zone) if day else None
        elif kind == "many":
            yield f"custom.{key}", [Row(value=one) for one in _list(value) if isinstance(one, str)]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _day(value: Any) -> date | None:
    try:
        return date.fromisoformat(value) if isinstance(value, str) and DAY.fullmatch(value) else None
    except ValueError:
        return None


def start_of(day: date, zone: ZoneInfo) -> datetime:
    """The first instant of a day there: where the clock is put on at midnight, what it then shows; where back, the earlier."""
    return datetime(day.year, day.month, day.day, tzinfo=zone, fold=0).astimezone(ZoneInfo("UTC"))


def _phones(facts: Facts) -> None:
    """`contact.has_phone`: some phone is noted for her or for a branch."""
    for contact_id in ContactPhone.objects.values_list("contact_id", flat=True):
        person = facts.people.get(facts.root_of[contact_id])
        if person:
            person.values["contact.has_phone"] = True


def _consents(facts: Facts) -> None:
    """`consent.<purpose>`: the latest record of that purpose; of two at one instant, the one noted last."""
    records = ConsentRecord.objects.order_by("decided_at", "pk")
    for contact_id, purpose, decision in records.values_list("contact_id", "purpose", "decision"):
        person = facts.people.get(facts.root_of[contact_id])
        if person and purpose != "opt_out":
            person.values[f"consent.{purpose}"] = decision


# --- Relations, groups, tags --------------------------------------------------------------------------------------


def _relations(facts: Facts) -> None:
    """`follow.relation`, `.add_way`, `.state`, `.member`, `.remark`."""
    owners = {pk: person.values["contact.owner"] for pk, person in facts.people.items()}
    for follow in Follow.objects.all():
        of = follow.contact_id
        facts.add("follow.relation", of, Row(follow.relation_since, follow.relation))
        facts.add("follow.add_way", of, Row(follow.added_at, follow.add_way))
        if follow.state:
            facts.add("follow.state", of, Row(follow.added_at, follow.state))
        if follow.relation == "active":
            facts.add("follow.member", of, Row(follow.added_at, follow.member_id))
            root = facts.root_of[of]
            if follow.remark and owners.get(root) == follow.member_id:
                facts.people[root].values["follow.remark"] = True


def _periods(facts: Facts) -> None:
    """`follow.added` and `follow.ended`."""
    for period in FollowPeriod.objects.select_related("follow"):
        of, member = period.follow.contact_id, period.follow.member_id
        how = traits(member=member, store=period.store_id, way=period.add_way, state=period.state)
        facts.add("follow.added", of, Row(period.added_at, traits=how))
        if period.ended_at is not None:
            end = traits(member=member, store=period.store_id, by=period.ended_by)
            facts.add("follow.ended", of, Row(period.ended_at, traits=end))


def _groups(facts: Facts) -> None:
    """`group` (she is in it now) and `group.joined` (every joining)."""
    tags = defaultdict(set)
    for group, tag in GroupTagging.objects.values_list("group_id", "tag_id"):
        tags[group].add(tag)
    for entry in GroupMembership.objects.all():
        has = {"group": frozenset((entry.group_id,)), "tag": frozenset(tags[entry.group_id])}
        facts.add("group.joined", entry.contact_id, Row(entry.joined_at, traits=has))
        if entry.left_at is None:
            facts.add("group", entry.contact_id, Row(entry.joined_at, entry.group_id))


def _tags(facts: Facts) -> None:
    """`tag`: marks of active relations, on or adding, the tag not deleted. `tag.owner`: those of the relation with her owner."""
    marks = FollowTag.objects.filter(
        follow__relation="active", state__in=["on", "adding"], tag__deleted_at__isnull=True
    )
    for mark in marks.select_related("follow", "tag"):
        root, member = facts.root_of[mark.follow.contact_id], mark.follow.member_id
        has = traits(origin=mark.origin, group=mark.tag.group_id, member=member)
        facts.add("tag", root, Row(mark.tagged_at, mark.tag_id, traits=has))
        if root in facts.people and facts.people[root].values["contact.owner"] == member:
            facts.add("tag.owner", root, Row(mark.tagged_at, mark.tag_id, traits=has))


def _segments(facts: Facts) -> None:
    """`segment`: those that are not archived and have her among their entries."""
    entries = SegmentEntry.objects.filter(segment__archived_at__isnull=True)
    for contact_id, segment_id, at in entries.values_list("contact_id", "segment_id", "entered_at"):
        facts.add("segment", contact_id, Row(at, segment_id))


# --- Orders -------------------------------------------------------------------------------------------------------


def _orders(facts: Facts) -> None:
    """`order`, `order.line`, `order.category`: of paid orders."""
    for order in Order.objects.filter(status="paid"):
        has = traits(store=order.store_id, member=order.member_id, source=order.source)
        facts.add("order", order.contact_id, Row(order.ordered_at, None, order.total_minor - order.refunded_minor, has))
    for line in OrderLine.objects.filter(order__status="paid").select_related("order", "product"):
        order, category = line.order, line.product.category if line.product else ""
        has = traits(product=line.product_id, category=category, store=order.store_id, source=order.source)
        facts.add("order.line", order.contact_id, Row(order.ordered_at, None, line.amount_minor, has))
        if category:
            facts.add("order.category", order.contact_id, Row(order.ordered_at, category))


def _refunds(facts: Facts) -> None:
    """`order.refund`: refunds bound to an order of hers, of any status."""
    for refund in Refund.objects.filter(order__isnull=False).select_related("order"):
        row = Row(refund.refunded_at, None, refund.amount_minor, traits(source=refund.source))
        facts.add("order.refund", refund.order.contact_id if refund.order else None, row)


# --- What happened ------------------------------------------------------------------------------------------------


def _events(facts: Facts) -> None:
    """`event.<kind>` and `events`."""
    for event in TimelineEvent.objects.all():
        row = Row(event.occurred_at, event.kind, traits=traits(member=event.member_id, store=event.store_id))
        facts.add(f"event.{event.kind}", event.contact_id, row)
        facts.add("events", event.contact_id, row)


def _pushes(facts: Facts) -> None:
    """`push`: messages meant for her."""
    for sent in Delivery.objects.select_related("push"):
        broadcast = sent.push.source_id if sent.push.kind == "broadcast" else None
        has = traits(outcome=sent.state, reason=sent.reason, kind=sent.push.kind, broadcast=broadcast)
        facts.add("push", sent.contact_id, Row(sent.frozen_at, traits=has))


def _sops(facts: Facts) -> None:
    """`sop` (she is in it now) and `sop.entered` (every enrolment)."""
    for entry in Enrollment.objects.all():
        has = traits(sop=entry.sop_id, outcome=entry.state)
        facts.add("sop.entered", entry.contact_id, Row(entry.entered_at, traits=has))
        if entry.state == "running":
            facts.add("sop", entry.contact_id, Row(entry.entered_at, entry.sop_id))
