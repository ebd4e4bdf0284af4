"""同意记录: what a person allowed or forbade. The last word of each purpose holds, over all rows that count as her.

A merge moves nothing: her branches' words are hers, and 免打扰 of either stands (services.merging). An undoing gives each its own back.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from zoneinfo import ZoneInfo

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils.translation import gettext as _

from contacts import marks
from contacts.models import ConsentRecord, Contact
from contacts.services.locking import lock_person
from contacts.services.opt_out import lift_opt_out, set_opt_out
from contacts.services.stages import actor_label
from contacts.timeline import NewEvent, record_events
from scrm.lib.db.bulk import clean_text
from scrm.lib.errors import UserError
from tenants import audit
from tenants.audit import Actor
from tenants.context import current_tenant

Purpose, Decision = ConsentRecord.Purpose, ConsentRecord.Decision
ASKED = (Purpose.MESSAGES, Purpose.PROFILE, Purpose.SHARING)
SOURCE = "consent"  # Contact.opt_out_source of a 免打扰 that a withdrawn consent set
LONGEST = 300


@dataclass(frozen=True)
class Standing:
    """The last word on a purpose; None: she was never asked."""

    purpose: ConsentRecord.Purpose
    last: ConsentRecord | None

    @property
    def is_given(self) -> bool:
        return self.last is not None and self.last.decision == Decision.GIVEN


@transaction.atomic
def record_consent(
    contact_id: int, *, purpose: str, decision: str, channel: str, source: str, evidence: str, on: date, by: Actor, at: datetime
) -> ConsentRecord:  # fmt: skip
    """Write down what a person (a root) decided on a day of the tenant's. Raises UserError for a day to come, no evidence, or an
    unknown word.

    Messages forbidden are 免打扰 for good. Allowed again, that 免打扰 ends, but none that she or a guide set otherwise.
    """
    if purpose not in ASKED or decision not in (Decision.GIVEN, Decision.WITHDRAWN):
        raise UserError(_("请选择事项,以及同意还是撤回。"))
    evidence = clean_text(evidence).strip()
    if not evidence:
        raise UserError(_("请写下依据:客户怎么说的,或原件放在哪里。"))
    if len(evidence) > LONGEST:
        raise UserError(_("依据最多 %(limit)d 字,请删短。") % {"limit": LONGEST})
    person = lock_person(contact_id)
    record = ConsentRecord.objects.create(
        contact=person, purpose=purpose, decision=decision, channel=channel, source=source, evidence=evidence,
        decided_at=_instant(on, at), noted_at=at, noted_by_id=by.id if by.kind == "user" else None, noted_by_name=by.name[:80],
    )  # fmt: skip
    kind = f"consent.{decision}"
    record_events([
        NewEvent(kind, record.decided_at, "product", f"consent:{record.pk}", contact_id=person.pk, member_id=person.owner_id,
                 actor=actor_label(by), subject=f"consent:{record.pk}", payload={"purpose": str(purpose)})
    ])  # fmt: skip
    marks.mark([person.pk], f"consent.{purpose}")
    audit.record(kind, person, by=by, consent=record.pk, purpose=str(purpose))
    if purpose == Purpose.MESSAGES:
        _gate(person, by=by, at=at)
    return record


def _gate(person: Contact, *, by: Actor, at: datetime) -> None:
    """Whether she may be written to follows her last word, which need not be the one written last."""
    if not standing_of(person.family_ids)[0].is_given:
        set_opt_out(person.pk, "forever", by=by, at=at, source=SOURCE)
    else:
        lift_opt_out(person.pk, SOURCE, by=by, at=at)


def standing_of(family_ids: Sequence[int]) -> list[Standing]:
    """The last word on each purpose. One query."""
    rows = ConsentRecord.objects.filter(contact_id__in=family_ids, purpose__in=ASKED)
    last: dict[str, ConsentRecord] = {}
    for row in rows.order_by("decided_at", "pk"):
        last[row.purpose] = row
    return [Standing(purpose, last.get(purpose)) for purpose in ASKED]


def _instant(on: date, at: datetime) -> datetime:
    zone = ZoneInfo(current_tenant().time_zone)
    today = at.astimezone(zone).date()
    if on > today:
        raise UserError(_("日期还没到,请填客户表示的那一天。"))
    return at if on == today else datetime.combine(on, time(12), zone)


def prune_superseded(before: datetime, limit: int) -> int:
    """Delete words older than a domain instant that a later word on the same purpose replaced; how many. The last one stands for as
    long as the person does."""
    later = ConsentRecord.objects.filter(
        contact=OuterRef("contact"), purpose=OuterRef("purpose"), decided_at__gt=OuterRef("decided_at")
    )
    old = ConsentRecord.objects.filter(Exists(later), noted_at__lt=before).order_by("pk")
    keys = list(old.values_list("pk", flat=True)[:limit])
    ConsentRecord.objects.filter(pk__in=keys).delete()
    return len(keys)
