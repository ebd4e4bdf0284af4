"""How the customer list is looked at: by a condition tree, in other orders, by saved views, with chosen columns."""

import json
import zlib
from base64 import urlsafe_b64encode
from datetime import timedelta
from hashlib import sha256
from typing import Any

import pytest
from django.db import connection
from django.http import QueryDict
from django.test.utils import CaptureQueriesContext

from accounts.scope import EVERYTHING, data_scope
from contacts import advanced, counting, listing, longjobs
from contacts.models import ColumnChoice, Contact, SavedView, Stage
from contacts.queries import listed_contacts
from contacts.services import saved_views
from scrm.lib import clock
from scrm.lib.errors import UserError
from tenants.ledger.models import AuditEntry, Job
from tests.support import contacts as people
from tests.support import tagging
from tests.support.core import log_in, make_user
from tests.support.tagging import tree_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def stages() -> dict[str, Stage]:
    return people.make_stages()


@pytest.fixture
def shop(stages: dict[str, Stage]) -> Any:
    """甲 and 乙 are new at 静安寺, 丙 is loyal at 五角场."""
    jing, wu = people.make_store("静安寺"), people.make_store("五角场")
    lin, mei = people.make_member("林小雅", store=jing), people.make_member("梅梅", store=wu)
    for number, (name, stage, member) in enumerate((("甲", "new", lin), ("乙", "new", lin), ("丙", "loyal", mei))):
        since = clock.now() - timedelta(days=10 + number)
        contact = people.make_contact(name, stage=stages[stage], stage_since=since)
        people.make_follow(contact, member, added_at=people.at(number))
    return {"jing": jing, "wu": wu, "lin": lin, "mei": mei}


def where(*leaves: dict[str, Any], kind: str = "all") -> str:
    return advanced.pack(tree_of({kind: list(leaves)}))


def in_stage(*stages: Stage) -> dict[str, Any]:
    return {"field": "contact.stage", "op": "in", "value": [stage.pk for stage in stages]}


def names(client: Any, query: str = "", **given: Any) -> list[str]:
    response = client.get(f"/contacts/{query}", given)
    assert response.status_code == 200, response.status_code
    return [row["person"].name for row in response.context["rows"]]


def text(response: Any, status: int = 200) -> str:
    assert response.status_code == status, response.status_code
    return response.content.decode()


def heads(client: Any, query: str = "") -> list[str]:
    return [column.key for column in client.get(f"/contacts/{query}").context["columns"]]


# --- 高级筛选 ---------------------------------------------------------------------------------------------------


def test_a_condition_tree_narrows_list_count_choice_and_export_alike(acme_client, stages, shop):
    query = {"where": where(in_stage(stages["new"])), "store": shop["jing"].pk}
    page = acme_client.get("/contacts/", query)
    assert names(acme_client, **query) == ["乙", "甲"]
    assert page.context["total"] == (2, True)
    assert "高级条件:" in text(page) and "「新添加」" in text(page)

    chosen = {"action": "stage", "select_all": "1", "expected": "2"}
    assert acme_client.post(f"/contacts/bulk/?{page.context['query']}", chosen).context["count"] == 2
    acme_client.post(f"/contacts/export/?{page.context['query']}")
    longjobs.drain(clock.wall() + timedelta(seconds=30))
    assert (Job.objects.get().total, Job.objects.get().done) == (2, 2)


def test_the_tree_is_evaluated_within_the_scope(shop, stages):
    user = make_user(role="store", scope=shop["wu"])
    tree = where(in_stage(*stages.values()))
    assert names(log_in(user), where=tree) == ["丙"]
    found = listing.narrowed(listed_contacts(data_scope(user, "contacts.view")), {"where": tree})
    assert found.count() == 1 < listing.narrowed(listed_contacts(EVERYTHING), {"where": tree}).count()


@pytest.mark.parametrize(
    "broken",
    [
        "nonsense", "汉字", "A" * 5000, "%00", urlsafe_b64encode(zlib.compress(b"{")).decode(),
        urlsafe_b64encode(zlib.compress(b"[" * 30_000)).decode(),
        urlsafe_b64encode(zlib.compress(b'{"not":' * 2_000)).decode(),
        urlsafe_b64encode(zlib.compress(json.dumps(tree_of({"field": "contact.name", "op": "is", "value": "\ud800"})).encode())).decode(),
        urlsafe_b64encode(zlib.compress(json.dumps(tree_of({"field": "tag", "op": "any"})).encode())).decode(),
        urlsafe_b64encode(zlib.compress(json.dumps(tree_of({"field": "gone", "op": "is", "value": "1"})).encode())).decode(),
    ],
)  # fmt: skip
def test_a_broken_tree_says_so_and_finds_nobody(acme_client, shop, broken):
    response = acme_client.get("/contacts/", {"where": broken})
    assert response.context["rows"] == [] and response.context["problems"]
    assert "筛选条件要修改" in text(response)
    assert acme_client.get("/contacts/where/", {"where": broken}).status_code == 200
    acme_client.post(f"/contacts/export/?{response.context['query']}")
    assert not Job.objects.exists()


def test_a_tree_too_long_for_an_address_is_refused_with_a_way_out(acme_client, shop):
    leaves = [{"field": "contact.name", "op": "contains", "value": sha256(bytes([n])).hexdigest()} for n in range(60)]
    with pytest.raises(UserError, match="所在人群"):
        advanced.pack(tree_of({"any": leaves}))
    tagged = tree_of({"all": [{"field": "contact.stage", "op": "in", "value": list(range(1, 60))}] * 60})
    assert advanced.unpack(advanced.pack(tagged)) == tagged


def test_the_builder_starts_from_the_list_and_leads_back_to_it(acme_client, stages, shop):
    page = text(acme_client.get("/contacts/", {"store": shop["jing"].pk}))
    assert f"/contacts/where/?store={shop['jing'].pk}" in page
    url = f"/contacts/where/?store={shop['jing'].pk}&q=甲"
    assert "门店:静安寺" in text(acme_client.get(url))

    fields = {"mode": "simple", "stages": [stages["new"].pk]}
    part = acme_client.post(url, fields, HTTP_HX_REQUEST="true")
    assert part.context["count"] == 1 and "<html" not in text(part), "only 甲: the other filters hold too"
    saved = acme_client.post(url, {**fields, "save": "1"})
    assert saved.status_code == 302
    assert names(acme_client, saved.url.removeprefix("/contacts/")) == ["甲"]
    again = acme_client.get(f"/contacts/where/{saved.url.removeprefix('/contacts/')}")
    assert again.context["sentences"].stages == [stages["new"].pk]

    nothing = acme_client.post(url, {"mode": "simple", "save": "1"})
    assert "where=" not in nothing.url, "no condition at all is no filter"
    refused = acme_client.post(url, {"mode": "tree", "shape": "[[]]", "save": "1"})
    assert "这一组里还没有条件" in text(refused, 422)


def test_the_builder_of_the_list_needs_no_right_on_segments(shop):
    service = log_in("service")
    assert "segments.view" not in service.get("/contacts/").wsgi_request.permissions
    assert service.post("/contacts/where/", {"mode": "simple"}, HTTP_HX_REQUEST="true").context["count"] == 3
    assert log_in("it").get("/contacts/where/").status_code == 403


# --- Orders -----------------------------------------------------------------------------------------------------


def test_each_order_pages_through_everybody_once(acme_client, stages):
    lin = people.make_member(store=people.make_store())
    for number in range(60):
        since = people.at(number % 7)
        people.make_follow(
            people.make_contact(f"客{number:02d}", stage=stages["new"], stage_since=since),
            lin,
            added_at=people.at(number // 2),
        )
    for sort, query in (("oldest", ""), ("newest", ""), ("stage", f"stage={stages['new'].pk}&")):
        seen, url = [], f"/contacts/?{query}sort={sort}"
        while url:
            response = acme_client.get(url)
            assert response.context["order"].key == sort
            seen += [row["person"] for row in response.context["rows"]]
            url = response.context["next_url"] and "/contacts/" + response.context["next_url"]
        first, *_others = listing.order_of(QueryDict(f"{query}sort={sort}")).ordering
        values = [(getattr(one, first.lstrip("-")), one.pk) for one in seen]
        assert values == sorted(values, reverse=first.startswith("-"))
        assert len({one.pk for one in seen}) == 60


def test_an_order_within_a_stage_is_offered_only_there(acme_client, stages, shop):
    assert [one.key for one in acme_client.get("/contacts/").context["orders"]] == ["newest", "oldest"]
    assert names(acme_client, sort="stage") == ["丙", "乙", "甲"], "as by default"
    assert names(acme_client, sort="nonsense", stage=stages["new"].pk) == ["乙", "甲"]
    assert names(acme_client, sort="stage", stage="none") == []
    assert names(acme_client, sort="oldest") == ["甲", "乙", "丙"]


@pytest.mark.parametrize("sort", [one.key for one in listing.ORDERS])
def test_each_order_reads_an_index_and_sorts_nothing(stages, sort):
    query = {"sort": sort, "stage": str(stages["new"].pk)}
    rows = listing.narrowed(listed_contacts(EVERYTHING), query).order_by(*listing.order_of(query).ordering)[:51]
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off")
    plan = rows.explain()
    assert "Index Scan" in plan and "Sort" not in plan, plan


# --- Saved views ------------------------------------------------------------------------------------------------


def save(client: Any, query: str, name: str, **fields: Any) -> SavedView:
    response = client.post(f"/contacts/views/new/?{query}", {"name": name, **fields})
    assert response.status_code == 302, text(response, response.status_code)
    return SavedView.objects.get(pk=response.url.rpartition("=")[2])


def test_a_view_brings_back_filters_tree_order_and_columns(acme_client, stages, shop):
    acme_client.post("/contacts/columns/", {"show": ["owner", "store"], "place:store": "1"})
    query = QueryDict(mutable=True)
    query.update({"store": shop["jing"].pk, "where": where(in_stage(stages["new"])), "sort": "oldest", "q": ""})
    form = text(acme_client.get(f"/contacts/views/new/?{query.urlencode()}"))
    assert "门店:静安寺" in form and "「新添加」" in form and "最早添加在前" in form
    view = save(acme_client, query.urlencode(), "静安新客")
    assert (view.filters, view.order, view.columns) == ({"store": str(shop["jing"].pk)}, "oldest", ["store", "owner"])
    assert view.tree == tree_of({"all": [in_stage(stages["new"])]})

    acme_client.post("/contacts/columns/", {"reset": "1"})
    page = acme_client.get(f"/contacts/?view={view.pk}")
    assert [row["person"].name for row in page.context["rows"]] == ["甲", "乙"]
    assert "视图:静安新客" in text(page) and not page.context["is_changed"]
    assert heads(acme_client, f"?view={view.pk}") == ["store", "owner"]
    assert heads(acme_client) == ["stage", "owner", "tags", "spent", "added", "relation"]
    assert {row.action for row in AuditEntry.objects.filter(subject_id=str(view.pk))} == {"view.created"}


def test_a_view_is_changed_from_the_list_and_only_when_somebody_says_so(acme_client, shop):
    view = save(acme_client, f"store={shop['jing'].pk}", "静安")
    edited = f"from={view.pk}&store={shop['wu'].pk}"
    page = acme_client.get(f"/contacts/?{edited}")
    assert page.context["is_changed"] and "保存更改" in text(page)
    assert names(acme_client, f"?view={view.pk}") == ["乙", "甲"], "looking changes nothing"
    acme_client.post(f"/contacts/views/{view.pk}/update/?{edited}", {"seen": "1"})
    assert names(acme_client, f"?view={view.pk}") == ["丙"]
    stale = acme_client.post(f"/contacts/views/{view.pk}/update/?{edited}", {"seen": "1"}, HTTP_HX_REQUEST="true")
    assert stale.status_code == 409


def test_a_view_narrows_whatever_the_address_does_not_say(acme_client, stages, shop):
    """Pages, the exact count, 全选 and exports of `?view=` mean the people of the view."""
    view = save(acme_client, f"store={shop['jing'].pk}", "静安")
    both = acme_client.get(f"/contacts/?view={view.pk}&q=甲")
    assert [row["person"].name for row in both.context["rows"]] == ["甲"]
    assert names(acme_client, f"?{both.context['here']}") == ["甲"], "what is saved or gone back to is what was shown"
    assert acme_client.get(f"/contacts/?view={view.pk}").context["here"] == f"view={view.pk}"
    assert acme_client.get(f"/contacts/?view={view.pk}&count=exact").context["total"].number == 2
    chosen = {"action": "stage", "select_all": "1", "expected": "2"}
    assert acme_client.post(f"/contacts/bulk/?view={view.pk}", chosen).context["count"] == 2
    acme_client.post(f"/contacts/export/?view={view.pk}")
    assert Job.objects.get().total == 2


def test_views_are_renamed_shared_and_deleted(acme_client, shop):
    view = save(acme_client, "", "我的")
    other = log_in("operator")
    assert other.get(f"/contacts/?view={view.pk}").status_code == 404, "not shared"
    assert other.get(f"/contacts/views/{view.pk}/").status_code == 404
    acme_client.post(f"/contacts/views/{view.pk}/", {"name": "大家的", "shared": "on", "seen": "1"})
    assert names(other, f"?view={view.pk}") == ["丙", "乙", "甲"]
    assert "大家的" in text(other.get("/contacts/"))
    assert "已经有叫" in text(acme_client.post("/contacts/views/new/", {"name": "大家的"}), 422)
    assert "请给视图起个名字" in text(acme_client.post("/contacts/views/new/", {"name": " \x00"}), 422)
    assert "请给视图起个名字" in text(acme_client.post("/contacts/views/new/", {"name": "长" * 31}), 422)
    assert "刚被别人改过" in text(acme_client.post(f"/contacts/views/{view.pk}/", {"name": "x", "seen": "1"}), 422)

    acme_client.post(f"/contacts/views/{view.pk}/delete/")
    assert other.get(f"/contacts/?view={view.pk}").status_code == 404, "never everybody instead"
    assert names(other, f"?from={view.pk}&q=甲") == ["甲"], "what the address says itself still holds"


def test_a_shared_view_finds_whom_its_viewer_may_see(acme_client, shop):
    view = save(acme_client, "", "所有人", shared="on")
    assert names(log_in(make_user(role="store", scope=shop["wu"])), f"?view={view.pk}") == ["丙"]


def test_who_may_share_and_who_may_change_a_shared_view(acme_client, shop):
    region = log_in("region", scope=people.make_region())  # sees people, edits none
    assert not save(region, "", "大区", shared="on").is_shared
    guide = log_in("guide")
    assert not save(guide, "", "导购", shared="on").is_shared
    manager = log_in(make_user(role="store", scope=shop["jing"]))
    shared = save(manager, "", "店里", shared="on")
    assert shared.is_shared

    neighbour = log_in(make_user(role="store", scope=shop["wu"]))
    assert "另存为自己的视图" in text(neighbour.post(f"/contacts/views/{shared.pk}/delete/"), 403)
    assert "存它的人" in text(neighbour.get(f"/contacts/views/{shared.pk}/"), 403)
    assert acme_client.post(f"/contacts/views/{shared.pk}/delete/").status_code == 302
    assert not SavedView.objects.filter(pk=shared.pk).exists()


def test_a_view_whose_tag_or_filter_is_gone_says_so_and_finds_nobody(acme_client, shop):
    tag = tagging.make_tag("敏感肌", corp=people.make_corp())
    leaf = {"field": "tag", "op": "none", "value": [tag.pk]}
    by_tree = save(acme_client, f"where={where(leaf)}", "没有敏感肌")
    by_select = save(acme_client, f"tag={tag.pk}", "敏感肌")
    assert names(acme_client, f"?view={by_tree.pk}") == ["丙", "乙", "甲"]
    tag.deleted_at = clock.now()
    tag.save(update_fields=["deleted_at"])

    for view in (by_tree, by_select):
        page = acme_client.get(f"/contacts/?view={view.pk}")
        assert page.context["rows"] == [] and page.context["total"] == (0, True)
        assert "筛选条件要修改" in text(page) and "找不到客户" in text(page)
    assert "已不存在" in text(acme_client.get(f"/contacts/?view={by_select.pk}"))
    assert "可能已被删除" in text(acme_client.get(f"/contacts/where/?view={by_tree.pk}"))
    assert "不能存为视图" in text(acme_client.post(f"/contacts/views/new/?view={by_tree.pk}", {"name": "再来"}), 422)


def test_a_filter_that_no_app_knows_any_more_never_means_everybody(acme_client, shop):
    view = save(acme_client, f"store={shop['jing'].pk}", "旧版")
    SavedView.objects.update(filters={"shelf": "3"})
    page = acme_client.get(f"/contacts/?view={view.pk}")
    assert page.context["rows"] == [] and "没有的筛选项" in text(page)
    edited = acme_client.get(f"/contacts/?from={view.pk}&q=甲")
    assert [row["person"].name for row in edited.context["rows"]] == ["甲"] and edited.context["is_changed"]
    for path in (f"/contacts/export/?view={view.pk}", f"/contacts/views/{view.pk}/update/?view={view.pk}"):
        assert acme_client.post(path, {"seen": "1"}, HTTP_HX_REQUEST="true").status_code == 422
    chosen = {"action": "stage", "select_all": "1", "expected": "3"}
    assert acme_client.post(f"/contacts/bulk/?view={view.pk}", chosen, HTTP_HX_REQUEST="true").status_code == 409


def test_views_are_limited_in_number(acme_client, monkeypatch):
    monkeypatch.setattr(saved_views, "MOST_OWN", 2)
    monkeypatch.setattr(saved_views, "MOST_SHARED", 1)
    save(acme_client, "", "一", shared="on")
    assert "共享视图最多 1 个" in text(acme_client.post("/contacts/views/new/", {"name": "二", "shared": "on"}), 422)
    save(acme_client, "", "二")
    assert "每人最多存 2 个" in text(acme_client.post("/contacts/views/new/", {"name": "三"}), 422)


# --- Columns ----------------------------------------------------------------------------------------------------


def test_columns_are_chosen_ordered_and_remembered_for_each_user(acme_client, shop):
    shown = heads(acme_client)
    drawer = acme_client.get("/contacts/columns/", HTTP_HX_REQUEST="true")
    assert "<html" not in text(drawer) and "<html" in text(acme_client.get("/contacts/columns/"))
    acme_client.post(
        "/contacts/columns/", {"show": ["stage", "stay", "store", "friends"], "place:store": "1", "place:stage": "2"}
    )
    assert heads(acme_client) == ["store", "stage", "stay", "friends"]
    assert "静安寺" in text(acme_client.get("/contacts/"))
    assert heads(log_in("operator")) == shown, "hers alone"

    assert "至少要留一列" in text(acme_client.post("/contacts/columns/", {"show": ["nonsense"]}), 422)
    acme_client.post("/contacts/columns/", {"reset": "1"})
    assert heads(acme_client) == shown


def test_a_column_moved_down_lands_behind_the_one_that_stood_there(acme_client):
    acme_client.post(
        "/contacts/columns/",
        {"show": ["stage", "owner", "added"], "place:stage": "1", "place:owner": "2", "place:added": "3"},
    )
    acme_client.post(
        "/contacts/columns/",
        {"show": ["stage", "owner", "added"], "place:stage": "3", "place:owner": "2", "place:added": "3"},
    )
    assert heads(acme_client) == ["owner", "added", "stage"]


def test_in_a_view_each_user_may_have_columns_of_her_own(acme_client, shop):
    acme_client.post("/contacts/columns/", {"show": ["store"]})
    view = save(acme_client, "", "大家的", shared="on")
    other = log_in("operator")
    assert heads(other, f"?view={view.pk}") == ["store"]
    other.post(f"/contacts/columns/?view={view.pk}", {"show": ["stay"]})
    assert heads(other, f"?view={view.pk}") == ["stay"]
    assert heads(acme_client, f"?view={view.pk}") == ["store"]
    assert "stay" not in heads(other), "in that view only"
    acme_client.post(f"/contacts/views/{view.pk}/delete/")
    assert not ColumnChoice.objects.filter(columns=["stay"]).exists()


def test_a_column_needs_its_permission_however_it_was_chosen(acme_client, shop):
    acme_client.post("/contacts/columns/", {"show": ["spent", "tags", "stage"]})
    view = save(acme_client, "", "消费", shared="on")
    viewer = make_user(permissions=["contacts.view"])
    assert heads(log_in(viewer), f"?view={view.pk}") == ["stage"]


# --- Figures, words, cost ---------------------------------------------------------------------------------------


def test_a_filter_on_what_she_may_not_see_is_neither_offered_nor_used(shop):
    tag = tagging.make_tag("老客")
    tagging.put_tag(Contact.objects.get(name="甲").follows.get(), tag)
    bought = where({"field": "order", "op": "never"})
    client = log_in(make_user(permissions=["contacts.view"]))
    page = client.get("/contacts/")
    assert "tag" not in {one["key"] for one in page.context["filters"]} and names(client) == ["丙", "乙", "甲"]
    for query, said in ({"tag": tag.pk}, "没有权限按「标签」筛选"), ({"where": bought}, "您看不到「订单」"):
        page = client.get("/contacts/", query)
        assert page.context["rows"] == [] and page.context["total"].number == 0 and said in text(page)
    assert names(log_in("hq"), tag=tag.pk) == ["甲"]


def test_a_figure_opens_into_the_same_exact_number(acme_client, monkeypatch, stages, shop):
    monkeypatch.setattr(counting, "EXACT", 1)
    people.make_contact("没加过的", stage=stages["new"])
    rows = {row["stage"].key: row for row in acme_client.get("/stages/").context["rows"]}
    assert rows["new"]["people"] == 2
    assert acme_client.get(rows["new"]["url"]).context["total"] == (2, True)
    for column in acme_client.get("/board/").context["columns"]:
        assert acme_client.get(column["list_url"]).context["total"] == (column["count"], True)


def test_a_value_outside_the_options_stays_set_when_the_form_is_sent(acme_client, shop):
    Contact.objects.update(store=None)
    shop["jing"].archived_at = clock.now()
    shop["jing"].save(update_fields=["archived_at"])
    page = text(acme_client.get("/contacts/", {"store": shop["jing"].pk}))
    assert f'<option value="{shop["jing"].pk}" selected>静安寺</option>' in page


def test_a_look_costs_the_same_for_two_as_for_fifty_and_for_one_view_as_for_thirty(acme_client, stages, shop):
    view = save(acme_client, f"store={shop['jing'].pk}&where={where(in_stage(stages['new']))}", "静安")

    def cost(url: str) -> int:
        acme_client.get(url)
        with CaptureQueriesContext(connection) as spent:
            acme_client.get(url)
        return len(spent)

    urls = (f"/contacts/?view={view.pk}", "/contacts/views/", f"/contacts/columns/?view={view.pk}", "/contacts/where/")
    few = [cost(url) for url in urls]
    for _number in range(48):
        people.make_follow(people.make_contact(stage=stages["new"]), shop["lin"])
    now = clock.now()
    for number in range(29):
        SavedView.objects.create(
            owner=make_user(), name=f"视图{number}", is_shared=True, created_at=now, changed_at=now
        )
    assert [cost(url) for url in urls] == few
    assert few[0] <= 30 and few[1] <= 12 and few[2] <= 12
