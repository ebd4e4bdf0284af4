"""Relations that ended and those that came back, as querysets of facts: by customer, by guide, transferred, lost, returned.

A fact is an ending of a relation we knew (`follow.ended:` keys) or, for a return, an adding after an earlier one of the same pair.
Lists scope by today's store and owner of the person; store and guide of a row are those of then.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.utils.translation import gettext_lazy as _

from accounts.scope import DataScope
from contacts.models import Contact, DeletionAlarm, Follow, Relation, TimelineEvent
from contacts.queries import family_of, own_member_ids, visible_contacts, visible_members
from contacts.services.alarms import ENDED_KEY

# Tab → the kind of fact; kept apart, because a transfer is no loss and a guide's deletion is no customer's.
KINDS = {
    "customer": "follow.deleted_by_customer",
    "guide": "follow.deleted_by_guide",
    "transfer": "follow.transferred",
    "lost": "follow.lost",
}
LISTS: dict[str, Any] = {
    "customer": _("客户删除导购"), "guide": _("导购删除客户"), "transfer": _("已转移"), "lost": _("原因未知"),
    "returned": _("回流"), "win_back": _("挽回名单"),
}  # fmt: skip
ADDED = "follow.added"
ORDERING = ("-occurred_at", "-pk")
Events = QuerySet[TimelineEvent]


@dataclass(frozen=True)
class Narrowing:
    """What the page asks: [since, until), and a store or a guide of then. none: an address nobody can read."""

    since: datetime
    until: datetime
    store_id: int | None = None
    member_id: int | None = None
    guide: str = ""
    none: bool = False


def ended(scope: DataScope, wanted: Narrowing) -> Events:
    """Endings of every kind."""
    rows = TimelineEvent.objects.filter(kind__in=KINDS.values(), fact_key__startswith=ENDED_KEY)
    return _narrowed(rows, scope, wanted)


def returned(scope: DataScope, wanted: Narrowing) -> Events:
    """Addings of a guide and a customer who had known each other before."""
    earlier = TimelineEvent.objects.filter(
        subject=OuterRef("subject"), kind=ADDED, occurred_at__lt=OuterRef("occurred_at")
    )
    return _narrowed(TimelineEvent.objects.filter(kind=ADDED), scope, wanted).filter(Exists(earlier))


def to_win_back(scope: DataScope, wanted: Narrowing) -> Events:
    """Endings by customer or guide that still stand: the pair has not found together since, nor was it handed over."""
    lost = (Relation.DELETED_BY_CUSTOMER, Relation.DELETED_BY_GUIDE)
    standing = Follow.objects.filter(
        identity=OuterRef("identity"), member=OuterRef("member"), relation__in=lost, relation_since=OuterRef("occurred_at")
    )  # fmt: skip
    return ended(scope, wanted).filter(kind__in=(KINDS["customer"], KINDS["guide"])).filter(Exists(standing))


def events_of(tab: str, scope: DataScope, wanted: Narrowing) -> Events:
    """The facts of a tab (a key of KINDS, `returned` or `win_back`), with who, whose and where loaded."""
    if tab == "returned":
        rows = returned(scope, wanted)
    elif tab == "win_back":
        rows = to_win_back(scope, wanted)
    else:
        rows = ended(scope, wanted).filter(kind=KINDS[tab])
    return rows.select_related("contact__root", "member", "store")


def kept_days(event: TimelineEvent) -> int | None:
    """How long the relation had lasted that this fact ended."""
    since = event.payload.get("added_at")
    return (event.occurred_at - datetime.fromisoformat(since)).days if since else None


def count_by_tab(scope: DataScope, wanted: Narrowing) -> dict[str, int]:
    """Rows of each tab under the same narrowing. Three queries."""
    by_kind = dict(ended(scope, wanted).values_list("kind").annotate(n=Count("pk")).order_by())
    found = {tab: by_kind.get(kind, 0) for tab, kind in KINDS.items()}
    return found | {"returned": returned(scope, wanted).count(), "win_back": to_win_back(scope, wanted).count()}


def _narrowed(rows: Events, scope: DataScope, wanted: Narrowing) -> Events:
    if wanted.none:
        return rows.none()
    rows = rows.filter(occurred_at__gte=wanted.since, occurred_at__lt=wanted.until, contact__isnull=False)
    if wanted.store_id is not None:
        rows = rows.filter(store=wanted.store_id)
    if wanted.member_id is not None:
        rows = rows.filter(member=wanted.member_id)
    if wanted.guide:
        rows = rows.filter(member__search_text__contains=wanted.guide.lower())
    if scope.sees_all:
        return rows
    people = visible_contacts(scope).values("pk")
    return rows.filter(Q(contact__in=people) | Q(contact__root__in=people))


def friends_left(people: Iterable[Contact]) -> dict[int, Follow]:
    """Root id → the latest guide who is still her friend, where there is one. Two queries."""
    family = family_of(person.pk for person in people)
    follows = Follow.objects.filter(contact_id__in=family, relation=Relation.ACTIVE).select_related("member__store")
    return {family[follow.contact_id]: follow for follow in follows.order_by("added_at", "pk")}


def roots(events: Sequence[TimelineEvent]) -> list[Contact]:
    """The people of facts whose contact and its root were loaded, each once."""
    found = {root.pk: root for event in events if (root := root_of(event)) is not None}
    return list(found.values())


def root_of(event: TimelineEvent) -> Contact | None:
    """The person a fact's contact counts as."""
    contact = event.contact
    return (contact.root or contact) if contact is not None else None


def visible_alarms(scope: DataScope) -> QuerySet[DeletionAlarm]:
    """Alarms about the guides of the scope, never about oneself, nor about whom one's log-in was when it was frozen."""
    not_mine = Q(frozen_user_id__isnull=True) | ~Q(frozen_user_id=scope.user_id)
    alarms = DeletionAlarm.objects.exclude(member__in=own_member_ids(scope)).filter(not_mine)
    return alarms if scope.sees_all else alarms.filter(member__in=visible_members(scope))
