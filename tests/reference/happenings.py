"""What happened to a world's people: orders, timelines, messages and SOPs."""

from datetime import datetime, timedelta

from campaigns.models import Broadcast, Delivery, Enrollment, Push, Sop, SopVersion
from commerce.models import Order, OrderLine, Refund
from contacts.models import Contact, TimelineEvent
from tests.reference.chance import GAPS, KINDS, unlike, write
from tests.reference.customers import Customers


class Happenings(Customers):
    """Writes it."""

    def add_orders(self) -> None:
        """Orders with lines, and refunds, bound and not."""
        r = self.r
        orders = write(self._order() for _ in range(self.people * 2))
        write(
            OrderLine(
                order=order, position=position, product=self.maybe(r.choice(self.products), 0.85), name="商品", quantity=1,
                amount_minor=r.choice((0, 1, 500, 1000, -200)),
            )
            for order in orders for position in range(r.choice((0, 1, 2, 3)))
        )  # fmt: skip
        write(
            Refund(
                source=self.one("source"), order_number="x", order=self.maybe(r.choice(orders), 0.9), number=f"RF{self.number()}",
                amount_minor=r.choice((1, 500, 1000)), refunded_at=self.instant(),
            )
            for _ in range(self.people)
        )  # fmt: skip

    def _order(self) -> Order:
        r = self.r
        member, store = self.maybe(r.choice(self.members)), self.maybe(self.one("store"))
        total = r.choice((0, 1, 500, 1000, 100_000))
        return Order(
            source=self.one("source"), number=f"N{self.number()}", status=r.choice(("paid", "paid", "paid", "refunded", "cancelled")),
            currency="CNY", total_minor=total, refunded_minor=r.choice((0, 0, 0, total, min(total, 500), total + 1)),
            ordered_at=self.instant(), contact=self.maybe(r.choice(self.contacts), 0.9), member=member, store_id=store,
            member_source="explicit" if member else "", store_source="explicit" if store else "", created_at=self.now,
            updated_at=self.now,
        )  # fmt: skip

    def add_history(self) -> None:
        """Timelines: scattered events, and chains whose steps lie a gap apart, a microsecond more or less, or at one instant."""
        r, rows = self.r, []
        for contact in self.contacts:
            at = self.instant()
            for kind in r.choices(KINDS, k=r.choice((0, 2, 3, 5))):
                rows.append(self._event(kind, at, r.choice((contact, self.root_of[contact.pk]))))
                step = r.choice(
                    (
                        timedelta(),
                        timedelta(microseconds=1),
                        *(timedelta(days=gap) for gap in GAPS),
                        timedelta(hours=r.randrange(300)),
                    )
                )
                at += step + timedelta(microseconds=r.choice((-1, 0, 0, 1)))
            rows += [self._event(r.choice(KINDS), self.instant(), contact) for _ in range(r.choice((0, 1, 2)))]
        rows.append(self._event("group.dismissed", self.now, None))
        write(rows)

    def _event(self, kind: str, at: datetime, contact: Contact | None) -> TimelineEvent:
        return TimelineEvent(
            kind=kind, occurred_at=at, recorded_at=self.now, source="callback", contact=contact,
            member=self.maybe(self.r.choice(self.members)), store_id=self.maybe(self.one("store")), fact_key=f"ref{self.number()}",
        )  # fmt: skip

    def add_campaigns(self) -> None:
        """Messages meant for people and for a group; runs of SOPs."""
        r = self.r
        pushes = write(
            Push(
                kind=kind, target="people", source_id=n + 1, source_version=1, title=f"群发{n}", message_class="content", notify_at=self.now,
                confirm_by=self.now + timedelta(days=1), frozen_at=self.now,
            )
            for n, kind in enumerate(("broadcast", "broadcast", "sop", "one_to_one"))
        )  # fmt: skip
        self.keep("broadcast", [
            Broadcast(name=f"群发{n}", push=pushes[n] if n < 2 else None, created_at=self.now, updated_at=self.now) for n in range(3)
        ])  # fmt: skip
        self.world.pools["broadcast"] = self.world.pools["broadcast"][
            :2
        ]  # the third is a draft: nobody was meant by it
        for push, broadcast in zip(pushes[:2], self.world.pools["broadcast"], strict=False):
            push.source_id = broadcast
        Push.objects.bulk_update(pushes[:2], ["source_id"])
        write(
            Delivery(
                push=push, target=f"c{contact.pk}", contact=contact, state=r.choice(("planned", *self.world.pools["outcome"])), frozen_at=self.instant(),
                reason=r.choice(("", *self.world.pools["reason"])),
            )
            for push in pushes for contact in r.sample(self.contacts, self.people // 3)
        )  # fmt: skip
        write(
            [
                Delivery(
                    push=pushes[0], target=f"g{self.chats[0].pk}", group=self.chats[0], state="sent", frozen_at=self.now
                )
            ]
        )
        sops = self.keep("sop", [Sop(name=f"参照SOP{n}", state="on", created_at=self.now) for n in range(3)])
        versions = write(SopVersion(sop=sop, number=1, trigger="follow_added", created_at=self.now) for sop in sops)
        enrolments = [
            Enrollment(
                version=version, sop=version.sop, target=f"c{contact.pk}", contact=contact, trigger_key=f"k{self.number()}",
                state=self.one("enrolment"), entered_at=self.instant(),
            )
            for version in versions for contact in r.choices(self.contacts, k=self.people // 3)
        ]  # fmt: skip
        enrolments.append(
            Enrollment(
                version=versions[0],
                sop=versions[0].sop,
                target=f"g{self.chats[0].pk}",
                group=self.chats[0],
                trigger_key="g",
                entered_at=self.now,
            )
        )
        write(
            unlike(
                enrolments,
                lambda row: (row.sop_id, row.target, row.state if row.state == "running" else row.trigger_key),
            )
        )
