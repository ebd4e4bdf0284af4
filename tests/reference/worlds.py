"""Small random worlds: rows of everything the fields read, with instants and days where answers change.

`build(seed)` writes into the tenant in scope and says what there is. The same seed makes the same world, ids apart.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import Model

from campaigns.models import Broadcast, Delivery, Enrollment, Push, Sop, SopVersion
from commerce.models import Order, OrderLine, Product, Refund
from contacts.models import (
    ConsentRecord,
    Contact,
    ContactPhone,
    CustomField,
    Dealer,
    Follow,
    FollowPeriod,
    GroupChat,
    GroupMembership,
    GroupTag,
    GroupTagging,
    Identity,
    Member,
    Region,
    Stage,
    Store,
    TimelineEvent,
)
from tagging.models import FollowTag, Segment, SegmentEntry, Tag, TagGroup
from wecom_bridge.models import Corp

# What trees ask about and what instants lie at, so that one meets the other.
DAYS = (1, 2, 7, 30, 90, 365)
HOURS = (1, 6, 24)
GAPS = (1, 7)
KINDS = ("follow.added", "group.joined", "order.paid", "stage.changed", "tag.added")
# (zone, now): an ordinary noon; the leap day and its eve; both sides of changes of the clock; the hour that comes twice.
# Not a midnight that comes twice (Havana in November): the document does not say which of the two begins the day.
MOMENTS = (
    ("Asia/Shanghai", datetime(2026, 3, 1, 4, tzinfo=UTC)),
    ("Asia/Shanghai", datetime(2026, 2, 28, 15, 59, 59, 999999, tzinfo=UTC)),
    ("Asia/Shanghai", datetime(2024, 2, 28, 16, tzinfo=UTC)),
    ("Asia/Shanghai", datetime(2025, 2, 26, 16, tzinfo=UTC)),
    ("America/New_York", datetime(2027, 2, 28, 5, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 3, 8, 7, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 3, 9, 3, 59, 59, 999999, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 11, 1, 5, 30, tzinfo=UTC)),
    ("America/New_York", datetime(2024, 2, 29, 4, 59, 59, 999999, tzinfo=UTC)),
    ("America/Havana", datetime(2026, 3, 8, 12, tzinfo=UTC)),  # midnight is left out there
    ("Australia/Lord_Howe", datetime(2026, 4, 4, 14, 45, tzinfo=UTC)),  # half an hour
    ("Asia/Kathmandu", datetime(2026, 12, 31, 18, 15, tzinfo=UTC)),
    ("Pacific/Kiritimati", datetime(2027, 1, 1, 9, 59, 59, 999999, tzinfo=UTC)),
)
NAMES = (
    "",
    "王小美",
    "王小",
    "王小 ",
    "小美",
    "Wang",
    "wang",
    "100%",
    "a_b",
    "a\\b",
    "O'Hara",
    " ",
    "测试 空格",
    "ß",
    "é",
    "e\u0301",
)
STATES = ("", "", "qr1", "QR1", "store-9", "活动码")
CATEGORIES = ("", "面包", "蛋糕", "Cake")
SOURCES = ("pos", "youzan", "api")
WAYS = (0, 1, 2, 202)


@dataclass
class World:
    """What was written, by what trees may name."""

    seed: int
    zone: str
    now: datetime
    pools: dict[str, list[Any]] = field(default_factory=dict)
    custom: dict[str, str] = field(default_factory=dict)  # key → type


def build(seed: int, *, people: int = 40) -> World:
    """Write a world into the tenant in scope."""
    return _Builder(seed, people).build()


CUSTOM: dict[str, tuple[str, Callable[["_Builder"], Any]]] = {
    "c_text": ("text", lambda b: b.r.choice(NAMES)),
    "c_long": ("long", lambda b: b.r.choice(("一行\n两行", "x" * 300, ""))),
    "c_int": ("int", lambda b: b.r.choice((0, 1, -1, 5, 6, 10**14))),
    "c_dec": ("dec", lambda b: b.r.choice((0, 0.1, 0.3, 5.5, -2.25, 5, 99999999999.9999))),
    "c_date": ("date", lambda b: b.day().isoformat()),
    "c_flag": ("flag", lambda b: b.r.choice((True, False))),
    "c_one": ("one", lambda b: b.r.choice(("o1", "o2", "o9"))),
    "c_many": ("many", lambda b: b.r.sample(("o1", "o2", "o3"), b.r.randint(0, 3))),
    "c_phone": ("phone", lambda b: b.r.choice(("+8613800000000", "+8613800000001"))),
    "c_url": ("url", lambda b: b.r.choice(("https://a.example/", "https://b.example/x?y=1"))),
}
WRONG = (
    None,
    "",
    5,
    0,
    True,
    False,
    "true",
    "5",
    "2026-02-30",
    "2026-2-3",
    "2026-W09-1",
    "20260301",
    "x",
    [],
    ["o1"],
    [1, None],
    {},
    {"a": 1},
    1.5,
)


class _Builder:
    def __init__(self, seed: int, people: int) -> None:
        self.r = Random(seed)
        self.zone, self.now = self.r.choice(MOMENTS)
        if self.r.random() < 0.3:
            self.now += timedelta(microseconds=self.r.randrange(86_400_000_000))
        self.people = people
        self.world = World(seed, self.zone, self.now)
        self.numbers = iter(range(1, 1_000_000))

    def build(self) -> World:
        self._organisation()
        self._dictionary()
        self._contacts()
        self._relations()
        self._groups()
        self._orders()
        self._history()
        self._campaigns()
        return self.world

    # --- Chance ---------------------------------------------------------------------------------------------------

    def instant(self) -> datetime:
        """Mostly where an answer changes, a microsecond before or after."""
        r, zone = self.r, ZoneInfo(self.zone)
        chance = r.random()
        if chance < 0.4:
            at = self.now - timedelta(days=r.choice(DAYS))
        elif chance < 0.5:
            at = self.now - timedelta(hours=r.choice(HOURS))
        elif chance < 0.7:
            day = self.now.astimezone(zone).date() - timedelta(days=r.choice((-1, 0, 1, 2, 7, 30, 31)))
            at = datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
        elif chance < 0.75:
            at = self.now
        elif chance < 0.8:
            at = self.now + timedelta(days=r.choice((1, 30)))
        else:
            at = self.now - timedelta(microseconds=r.randrange(400 * 86_400_000_000))
        return at + timedelta(microseconds=r.choice((-1, 0, 0, 1)))

    def day(self) -> date:
        """Of a birth or a deadline: around today and its anniversaries, leap days too."""
        today = self.now.astimezone(ZoneInfo(self.zone)).date()
        chance = self.r.random()
        if chance < 0.2:
            return date(self.r.choice((1996, 2000, 2024)), 2, 29)
        if chance < 0.3:
            return date(self.r.choice((1990, 2024)), *self.r.choice(((2, 28), (3, 1), (1, 1), (12, 31))))
        near = today + timedelta(days=self.r.choice((-2, -1, 0, 1, 2, 7, 8, 30, 31, 364)))
        year = self.r.choice((1985, 2001, near.year, near.year - 1, near.year + 1))
        return near.replace(year=year, day=28 if (near.month, near.day) == (2, 29) else near.day)

    def maybe(self, value: Any, chance: float = 0.7) -> Any:
        return value if self.r.random() < chance else None

    def number(self) -> int:
        return next(self.numbers)

    def one(self, pool: str) -> Any:
        return self.r.choice(self.world.pools[pool])

    def keep(self, name: str, rows: Iterable[Model]) -> list[Any]:
        """Write rows and let trees name them."""
        written = _write(rows)
        self.world.pools[name] = [row.pk for row in written]
        return written

    # --- What there is --------------------------------------------------------------------------------------------

    def _organisation(self) -> None:
        r = self.r
        self.corp = Corp.objects.create(corp_id=f"wwref{self.world.seed}", name="企业", created_at=self.now)
        regions = self.keep("region", (Region(name=f"参照大区{n}") for n in range(2)))
        dealers = self.keep("dealer", (Dealer(name=f"参照经销商{n}") for n in range(2)))
        today = self.now.astimezone(ZoneInfo(self.zone)).date()
        near = (None, None, *(today + timedelta(days=n) for n in (-1, 0, 1)))
        stores = self.keep("store", [
            Store(
                code=f"R{n}", name=f"参照门店{n}", region=self.maybe(r.choice(regions)), dealer=self.maybe(r.choice(dealers), 0.5),
                is_open=r.random() < 0.8, archived_at=self.maybe(self.now, 0.1), opened_on=r.choice(near), closed_on=r.choice(near),
            )
            for n in range(4)
        ])  # fmt: skip
        statuses = ("active", "active", "active", "left", "disabled", "inactive", "unknown")
        self.members = self.keep("member", [
            Member(corp=self.corp, userid=f"ref{n}", name=f"导购{n}", status=statuses[n], store=self.maybe(r.choice(stores)), has_customer_contact=True)
            for n in range(len(statuses))
        ])  # fmt: skip
        _write([Stage(key=f"ref{n}", name=f"参照阶段{n}", order=900 + n) for n in range(2)])
        self.world.pools["stage"] = list(Stage.objects.filter(is_archived=False).values_list("pk", flat=True))[-4:]

    def _dictionary(self) -> None:
        r = self.r
        groups = self.keep("tag_group", [
            TagGroup(kind="internal", name="普通组"), TagGroup(kind="internal", name="互斥组", is_exclusive=True),
            TagGroup(kind="corp", corp=self.corp, wecom_group_id="etref", name="企业组"),
        ])  # fmt: skip
        self.tags = _write([
            Tag(group=groups[n % 3], corp=self.corp if n % 3 == 2 else None, name=f"标签{n}", wecom_tag_id=f"etref{n}" if n % 3 == 2 else None)
            for n in range(8)
        ] + [Tag(group=groups[0], name="已删", deleted_at=self.now)])  # fmt: skip
        self.world.pools["tag"] = [tag.pk for tag in self.tags if tag.deleted_at is None]
        self.segments = _write([
            Segment(name=f"参照人群{n}", kind="static", created_at=self.now, archived_at=self.now if n == 3 else None) for n in range(4)
        ])  # fmt: skip
        self.world.pools["segment"] = [segment.pk for segment in self.segments if segment.archived_at is None]
        self.chats = _write([
            GroupChat(corp=self.corp, chat_id=f"wrref{n}", name=f"群{n}", created_at=self.now, dismissed_at=self.now if n == 3 else None)
            for n in range(4)
        ])  # fmt: skip
        self.world.pools["chat"] = [chat.pk for chat in self.chats if chat.dismissed_at is None]
        marks = self.keep("chat_tag", [GroupTag(name=f"参照群标签{n}", created_at=self.now) for n in range(3)])
        pairs = {(r.choice(marks).pk, r.choice(self.chats).pk) for _ in range(4)}
        _write([GroupTagging(tag_id=tag, group_id=chat, tagged_at=self.now) for tag, chat in pairs])
        self.products = self.keep("product", [
            Product(code=f"REF{n}", name=f"商品{n}", category=CATEGORIES[n % len(CATEGORIES)]) for n in range(5)
        ])  # fmt: skip
        options = [{"id": f"o{n}", "label": f"选项{n}", "archived": n == 3} for n in (1, 2, 3)]
        _write([
            CustomField(key=key, label=f"参照{key}", type=kind, options=options if kind in ("one", "many") else [], created_at=self.now)
            for key, (kind, _value) in CUSTOM.items()
        ])  # fmt: skip
        self.world.custom = {key: kind for key, (kind, _value) in CUSTOM.items()}
        self.world.pools |= {
            "gender": [0, 1, 2], "relation": ["active", "by_customer", "by_guide", "transferred", "unknown"], "way": list(WAYS),
            "state": sorted({state for state in STATES if state}), "by": ["customer", "guide", "transfer", "unknown"],
            "origin": ["sync", "guide", "operator", "rule", "code", "import", "api"], "source": list(SOURCES),
            "category": [category for category in CATEGORIES if category], "consent": ["given", "withdrawn"],
            "outcome": ["excluded", "holdout", "sent", "failed"], "reason": ["opt_out", "cap", "refused"],
            "push_kind": ["broadcast", "sop", "one_to_one"], "enrolment": ["running", "done", "exited"], "option": ["o1", "o2"],
        }  # fmt: skip

    # --- People ---------------------------------------------------------------------------------------------------

    def _contacts(self) -> None:
        roots = _write([self._contact() for _ in range(self.people * 4 // 5)])
        branches = _write([
            self._contact(root=root, erased_at=root.erased_at) for root in self.r.choices(roots, k=self.people // 5)
        ])  # fmt: skip
        self.contacts = roots + branches
        self.root_of = {contact.pk: contact.root or contact for contact in self.contacts}
        self.identities = _write([
            Identity(kind="external", scope=self.corp.corp_id, value=f"wmref{contact.pk}-{n}", contact=contact, created_at=self.now)
            for contact in self.contacts for n in range(self.r.choice((1, 1, 1, 2)))
        ])  # fmt: skip
        _write([
            ContactPhone(contact=contact, phone="+8613900000000", source=source, created_at=self.now)
            for contact in self.contacts for source in self.r.sample(("manual", "order", "import"), self.r.choice((0, 0, 1, 2)))
        ])  # fmt: skip
        _write(self._consent(contact) for contact in self.contacts for _ in range(self.r.choice((0, 1, 2, 4))))

    def _contact(self, **overrides: Any) -> Contact:
        r = self.r
        stage = self.maybe(self.one("stage"))
        fields = {
            "name": r.choice(NAMES), "gender": r.choice((0, 1, 2)), "stage_id": stage,
            "stage_since": self.instant() if stage else None, "owner": self.maybe(r.choice(self.members)),
            "store_id": self.maybe(self.one("store"), 0.6), "birthday": self.maybe(self.day()),
            "opt_out_since": self.maybe(self.instant(), 0.4), "opt_out_until": self.maybe(self.instant(), 0.6),
            "first_added_at": self.maybe(self.instant(), 0.85), "last_added_at": self.maybe(self.instant(), 0.85),
            "custom": self._values(), "erased_at": self.maybe(self.now, 0.06), "created_at": self.now, "updated_at": self.now,
        }  # fmt: skip
        return Contact(**{**fields, **overrides})

    def _values(self) -> dict[str, Any]:
        if self.r.random() < 0.2:
            return {}
        return {
            key: self.r.choice(WRONG) if self.r.random() < 0.2 else value(self)
            for key, (_kind, value) in CUSTOM.items()
            if self.r.random() < 0.6
        }

    def _consent(self, contact: Contact) -> ConsentRecord:
        purpose = self.r.choice(("messages", "messages", "profile", "sharing", "opt_out"))
        decision = self.r.choice(("set", "ended") if purpose == "opt_out" else ("given", "withdrawn"))
        at = self.instant()
        return ConsentRecord(
            contact=contact, purpose=purpose, decision=decision, channel="chat", source="guide", decided_at=at,
            noted_at=at + timedelta(days=self.r.choice((0, 1))),
        )  # fmt: skip

    def _relations(self) -> None:
        r = self.r
        self.follows = _write(
            self._follow(identity, member)
            for identity in self.identities
            for member in r.sample(self.members, r.choice((0, 1, 1, 2, 3)))
        )
        active: dict[int, int] = {}
        for follow in self.follows:
            root = self.root_of[follow.contact_id]
            active[root.pk] = active.get(root.pk, 0) + (follow.relation == "active")
        for contact in self.contacts:
            contact.active_follows = active.get(contact.pk, 0)
            friends = [f.member for f in self.follows if self.root_of[f.contact_id].pk == contact.pk]
            if friends and r.random() < 0.6:
                contact.owner = r.choice(friends)
        Contact.objects.bulk_update(self.contacts, ["active_follows", "owner"])
        _write(period for follow in self.follows for period in self._periods(follow))
        _write(
            FollowTag(
                follow=follow, contact=follow.contact, tag=tag, origin=self.one("origin"), tagged_at=self.instant(),
                state=r.choice(("on", "on", "on", "adding", "removing", "failed")),
            )
            for follow in self.follows for tag in r.sample(self.tags, r.choice((0, 1, 2, 3)))
        )  # fmt: skip
        pairs = {
            (segment, contact)
            for segment in range(4)
            for contact in r.sample(range(len(self.contacts)), self.people // 4)
        }
        _write(
            SegmentEntry(segment=self.segments[segment], contact=self.contacts[contact], entered_at=self.instant())
            for segment, contact in sorted(pairs)
        )

    def _follow(self, identity: Identity, member: Member) -> Follow:
        r, at = self.r, self.instant()
        return Follow(
            corp=self.corp, identity=identity, contact=identity.contact, member=member, remark=r.choice(("", "", "老客", " ")),
            relation=r.choice(("active", "active", "active", "by_customer", "by_guide", "transferred", "unknown")),
            relation_since=self.instant(), relation_proved_at=self.now, added_at=at, add_way=r.choice(WAYS), state=r.choice(STATES),
        )  # fmt: skip

    def _periods(self, follow: Follow) -> list[FollowPeriod]:
        instants = sorted({self.instant() for _ in range(self.r.choice((1, 1, 2, 3)) * 2)})
        periods = []
        for begins, ends in zip(instants[::2], instants[1::2] + [None], strict=False):
            open_ = ends is None or (begins == instants[::2][-1] and self.r.random() < 0.6)
            periods.append(FollowPeriod(
                follow=follow, added_at=begins, ended_at=None if open_ else ends, ended_by="" if open_ else self.one("by"),
                add_way=self.r.choice(WAYS), state=self.r.choice(STATES), source="callback", store_id=self.maybe(self.one("store")),
            ))  # fmt: skip
        return periods

    def _groups(self) -> None:
        r, rows, taken = self.r, [], set()
        for contact in self.contacts:
            for chat in r.choices(self.chats, k=r.choice((0, 0, 1, 2, 3))):
                joined, left = sorted((self.instant(), self.instant()))
                if (chat.pk, contact.pk) not in taken and r.random() < 0.7:
                    left = None
                    taken.add((chat.pk, contact.pk))
                rows.append(GroupMembership(
                    group=chat, kind=2, userid=f"wm{contact.pk}", contact=contact, joined_at=joined, left_at=left,
                ))  # fmt: skip
        for n, member in enumerate(self.members[:3]):
            rows.append(
                GroupMembership(group=self.chats[n], kind=1, userid=member.userid, member=member, joined_at=self.now)
            )
        _write(_unlike(rows, lambda row: (row.group_id, row.userid, row.joined_at)))

    # --- What happened --------------------------------------------------------------------------------------------

    def _orders(self) -> None:
        r = self.r
        orders = _write(self._order() for _ in range(self.people * 2))
        _write(
            OrderLine(
                order=order, position=position, product=self.maybe(r.choice(self.products), 0.85), name="商品", quantity=1,
                amount_minor=r.choice((0, 1, 500, 1000, -200)),
            )
            for order in orders for position in range(r.choice((0, 1, 2, 3)))
        )  # fmt: skip
        _write(
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

    def _history(self) -> None:
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
        _write(rows)

    def _event(self, kind: str, at: datetime, contact: Contact | None) -> TimelineEvent:
        return TimelineEvent(
            kind=kind, occurred_at=at, recorded_at=self.now, source="callback", contact=contact,
            member=self.maybe(self.r.choice(self.members)), store_id=self.maybe(self.one("store")), fact_key=f"ref{self.number()}",
        )  # fmt: skip

    def _campaigns(self) -> None:
        r = self.r
        pushes = _write(
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
        _write(
            Delivery(
                push=push, target=f"c{contact.pk}", contact=contact, state=r.choice(("planned", *self.world.pools["outcome"])), frozen_at=self.instant(),
                reason=r.choice(("", *self.world.pools["reason"])),
            )
            for push in pushes for contact in r.sample(self.contacts, self.people // 3)
        )  # fmt: skip
        _write(
            [
                Delivery(
                    push=pushes[0], target=f"g{self.chats[0].pk}", group=self.chats[0], state="sent", frozen_at=self.now
                )
            ]
        )
        sops = self.keep("sop", [Sop(name=f"参照SOP{n}", state="on", created_at=self.now) for n in range(3)])
        versions = _write(SopVersion(sop=sop, number=1, trigger="follow_added", created_at=self.now) for sop in sops)
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
        _write(
            _unlike(
                enrolments,
                lambda row: (row.sop_id, row.target, row.state if row.state == "running" else row.trigger_key),
            )
        )


def _write(rows: Iterable[Any]) -> list[Any]:
    written = list(rows)
    return type(written[0])._default_manager.bulk_create(written) if written else []


def _unlike(rows: Iterable[Any], key: Callable[[Any], Any]) -> list[Any]:
    """The first of those that a unique constraint would take for one."""
    return list({key(row): row for row in reversed(list(rows))}.values())[::-1]
