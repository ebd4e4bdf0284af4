"""A guide's customers in WeCom and here, and the two clocks that a hand-over runs by."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from contacts.models import Follow, GroupChat, HandoverPlan, HandoverRow, HandoverSplit, Member
from contacts.services.handover import planning, running
from contacts.services.handover.eligibility import preview
from scrm.lib import clock
from tagging.models import FollowTag, Tag, TagGroup
from tenants.audit import SYSTEM
from tests.support.contacts import make_contact, make_follow, make_group, make_identity, make_member
from tests.support.wecom import Wecom
from wecom_bridge.models import Corp
from wecom_bridge.services import inbox, outbox

SLICE = timedelta(seconds=50)


def guide(corp: Corp, userid: str, **more: Any) -> Member:
    """A member of the simulator's shop as we have her."""
    return make_member(userid, corp=corp, userid=userid, **more)


def customers(wecom: Wecom, member: Member, count: int) -> list[Follow]:
    """Fresh customers of hers, there and here."""
    found = wecom.hand("add", userid=member.userid, count=count)["external_userids"]
    return [befriend(member, external) for external in found]


def befriend(member: Member, external: str) -> Follow:
    """A relation as a sync would have written it."""
    contact = make_contact()
    identity = make_identity(contact, corp=member.corp, value=external)
    return make_follow(contact, member, identity=identity)


def groups(wecom: Wecom, member: Member) -> list[GroupChat]:
    """Her groups, here as there."""
    found = wecom.get(f"groups?owner={member.userid}")["groups"]
    return [make_group(owner=member, chat_id=row["chat_id"]) for row in found]


def draft(member: Member, *successors: Member, **settings: Any) -> HandoverPlan:
    """A draft with these successors."""
    given = {"fallback": None, "split": HandoverSplit.EVEN.value, **settings}
    plan = planning.open_plan(member, by=SYSTEM)
    return planning.change_plan(plan.pk, planning.Settings(successors, **given), by=SYSTEM)


def start(member: Member, *successors: Member, **settings: Any) -> HandoverPlan:
    """A plan that runs."""
    plan = draft(member, *successors, **settings)
    seen = preview(plan, clock.now())
    return planning.start_plan(plan.pk, expected=seen.eligible, by=SYSTEM)


def work() -> None:
    """What is due in the lane, in the outbox, and again, until nothing is."""
    for _turn in range(6):
        running.drain(clock.wall() + SLICE)
        outbox.drain(clock.wall() + SLICE)
    assert not running.count_due()


def hear() -> None:
    """Callbacks that arrived, worked off."""
    inbox.drain(clock.wall() + SLICE)


@contextmanager
def later(wecom: Wecom, **by: float) -> Iterator[None]:
    """Both clocks stand so much later."""
    wecom.post("clock", {"advance": timedelta(**by).total_seconds()})
    with clock.shifted(clock.offset() + timedelta(**by)):
        yield


def states(plan: HandoverPlan) -> dict[str, int]:
    """How many rows of each state."""
    found: dict[str, int] = {}
    for state in HandoverRow.objects.filter(plan=plan).values_list("state", flat=True):
        found[state] = found.get(state, 0) + 1
    return found


def leaves(wecom: Wecom, member: Member) -> None:
    """She left the corp, there and here."""
    wecom.hand("member_leaves", userid=member.userid)
    gone(member)


def gone(member: Member) -> None:
    """She left the corp, as a sync wrote it here."""
    member.status, member.left_at, member.has_customer_contact = Member.Status.LEFT, clock.now(), False
    member.save()


def externals(follows: list[Follow]) -> list[str]:
    return [follow.identity.value for follow in follows]


def failing(wecom, follow, reason):
    """WeCom ended the hand-over of a customer; the fields of its news."""
    wecom.hand("refuse_transfer", external_userid=follow.identity.value)
    return {"UserID": "hechen", "ExternalUserID": follow.identity.value, "FailReason": reason}


def customers_of(wecom: Wecom, userid: str) -> int:
    return len(wecom.hand("customers", userid=userid, limit=1_000)["customers"])


def tag(follow: Follow, name: str, *, group: TagGroup) -> Tag:
    """An internal tag that her guide put on a customer."""
    found, _new = Tag.objects.get_or_create(group=group, name=name)
    FollowTag.objects.create(
        follow=follow, contact=follow.contact, tag=found, origin="guide", state="on", tagged_at=clock.now()
    )
    return found
