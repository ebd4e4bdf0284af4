"""Every condition field of people and orders: the compiler agrees with the reference evaluator, on people with branches."""

import random
from datetime import date, timedelta
from typing import Any

import pytest

from commerce.models import Order
from conditions.compiler import compile_tree
from conditions.people import people
from contacts.models import Contact, FollowPeriod
from contacts.services.opt_out import set_opt_out
from contacts.timeline import NewEvent, record_events
from scrm.lib import clock
from tenants.audit import SYSTEM
from tests.support import reading
from tests.support.contacts import (
    make_contact,
    make_follow,
    make_group,
    make_member,
    make_region,
    make_stages,
    make_store,
)

pytestmark = pytest.mark.django_db
ZONE = "Asia/Shanghai"


@pytest.fixture
def world(db: None) -> dict[str, Any]:
    dice = random.Random(7)
    now = clock.now()
    stages = list(make_stages().values())
    regions = [make_region(), make_region()]
    members = [make_member(store=make_store(region=dice.choice([*regions, None]))) for _ in range(4)]
    groups = [make_group(owner=members[0]), make_group(owner=members[1])]
    everybody: list[Contact] = []
    for number in range(40):
        root = dice.choice(everybody) if everybody and dice.random() < 0.2 else None
        root = root.root or root if root else None
        person = make_contact(
            dice.choice(("王姐", "A静", "小圆子")), gender=dice.choice((0, 1, 2)), stage=dice.choice([*stages, None]), root=root,
            stage_since=now - timedelta(days=dice.randint(0, 40)), custom=dice.choice(({}, {"skin": "oily"}, {"skin": "dry"})),
            birthday=dice.choice((None, date(1990, 3, 1), date(1988, now.month, min(now.day, 28)))),
        )  # fmt: skip
        everybody.append(person)
        for member in dice.sample(members, dice.randint(0, 2)):
            relation = dice.choice(("active", "by_customer", "transferred"))
            at = now - timedelta(days=dice.randint(0, 60))
            make_follow(person, member, added_at=at, relation=relation, relation_since=at, add_way=dice.choice((1, 3)),
                        state=dice.choice(("", "till")))  # fmt: skip
        if dice.random() < 0.5:
            dice.choice(groups).memberships.create(
                kind=2, userid=f"wm{number}", contact=person, joined_at=now - timedelta(days=5),
                left_at=dice.choice((None, now)),
            )  # fmt: skip
        for order in range(dice.randint(0, 3)):
            Order.objects.create(
                source="pos", number=f"{number}-{order}", status=dice.choice(("paid", "refunded", "cancelled")), currency="CNY",
                total_minor=dice.choice((5_000, 20_000)), ordered_at=now - timedelta(days=dice.randint(0, 90)), contact=person,
                created_at=now, updated_at=now,
            )  # fmt: skip
        if root is None and dice.random() < 0.3:
            set_opt_out(
                person.pk, dice.choice(("30", "forever")), by=SYSTEM, at=now - timedelta(days=dice.choice((1, 40)))
            )
        record_events(
            [
                NewEvent(
                    "opt_out.ended",
                    now - timedelta(days=dice.randint(0, 20)),
                    "product",
                    f"x:{number}",
                    contact_id=person.pk,
                )
            ]
        )
    assert FollowPeriod.objects.exists()
    return {"stages": stages, "members": members, "groups": groups, "regions": regions, "now": now}


def leaves(world: dict[str, Any]) -> list[dict[str, Any]]:
    stages, members, groups = world["stages"], world["members"], world["groups"]
    return [
        {"field": "contact.name", "op": "contains", "value": "王"},
        {"field": "contact.gender", "op": "in", "value": [1, 0]},
        {"field": "contact.stage", "op": "in", "value": [stages[0].pk, stages[1].pk]},
        {"field": "contact.stage", "op": "empty"},
        {"field": "contact.stage_since", "op": "older_than", "value": 20},
        {"field": "contact.owner", "op": "not_in", "value": [members[0].pk]},
        {"field": "contact.store", "op": "in", "value": [members[0].store_id]},
        {"field": "contact.region", "op": "in", "value": [world["regions"][0].pk]},
        {"field": "contact.added_at", "op": "within", "window": {"days": 30}},
        {"field": "contact.first_added_at", "op": "older_than", "value": 30},
        {"field": "contact.friends", "op": "gte", "value": 1},
        {"field": "contact.opt_out", "op": "yes"},
        {"field": "contact.opt_out", "op": "no"},
        {"field": "birthday", "op": "upcoming", "value": 3},
        {"field": "follow.relation", "op": "any", "value": ["by_customer", "transferred"]},
        {"field": "follow.relation", "op": "none", "value": ["active"]},
        {"field": "follow.add_way", "op": "all", "value": [1, 3]},
        {"field": "follow.state", "op": "any", "value": ["till"], "window": {"days": 30}},
        {"field": "follow.member", "op": "any", "value": [members[1].pk]},
        {"field": "group", "op": "any", "value": [groups[0].pk]},
        {"field": "group", "op": "empty"},
        {"field": "custom.skin", "op": "is", "value": "oily"},
        {"field": "custom.skin", "op": "empty"},
        {"field": "order", "op": "count_at_least", "value": 2, "window": {"days": 60}},
        {"field": "order", "op": "sum_at_least", "value": 20_000},
        {"field": "order", "op": "never", "window": {"days": 30}},
        {"field": "order", "op": "last_older_than", "value": 30},
        {"field": "event.opt_out.ended", "op": "count_at_least", "value": 1, "window": {"days": 10}},
        {"field": "event.opt_out.set", "op": "never"},
    ]


def test_compiler_and_reference_agree_on_every_field(world: dict[str, Any]) -> None:
    roots = list(people().values_list("pk", flat=True))
    answers = {}
    for leaf in leaves(world):
        tree = {"version": 1, "root": {"all": [leaf]}}
        for root in (tree, {"version": 1, "root": {"not": {"all": [leaf]}}}):
            compiled = set(people().filter(compile_tree(root, world["now"])).values_list("pk", flat=True))
            assert compiled == reading.matching(root, roots, world["now"], ZONE), leaf
        answers[str(leaf)] = len(compiled)
    # A field that says the same of everybody would prove little.
    assert sum(0 < count < len(roots) for count in answers.values()) >= len(answers) - 2
