"""免打扰: a wish of the customer that gates every sender at once."""

from datetime import datetime, timedelta

from django.db import transaction
from django.utils.translation import gettext as _

from contacts import marks
from contacts.models import ConsentRecord, Contact
from contacts.services.locking import lock_person
from contacts.services.stages import actor_label
from contacts.timeline import NewEvent, record_events
from scrm.lib import clock
from scrm.lib.errors import UserError
from tenants import audit
from tenants.audit import Actor

SPANS: dict[str, timedelta | None] = {"30": timedelta(days=30), "90": timedelta(days=90), "forever": None}


@transaction.atomic
def set_opt_out(contact_id: int, span: str, *, by: Actor, at: datetime, source: str = "guide") -> Contact:
    """Let nobody push to the person (root) for 30 or 90 days or forever. The longer of two wishes stands.

    span: a key of SPANS, else UserError.
    """
    if span not in SPANS:
        raise UserError(_("请选择免打扰 30 天、90 天或永久。"))
    person = lock_person(contact_id)
    length = SPANS[span]
    until = at + length if length else None
    if is_opted_out(person, at) and (person.opt_out_until is None or (until and until <= person.opt_out_until)):
        return person
    person.opt_out_since, person.opt_out_until, person.opt_out_source = at, until, source
    _save(person)
    _note(person, ConsentRecord.Decision.SET, by=by, at=at)
    _tell(person, "opt_out.set", {"span": span, "until": until.isoformat() if until else None}, by=by, at=at)
    return person


@transaction.atomic
def end_opt_out(contact_id: int, *, by: Actor, at: datetime) -> Contact:
    """She may be written to again."""
    person = lock_person(contact_id)
    if not is_opted_out(person, at):
        return person
    person.opt_out_since = person.opt_out_until = None
    person.opt_out_source = ""
    _save(person)
    _note(person, ConsentRecord.Decision.ENDED, by=by, at=at)
    _tell(person, "opt_out.ended", {}, by=by, at=at)
    return person


def is_opted_out(person: Contact, at: datetime) -> bool:
    """Whether the wish holds at an instant."""
    return person.opt_out_since is not None and (person.opt_out_until is None or person.opt_out_until > at)


def _save(person: Contact) -> None:
    person.updated_at = clock.now()
    person.save(update_fields=["opt_out_since", "opt_out_until", "opt_out_source", "updated_at"])


def _note(person: Contact, decision: ConsentRecord.Decision, *, by: Actor, at: datetime) -> None:
    """The wish in the record of what she allowed and forbade."""
    is_person = by.kind == "user"
    source = ConsentRecord.Source.GUIDE if is_person else ConsentRecord.Source.SYSTEM
    ConsentRecord.objects.create(
        contact=person, purpose=ConsentRecord.Purpose.OPT_OUT, decision=decision, channel=ConsentRecord.Channel.PRODUCT,
        source=source, until=person.opt_out_until, decided_at=at, noted_at=at, noted_by_id=by.id if is_person else None,
        noted_by_name=by.name[:80],
    )  # fmt: skip


def _tell(person: Contact, kind: str, payload: dict[str, object], *, by: Actor, at: datetime) -> None:
    record_events([
        NewEvent(kind, at, "product", f"{kind}:{person.pk}:{at.isoformat()}", contact_id=person.pk, member_id=person.owner_id,
                 actor=actor_label(by), payload=dict(payload))
    ])  # fmt: skip
    marks.mark([person.pk], "contact.opt_out")
    audit.record(kind, person, by=by, **payload)
