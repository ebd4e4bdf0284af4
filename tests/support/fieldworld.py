"""A population about whom every condition field has something to say: the people of tests.support.tagging, with all the rest."""

from datetime import timedelta
from itertools import count
from typing import Any

from campaigns.models import Delivery, Enrollment, Push, Sop, SopVersion
from commerce.models import Order, OrderLine, Product, Refund
from contacts.models import (
    ConsentRecord,
    Contact,
    ContactPhone,
    Follow,
    FollowPeriod,
    GroupMembership,
    GroupTag,
    GroupTagging,
)
from contacts.timeline import NewEvent, record_events
from tagging.models import Segment, SegmentEntry
from tests.support.contacts import make_dealer, make_field, make_group, make_region, make_store
from tests.support.tagging import NOW, World, random_instant

_numbers = count(1)


class FullWorld(World):
    """World, furnished. Small: every field asks everybody several times."""

    def __init__(self, dice: Any, size: int = 12) -> None:
        super().__init__(dice, size)
        self.follows = list(Follow.objects.all())
        self._places()
        self._dates()
        self._relations()
        self._groups()
        self._purchases()
        self._notes()
        self._segments()
        self._touches()

    def _places(self) -> None:
        today = NOW.date()
        kinds: list[dict[str, Any]] = [
            {"dealer": make_dealer(), "region": make_region()}, {"is_open": False}, {"closed_on": today + timedelta(days=1)},
            {"opened_on": today + timedelta(days=2)}, {"closed_on": today}, {"archived_at": NOW},
        ]  # fmt: skip
        self.stores = [make_store(**kind) for kind in kinds]
        self.members[1].status = "left"
        self.members[1].save(update_fields=["status"])
        for person in self.people:
            person.store = self.dice.choice([None, *self.stores])
            person.owner = self.dice.choice([None, *self.members])
            person.save(update_fields=["store", "owner"])

    def _dates(self) -> None:
        make_field("入会日", "date", key="joined")
        days = (None, "2020-02-29", "2019-03-01", "2021-03-08", "2021-02-30", "not a day")
        for person in self.people:
            day = self.dice.choice(days)
            person.custom = {"joined": day} if day else {}
            person.save(update_fields=["custom"])

    def _relations(self) -> None:
        for follow in self.follows:
            follow.remark = self.dice.choice(("", "老客"))
            follow.relation = self.dice.choice(("active", "active", "by_customer"))
            follow.add_way, follow.state = self.dice.choice((1, 3)), self.dice.choice(("", "till"))
            follow.save(update_fields=["remark", "relation", "add_way", "state"])
            first = random_instant(self.dice) - timedelta(days=60)
            for start, end in ((first, first + timedelta(days=20)), (random_instant(self.dice), None)):
                FollowPeriod.objects.create(
                    follow=follow, added_at=start, ended_at=end, ended_by="customer" if end else "", add_way=follow.add_way,
                    state=follow.state, source="callback", store=self.dice.choice([None, *self.stores]),
                )  # fmt: skip

    def _groups(self) -> None:
        self.groups = [make_group(owner=self.members[0]) for _ in range(2)]
        self.group_tags = [GroupTag.objects.create(name=f"群标签{n}", created_at=NOW) for n in range(2)]
        for tag in self.group_tags:
            GroupTagging.objects.create(tag=tag, group=self.groups[0], tagged_at=NOW)
        for person in self.people:
            for group in self.dice.sample(self.groups, self.dice.randrange(3)):
                at = random_instant(self.dice) - timedelta(days=40)
                left = self.dice.choice((None, at + timedelta(days=1)))
                GroupMembership.objects.create(
                    group=group, kind=2, userid=f"wm{next(_numbers)}", contact=person, joined_at=at, left_at=left
                )

    def _purchases(self) -> None:
        self.products = [
            Product.objects.create(code=f"P{n}", name=f"商品{n}", category=category)
            for n, category in enumerate(("护肤", "彩妆", ""))
        ]
        for order in Order.objects.all():
            order.store, order.member = self.dice.choice(self.stores), self.dice.choice(self.members)
            order.store_source = order.member_source = "explicit"
            order.source = self.dice.choice(("pos", "youzan"))
            order.save()
            for position in range(self.dice.randrange(3)):
                OrderLine.objects.create(
                    order=order, position=position, product=self.dice.choice([None, *self.products]), name="行", quantity=1,
                    amount_minor=self.dice.choice((100, 5000)),
                )  # fmt: skip
            if self.dice.random() < 0.4:
                Refund.objects.create(
                    source="pos", order_number=order.number, order=order, number=f"R{next(_numbers)}",
                    amount_minor=self.dice.choice((100, 5000)), refunded_at=random_instant(self.dice),
                )  # fmt: skip

    def _notes(self) -> None:
        for person in self.people:
            if self.dice.random() < 0.4:
                ContactPhone.objects.create(contact=person, phone="+8613800138000", source="manual", created_at=NOW)
            for purpose in ("messages", "profile"):
                for decision in self.dice.sample(("given", "withdrawn", "given"), self.dice.randrange(3)):
                    at = random_instant(self.dice) - timedelta(days=60)
                    ConsentRecord.objects.create(
                        contact=person, purpose=purpose, decision=decision, channel="store", source="customer", decided_at=at,
                        noted_at=NOW,
                    )  # fmt: skip
            record_events([
                NewEvent(kind, random_instant(self.dice), "product", f"x:{next(_numbers)}", contact_id=person.pk,
                         member_id=self.dice.choice(self.members).pk)
                for kind in ("opt_out.set", "follow.added") if self.dice.random() < 0.5
            ])  # fmt: skip

    def _segments(self) -> None:
        for name in ("常客", "新客"):
            segment = Segment.objects.create(name=name, kind="static", state="fresh", created_at=NOW)
            for root in self.dice.sample(self.roots, len(self.roots) // 2):
                SegmentEntry.objects.create(segment=segment, contact_id=root, entered_at=random_instant(self.dice))

    def _touches(self) -> None:
        pushes = [
            Push.objects.create(
                kind=kind, target="people", source_id=number, source_version=1, title="推", message_class="content",
                notify_at=NOW, confirm_by=NOW + timedelta(days=1), frozen_at=NOW,
            )
            for number, kind in enumerate(("broadcast", "sop"), 1)
        ]  # fmt: skip
        sops = [Sop.objects.create(name=f"SOP{n}", state="on", created_at=NOW) for n in range(2)]
        versions = [
            SopVersion.objects.create(sop=sop, number=1, trigger="follow_added", created_at=NOW) for sop in sops
        ]
        for person in self.people:
            for push in self.dice.sample(pushes, self.dice.randrange(3)):
                state, reason = self.dice.choice((("sent", ""), ("excluded", "cap"), ("planned", "")))
                Delivery.objects.create(
                    push=push, target=f"c{person.pk}", contact=person, state=state, reason=reason,
                    frozen_at=random_instant(self.dice),
                )  # fmt: skip
            for version in self.dice.sample(versions, self.dice.randrange(3)):
                Enrollment.objects.create(
                    version=version, sop=version.sop, target=f"c{person.pk}", contact=person, trigger_key=f"k{person.pk}",
                    state=self.dice.choice(("running", "done")), entered_at=random_instant(self.dice),
                )  # fmt: skip

    @property
    def somebody(self) -> Contact:
        """A root."""
        return next(person for person in self.people if person.root_id is None)
