"""Whoever is added and stands in no stage yet enters the first one (新添加)."""

from collections.abc import Sequence
from datetime import datetime

from contacts.models import Contact, FactSource, Stage
from contacts.services.stages import change_stage
from contacts.timeline import Fact, roots_of
from tenants.audit import SYSTEM

# People found by the first sync were added long ago: their stage is unknown, not 新添加.
SOURCES = (FactSource.CALLBACK, FactSource.RECONCILE)


def enter_first_stage(events: Sequence[Fact]) -> None:
    """Hear of facts as they are recorded, in their transaction; everybody moves at the instant of her adding."""
    added = {
        e.contact_id: e.occurred_at for e in events if e.kind == "follow.added" and e.source in SOURCES and e.contact_id
    }
    if not added:
        return
    roots = roots_of(added)
    fresh = set(Contact.objects.filter(pk__in=roots.values(), stage__isnull=True).values_list("pk", flat=True))
    stage = Stage.objects.filter(is_archived=False).order_by("order", "id").first()
    if not fresh or stage is None:
        return
    # Owner and store of the newcomer are written after her facts: until then she stands where she was added.
    placed = {
        roots[e.contact_id]: (e.store_id, e.member_id)
        for e in events
        if e.contact_id in roots and e.contact_id in added
    }
    moments: dict[int, datetime] = {}
    for contact_id, at in added.items():
        root = roots.get(contact_id, 0)
        if root in fresh:
            moments[root] = min(at, moments.get(root, at))
    change_stage(moments, stage, source="rule", by=SYSTEM, at=moments, placed=placed)
