"""Custom fields: what they take, who sees and changes them, how they are found, and that changing one loses nothing."""

import json
import random
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.db.models import Q
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import ApiToken, Role
from conditions import reference
from conditions.compiler import compile_tree
from conditions.models import DirtyMark
from conditions.people import people
from conditions.render import in_words
from conditions.schema import problems_of
from contacts import advanced, custom
from contacts.models import Contact, CustomField, DetailChange, TimelineEvent
from contacts.services import custom_fields
from contacts.services.custom_fields import Settings
from contacts.services.custom_values import set_values
from contacts.services.details import change_details
from scrm.lib import clock
from scrm.lib.crypto import token_digest
from scrm.lib.db.bulk import insert_rows
from scrm.lib.errors import Conflict, NotAllowed, UserError
from tagging.models import Segment
from tagging.services.segments import save_segment
from tenants.audit import SYSTEM
from tenants.ledger.models import AuditEntry
from tests.support.contacts import (
    make_contact,
    make_field,
    make_follow,
    make_member,
    make_region,
    make_stages,
    make_store,
)
from tests.support.core import grant, make_user
from tests.support.tagging import tree_of

pytestmark = pytest.mark.django_db


def text(response: Any, status: int = 200) -> str:
    assert response.status_code == status, response.status_code
    return str(response.content.decode())


def ids_of(field: CustomField) -> dict[str, str]:
    return {option["label"]: option["id"] for option in CustomField.objects.get(pk=field.pk).options}


def form_of(page: Any, **answers: Any) -> dict[str, Any]:
    """What the form of a page would send, with other answers."""
    form = page.context["form"]
    sent = {name: form[name].value() for name in form.fields}
    return {name: value for name, value in (sent | answers).items() if value not in (None, False)}


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


# --- The customer page -----------------------------------------------------------------------------------------------


def test_values_are_shown_by_section_and_only_what_changed_is_written(acme_client: Client) -> None:
    skin = make_field("肤质", "one", ("油皮", "干皮"), key="skin", section="护肤档案")
    make_field("家庭人数", "int", key="family")
    oily, dry = ids_of(skin).values()
    person = make_follow(make_contact(custom={"skin": oily, "old_key": "旧系统"})).contact
    page = text(acme_client.get(f"/contacts/{person.pk}/"))
    assert "护肤档案" in page and "油皮" in page and "old_key" in page and "旧系统" in page
    url = f"/contacts/{person.pk}/details/"
    form = form_of(acme_client.get(url), **{"f-skin": dry, "f-family": "4"})
    assert acme_client.post(url, form).status_code == 302
    person.refresh_from_db()
    assert person.custom == {"skin": dry, "family": 4, "old_key": "旧系统"}
    fact = TimelineEvent.objects.get(kind="details.changed")
    assert (fact.payload, fact.actor) == ({"fields": ["family", "skin"]}, f"user:{acme_client.user.pk}")  # type: ignore[attr-defined]
    page = text(acme_client.get(f"/contacts/{person.pk}/"))
    assert "肤质 油皮 → 干皮" in page and "家庭人数 未填 → 4" in page
    assert set(DirtyMark.objects.values_list("field_key", flat=True)) >= {"custom.skin", "custom.family"}
    entry = AuditEntry.objects.get(action="contact.details_changed")
    assert entry.data == {"fields": ["family", "skin"], "values": {}}, "personal values stay out of the audit"

    assert acme_client.post(url, form_of(acme_client.get(url))).status_code == 302
    assert TimelineEvent.objects.filter(kind="details.changed").count() == 1, "saving what stands changes nothing"
    assert acme_client.post(url, form_of(acme_client.get(url), birthday="1990-03-01")).status_code == 302
    assert "生日 未填 → 1990-03-01" in text(acme_client.get(f"/contacts/{person.pk}/"))


def test_wrong_values_are_told_at_their_fields_and_nothing_is_kept(acme_client: Client) -> None:
    make_field("家庭人数", "int", key="family", is_required=True)
    make_field("网页", "url", key="site")
    person = make_follow().contact
    url = f"/contacts/{person.pk}/details/"
    page = text(acme_client.post(url, form_of(acme_client.get(url), **{"f-family": "很多", "f-site": "abc"})), 422)
    assert "「家庭人数」要填数字,例如 12。" in page and "「网页」要填以 http://" in page and 'value="很多"' in page
    assert "「家庭人数」必填,请填写。" in text(acme_client.post(url, form_of(acme_client.get(url))), 422)
    unborn = form_of(acme_client.get(url), **{"f-family": "3"}, birthday="2199-01-01")
    assert "生日要在 1900 年到今天之间" in text(acme_client.post(url, unborn), 422)
    with pytest.raises(UserError, match="必填,不能清空"):
        change_details(person.pk, by=SYSTEM, custom={"family": None})
    assert Contact.objects.get(pk=person.pk).custom == {}


def test_two_who_change_the_same_field_are_told_and_other_fields_do_not_clash(acme_client: Client) -> None:
    make_field("口味", key="taste")
    make_field("宠物", key="pet")
    person = make_follow(make_contact(custom={"taste": "淡"})).contact
    url = f"/contacts/{person.pk}/details/"
    form = form_of(acme_client.get(url), **{"f-taste": "辣"})
    change_details(person.pk, by=SYSTEM, custom={"taste": "甜", "pet": "猫"})
    answer = acme_client.post(url, form)
    assert "刚刚被别人改为「甜」" in text(answer, 422) and 'value="辣"' in text(answer, 422)
    assert Contact.objects.get(pk=person.pk).custom == {"taste": "甜", "pet": "猫"}
    assert acme_client.post(url, form_of(answer, **{"f-taste": "辣"})).status_code == 302, "now knowingly"
    assert Contact.objects.get(pk=person.pk).custom == {"taste": "辣", "pet": "猫"}
    with pytest.raises(Conflict):
        change_details(person.pk, by=SYSTEM, custom={"pet": "狗"}, seen={"pet": "0"})


def test_a_restricted_field_is_known_only_to_its_roles(log_in: Any) -> None:
    store = make_store()
    hq = Role.objects.get(key="hq")
    secret = make_field("病史", key="illness", see_roles=[hq.pk], in_list=True)
    make_field("口味", key="taste", edit_roles=[hq.pk], in_list=True)
    person = make_follow(member=make_member(store=store)).contact
    change_details(person.pk, by=SYSTEM, custom={"illness": "花粉过敏", "taste": "淡"})
    boss, manager = log_in("hq"), log_in("store", scope=store)
    page, hers = (text(one.get(f"/contacts/{person.pk}/")) for one in (boss, manager))
    assert "病史 未填 → 花粉过敏" in page
    assert "花粉过敏" not in hers and "病史 已修改" in hers and "口味 未填 → 淡" in hers

    form = manager.get(f"/contacts/{person.pk}/details/").context["form"]
    assert {"f-illness", "f-taste"}.isdisjoint(form.fields)
    sent = {"f-illness": "没有", "seen-f-illness": "x", "f-taste": "辣"}
    assert (
        manager.post(
            f"/contacts/{person.pk}/details/", sent | {"seen-birthday": form["seen-birthday"].value()}
        ).status_code
        == 302
    )
    assert Contact.objects.get(pk=person.pk).custom == {"illness": "花粉过敏", "taste": "淡"}
    with pytest.raises(NotAllowed):
        change_details(person.pk, by=SYSTEM, custom={"illness": "x"}, may=lambda field: field.pk != secret.pk)
    listed = text(boss.get("/contacts/"))
    assert "口味" in listed and "病史" not in listed, "a list shows what everybody may see"


def test_a_role_counts_only_over_its_own_part_of_the_organisation(log_in: Any) -> None:
    east, west = make_region(), make_region()
    user = make_user("region", east)
    doctor = Role.objects.create(name="顾问医生", permissions=["contacts.view"])
    grant(user, doctor, west)
    make_field("病史", key="illness", see_roles=[doctor.pk])
    here, there = (
        make_follow(make_contact(custom={"illness": "花粉过敏"}), make_member(store=make_store(region=region))).contact
        for region in (east, west)
    )
    client = log_in(user)
    assert "花粉过敏" not in text(client.get(f"/contacts/{here.pk}/"))
    assert "花粉过敏" in text(client.get(f"/contacts/{there.pk}/"))


def test_nobody_asks_about_values_she_may_not_see(acme_client: Client, log_in: Any) -> None:
    store = make_store()
    make_field("病史", key="illness", see_roles=[Role.objects.get(key="hq").pk])
    make_field("家人电话", "phone", key="kin", is_masked=True)
    values = {"illness": "花粉过敏", "kin": "+8613812345678"}
    person = make_follow(make_contact(custom=values), make_member(store=store)).contact
    asked = {"field": "custom.illness", "op": "contains", "value": "花粉"}
    middle = {"field": "custom.kin", "op": "starts_with", "value": "+861381"}
    manager, operator = log_in("store", scope=store), log_in("operator")

    for leaf, label in ((asked, "病史"), (middle, "家人电话")):
        query = {"where": advanced.pack(tree_of({"all": [leaf]}))}
        assert acme_client.get("/contacts/", query).context["total"].number == 1
        for client in (manager, operator):
            page = client.get("/contacts/", query)
            assert f"您看不到「{label}」,不能用它作条件" in text(page)
            assert page.context["rows"] == [] and page.context["total"].number == 0
        chosen = {"action": "stage", "select_all": "1", "expected": "1"}
        assert f"您看不到「{label}」" in text(operator.post(f"/contacts/bulk/?where={query['where']}", chosen), 409)

    builder, whole = (
        text(one.get("/contacts/where/?mode=tree&where=" + query["where"])) for one in (manager, acme_client)
    )
    assert 'value="custom.illness"' in whole and 'value="custom.illness"' not in builder, "it is not offered"
    form = {"mode": "tree", "shape": "[0]", "f:r.0": "custom.illness", "o:r.0": "contains", "v:r.0": "花粉"}
    preview = manager.post("/contacts/where/", form, HTTP_HX_REQUEST="true")
    assert preview.context["count"] is None and "您看不到「病史」" in text(preview)
    assert "您看不到「病史」" in text(manager.post("/contacts/where/", form | {"save": "1"}), 422)
    growth = log_in("growth")
    assert "您看不到「病史」" in text(growth.post("/segments/new/", form | {"save": "1", "name": "过敏"}), 422)
    assert acme_client.post("/segments/new/", form | {"save": "1", "name": "过敏"}).status_code == 302
    segment = Segment.objects.get(name="过敏")
    why = f"/segments/{segment.pk}/why/{person.pk}/"
    assert "花粉过敏" in text(acme_client.get(why)) and "花粉过敏" not in text(growth.get(why))
    middles = save_segment(None, name="家人", tree=tree_of({"all": [middle]}), by=SYSTEM)
    assert "138****5678" in text(acme_client.get(f"/segments/{middles.pk}/why/{person.pk}/")), (
        "nor is it whole without a record"
    )


def test_a_field_is_asked_about_where_its_role_reaches_everybody_in_sight(log_in: Any) -> None:
    east, west = make_region(), make_region()
    doctor = Role.objects.create(name="顾问医生", permissions=["contacts.view"])
    make_field("病史", key="illness", see_roles=[doctor.pk])
    for region in (east, west):
        make_follow(make_contact(custom={"illness": "花粉过敏"}), make_member(store=make_store(region=region)))
    query = {"where": advanced.pack(tree_of({"all": [{"field": "custom.illness", "op": "not_empty"}]}))}
    both, here = make_user("region", east), make_user("region", east)
    grant(both, doctor, west)
    grant(here, doctor, east)
    assert log_in(both).get("/contacts/", query).context["total"].number == 0
    assert log_in(here).get("/contacts/", query).context["total"].number == 1
    grant(both, doctor, east)
    assert log_in(both).get("/contacts/", query).context["total"].number == 2


def test_a_masked_value_is_shown_whole_only_on_record(acme_client: Client, log_in: Any) -> None:
    make_field("家人电话", "phone", key="kin", is_masked=True, in_list=True)
    person = make_follow(make_contact(custom={"kin": "+8613812345678"})).contact
    url = f"/contacts/{person.pk}/details/"
    for path in (f"/contacts/{person.pk}/", url, "/contacts/"):
        page = text(acme_client.get(path))
        assert "13812345678" not in page and "138****5678" in page
    assert "13812345678" in text(acme_client.post(f"{url}unmask/", HTTP_HX_REQUEST="true"))
    assert AuditEntry.objects.get(action="contact.details_unmasked").data == {"fields": ["kin"]}
    assert log_in("operator").post(f"{url}unmask/").status_code == 403

    assert acme_client.post(url, form_of(acme_client.get(url))).status_code == 302
    assert Contact.objects.get(pk=person.pk).custom == {"kin": "+8613812345678"}, "left empty, it stays"
    acme_client.post(url, form_of(acme_client.get(url), **{"clear-kin": "on"}))
    assert Contact.objects.get(pk=person.pk).custom == {}
    assert "138****5678 → 未填" in text(acme_client.get(f"/contacts/{person.pk}/"))


# --- Many at once ----------------------------------------------------------------------------------------------------


def test_values_of_many_people_are_written_by_as_many_statements_as_those_of_two() -> None:
    make_field("口味", key="taste")
    crowd = [make_contact() for _number in range(60)]

    def write(some: list[Contact], value: str) -> int:
        with CaptureQueriesContext(connection) as asked:
            changed = set_values({one.pk: {"taste": value} for one in some}, by=SYSTEM, at=clock.now(), source="import")
        assert len(changed) == len(some)
        return len(asked)

    few = write(crowd[:2], "淡")
    assert write(crowd, "甜") <= few + 4, "the ids of many rows are taken beforehand"
    assert DetailChange.objects.filter(before="淡", after="甜").count() == 2
    assert TimelineEvent.objects.filter(kind="details.changed", source="import").count() == 62
    assert set_values({crowd[0].pk: {"taste": "甜"}}, by=SYSTEM, at=clock.now()) == {}


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
    facts = reference.Facts(everybody)
    for leaf in leaves(world):
        tree = {"version": 1, "root": {"all": [leaf]}}
        assert problems_of(tree) == [], leaf
        expected = {pk for pk in everybody if reference.holds(leaf, pk, facts, now, "Asia/Shanghai")}
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


# --- The API ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def api(db: None) -> Client:
    ApiToken.objects.create(
        name="t", prefix="pre", token_digest=token_digest("secret"), scopes=["*"], created_at=clock.wall()
    )
    return Client(HTTP_HOST="acme.testserver", headers={"authorization": "Bearer pre.secret"})


def test_applications_read_and_write_typed_values_of_the_fields_open_to_them(api: Client) -> None:
    skin = make_field("肤质", "one", ("油皮", "干皮"), key="skin")
    make_field("家庭人数", "int", key="family", api="read")
    make_field("病史", "text", key="illness", api="none")
    make_field("身高", "dec", key="height")
    make_field("会员", "flag", key="vip")
    person = make_follow(make_contact(custom={"family": 3, "illness": "花粉过敏", "loose": "旧"})).contact
    url = f"/api/v1/contacts/{person.pk}/"
    rows = api.get("/api/v1/custom-fields/").json()["results"]
    assert [row["key"] for row in rows] == ["skin", "family", "height", "vip"]
    assert rows[0]["options"][0] == {"id": ids_of(skin)["油皮"], "label": "油皮", "archived": False}
    assert (
        api.get(url).json()["custom"]
        == api.get("/api/v1/contacts/").json()["results"][0]["custom"]
        == {"family": 3, "loose": "旧"}
    )

    def write(status: int, **values: Any) -> Any:
        response = api.patch(url, json.dumps({"custom": values}), "application/json")
        assert response.status_code == status, response.content
        return response.json()

    assert write(200, skin="油皮", height=1.68, vip=True)["custom"] == {
        "skin": ids_of(skin)["油皮"], "height": 1.68, "vip": True, "family": 3, "loose": "旧",
    }  # fmt: skip
    assert TimelineEvent.objects.get(kind="details.changed").source == "api"
    errors = write(422, skin="紫皮", height="高")["error"]["fields"]
    assert set(errors) == {"skin", "height"}
    assert write(403, family=4) and write(403, illness="x") and write(422, loose={"a": 1})
    assert write(200, skin=None)["custom"].get("skin") is None
    person.refresh_from_db()
    assert person.custom == {"family": 3, "illness": "花粉过敏", "loose": "旧", "height": 1.68, "vip": True}
