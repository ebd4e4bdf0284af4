"""Conditions on custom fields: what they mean, how they are found, what they say."""

import random
from typing import Any

import pytest
from django.db import connection
from django.db.models import Q

from conditions.compiler import compile_tree
from conditions.people import people
from conditions.render import in_words
from conditions.schema import problems_of
from contacts.models import Contact, CustomField
from contacts.services import custom_fields
from scrm.lib import clock
from scrm.lib.db.bulk import insert_rows
from tenants.audit import SYSTEM
from tests.support import reading
from tests.support.contacts import (
    make_contact,
    make_field,
)
from tests.support.custom import ids_of

pytestmark = pytest.mark.django_db


# --- Conditions ------------------------------------------------------------------------------------------------------


@pytest.fixture
def world(db: None) -> dict[str, Any]:
    dice = random.Random(11)
    one = make_field("肤质", "one", ("油皮", "干皮"), key="skin")
    many = make_field("功效", "many", ("抗老", "美白", "祛痘"), key="care")
    for key, kind in (("family", "int"), ("height", "dec"), ("until", "date"), ("vip", "flag"), ("taste", "text")):
        make_field(key, kind, key=key)
    skins, cares = list(ids_of(one).values()), list(ids_of(many).values())
    values: dict[str, list[Any]] = {
        "skin": [*skins, 5], "care": [[cares[0]], cares[:2], "x"], "family": [1, 3, 5, "7", True], "height": [0.1, 1.5, 3],
        "until": ["2026-01-05", "2026-11-20", "2026-02-30", "tomorrow", "99999-01-01"], "vip": [True, False, "true"],
        "taste": ["淡", "", 5], "loose": ["a", "b"],
    }  # fmt: skip
    for _number in range(40):
        make_contact(custom={key: dice.choice(known) for key, known in values.items() if dice.random() < 0.6})
    return {"skins": skins, "cares": cares}


def leaves(world: dict[str, Any]) -> list[dict[str, Any]]:
    skins, cares = world["skins"], world["cares"]
    plain = [
        ("skin", "in", skins[:1]), ("skin", "not_in", skins[1:]), ("skin", "empty", None), ("skin", "not_empty", None),
        ("care", "any", cares[:1]), ("care", "all", cares[:2]), ("care", "none", cares[1:2]), ("care", "empty", None),
        ("care", "not_empty", None), ("family", "eq", 3), ("family", "ne", 3), ("family", "gte", 2), ("family", "between", [1, 3]),
        ("family", "empty", None), ("height", "eq", 0.1), ("height", "lte", 1.5), ("vip", "yes", None), ("vip", "no", None),
        ("until", "older_than", 30), ("until", "empty", None), ("taste", "is", "淡"), ("taste", "contains", "淡"),
        ("taste", "not_empty", None), ("taste", "is_not", "淡"), ("loose", "is", "a"), ("loose", "starts_with", "b"),
    ]  # fmt: skip
    found = [{"field": f"custom.{key}", "op": op, **({} if v is None else {"value": v})} for key, op, v in plain]
    window = {"from": "2026-01-05", "to": "2026-01-05"}
    return [*found, {"field": "custom.until", "op": "within", "window": window}]


def test_conditions_on_typed_fields_mean_what_the_reference_says_whatever_stands_there(world: dict[str, Any]) -> None:
    now = clock.now()
    everybody = list(people().values_list("pk", flat=True))
    for leaf in leaves(world):
        tree = {"version": 1, "root": {"all": [leaf]}}
        assert problems_of(tree) == [], leaf
        expected = reading.matching(tree, everybody, now, "Asia/Shanghai")
        found = set(people().filter(compile_tree(tree, now)).values_list("pk", flat=True))
        rest = set(
            people().filter(compile_tree({"version": 1, "root": {"not": leaf}}, now)).values_list("pk", flat=True)
        )
        assert (found, rest) == (expected, set(everybody) - expected), leaf
        assert found and rest, leaf


def test_a_value_is_found_by_its_index_and_a_range_among_those_who_have_any(world: dict[str, Any]) -> None:
    now = clock.now()
    told = [{"skin": world["skins"][0], "family": 2, "vip": False, "care": world["cares"][:1]}] * 2000 + [{}] * 8000
    plain = {
        one.attname: getattr(make_contact(), one.attname)
        for one in Contact._meta.concrete_fields
        if one.attname != "id"
    }
    insert_rows(Contact, [plain | {"custom": one} for one in told])
    rare = make_contact(custom={"skin": world["skins"][1], "family": 9, "vip": True, "care": world["cares"][2:]})
    Contact.objects.exclude(pk=rare.pk).filter(Q(custom__skin=world["skins"][1]) | Q(custom__vip=True)).delete()
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE contacts_contact")

    def plan(**leaf: Any) -> str:
        rows = people().filter(compile_tree({"version": 1, "root": {"all": [leaf]}}, now))
        return str(rows.explain())

    for key, op, value in (
        ("skin", "in", world["skins"][1:]),
        ("family", "eq", 9),
        ("care", "any", world["cares"][2:]),
    ):
        assert "on contact_custom_value" in plan(field=f"custom.{key}", op=op, value=value), key
    assert "on contact_custom_value" in plan(field="custom.vip", op="yes")
    for key, op, value in (("family", "gte", 5), ("until", "older_than", 3), ("height", "between", [1, 2])):
        found = plan(field=f"custom.{key}", op=op, value=value)
        assert "contact_custom_any" in found and "Seq Scan" not in found, found


def test_a_condition_says_labels_and_survives_a_field_put_out_of_use(world: dict[str, Any]) -> None:
    tree = {"version": 1, "root": {"all": [{"field": "custom.skin", "op": "in", "value": world["skins"][:1]}]}}
    assert "肤质 是 油皮" in in_words(tree).replace("「", "").replace("」", "")
    custom_fields.archive_field(CustomField.objects.get(key="skin").pk, by=SYSTEM)
    assert problems_of(tree) == [] and people().filter(compile_tree(tree, clock.now())).exists()
    make_field("病史", key="illness", in_conditions=False)
    closed = problems_of({"version": 1, "root": {"all": [{"field": "custom.illness", "op": "is", "value": "x"}]}})
    assert "没有开放用作条件" in closed[0].message
