"""Custom fields: what they take, their page, and that changing one loses nothing."""

from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import Role
from conditions.models import DirtyMark
from contacts import custom
from contacts.models import Contact, CustomField
from contacts.services import custom_fields
from contacts.services.custom_fields import Settings
from contacts.services.details import change_details
from scrm.lib.errors import UserError
from tagging.services.segments import save_segment
from tenants.audit import SYSTEM
from tenants.ledger.models import AuditEntry
from tests.support.contacts import (
    make_contact,
    make_field,
    make_follow,
    make_stages,
)
from tests.support.custom import form_of, ids_of, text

pytestmark = pytest.mark.django_db


# --- Values ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "given", "stored", "read"),
    [
        ("text", "  油皮 ", "油皮", "油皮"),
        ("long", "怕热\r\n怕酒精", "怕热\n怕酒精", "怕热\n怕酒精"),
        ("int", "1,200", 1200, "1200"),
        ("int", 3, 3, "3"),
        ("dec", "1.50", 1.5, "1.5"),
        ("dec", "-0.0001", -0.0001, "-0.0001"),
        ("date", "2026年1月5日", "2026-01-05", "2026-01-05"),
        ("date", "20260105", "2026-01-05", "2026-01-05"),
        ("date", "2026-01-05 00:00:00", "2026-01-05", "2026-01-05"),
        ("flag", "否", False, "否"),
        ("flag", True, True, "是"),
        ("phone", "138 1234 5678", "+8613812345678", "13812345678"),
        ("url", "https://example.com/a?b=1", "https://example.com/a?b=1", "https://example.com/a?b=1"),
        ("text", "", None, ""),
        ("many", [], None, ""),
    ],
)
def test_a_value_is_stored_typed_and_reads_as_it_may_be_written(kind: str, given: Any, stored: Any, read: str) -> None:
    field = CustomField(key="x", label="资料", type=kind)
    value = custom.parse(field, given)
    assert (type(value), value) == (type(stored), stored)
    assert custom.shown(field, value) == read and custom.parse(field, read) == value


@pytest.mark.parametrize(
    ("kind", "given", "words"),
    [
        ("text", "两\n行", "只能写一行"), ("text", "长" * 201, "最多 200 字"), ("int", "2.5", "要填整数"), ("int", "三", "要填数字"),
        ("int", "1e5", "要填数字"), ("int", "9" * 16, "太大"), ("int", "9" * 40, "太大"), ("dec", 1e300, "太大"),
        ("dec", "1.23456", "最多 4 位"), ("dec", float("nan"), "要填数字"),
        ("date", "2026-02-30", "真有的一天"), ("date", "1799-01-01", "1900 到 2100"), ("flag", "也许", "「是」或「否」"),
        ("phone", "123", "不是有效的电话"), ("url", "javascript:alert(1)", "http://"), ("one", "干皮", "可选:油皮"),
        ("many", "油皮、紫皮", "没有「紫皮」"), ("text", {"a": 1}, "不是一组"), ("int", [1], "不是一组"),
    ],
)  # fmt: skip
def test_what_a_field_does_not_take_is_refused_with_a_plain_sentence(kind: str, given: Any, words: str) -> None:
    field = CustomField(key="x", label="资料", type=kind, options=[{"id": "o1", "label": "油皮"}])
    with pytest.raises(UserError) as refused:
        custom.parse(field, given)
    assert words in refused.value.message and refused.value.message.startswith("「资料」")


def test_choices_are_stored_by_ids_that_survive_another_name() -> None:
    field = make_field("肤质", "many", ("油皮", "干皮", "敏感肌"))
    ids = ids_of(field)
    assert (
        custom.parse(field, "敏感肌,油皮")
        == [ids["油皮"], ids["敏感肌"]]
        == custom.parse(field, [ids["敏感肌"], "油皮"])
    )
    options = [(ids["油皮"], "偏油", False), (ids["干皮"], "干皮", True), ("", "混合", False)]
    changed = custom_fields.change_field(field.pk, Settings(label="肤质", options=options), by=SYSTEM)
    assert [option["id"] for option in changed.options][:3:2] == [ids["油皮"], ids_of(changed)["混合"]]
    assert ids_of(changed)["敏感肌"] == ids["敏感肌"], "an option that the form did not name stays"
    assert custom.shown(changed, [ids["油皮"], ids["干皮"]]) == "偏油、干皮"
    with pytest.raises(UserError, match="没有「干皮」"):
        custom.parse(changed, "干皮")


def test_limits_of_a_field_hold_for_what_is_written_from_now_on() -> None:
    field = make_field("年龄", "int", lowest=Decimal(1), highest=Decimal(120))
    with pytest.raises(UserError, match="不能大于 120"):
        custom.parse(field, "121")
    with pytest.raises(UserError, match="最小值不能大于最大值"):
        make_field("高", "dec", lowest=Decimal(2), highest=Decimal(1))
    with pytest.raises(UserError, match="1 到 200"):
        make_field("短", "text", max_length=201)


# --- Definitions -----------------------------------------------------------------------------------------------------


def test_fields_are_added_ordered_and_put_out_of_use_on_their_page(acme_client: Client) -> None:
    assert "还没有自定义字段" in text(acme_client.get("/fields/"))
    assert "从选项里选一个" in text(acme_client.get("/fields/new/"))
    body = {"label": "肤质", "section": "护肤", "new_options": "油皮\n干皮\n", "data_class": "personal", "api": "write"}
    assert acme_client.post("/fields/new/?type=one", body).status_code == 302
    skin = CustomField.objects.get(label="肤质")
    assert (skin.key, skin.type, list(ids_of(skin))) == ("fuzhi", "one", ["油皮", "干皮"])
    assert "已有名为「肤质」" in text(acme_client.post("/fields/new/?type=text", body), 422)
    assert "至少填写一个选项" in text(
        acme_client.post("/fields/new/?type=one", body | {"label": "肤色", "new_options": ""}), 422
    )
    assert "小写字母" in text(acme_client.post("/fields/new/?type=text", body | {"label": "肤色", "key": "A b"}), 422)
    second = make_field("家庭人数", "int")
    acme_client.post(f"/fields/{second.pk}/shift/", {"to": "earlier"})
    assert [field.label for field in custom.fields_in_use()] == ["家庭人数", "肤质"]

    page = acme_client.get(f"/fields/{skin.pk}/")
    ids = ids_of(skin)
    renamed = form_of(page, **{f"option-{ids['油皮']}": "偏油"}, new_options="混合")
    assert acme_client.post(f"/fields/{skin.pk}/", renamed).status_code == 302
    assert ids_of(skin) | {} == {"偏油": ids["油皮"], "干皮": ids["干皮"], "混合": ids_of(skin)["混合"]}

    make_follow(make_contact(custom={"fuzhi": ids["干皮"]}))
    assert "有 1 位客户填了它" in text(acme_client.get(f"/fields/{skin.pk}/archive/"))
    acme_client.post(f"/fields/{skin.pk}/archive/")
    assert custom.fields_in_use() == [second] and Contact.objects.filter(custom__fuzhi=ids["干皮"]).exists()
    assert "已停用" in text(acme_client.get("/fields/"))
    acme_client.post(f"/fields/{skin.pk}/restore/")
    assert [field.label for field in custom.fields_in_use()] == ["家庭人数", "肤质"]
    actions = AuditEntry.objects.filter(action__startswith="custom_field.").values_list("action", flat=True)
    assert {"custom_field.added", "custom_field.shifted", "custom_field.changed", "custom_field.archived"} <= set(
        actions
    )


def test_the_number_of_fields_is_limited_and_the_page_asks_as_often_for_many(
    acme_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_field()
    acme_client.get("/fields/")  # the first request of a process asks more
    with CaptureQueriesContext(connection) as few:
        acme_client.get("/fields/")
    monkeypatch.setattr(custom_fields, "MOST", 6)
    for _number in range(5):
        make_field()
    with CaptureQueriesContext(connection) as many:
        acme_client.get("/fields/")
    assert len(many) == len(few)
    with pytest.raises(UserError, match="最多同时用 6 个"):
        make_field()


def test_only_who_may_sets_up_fields(log_in: Any) -> None:
    field = make_field(see_roles=[Role.objects.get(key="hq").pk])
    reader = log_in("approver")
    assert "客户资料" not in text(reader.get(f"/contacts/{make_follow().contact_id}/")), "nothing to see or fill in"
    for role in ("store", "guide", "content"):
        client = log_in(role)
        assert client.get("/fields/").status_code == 403
        assert client.post(f"/fields/{field.pk}/archive/").status_code == 403
    assert "自定义字段" in text(log_in("operator").get("/fields/"))


# --- Another type ----------------------------------------------------------------------------------------------------


def test_a_type_changes_only_when_no_value_is_lost(acme_client: Client) -> None:
    field = make_field("家庭人数", "text", key="family")
    people_ = [make_contact(custom={"family": value}) for value in ("3", "4")]
    odd = make_contact(custom={"family": "三口"})
    page = text(acme_client.get(f"/fields/{field.pk}/type/?type=int"))
    assert "有 1 个不符合「整数」" in page and "三口" in page and "更改类型</button>" not in page
    with pytest.raises(UserError, match="例如「三口」"):
        custom_fields.change_type(field.pk, "int", expected=3, by=SYSTEM)
    change_details(odd.pk, by=SYSTEM, custom={"family": "5"})
    DirtyMark.objects.all().delete()

    assert "核对" in text(acme_client.post(f"/fields/{field.pk}/type/", {"type": "int", "expected": 2}), 409)
    assert acme_client.post(f"/fields/{field.pk}/type/", {"type": "int", "expected": 3}).status_code == 302
    values = Contact.objects.filter(custom__has_key="family").order_by("pk").values_list("custom__family", flat=True)
    assert list(values) == [3, 4, 5] and CustomField.objects.get().type == "int"
    assert set(DirtyMark.objects.values_list("contact_id", "field_key")) == {
        (person.pk, "custom.family") for person in (*people_, odd)
    }
    custom_fields.change_type(field.pk, "dec", expected=3, by=SYSTEM)
    custom_fields.change_type(field.pk, "text", expected=3, by=SYSTEM)
    assert Contact.objects.get(pk=odd.pk).custom == {"family": "5"}
    with pytest.raises(UserError, match="选项"):
        custom_fields.change_type(field.pk, "one", expected=3, by=SYSTEM)


def test_one_choice_becomes_many_and_back_while_nobody_has_two() -> None:
    field = make_field("肤质", "one", ("油皮", "干皮"), key="skin")
    oily = ids_of(field)["油皮"]
    person = make_contact(custom={"skin": oily})
    custom_fields.change_field(field.pk, Settings(label="肤质", options=[(oily, "油皮", True)]), by=SYSTEM)
    custom_fields.change_type(field.pk, "many", expected=1, by=SYSTEM)
    person.refresh_from_db()
    assert person.custom == {"skin": [oily]}, "an option out of use keeps its people"
    Contact.objects.filter(pk=person.pk).update(custom={"skin": list(ids_of(field).values())})
    assert custom_fields.preview_type(CustomField.objects.get(), "one").lost == 1


def test_too_many_values_are_not_rewritten_but_those_that_stand_as_they_are_may(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    field = make_field("口味", "text", key="taste")
    for _number in range(3):
        make_contact(custom={"taste": "1"})
    monkeypatch.setattr(custom_fields, "REWRITTEN", 2)
    with pytest.raises(UserError, match="超过 2 个"):
        custom_fields.change_type(field.pk, "int", expected=3, by=SYSTEM)
    assert custom_fields.change_type(field.pk, "long", expected=3, by=SYSTEM).type == "long"


def test_a_field_takes_over_what_stands_under_its_key_if_it_fits() -> None:
    person = make_contact(custom={"age": "31", "note": ""})
    with pytest.raises(UserError, match="1 个不符合"):
        make_field("年龄", "flag", key="age")
    make_field("年龄", "int", key="age")
    make_field("备忘", "int", key="note")
    person.refresh_from_db()
    assert person.custom == {"age": 31}


def test_what_conditions_read_is_not_changed_underneath_them(acme_client: Client) -> None:
    field = make_field("口味", key="taste")

    def tree(key: str) -> dict[str, Any]:
        return {"version": 1, "root": {"all": [{"field": f"custom.{key}", "op": "contains", "value": "甜"}]}}

    save_segment(None, name="爱甜", tree=tree("taste"), by=SYSTEM)
    save_segment(None, name="旧字段", tree=tree("loose"), by=SYSTEM)
    stage = make_stages()["new"]
    stage.rule = tree("taste")
    stage.save()
    page = text(acme_client.get(f"/fields/{field.pk}/type/?type=int"))
    assert "人群「爱甜」" in page and "的进入条件" in page and "更改类型</button>" not in page
    with pytest.raises(UserError, match="人群「爱甜」"):
        custom_fields.change_type(field.pk, "int", expected=0, by=SYSTEM)
    with pytest.raises(UserError, match="正被用作条件"):
        custom_fields.change_field(field.pk, Settings(label="口味", in_conditions=False), by=SYSTEM)
    with pytest.raises(UserError, match="人群「旧字段」"):
        make_field("数", "int", key="loose")
    assert custom_fields.change_type(field.pk, "long", expected=0, by=SYSTEM).type == "long"
    assert make_field("字", "text", key="loose").type == "text"
