"""Inbound batches of people and places, at layer order 100. Each runs inside the bridge's transaction; what the first sync alone
tells is marked so, and rules act on nobody for it."""

from conditions import dirty
from contacts.services.groups import apply_groups, apply_lost_groups
from contacts.services.inbound import apply_lost_follows, apply_people
from contacts.services.members import apply_members
from wecom_bridge.contracts import GroupsBatch, MembersBatch, PeopleBatch, RemovalsBatch, on_batch

ORDER = 100


def on_people(batch: PeopleBatch) -> None:
    with dirty.told_by(batch.source):
        apply_people(batch)


def on_members(batch: MembersBatch) -> None:
    with dirty.told_by(batch.source):
        apply_members(batch)


def on_groups(batch: GroupsBatch) -> None:
    with dirty.told_by(batch.source):
        apply_groups(batch)


def on_removals(batch: RemovalsBatch) -> None:
    with dirty.told_by(batch.source):
        apply_lost_follows(batch)
        apply_lost_groups(batch)


def register() -> None:
    """Tell the bridge who listens."""
    on_batch("members", order=ORDER, name="contacts.members", handler=on_members)
    on_batch("people", order=ORDER, name="contacts.people", handler=on_people)
    on_batch("groups", order=ORDER, name="contacts.groups", handler=on_groups)
    on_batch("removals", order=ORDER, name="contacts.removals", handler=on_removals)
