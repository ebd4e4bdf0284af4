"""部门对应: which store a department stands for, stores made of departments, and trees that cannot be."""

import pytest
from django.test import Client

from contacts.departments import lay_out
from contacts.models import Department, Member, Store
from contacts.services import organisation
from scrm.lib import clock
from scrm.lib.errors import UserError
from tenants.audit import SYSTEM
from tests.contacts.test_staffing import department, look, open_changes, read
from tests.support.contacts import make_corp, make_member, make_store
from wecom_bridge.contracts import DepartmentInfo

pytestmark = pytest.mark.django_db


def test_mapping_departments_places_newcomers_and_asks_about_the_others() -> None:
    old, new = make_store(), make_store()
    row = department(2)
    settled, fresh = make_member("老员工", store=old, department_ids=[2]), make_member("新人", department_ids=[2])
    organisation.map_departments({row.pk: new.pk}, by=SYSTEM)
    for member in (settled, fresh):
        member.refresh_from_db()
    assert (settled.store, fresh.store) == (old, new)
    assert open_changes() == [("moved", "老员工", new.pk)]

    Store.objects.filter(pk=old.pk).update(archived_at=clock.now())
    with pytest.raises(UserError, match="已归档"):
        organisation.map_departments({row.pk: old.pk}, by=SYSTEM)


def test_stores_are_made_of_departments_once_each(acme_client: Client) -> None:
    corp = make_corp()
    make_store("五角场店", code="D3")
    one, two, bare, again = (
        Department.objects.create(corp=corp, department_id=number, name=name)
        for number, name in ((2, "静安寺店"), (3, "世纪大道店"), (4, ""), (5, "五角场店"))
    )
    fresh = make_member("新人", department_ids=[3])
    body = {f"store-{row.pk}": "" for row in (one, two, bare, again)}
    answer = acme_client.post("/org/departments/", body | {f"store-{one.pk}": "new", f"store-{two.pk}": "new"})
    assert answer.status_code == 302
    made = dict(Store.objects.exclude(name="五角场店").values_list("name", "code"))
    assert made == {"静安寺店": "D2", "世纪大道店": f"D{corp.pk}-3"}
    fresh.refresh_from_db()
    assert fresh.store and fresh.store.name == "世纪大道店" and fresh.store.placements.count() == 1
    for row, why in ((bare, "没有名称"), (again, "已有门店「五角场店」")):
        refused = acme_client.post("/org/departments/", body | {f"store-{row.pk}": "new"})
        assert refused.status_code == 422 and why in refused.content.decode()
    assert Store.objects.count() == 3


# --- departments that cannot be -------------------------------------------------------------------------------------


def test_departments_in_a_circle_follow_nobody_and_the_page_says_so(acme_client: Client) -> None:
    store = make_store("静安寺店")
    tree = [DepartmentInfo(1, "总部", 0, 1), DepartmentInfo(2, "华东", 1, 1), DepartmentInfo(3, "静安", 2, 1)]
    circle = [DepartmentInfo(5, "甲", 6, 1), DepartmentInfo(6, "乙", 5, 1), DepartmentInfo(7, "自己", 7, 1)]
    read(departments=[*tree, *circle, DepartmentInfo(8, "挂在圈上", 5, 1)], is_full=True)
    Department.objects.filter(department_id=2).update(store=store)
    make_member("绕圈", department_ids=[8]), make_member("静安人", department_ids=[3])
    look()
    assert Member.objects.get(name="静安人").store == store
    assert open_changes() == [("joined", "绕圈", None)]

    laid = {one.department.name: one for one in lay_out(list(Department.objects.select_related("store")))}
    assert {name for name, one in laid.items() if one.is_circular} == {"甲", "乙", "自己", "挂在圈上"}
    assert (laid["静安"].depth, laid["静安"].follows) == (2, store)
    page = acme_client.get("/org/departments/").content.decode()
    assert "绕成了一圈" in page and "跟随上级:静安寺店" in page and page.count("上级有误") == 4
