"""The finished broadcast of the last 会员日: push, units and deliveries with their ends, as the pipeline would have left them."""

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

from accounts.models import User
from campaigns.models import (
    Approval,
    Broadcast,
    Content,
    ContentVersion,
    Delivery,
    Dispatch,
    MassSend,
    MassSendResult,
    Push,
)
from campaigns.rendering import render
from campaigns.services.contents import message_digest
from campaigns.services.cutting import recognisable_digest
from campaigns.states import DeliveryState, DispatchState, PushKind, PushState, PushTarget
from contacts.models import Follow, Member, Relation
from contacts.timeline import NewEvent, record_events
from demo.history.audience import Candidate, Planned, plan_audience
from demo.history.money import PlannedOrder
from demo.scenarios.model import Scenario
from scrm.lib import clock
from tagging.models import FollowTag
from tenants.context import current_tenant

TITLE = "会员日双倍积分"
TEXT = "本月会员日:积分双倍,老客加赠洁面巾。{门店名}现场,也可小程序下单👇"
WINDOW = timedelta(days=7)
OPT_OUT_TAG = "免打扰"
AGREED_BUT_SILENT = 0.4
BATCH = 4000
WECOM_STATUS = {"sent": 1, "not_friend": 2, "quota": 3}


def write_broadcast(scenario: Scenario, planned_orders: Sequence[PlannedOrder], now: datetime, rng: Random) -> None:
    """Write it from its draft to its last delivery."""
    assert scenario.broadcast is not None
    notify_at = last_member_day(now)
    bought = {o.person.pk for o in planned_orders if o.person and notify_at <= o.at < notify_at + WINDOW}
    audience = plan_audience(*_candidates(notify_at, bought), scenario.broadcast, rng)
    push, version = _push(audience, scenario, notify_at)
    units = _units(push, version, audience, notify_at, rng)
    deliveries = _deliveries(push, units, audience, notify_at)
    _record(deliveries)
    _observe(units, deliveries)


def last_member_day(now: datetime) -> datetime:
    """10:00 tenant time of the latest 28th whose week after is over."""
    zone = ZoneInfo(current_tenant().time_zone)
    day = (now.astimezone(zone) - WINDOW - timedelta(days=1)).date()
    if day.day < 28:
        day = day.replace(day=1) - timedelta(days=1)
    return datetime(day.year, day.month, 28, 10, tzinfo=zone)


def _candidates(notify_at: datetime, bought: set[int]) -> tuple[list[Candidate], list[Candidate], list[Candidate]]:
    """(who may be sent to, who opted out, whose relation had ended): one follow each, the owner's first."""
    opted_out = set(FollowTag.objects.filter(tag__name=OPT_OUT_TAG).values_list("contact_id", flat=True))
    follows = Follow.objects.filter(added_at__lt=notify_at, contact__root__isnull=True).select_related("contact")
    pool: dict[int, Candidate] = {}
    silent: dict[int, Candidate] = {}
    ended: dict[int, Candidate] = {}
    for follow in follows.order_by("contact_id", "-added_at"):
        contact = follow.contact_id
        one = Candidate(contact, follow.pk, follow.member_id, contact in bought)
        if follow.contact.active_follows == 0:
            ended.setdefault(contact, one)
        elif follow.relation == Relation.ACTIVE and follow.member_id == follow.contact.owner_id:
            (silent if contact in opted_out else pool)[contact] = one
    return list(pool.values()), list(silent.values()), list(ended.values())


def _push(audience: Sequence[Planned], scenario: Scenario, notify_at: datetime) -> tuple[Push, ContentVersion]:
    """Content, broadcast, its approval and the frozen push."""
    author, approver = User.objects.get(username="limin"), User.objects.get(username="hejia")
    drafted, approved = notify_at - timedelta(days=2), notify_at - timedelta(days=1)
    confirm_by = notify_at.replace(hour=20, minute=30)
    content = Content.objects.create(
        title=TITLE, message_class="promotion", created_by_id=author.pk, created_at=drafted
    )
    version = ContentVersion.objects.create(
        content=content,
        number=1,
        text=TEXT,
        digest=message_digest(TEXT, []),
        created_by_id=author.pk,
        created_at=drafted,
    )
    broadcast = Broadcast.objects.create(
        name=TITLE, state=Broadcast.State.ENDED, content_version=version, holdout_percent=5, notify_at=notify_at,
        confirm_by=confirm_by, created_by_id=author.pk, created_at=drafted, updated_at=approved,
    )  # fmt: skip
    push = Push.objects.create(
        kind=PushKind.BROADCAST, target=PushTarget.PEOPLE, source_id=broadcast.pk, source_version=1, title=TITLE,
        message_class="promotion", state=PushState.ENDED, audience_count=len(audience), audience_hash=_digest(audience),
        holdout_percent=5,
        notify_at=notify_at, confirm_by=confirm_by, frozen_at=approved, ended_at=confirm_by + timedelta(minutes=5),
    )  # fmt: skip
    broadcast.push = push
    broadcast.save(update_fields=["push"])
    Approval.objects.create(
        subject_kind="broadcast", subject_id=broadcast.pk, subject_version=1, state=Approval.State.APPROVED, level="hq",
        snapshot={"targeted": len(audience)}, requested_by_id=author.pk, requested_at=drafted + timedelta(hours=1),
        expires_at=confirm_by - timedelta(hours=1), decided_by_id=approver.pk, decided_at=approved,
    )  # fmt: skip
    return push, version


def _digest(audience: Sequence[Planned]) -> str:
    """As the freeze computes it: over the sorted target keys."""
    return hashlib.sha256("\n".join(sorted(f"c{one.candidate.contact}" for one in audience)).encode()).hexdigest()


def _units(
    push: Push, version: ContentVersion, audience: Sequence[Planned], notify_at: datetime, rng: Random
) -> dict[int, Dispatch]:
    """One unit per guide: confirmed by those whose people have results, silent until the deadline by the others."""
    sizes: dict[int, int] = {}
    silent: set[int] = set()
    for one in audience:
        if one.in_unit:
            sizes[one.candidate.guide] = sizes.get(one.candidate.guide, 0) + 1
            if one.state == DeliveryState.EXPIRED:
                silent.add(one.candidate.guide)
    guides = Member.objects.select_related("store").in_bulk(list(sizes))
    units = [_unit(push, version, guides[pk], size, pk in silent, notify_at, rng) for pk, size in sorted(sizes.items())]
    Dispatch.objects.bulk_create(units)
    return {unit.sender_id: unit for unit in units}


def _unit(
    push: Push, version: ContentVersion, guide: Member, size: int, is_silent: bool, notify_at: datetime, rng: Random
) -> Dispatch:
    store = guide.store
    text = render(version.text, guide=guide, store=store)
    agreed = notify_at + timedelta(minutes=rng.uniform(-40, 300))
    unit = Dispatch(
        push=push, sender=guide, content_version=version, text=text, content_digest=recognisable_digest(text, []), store=store,
        region_id=store.region_id if store else None, dealer_id=store.dealer_id if store else None, planned=size,
    )  # fmt: skip
    if is_silent:
        if rng.random() < AGREED_BUT_SILENT:  # agreed in 今日, then never pressed 发送
            unit.agreed_at = agreed
        unit.state, unit.reason, unit.ended_at = DispatchState.EXPIRED, "deadline", push.confirm_by
        return unit
    unit.state, unit.agreed_at, unit.msgid = DispatchState.DONE, agreed, f"msgHist{push.pk:04d}{guide.pk:08d}"
    unit.tasked_at = max(agreed, notify_at) + timedelta(minutes=1)
    unit.confirmed_at = unit.tasked_at + timedelta(minutes=rng.uniform(2, 120))
    unit.ended_at = unit.confirmed_at + timedelta(minutes=5)
    return unit


def _deliveries(
    push: Push, units: dict[int, Dispatch], audience: Sequence[Planned], notify_at: datetime
) -> list[Delivery]:
    external = _external_ids(audience)
    guides = Member.objects.select_related("store").in_bulk({one.candidate.guide for one in audience})
    rows = [_delivery(push, units, one, external, guides[one.candidate.guide]) for one in audience]
    Delivery.objects.bulk_create(rows, batch_size=BATCH)
    return rows


def _external_ids(audience: Sequence[Planned]) -> dict[int, str]:
    follows = Follow.objects.filter(pk__in=[one.candidate.follow for one in audience])
    return dict(follows.values_list("pk", "identity__value"))


def _delivery(
    push: Push, units: dict[int, Dispatch], one: Planned, external: dict[int, str], guide: Member
) -> Delivery:
    unit = units[one.candidate.guide] if one.in_unit else None
    store = guide.store
    sent_at = unit.confirmed_at + timedelta(seconds=30) if unit and unit.confirmed_at and one.state == "sent" else None
    return Delivery(
        push=push, target=f"c{one.candidate.contact}", contact_id=one.candidate.contact, follow_id=one.candidate.follow,
        dispatch=unit, external_userid=external.get(one.candidate.follow, ""), state=one.state, reason=one.reason,
        store=store, member=guide, region_id=store.region_id if store else None, dealer_id=store.dealer_id if store else None,
        frozen_at=push.frozen_at, sent_at=sent_at,
        settled_at=sent_at or (unit.ended_at if unit else push.frozen_at),
    )  # fmt: skip


def _record(deliveries: Sequence[Delivery]) -> None:
    """The timeline's facts of those who were sent to, or refused."""
    events = [
        NewEvent(
            f"push.{row.state}", row.sent_at or row.settled_at or row.frozen_at, "product",
            f"push.{row.state}:{row.push_id}:{row.target}", contact_id=row.contact_id,
            member_id=row.member_id, subject=f"push:{row.push_id}",
            payload={"reason": row.reason} if row.state == DeliveryState.FAILED else {},
        )
        for row in deliveries
        if row.state in (DeliveryState.SENT, DeliveryState.FAILED)
    ]  # fmt: skip
    for start in range(0, len(events), BATCH):
        record_events(events[start : start + BATCH])


def _observe(units: dict[int, Dispatch], deliveries: Sequence[Delivery]) -> None:
    """The quota ledger: these sends used up what the customers may receive."""
    sends = {
        unit.pk: MassSend(
            corp_id=unit.sender.corp_id, msgid=unit.msgid, chat_type="single", create_type=0, dispatch_id=unit.pk,
            created_at=unit.tasked_at or unit.push.notify_at, results_final_at=clock.now(),
        )
        for unit in units.values()
        if unit.msgid
    }  # fmt: skip
    MassSend.objects.bulk_create(sends.values())
    userids = {unit.pk: unit.sender.userid for unit in units.values()}
    MassSendResult.objects.bulk_create(
        [
            MassSendResult(
                corp_id=sends[row.dispatch_id].corp_id, mass_send=sends[row.dispatch_id], userid=userids[row.dispatch_id],
                target=row.external_userid, status=WECOM_STATUS[row.reason or "sent"], sent_at=row.sent_at,
            )
            for row in deliveries
            if row.dispatch_id in sends
        ],
        batch_size=BATCH,
    )  # fmt: skip
