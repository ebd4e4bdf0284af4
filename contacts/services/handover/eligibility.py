"""Who of a guide's customers and groups can be handed over, to whom, and why the others cannot. Reads only.

What WeCom alone knows (real name, log-in, how often others handed a customer on) is known from its refusals of before.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.db.models import Count, Q, QuerySet
from django.db.models.functions import Coalesce

from contacts.models import (
    Follow,
    GroupChat,
    HandoverKind,
    HandoverPlan,
    HandoverRow,
    Member,
    Relation,
    RowState,
)
from contacts.models.handover import ROW_OPEN
from contacts.services.handover.splitting import Person, Successor, split

YEAR = timedelta(days=365)  # an owner or a member who left may be inherited from for so long
MEMBER_LIMIT = 20_000  # customers of one member at most, after 扩容 (field/pains.md, anchors A); WeCom's own no decides
TWICE, TOO_OFTEN = 2, 40128
TOO_OFTEN_DAYS = 90  # natural days, the reference says; as WeCom counts them
WECOM_ZONE = ZoneInfo("Asia/Shanghai")
FULL = 40099
REMEMBERED = timedelta(
    days=7
)  # a refusal of the account is believed so long; whoever is put right meanwhile waits at most this
ACCOUNT = {40098: "not_real_named", 40143: "banned", 40205: "not_logged_in", FULL: "full"}


@dataclass(frozen=True)
class Line:
    """One relation or group of the preview: to whom it goes, or why not."""

    follow_id: int | None
    group_id: int | None
    successor_id: int | None
    reason: str = ""


@dataclass(frozen=True)
class Preview:
    """What starting the plan would do. eligible + excluded = all, of customers and of groups."""

    lines: list[Line] = field(default_factory=list)

    @property
    def people(self) -> list[Line]:
        return [line for line in self.lines if line.follow_id]

    @property
    def groups(self) -> list[Line]:
        return [line for line in self.lines if line.group_id]

    @property
    def eligible(self) -> int:
        """Lines that would be asked for."""
        return sum(not line.reason for line in self.lines)


@dataclass(frozen=True)
class Fitness:
    """A member as a successor. unfit: a key of words.UNFIT, empty where nothing speaks against her."""

    member: Member
    follows: int
    room: int
    unfit: str = ""


def preview(plan: HandoverPlan, now: datetime) -> Preview:
    """Every customer and group of the plan's guide, split as the plan says. A constant number of queries."""
    taking = [
        Successor(one.member.pk, one.member.store_id, one.room)
        for one in fitness(Member.objects.filter(pk__in=plan.successor_ids), now)
        if not one.unfit and one.member.pk != plan.from_member_id
    ]
    return Preview([*_people(plan, taking, now), *(_groups(plan, taking, now) if plan.with_groups else [])])


def _people(plan: HandoverPlan, taking: Sequence[Successor], now: datetime) -> list[Line]:
    follows = list(
        Follow.objects.filter(member_id=plan.from_member_id)
        .exclude(relation=Relation.TRANSFERRED)
        .annotate(home=Coalesce("contact__root__store_id", "contact__store_id"))
        .order_by("pk")
        .values_list("pk", "relation", "identity_id", "contact_id", "home")
    )
    ours = {identity_id for _pk, _relation, identity_id, _contact, _store in follows}
    busy, often = _busy(ours, plan), _often(ours, now) if plan.kind == HandoverKind.ONJOB else set()
    friends = _friends({contact_id for *_rest, contact_id, _store in follows}, plan.from_member_id)
    late = _left_too_long(plan, now)
    reasons: dict[int, str] = {}
    able: list[Person] = []
    for pk, relation, identity_id, contact_id, store_id in follows:
        reason = (
            "not_friend" if relation != Relation.ACTIVE
            else "other_plan" if identity_id in busy
            else "left_too_long" if late
            else "too_often" if identity_id in often
            else ""
        )  # fmt: skip
        reasons[pk] = reason
        if not reason:
            able.append(Person(pk, store_id, frozenset(friends.get(contact_id, ()))))
    given = split(able, taking, plan.split)
    return [Line(pk, None, given.get(pk), _final(reason, given.get(pk), taking)) for pk, reason in reasons.items()]


def _groups(plan: HandoverPlan, taking: Sequence[Successor], now: datetime) -> list[Line]:
    groups = list(
        GroupChat.objects.filter(owner_id=plan.from_member_id, dismissed_at__isnull=True)
        .order_by("pk")
        .values_list("pk", "store_id")
    )
    rows = HandoverRow.objects.filter(group_id__in=[pk for pk, _store in groups])
    busy = set(rows.filter(state__in=ROW_OPEN).exclude(plan_id=plan.pk).values_list("group_id", flat=True))
    often = _twice(rows, "group_id", now) if plan.kind == HandoverKind.ONJOB else set()
    late = _left_too_long(plan, now)
    reasons = {
        pk: "other_plan" if pk in busy else "left_too_long" if late else "too_often" if pk in often else ""
        for pk, _store in groups
    }
    open_ended = [
        Successor(one.pk, one.store_id, len(groups)) for one in taking
    ]  # an owner's groups have no such limit
    given = split([Person(pk, store) for pk, store in groups if not reasons[pk]], open_ended, plan.split)
    return [Line(None, pk, given.get(pk), _final(reason, given.get(pk), taking)) for pk, reason in reasons.items()]


def _final(reason: str, successor_id: int | None, taking: Sequence[Successor]) -> str:
    if reason or successor_id:
        return reason
    return "no_room" if taking else "no_successor"


def _left_too_long(plan: HandoverPlan, now: datetime) -> bool:
    left_at = plan.from_member.left_at
    return plan.kind == HandoverKind.RESIGNED and left_at is not None and now - left_at > YEAR


def _busy(identities: set[int], plan: HandoverPlan) -> set[int]:
    """Customers in an open row of another plan, of whichever guide: WeCom moves one at a time (40100)."""
    rows = HandoverRow.objects.filter(follow__identity_id__any_of=identities, state__in=ROW_OPEN)
    return set(rows.exclude(plan_id=plan.pk).values_list("follow__identity_id", flat=True))


def _often(identities: set[int], now: datetime) -> set[int]:
    rows = HandoverRow.objects.filter(follow__identity_id__any_of=identities)
    return _twice(rows, "follow__identity_id", now)


def _twice(rows: QuerySet[HandoverRow], key: str, now: datetime) -> set[int]:
    """Handed over twice at work within the last 90 natural days as we know, or refused for it by WeCom meanwhile."""
    today = now.astimezone(WECOM_ZONE).replace(hour=0, minute=0, second=0, microsecond=0)
    since = today - timedelta(days=TOO_OFTEN_DAYS - 1)
    recent = rows.filter(plan__kind=HandoverKind.ONJOB, asked_at__gte=since)
    moved = recent.filter(state__in=(RowState.SENT, RowState.DONE)).values_list(key, flat=True)
    counts = Counter(moved)
    told = set(recent.filter(errcode=TOO_OFTEN).values_list(key, flat=True))
    return {pk for pk, count in counts.items() if count >= TWICE} | told


def _friends(contact_ids: set[int], but: int) -> Mapping[int, set[int]]:
    found: dict[int, set[int]] = defaultdict(set)
    rows = Follow.objects.filter(contact_id__any_of=contact_ids, relation=Relation.ACTIVE).exclude(member_id=but)
    for contact_id, member_id in rows.values_list("contact_id", "member_id"):
        found[contact_id].add(member_id)
    return found


def fitness(members: Iterable[Member], now: datetime) -> list[Fitness]:
    """Each of these as a successor. Three queries besides that of the members."""
    rows = list(members)
    pks = [one.pk for one in rows]
    held = dict(
        Follow.objects.filter(member_id__in=pks, relation=Relation.ACTIVE).values_list("member_id").annotate(n=Count("pk")).order_by()
    )  # fmt: skip
    mine = HandoverRow.objects.filter(successor_id__in=pks)
    coming = dict(
        mine.filter(state__in=ROW_OPEN, follow__isnull=False).values_list("successor_id").annotate(n=Count("pk")).order_by()
    )  # fmt: skip
    told = _told(mine, now)
    found = []
    for one in rows:
        room = max(MEMBER_LIMIT - held.get(one.pk, 0) - coming.get(one.pk, 0), 0)
        found.append(Fitness(one, held.get(one.pk, 0), room, _unfit(one) or told.get(one.pk, "")))
    return found


def _unfit(member: Member) -> str:
    if member.status == Member.Status.LEFT:
        return "left"
    if member.status != Member.Status.ACTIVE:
        return "not_active"
    return "" if member.has_customer_contact else "no_customer_contact"


def _told(rows: QuerySet[HandoverRow], now: datetime) -> dict[int, str]:
    """What WeCom's latest word on a member's account was, where it was a no and nobody went to her since."""
    found: dict[int, str] = {}
    words = rows.filter(Q(errcode__in=ACCOUNT) | Q(state=RowState.DONE), settled_at__gte=now - REMEMBERED)
    latest = words.order_by("successor_id", "-settled_at", "-pk").distinct("successor_id")
    for successor_id, errcode in latest.values_list("successor_id", "errcode"):
        found[successor_id] = ACCOUNT.get(errcode or 0, "")
    return found
