"""Inbound batches of people and places, at layer order 100. Each runs inside the bridge's transaction; what the first sync alone
tells is marked so, and rules act on nobody for it."""

from conditions import dirty
from contacts.services.forgotten import screen_groups, screen_people
from contacts.services.groups import apply_groups, apply_lost_groups
from contacts.services.handover.unassigned import ask_due
from contacts.services.inbound import apply_lost_follows, apply_people, note_archive_consent, note_failed_transfer
from contacts.services.members import apply_members
from contacts.services.staffing.noticing import notice
from scrm.lib import clock
from wecom_bridge.contracts import (
    EventFact,
    GroupsBatch,
    MembersBatch,
    PeopleBatch,
    RemovalsBatch,
    on_batch,
    on_event,
)
from wecom_bridge.models import Corp

ORDER = 100


def on_people(batch: PeopleBatch) -> None:
    with dirty.told_by(batch.source):
        apply_people(screen_people(batch))


def on_members(batch: MembersBatch) -> None:
    with dirty.told_by(batch.source):
        apply_members(batch)
        notice(batch.corp, now=batch.read_at)
        ask_due(batch.corp, clock.now())


def on_groups(batch: GroupsBatch) -> None:
    with dirty.told_by(batch.source):
        apply_groups(screen_groups(batch))


def on_removals(batch: RemovalsBatch) -> None:
    with dirty.told_by(batch.source):
        apply_lost_follows(batch)
        apply_lost_groups(batch)


def on_transfer_fail(corp: Corp, fact: EventFact) -> None:
    note_failed_transfer(corp, fact)


def on_archive_consent(corp: Corp, fact: EventFact) -> None:
    note_archive_consent(corp, fact)


def register() -> None:
    """Tell the bridge who listens."""
    on_batch("members", order=ORDER, name="contacts.members", handler=on_members)
    on_batch("people", order=ORDER, name="contacts.people", handler=on_people)
    on_batch("groups", order=ORDER, name="contacts.groups", handler=on_groups)
    on_batch("removals", order=ORDER, name="contacts.removals", handler=on_removals)
    on_event(
        "change_external_contact",
        change_type="transfer_fail",
        order=ORDER,
        name="contacts.transfer_fail",
        handler=on_transfer_fail,
    )
    on_event(
        "change_external_contact",
        change_type="msg_audit_approved",
        order=ORDER,
        name="contacts.archive_consent",
        handler=on_archive_consent,
    )
