"""Relations that end: by customer, guide or transfer, told as WeCom does."""

from datetime import UTC, datetime, timedelta
from typing import Any

from contacts.models import Member
from scrm.lib import clock
from tests.support.contacts import event_fact, follow_info, people_batch, person_row
from wecom_bridge.contracts import handlers_for

CHANGES = {
    "customer": ("del_follow_user", {}),
    "guide": ("del_external_contact", {}),
    "transfer": ("del_external_contact", {"Source": "DELETE_BY_TRANSFER"}),
}


def deliver(batch: Any) -> None:
    for handler in handlers_for("people"):
        handler(batch)


def added(member: Member, external: str, at: datetime) -> None:
    row = person_row(external, follow_info(member.userid, at), name=f"客{external}")
    deliver(people_batch(row, read_at=at))


def left(member: Member, external: str, at: datetime, by: str = "customer") -> None:
    change, fields = CHANGES[by]
    deliver(people_batch(read_at=at, events=[event_fact(change, external, member.userid, at, **fields)]))


def deleted_by(member: Member, stem: str, count: int, at: datetime) -> None:
    """She deletes so many customers, one a minute."""
    rows = [person_row(f"{stem}{n}", follow_info(member.userid, at - timedelta(days=90))) for n in range(count)]
    deliver(people_batch(*rows, read_at=at - timedelta(days=80)))
    events = [
        event_fact("del_external_contact", f"{stem}{n}", member.userid, at + timedelta(minutes=n)) for n in range(count)
    ]
    deliver(people_batch(read_at=at, events=events))


def ago(days: float, minutes: float = 0) -> datetime:
    return clock.now().replace(microsecond=0) - timedelta(days=days) + timedelta(minutes=minutes)


def noon(days_ago: int) -> datetime:
    """Noon in China of a day before today."""
    return (clock.now() + timedelta(hours=8)).replace(
        hour=4, minute=0, second=0, microsecond=0, tzinfo=UTC
    ) - timedelta(days=days_ago)
