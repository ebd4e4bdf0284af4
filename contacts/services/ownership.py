"""业绩归属: whose customer she is for credit and reports. Ours, instant; the customer is told nothing."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from accounts.models import User
from contacts import marks
from contacts.models import Contact, Follow, Member, OwnershipChange, Relation
from contacts.services.locking import lock_person, merged_meanwhile
from contacts.services.stages import actor_label
from contacts.timeline import NewEvent, record_events, roots_of
from scrm.lib import clock
from scrm.lib.db.bulk import insert_rows, update_rows
from scrm.lib.errors import Conflict, UserError
from tenants import audit
from tenants.audit import Actor


@transaction.atomic
def assign_owner(
    contact_ids: Iterable[int],
    member: Member | None,
    *,
    by: Actor,
    at: datetime,
    reason: str = "manual",
    must_be_friend: bool = True,
    stores: Mapping[int, int | None] | None = None,
) -> set[int]:
    """Credit people to a member (None: to nobody) from now on; those whose owner changed.

    Raises UserError (需先转移) when the member is a friend of none of a person's identities: credit without a relation would
    count customers nobody can reach. must_be_friend=False is for transfers in progress. stores: root → the store of
    those who do not stand in the member's. Raises Conflict when a person decides and
    one of them was merged while we waited for her row.
    """
    roots = set(roots_of(contact_ids).values())
    member_id, store_id = (member.pk, member.store_id) if member else (None, None)
    locked = list(
        Contact.objects.select_for_update(of=("self",), no_key=True)
        .filter(pk__in=roots, root__isnull=True)
        .order_by("pk")
    )
    if len(locked) < len(roots) and reason == "manual":
        raise Conflict(merged_meanwhile())
    people = [person for person in locked if person.owner_id != member_id]
    if must_be_friend and member is not None:
        _refuse_strangers(people, member)
    if not people:
        return set()
    actor_id = by.id if by.kind == "user" else None
    changes = insert_rows(OwnershipChange, [
        {"contact_id": p.pk, "from_member_id": p.owner_id, "to_member_id": member_id, "changed_at": at, "reason": reason,
         "actor_id": actor_id}
        for p in people
    ])  # fmt: skip
    update_rows(Contact, [
        {"id": p.pk, "owner_id": member_id, "store_id": (stores or {}).get(p.pk, store_id), "updated_at": clock.now()}
        for p in people
    ])  # fmt: skip
    names = dict(Member.objects.filter(pk__in={p.owner_id for p in people if p.owner_id}).values_list("pk", "name"))
    record_events([
        NewEvent(
            "owner.changed", at, "product", f"owner:{change_id}", contact_id=person.pk, member_id=member_id,
            actor=actor_label(by), subject=f"member:{member_id}" if member_id else "",
            payload={"from": names.get(person.owner_id or 0, ""), "to": str(member or ""), "reason": reason},
        )
        for person, (change_id,) in zip(people, changes, strict=True)
    ])  # fmt: skip
    moved = {person.pk for person in people}
    marks.mark(moved, "contact.owner", "contact.store")
    audit.record("contact.owner_changed", member, by=by, contacts=sorted(moved)[:100], count=len(moved), reason=reason)
    return moved


@transaction.atomic
def credit_by_hand(contact_id: int, member: Member, *, seen: int | None, by: Actor, at: datetime) -> bool:
    """Credit one root contact, whom the operator saw credited to `seen`, to a member; whether she moved.

    Raises Conflict when somebody or a rule credited her to another since, saying who, or merged her; UserError as assign_owner does.
    """
    # Without the owner joined: after a wait for the lock PostgreSQL reads her row again, but not what was joined to it.
    person = lock_person(contact_id)
    if person.owner_id != seen:
        raise Conflict(_credited_meanwhile(person))
    return bool(assign_owner([person.pk], member, by=by, at=at))


def _credited_meanwhile(person: Contact) -> str:
    last = OwnershipChange.objects.filter(contact=person).order_by("-changed_at", "-pk").first()
    user = User.objects.filter(pk=last.actor_id).first() if last and last.actor_id else None
    text = _("「%(name)s」的归属刚被 %(who)s 更改过,现在归「%(owner)s」。请看过后再改。")
    return text % {
        "name": person.name or _("未命名客户"), "who": user or _("系统"), "owner": person.owner or _("无归属"),
    }  # fmt: skip


def strangers_to(member: Member, root_ids: Iterable[int]) -> set[int]:
    """Of these people, those none of whose identities is a friend of the member."""
    wanted = set(root_ids)
    if not wanted:
        return set()
    of_them = Q(contact__in=wanted) | Q(contact__root__in=wanted)
    follows = Follow.objects.filter(of_them, member=member, relation=Relation.ACTIVE)
    return wanted - {root_id or pk for pk, root_id in follows.values_list("contact_id", "contact__root_id")}


def count_creditable(people: QuerySet[Contact], member: Member) -> tuple[int, int, int]:
    """Of a list of people: who can be credited to the member, who is already, and who is a stranger to her. Three queries."""
    follows = Follow.objects.filter(member=member, relation=Relation.ACTIVE)
    others = people.exclude(owner=member)
    can = others.filter(Q(pk__in=follows.values("contact_id")) | Q(pk__in=follows.values("contact__root_id"))).count()
    total, other = people.count(), others.count()
    return can, total - other, other - can


def _refuse_strangers(people: list[Contact], member: Member) -> None:
    strangers = strangers_to(member, (person.pk for person in people))
    if strangers:
        raise UserError(
            _("%(member)s 与 %(count)d 位客户不是好友,需先转移客户,再更改业绩归属。")
            % {"member": member, "count": len(strangers)},
            code="transfer_first",
        )
