"""Lifecycle stages: people move, and every move is a row that is never changed."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.models import User
from contacts import marks
from contacts.models import Contact, FactSource, Stage, StageTransition
from contacts.services.locking import lock_person
from contacts.timeline import NewEvent, record_events, roots_of
from scrm.lib import clock
from scrm.lib.db.bulk import clean_text, insert_rows, update_rows
from scrm.lib.errors import Conflict, UserError
from tenants import audit
from tenants.audit import Actor

_FACT_SOURCES = {"backfill": FactSource.BACKFILL, "import": FactSource.IMPORT}


@transaction.atomic
def change_stage(
    contact_ids: Iterable[int], stage: Stage, *, source: str, reason: str = "", by: Actor, at: datetime | Mapping[int, datetime],
    placed: Mapping[int, tuple[int | None, int | None]] | None = None,
) -> set[int]:  # fmt: skip
    """Move people (roots are resolved) to a stage; those who moved. Whoever is there already stays untouched.

    source: rule, manual, import or backfill (StageTransition.source). at: the domain instant of the move, or that of each root
    contact; a move dated before a person's latest one is refused for her alone, since the record only grows at its end. Audited when
    a person does it. A constant number of statements.
    placed: root id → (store, member) for whom neither stands yet, as of the fact that moves her.
    Raises UserError for an archived stage, and for one that wants a reason of whoever moves people there by hand.
    """
    refuse_stage(stage, source, reason)
    roots = set(roots_of(contact_ids).values())
    when = at if isinstance(at, Mapping) else dict.fromkeys(roots, at)
    # Who was merged into another while we waited for her row is somebody else's branch by now, and stays as she was.
    locked = Contact.objects.select_for_update(of=("self",), no_key=True).filter(pk__in=roots, root__isnull=True)
    people = [
        person
        for person in locked.order_by("pk")
        if person.stage_id != stage.pk and (person.stage_since is None or person.stage_since <= when[person.pk])
    ]
    if not people:
        return set()
    actor_id = by.id if by.kind == "user" else None
    known = placed or {}
    where = {
        p.pk: (p.store_id, p.owner_id) if p.owner_id or p.store_id else known.get(p.pk, (None, None)) for p in people
    }
    transitions = insert_rows(StageTransition, [
        {"contact_id": p.pk, "from_stage_id": p.stage_id, "to_stage_id": stage.pk, "changed_at": when[p.pk], "source": source,
         "reason": clean_text(reason, 200), "actor_id": actor_id, "store_id": where[p.pk][0], "member_id": where[p.pk][1]}
        for p in people
    ])  # fmt: skip
    update_rows(
        Contact,
        [{"id": p.pk, "stage_id": stage.pk, "stage_since": when[p.pk], "updated_at": clock.now()} for p in people],
    )
    guides = {pk: member_id for pk, (_store, member_id) in where.items()}
    _record(people, [pk for (pk,) in transitions], stage, guides, source=source, reason=reason, by=by, when=when)
    moved = {person.pk for person in people}
    marks.mark(moved, "contact.stage", backfill=True if source == "backfill" else None)
    if by.kind in ("user", "token"):
        audit.record("stage.changed", stage, by=by, contacts=sorted(moved)[:100], count=len(moved), source=source)
    return moved


def refuse_stage(stage: Stage, source: str, reason: str) -> None:
    """Raises UserError for a stage nobody is moved to, and where a reason is wanted."""
    if stage.is_archived:
        raise UserError(_("阶段「%(name)s」已停用,请选择其他阶段。") % {"name": stage.name})
    if source == "manual" and stage.needs_reason and not reason.strip():
        raise UserError(_("移到「%(name)s」要写原因,请填写后再移。") % {"name": stage.name}, code="reason_needed")


@transaction.atomic
def move_by_hand(contact_id: int, stage_id: int, *, seen: int | None, reason: str, by: Actor, at: datetime) -> bool:
    """Move one root contact who stands, as the operator saw, in stage `seen`; whether she moved.

    Raises Conflict when somebody or a rule moved her since, saying who, or merged her; UserError as change_stage does.
    """
    # Without the stage joined: after a wait for the lock PostgreSQL reads her row again, but not what was joined to it.
    person = lock_person(contact_id)
    if person.stage_id != seen:
        raise Conflict(_moved_meanwhile(person))
    return bool(change_stage([person.pk], Stage.objects.get(pk=stage_id), source="manual", reason=reason, by=by, at=at))


def _moved_meanwhile(person: Contact) -> str:
    last = StageTransition.objects.filter(contact=person).order_by("-changed_at", "-pk").first()
    user = User.objects.filter(pk=last.actor_id).first() if last and last.actor_id else None
    who = str(user or (last.get_source_display() if last else "")) or _("其他人")
    text = _("「%(name)s」刚被 %(who)s 移动过,现在在「%(stage)s」。请看过后再移。")
    return text % {"name": person.name or _("未命名客户"), "who": who, "stage": person.stage or _("无阶段")}


def _record(
    people: list[Contact], transitions: list[int], stage: Stage, guides: Mapping[int, int | None], *,
    source: str, reason: str, by: Actor, when: Mapping[int, datetime],
) -> None:  # fmt: skip
    names = dict(Stage.objects.values_list("pk", "name"))
    record_events([
        NewEvent(
            "stage.changed", when[person.pk], _FACT_SOURCES.get(source, FactSource.PRODUCT).value, f"stage:{transition_id}",
            contact_id=person.pk, member_id=guides[person.pk], actor=actor_label(by), subject=f"stage:{stage.pk}",
            payload={
                "from": names.get(person.stage_id or 0, ""), "from_id": person.stage_id, "to": stage.name, "how": source,
                "reason": reason[:200],
            },
        )
        for person, transition_id in zip(people, transitions, strict=True)
    ])  # fmt: skip


def actor_label(by: Actor) -> str:
    """An actor as the timeline stores one: `user:7`, `system`."""
    return f"{by.kind}:{by.id}" if by.id is not None else by.kind
