"""撞单: a customer added a second guide while she was another's friend. Noticed once per adding; both guides and the manager are told.

Additions that WeCom or a hand-over arranged are none, nor are those of the same person with two members, nor what a first sync finds.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q, QuerySet
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import RoleGrant
from accounts.scope import DataScope
from contacts.models import Clash, FactSource, Follow, Member, MemberAccount, Relation, Told
from contacts.policy import people_policy
from contacts.queries import family_of, visible_contacts, visible_members
from contacts.services.telling import Message, Notice, working_instant
from contacts.timeline import Fact, roots_of
from scrm.lib import clock
from scrm.lib.db.bulk import insert_rows
from scrm.lib.errors import Conflict
from tenants import audit, jobs
from tenants.audit import Actor

LANE = "clashes"
COMMAND = "clash.tell"
ASSIGNED = 202  # add_way: 管理员或负责人分配
# What is found later than this is listed, and nobody is told: the two have long known.
FRESH = timedelta(hours=24)
MANAGER_ROLE = "store"


def watch_addings(facts: Sequence[Fact]) -> None:
    """Listener of the timeline: addings of people who have another guide already. Three queries where nobody has."""
    added = [
        fact
        for fact in facts
        if fact.kind == "follow.added" and fact.source in (FactSource.CALLBACK, FactSource.RECONCILE) and fact.member_id
    ]  # fmt: skip
    if not added:
        return
    roots = roots_of({fact.contact_id for fact in added if fact.contact_id})
    friends = _friends(set(roots.values()))
    found = [
        (fact, other) for fact in added if (other := _other(fact, friends.get(roots.get(fact.contact_id or 0, 0), [])))
    ]
    if found:
        _note(found, roots)


_Friend = tuple[datetime, int, int]  # (added, member, add_way)


def _friends(roots: set[int]) -> dict[int, list[_Friend]]:
    """Person → who is her friend, the earliest first."""
    # The family first: an OR over two tables would read every relation there is.
    family = family_of(roots)
    rows = Follow.objects.filter(contact_id__any_of=set(family), relation=Relation.ACTIVE)
    found: dict[int, list[_Friend]] = defaultdict(list)
    for contact_id, added_at, member_id, way in rows.values_list(
        "contact_id", "added_at", "member_id", "add_way"
    ).order_by("added_at", "member_id"):
        found[family[contact_id]].append((added_at, member_id, way))
    return found


def _other(fact: Fact, friends: Sequence[_Friend]) -> int | None:
    """The guide who was her friend first, if this adding is another guide's and still stands."""
    mine = next((one for one in friends if one[1] == fact.member_id), None)
    if mine is None or mine[0] != fact.occurred_at or mine[2] == ASSIGNED:
        return None
    earlier = [member_id for at, member_id, _way in friends if (at, member_id) < (mine[0], mine[1])]
    return earlier[0] if earlier else None


def _note(found: Sequence[tuple[Fact, int]], roots: Mapping[int, int]) -> None:
    users = dict(
        MemberAccount.objects.filter(
            member_id__in={pk for fact, other in found for pk in (fact.member_id, other) if pk}
        ).values_list("member_id", "user_id")
    )
    now = clock.now()
    opens, tells = working_instant(now), people_policy().tells_clashes
    rows = []
    for fact, other in found:
        if users.get(fact.member_id or 0) is not None and users.get(fact.member_id or 0) == users.get(other):
            continue
        tell_at = opens if tells and now - fact.occurred_at <= FRESH else None
        rows.append(
            {"contact_id": roots[fact.contact_id or 0], "member_id": fact.member_id, "other_id": other, "fact_key": fact.fact_key,
             "added_at": fact.occurred_at, "noticed_at": now, "tell_at": tell_at,
             "told": (Told.WAITING if tell_at else Told.NOT).value, "told_error": "", "handled_at": None, "handled_by_id": None}
        )  # fmt: skip
    insert_rows(Clash, rows, ignore_conflicts=True)
    if any(row["tell_at"] for row in rows):
        jobs.nudge(LANE, due_at=opens)


# --- Who sees them, and who has dealt with them ---------------------------------------------------------------------


def visible_clashes(scope: DataScope) -> QuerySet[Clash]:
    """Of people in the scope, under whichever row they were noticed, and those that concern its guides: the person may be another
    store's by today."""
    if scope.sees_all:
        return Clash.objects.all()
    people = visible_contacts(scope).values("pk")
    members = visible_members(scope).values("pk")
    condition = Q(contact__in=people) | Q(contact__root__in=people) | Q(member__in=members) | Q(other__in=members)
    return Clash.objects.filter(condition)


@transaction.atomic
def handle(clashes: QuerySet[Clash], pk: int, *, by: Actor) -> Clash:
    """标为已处理. Raises DoesNotExist outside `clashes`, Conflict when somebody was quicker."""
    clash = clashes.select_for_update(of=("self",)).get(pk=pk)
    if clash.handled_at is not None:
        raise Conflict(_("这条撞单已经处理过了,请刷新页面。"))
    clash.handled_at, clash.handled_by_id = clock.now(), by.id
    if clash.tell_at is not None:
        clash.tell_at, clash.told = None, Told.NOT
    clash.save(update_fields=["handled_at", "handled_by_id", "tell_at", "told"])
    audit.record("clash.handled", clash, by=by, contact=clash.contact_id)
    return clash


# --- Telling --------------------------------------------------------------------------------------------------------


def _write(clashes: Sequence[Clash]) -> Mapping[int, Sequence[Message]]:
    """A message to the guides, who know the person, and one to the managers, who may only see the list."""
    managers = managers_of({store for one in clashes for store in (one.member.store_id, one.other.store_id) if store})
    return {clash.pk: _messages(clash, managers) for clash in clashes}


def managers_of(store_ids: Iterable[int]) -> dict[int, list[Member]]:
    """Store → the members of whoever is 店长 there."""
    grants = RoleGrant.objects.filter(
        role__key=MANAGER_ROLE, scope_kind=RoleGrant.Scope.STORE, scope_id__in=set(store_ids), user__is_active=True
    )
    stores: dict[int, list[int]] = defaultdict(list)
    for user_id, store_id in grants.values_list("user_id", "scope_id"):
        stores[user_id].append(store_id)
    found: dict[int, list[Member]] = defaultdict(list)
    for account in MemberAccount.objects.filter(user_id__in=set(stores)).select_related("member"):
        for store_id in stores[account.user_id]:
            found[store_id].append(account.member)
    return found


def _messages(clash: Clash, managers: Mapping[int, list[Member]]) -> list[Message]:
    guides = {member.pk: member for member in (clash.member, clash.other)}
    bosses = {
        member.pk: member
        for guide in (clash.member, clash.other)
        for member in managers.get(guide.store_id or 0, ())
        if member.pk not in guides
    }
    person = clash.contact.root or clash.contact
    text = _(
        "客户:%(name)s\n原来的好友导购:%(other)s\n刚添加的导购:%(member)s\n业绩归属:%(owner)s\n请两位先商量好由谁联系。"
    ) % {
        "name": person.name or _("未命名客户"),
        "other": clash.other,
        "member": clash.member,
        "owner": person.owner or _("无归属"),
    }
    page, listed = reverse("contacts:contact", args=[person.pk]), reverse("contacts:clash_list")
    title = _("撞单提醒")
    return [
        Message("guides", list(guides.values()), title, text, page),
        Message("managers", list(bosses.values()), title, text, listed),
    ]


NOTICE = Notice(
    lane=LANE,
    command=COMMAND,
    label=gettext_lazy("撞单通知"),
    model=Clash,
    due="tell_at",
    state="told",
    error="told_error",
    quiet=Told.NOT.value,
    open=Q(handled_at__isnull=True),
    related=("contact__root", "contact__owner", "contact__root__owner", "member", "other"),
    write=_write,
    key=lambda clash, corp_id, name: f"{COMMAND}:{clash.pk}:{corp_id}:{name}",
)


def open_of(members: Sequence[Member], now: datetime) -> QuerySet[Clash]:
    """What concerns these guides and nobody has dealt with, of the last two weeks, the latest first."""
    ids = [member.pk for member in members]
    mine = Clash.objects.filter(Q(member_id__in=ids) | Q(other_id__in=ids), handled_at__isnull=True)
    recent = mine.filter(added_at__gt=now - timedelta(days=14)).order_by("-added_at", "-pk")
    return recent.select_related("contact__root", "member", "other")


def still_friends(clashes: Sequence[Clash]) -> set[int]:
    """Clashes of which both guides are the person's friends still. Three queries."""
    roots = roots_of({one.contact_id for one in clashes})
    family = family_of(roots.values())
    friends = {
        (family[contact_id], member_id)
        for contact_id, member_id in Follow.objects.filter(contact_id__in=family, relation=Relation.ACTIVE).values_list(
            "contact_id", "member_id"
        )
    }
    return {
        one.pk
        for one in clashes
        if {(roots[one.contact_id], one.member_id), (roots[one.contact_id], one.other_id)} <= friends
    }
