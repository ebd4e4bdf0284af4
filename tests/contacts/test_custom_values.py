"""Custom fields of people: who sees and changes them, on the page and by the API."""

import json
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import ApiToken, Role
from conditions.models import DirtyMark
from contacts import advanced
from contacts.models import Contact, DetailChange, TimelineEvent
from contacts.services.custom_values import set_values
from contacts.services.details import change_details
from scrm.lib import clock
from scrm.lib.crypto import token_digest
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
    make_store,
)
from tests.support.core import grant, make_user
from tests.support.custom import form_of, ids_of, text
from tests.support.tagging import tree_of

pytestmark = pytest.mark.django_db


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
    assert (fact.payload, fact.actor) == ({"fields": ["family", "skin"]}, f"user:{acme_client.user.pk}")
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
