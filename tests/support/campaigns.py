"""Makers and helpers of campaigns: drafts, released broadcasts, units, and a clock that stands where a test wants it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from accounts.scope import EVERYTHING
from campaigns.models import Broadcast, Delivery, Dispatch, LedgerCoverage, Push
from campaigns.services import agreeing, approvals, broadcasts, results
from campaigns.services.broadcasts import Draft
from contacts.models import Contact, Member
from scrm.lib import clock
from tenants.audit import Actor
from tests.support import contacts as people
from tests.support import core
from wecom_bridge.models import Corp

# A Tuesday, 09:30 in Shanghai: inside the working hours, before the first slot.
MORNING = datetime(2026, 3, 3, 1, 30, tzinfo=UTC)
_numbers = count(1)


@contextmanager
def at_time(instant: datetime) -> Iterator[None]:
    """The domain clock shows this instant (and runs on)."""
    with clock.shifted(instant - clock.wall()):
        yield


def local(hour: int, minute: int = 0, *, day: int = 0) -> datetime:
    """An instant of MORNING's day in Shanghai, or of a day after it."""
    return datetime(2026, 3, 3, hour, minute, tzinfo=UTC) - timedelta(hours=8) + timedelta(days=day)


def cover(corp: Corp, until: datetime | None = None) -> LedgerCoverage:
    """The ledger of the corp is known from long ago until now, so that quota is known."""
    until = until or clock.now()
    return LedgerCoverage.objects.update_or_create(
        corp=corp, defaults={"covered_from": until - timedelta(days=62), "covered_to": until + timedelta(days=40)}
    )[0]


def make_customers(number: int, member: Member | None = None) -> list[Contact]:
    """Friends of a guide, reachable."""
    member = member or people.make_member(store=people.make_store())
    cover(member.corp)
    made = [people.make_contact() for _ in range(number)]
    for contact in made:
        people.make_follow(contact, member)
    return made


def author() -> Actor:
    return core.actor_of(core.make_user(role="operator"))


def approver() -> Actor:
    return core.actor_of(core.make_user(role="approver"))


def make_draft(contacts: Sequence[Contact], *, by: Actor | None = None, **overrides: Any) -> Broadcast:
    """A complete draft to these people, 10:00 to 20:30 of MORNING's day."""
    fields: dict[str, Any] = {
        "name": f"群发{next(_numbers)}", "text": "周末到店领小样,{门店名}等您。{导购名}", "audience": {"contacts": [c.pk for c in contacts]},
        "within": EVERYTHING, "notify_at": local(10), "confirm_by": local(20, 30), **overrides,
    }  # fmt: skip
    return broadcasts.create_broadcast(Draft(**fields), by=by or author())


def make_group_draft(groups: Sequence[Any], **overrides: Any) -> Broadcast:
    """A complete draft to these groups."""
    fields: dict[str, Any] = {
        "name": f"群群发{next(_numbers)}", "text": "今晚八点讲换季护理", "audience": {"groups": [group.pk for group in groups]},
        "within": EVERYTHING, "notify_at": local(10), "confirm_by": local(20, 30), **overrides,
    }  # fmt: skip
    return broadcasts.create_broadcast(Draft(**fields), target="groups", by=author())


def submit(broadcast: Broadcast, *, by: Actor | None = None) -> Any:
    return broadcasts.submit_broadcast(broadcast.pk, by=by or author())


def release(broadcast: Broadcast) -> Broadcast:
    """Submit and approve, by two people."""
    submit(broadcast)
    return approvals.approve_broadcast(broadcast.pk, by=approver(), scope=EVERYTHING)


def released(contacts: Sequence[Contact], **overrides: Any) -> Push:
    """A released broadcast's push."""
    push = release(make_draft(contacts, **overrides)).push
    assert push is not None
    return push


def units(push: Push) -> list[Dispatch]:
    return list(Dispatch.objects.filter(push=push).select_related("sender", "push").order_by("sender_id", "chunk"))


def agree(unit: Dispatch) -> Dispatch:
    return agreeing.agree(unit.pk, member_ids=[unit.sender_id], by=core.actor_of(core.make_user(role="guide")))


def give_task(unit: Dispatch, msgid: str = "", fail_list: Sequence[str] = ()) -> None:
    """WeCom's answer to add_msg_template."""
    results.record_task(unit.pk, msgid=msgid or f"msg{unit.pk}", fail_list=fail_list)


def states(push: Push) -> dict[str, int]:
    """How many deliveries are in which state."""
    counts: dict[str, int] = {}
    for state in Delivery.objects.filter(push=push).values_list("state", flat=True):
        counts[str(state)] = counts.get(str(state), 0) + 1
    return counts
