"""Makers for conditions and tagging: people with every kind of value, and fields over them of the tests' own (`t.*`)."""

import random
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Any

from django.db.models import F

from commerce.models import Order
from conditions import registry
from conditions.operators import ValueType
from conditions.people import branches
from conditions.registry import Field, Option, Trait
from contacts.models import Contact, Follow, Identity, Member, Stage
from scrm.lib import clock
from tagging.models import FollowTag, Tag, TagGroup
from wecom_bridge.models import Corp

NOW = datetime(2026, 3, 1, 4, 0, tzinfo=UTC)  # noon in Shanghai
_numbers = count(1)


# --- Rows -------------------------------------------------------------------------------------------------------


def make_corp(**overrides: Any) -> Corp:
    """A connected corp."""
    number = next(_numbers)
    return Corp.objects.create(
        **{"corp_id": f"wwtag{number}", "name": f"企业{number}", "created_at": clock.wall(), **overrides}
    )


def make_member(corp: Corp, **overrides: Any) -> Member:
    """An active guide."""
    number = next(_numbers)
    fields = {"userid": f"guide{number}", "name": f"导购{number}", "status": "active", "has_customer_contact": True}
    return Member.objects.create(corp=corp, **{**fields, **overrides})


def make_person(name: str = "客户", **overrides: Any) -> Contact:
    """A contact row, nothing else."""
    return Contact.objects.create(**{"name": name, "created_at": NOW, "updated_at": NOW, **overrides})


def make_relation(contact: Contact, member: Member, **overrides: Any) -> Follow:
    """The guide and the customer are friends."""
    number = next(_numbers)
    identity = Identity.objects.create(
        kind="external", scope=member.corp.corp_id, value=f"wmtag{number}", contact=contact, created_at=NOW
    )
    fields = {"added_at": NOW, "relation_since": NOW, "relation_proved_at": NOW}
    return Follow.objects.create(
        corp=member.corp, identity=identity, contact=contact, member=member, **{**fields, **overrides}
    )


def make_tag(name: str, group: TagGroup | None = None, *, corp: Corp | None = None, **overrides: Any) -> Tag:
    """A corp tag when a corp is given, else an internal one."""
    number = next(_numbers)
    kind = "corp" if corp else "internal"
    if group is None:
        group = TagGroup.objects.create(
            kind=kind, corp=corp, wecom_group_id=f"etgroup{number}" if corp else None, name=f"标签组{number}"
        )
    wecom_id = f"ettag{number}" if corp else None
    return Tag.objects.create(group=group, corp=corp, wecom_tag_id=wecom_id, name=name, **overrides)


def put_tag(follow: Follow, tag: Tag, **overrides: Any) -> FollowTag:
    """The follow carries the tag, as a sync would have found it."""
    fields = {"origin": "sync", "tagged_at": NOW, "contact": follow.contact}
    return FollowTag.objects.create(follow=follow, tag=tag, **{**fields, **overrides})


# --- Fields of the tests' own -----------------------------------------------------------------------------------


def _column(name: str) -> Any:
    def read(root_ids: Sequence[int]) -> dict[int, Any]:
        return {person.pk: getattr(person, name) for person in Contact.objects.filter(pk__in=root_ids)}

    return read


def _read_tags(root_ids: Sequence[int]) -> dict[int, Any]:
    root_of = branches(root_ids)
    found = defaultdict(list)
    for mark in FollowTag.objects.all():
        if mark.contact_id in root_of:
            found[root_of[mark.contact_id]].append((mark.tag_id, mark.tagged_at))
    return found


def _read_orders(root_ids: Sequence[int]) -> dict[int, Any]:
    root_of = branches(root_ids)
    found = defaultdict(list)
    for order in Order.objects.filter(status="paid"):
        if order.contact_id in root_of:
            found[root_of[order.contact_id]].append((order.ordered_at, order.total_minor - order.refunded_minor))
    return found


def _read_statuses(root_ids: Sequence[int]) -> dict[int, Any]:
    root_of = branches(root_ids)
    found = defaultdict(list)
    for order in Order.objects.all():
        if order.contact_id in root_of:
            found[root_of[order.contact_id]].append((order.status, order.ordered_at))
    return found


def _options(model: Any) -> Any:
    return lambda: [Option(row.pk, row.name) for row in model.objects.all()]


def _origins() -> list[Option]:
    return [Option(value, label) for value, label in FollowTag.Origin.choices]


def _single(key: str, kind: ValueType, column: str, **extra: Any) -> Field:
    return Field(f"t.{key}", key, "测试", kind, expression=lambda now: F(column), read=_column(column), **extra)


TEST_FIELDS = (
    _single("name", ValueType.TEXT, "name"),
    _single("follows", ValueType.NUMBER, "active_follows"),
    _single("stage", ValueType.CHOICE, "stage_id", options=_options(Stage)),
    _single("added", ValueType.MOMENT, "first_added_at"),
    _single("birthday", ValueType.ANNIVERSARY, "birthday"),
    Field(
        "t.silent", "免打扰", "测试", ValueType.FLAG,
        expression=lambda now: __import__("django.db.models.lookups", fromlist=["GreaterThan"]).GreaterThan(F("opt_out_until"), now),
        read=lambda ids: {pk: until > clock.now() for pk, until in _column("opt_out_until")(ids).items() if until},
        boundary=lambda now: F("opt_out_until"),
    ),
    Field(
        "t.tag", "标签", "测试", ValueType.SET, rows=FollowTag.objects.all, value="tag_id", at="tagged_at", read=_read_tags,
        options=_options(Tag), traits=(Trait("origin", "打标来源", "origin", _origins),),
    ),
    Field(
        "t.order", "订单", "测试", ValueType.FACTS, rows=lambda: Order.objects.filter(status="paid"), at="ordered_at",
        amount=F("total_minor") - F("refunded_minor"), read=_read_orders,
    ),
    Field(
        "t.events", "先后", "测试", ValueType.SEQUENCE, rows=Order.objects.all, value="status", at="ordered_at",
        read=_read_statuses, options=lambda: [Option("paid", "付款"), Option("cancelled", "取消")],
    ),
    Field("t.share", "抽签", "测试", ValueType.SHARE, expression=lambda now: F("pk"), read=lambda ids: {pk: pk for pk in ids}),
)  # fmt: skip


def register_test_fields() -> None:
    """Make `t.*` known; doing it again changes nothing."""
    registry.register(*TEST_FIELDS)


# --- A random population ----------------------------------------------------------------------------------------

NAMES = ("", "王姐", "王姐-敏感肌", "A静", "小圆子", "100%", "a_b", "🌸May")


def random_instant(dice: random.Random, now: datetime = NOW) -> datetime:
    """Often exactly on a boundary of a rolling window, or a microsecond beside it; sometimes in the future."""
    base = now - timedelta(days=dice.choice((0, 1, 2, 3, 7, 30)), hours=dice.choice((0, 0, 0, 6, 16)))
    return base + dice.choice(
        (timedelta(), timedelta(), timedelta(microseconds=1), -timedelta(microseconds=1), timedelta(hours=30))
    )


class World:
    """Some people: roots and branches, with tags, orders and every other kind of value, or without."""

    def __init__(self, dice: random.Random, size: int = 12) -> None:
        self.dice = dice
        self.corp = make_corp()
        self.members = [make_member(self.corp) for _ in range(2)]
        self.stages = [
            Stage.objects.create(key=f"s{next(_numbers)}", name=name, order=index)
            for index, name in enumerate("甲乙丙")
        ]
        group = TagGroup.objects.create(kind="corp", corp=self.corp, wecom_group_id=f"et{next(_numbers)}", name="肤质")
        self.tags = [make_tag(f"标签{n}", group, corp=self.corp) for n in range(4)]
        self.people: list[Contact] = []
        for _ in range(size):
            self.add_person()

    @property
    def roots(self) -> list[int]:
        return [person.pk for person in self.people if person.root_id is None]

    def add_person(self) -> Contact:
        dice = self.dice
        roots = [person for person in self.people if person.root_id is None]
        person = make_person(
            dice.choice(NAMES),
            root=dice.choice(roots) if roots and dice.random() < 0.25 else None,
            stage=dice.choice((None, *self.stages)),
            active_follows=dice.randrange(3),
            first_added_at=dice.choice((None, random_instant(dice))),
            birthday=dice.choice((None, date(1992, 2, 29), date(1990, 2, 28), date(1988, 3, 1), date(1995, 3, 8), date(1993, 11, 2))),
            opt_out_until=dice.choice((None, random_instant(dice))),
        )  # fmt: skip
        self.people.append(person)
        for member in self.members:
            if dice.random() < 0.7:
                follow = make_relation(person, member)
                for tag in dice.sample(self.tags, dice.randrange(3)):
                    put_tag(follow, tag, tagged_at=random_instant(dice))
        for _ in range(dice.randrange(4)):
            self.add_order(person)
        return person

    def add_order(self, person: Contact, at: datetime | None = None) -> Order:
        dice = self.dice
        total = dice.choice((0, 100, 5000, 30000))
        return Order.objects.create(
            source="pos",
            number=f"n{next(_numbers)}",
            status=dice.choice(("paid", "paid", "cancelled")),
            currency="CNY",
            total_minor=total,
            refunded_minor=dice.choice((0, 0, total)),
            ordered_at=at or random_instant(dice),
            contact=person,
            created_at=NOW,
            updated_at=NOW,
        )


# --- Random trees -----------------------------------------------------------------------------------------------


def random_leaf(dice: random.Random, fields: Sequence[Field]) -> dict[str, Any]:
    """A valid statement about one of the fields. Raises ValueError when none of them has a value to speak of."""
    for _ in range(60):
        field = dice.choice(list(fields))
        operator = dice.choice(field.allowed)
        leaf: dict[str, Any] = {"field": field.key, "op": operator.key}
        value = _random_value(dice, field, operator.wants)
        if operator.wants != "nothing":
            if value is None:
                continue
            leaf["value"] = value
        if operator.key == "count_at_least" and value == 0:
            leaf["value"] = 1
        if field.takes_window(operator) and (operator.window == "required" or dice.random() < 0.6):
            leaf["window"] = _random_window(dice)
        if operator.wants == "events" and dice.random() < 0.5:
            leaf["gap"] = dice.choice((1, 2, 7))
        return leaf
    raise ValueError("nothing can be said")


def _random_value(dice: random.Random, field: Field, wants: str) -> Any:
    if wants == "options":
        assert field.options is not None
        known = [option.value for option in field.options()]
        return dice.sample(known, dice.randint(1, min(3, len(known)))) if known else None
    if wants == "events":
        return (
            dice.choices([option.value for option in field.options()], k=dice.randint(2, 4)) if field.options else None
        )
    return {
        "share": lambda: {
            "seed": dice.choice(("春节", "b")),
            **dict(zip(("from", "to"), _two_shares(dice), strict=True)),
        },
        "nothing": lambda: None,
        "text": lambda: dice.choice(("王", "王姐", "%", "_", "A", "🌸", "小圆子")),
        "number": lambda: dice.randrange(3),
        "numbers": lambda: sorted((dice.randrange(3), dice.randrange(3))),
        "days": lambda: dice.choice((0, 1, 2, 3, 7, 30)),
        "times": lambda: dice.randrange(3),
        "money": lambda: dice.choice((0, 100, 5000, 30000)),
    }[wants]()


def _two_shares(dice: random.Random) -> tuple[float, float]:
    low, high = sorted(dice.sample((0, 12.5, 33.33, 50, 66.6, 100), 2))
    return low, high


def _random_window(dice: random.Random) -> dict[str, Any]:
    return dice.choice(
        (
            {"days": dice.choice((1, 2, 3, 7, 30))},
            {"days": 7, "skip_days": dice.choice((0, 1, 3))},
            {"hours": dice.choice((6, 24))},
            {"from": "2026-02-22", "to": "2026-02-28"},
            {"from": "2026-02-27"},
            {"to": "2026-02-26"},
        )
    )


def random_node(dice: random.Random, fields: Sequence[Field], depth: int = 3) -> dict[str, Any]:
    """A valid node no deeper than `depth`."""
    kind = dice.choice(("leaf", "leaf", "all", "any", "not", "at_least")) if depth else "leaf"
    if kind == "leaf":
        return random_leaf(dice, fields)
    if kind == "not":
        return {"not": random_node(dice, fields, depth - 1)}
    parts = [random_node(dice, fields, depth - 1) for _ in range(dice.randint(1, 3))]
    return {"at_least": dice.randint(1, len(parts)), "of": parts} if kind == "at_least" else {kind: parts}


def tree_of(node: dict[str, Any]) -> dict[str, Any]:
    """A node as a whole tree."""
    return {"version": 1, "root": node}
