"""The customer list and page, groups, organisation: what is shown, to whom, at what cost."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from accounts.scope import data_scope
from contacts.models import (
    Contact,
    ContactMerge,
    ContactPhone,
    Dealer,
    Department,
    ErasureRequest,
    Follow,
    Member,
    MemberAccount,
    MemberPlacement,
    Region,
    SavedView,
    SharedPhone,
    StaffChange,
    Store,
    StorePlacement,
    TimelineEvent,
)
from contacts.queries import visible_contacts
from contacts.services.merging import merge_roots
from contacts.services.opt_out import is_opted_out
from contacts.services.stages import change_stage
from contacts.timeline import NewEvent, record_events
from scrm.lib import clock
from tenants.audit import SYSTEM
from tenants.ledger.models import AuditEntry
from tests.support.contacts import (
    at,
    make_contact,
    make_corp,
    make_dealer,
    make_duplicate,
    make_field,
    make_follow,
    make_group,
    make_member,
    make_phone,
    make_region,
    make_staff_change,
    make_stages,
    make_store,
)

pytestmark = pytest.mark.django_db


def guide(make_user: Any, store: Store | None = None) -> tuple[User, Member]:
    user = make_user(role="guide")
    return user, make_member("林小雅", store=store or make_store(), user=user)


def text(response: Any) -> str:
    assert response.status_code == 200, response.status_code
    return response.content.decode()


def test_the_list_filters_by_store_guide_stage_and_text(acme_client: Client) -> None:
    stages = make_stages()
    jing, wu = make_store("静安寺"), make_store("五角场")
    lin, mei = make_member("林小雅", store=jing), make_member("梅梅", store=wu)
    first = make_follow(
        make_contact("小圆子", search_text="小圆子 xiaoyuanzi xyz", stage=stages["repeat"]), lin
    ).contact
    second = make_follow(make_contact("阿May", search_text="阿may amay 5678"), mei).contact

    def shown(**query: Any) -> set[str]:
        page = text(acme_client.get("/contacts/", query))
        return {name for name in ("小圆子", "阿May") if f">{name}</a>" in page}

    assert shown() == {"小圆子", "阿May"}
    assert shown(store=jing.pk) == {"小圆子"}
    assert shown(guide=mei.pk) == {"阿May"}
    assert shown(stage=stages["repeat"].pk) == {"小圆子"}
    assert shown(stage="none") == {"阿May"}
    assert shown(q="xyz") == {"小圆子"}
    assert shown(q="5678") == {"阿May"}
    assert shown(store="nonsense") == set()
    assert first.pk != second.pk


def test_a_whole_phone_number_finds_its_person(acme_client: Client) -> None:
    person = make_follow().contact
    ContactPhone.objects.create(contact=person, phone="+8613812345678", source="manual", created_at=at(0))
    page = text(acme_client.get("/contacts/", {"q": "138 1234 5678"}))
    assert person.name in page
    assert "没有符合条件的客户" in text(acme_client.get("/contacts/", {"q": "13899999999"}))


def test_empty_and_filtered_empty_are_told_apart(acme_client: Client) -> None:
    assert "还没有客户" in text(acme_client.get("/contacts/"))
    make_follow()
    assert "没有符合条件的客户" in text(acme_client.get("/contacts/", {"q": "查无此人"}))


def test_pages_follow_each_other_without_gap_or_repeat(acme_client: Client) -> None:
    member = make_member(store=make_store())
    people = {make_follow(make_contact(f"客{n:03d}"), member, added_at=at(n // 3)).contact.name for n in range(120)}
    seen: list[str] = []
    url = "/contacts/"
    for _page in range(3):
        response = acme_client.get(url)
        rows = response.context["rows"]
        seen += [row["person"].name for row in rows]
        url = "/contacts/" + response.context["next_url"]
    assert len(seen) == 120
    assert set(seen) == people


def test_a_page_of_fifty_costs_as_many_queries_as_a_page_of_two(acme_client: Client) -> None:
    member = make_member(store=make_store())
    for _number in range(2):
        make_follow(make_contact(), member, remark="老客")

    def cost(url: str) -> int:
        acme_client.get(url)
        with CaptureQueriesContext(connection) as captured:
            text(acme_client.get(url))
        return len(captured)

    few = cost("/contacts/")
    for _number in range(48):
        make_follow(make_contact(), member, remark="老客")
    assert cost("/contacts/") == few <= 23


def test_the_customer_page_costs_a_constant_number_of_queries(acme_client: Client) -> None:
    person = make_follow().contact
    make_follow(person)
    url = f"/contacts/{person.pk}/"
    acme_client.get(url)
    with CaptureQueriesContext(connection) as before:
        text(acme_client.get(url))
    for _number in range(5):
        make_follow(person)
    with CaptureQueriesContext(connection) as after:
        text(acme_client.get(url))
    assert len(before) == len(after) <= 42


def _more_of_everything(acme_client: Client) -> None:
    """Another store, region, dealer, department, member, customer, field, view, merge, proposal, shared line, request and change."""
    now, store = clock.now(), make_store(region=make_region(), dealer=make_dealer())
    member, kept, gone = make_member(store=store), make_contact(), make_contact()
    number = kept.pk
    for person in (kept, gone):
        make_follow(person, member, remark="老客", added_at=at(number))
        make_phone(person, f"+86138{number:08d}")
    make_duplicate(make_follow(member=member).contact, make_follow(member=member).contact)
    merge_roots([(kept.pk, gone.pk)], now=now, source="manual")
    SharedPhone.objects.create(phone=f"+86139{number:08d}", people=9, found_at=now)
    ErasureRequest.objects.create(contact=make_contact(), asked_by="self", reason="来信", requested_at=now)
    Department.objects.create(corp=make_corp(), department_id=number, name=f"部门{number}", store=store)
    make_field(f"资料{number}", in_list=False)
    user = acme_client.user.pk
    SavedView.objects.create(owner_id=user, name=f"视图{number}", created_at=now, changed_at=now)
    make_staff_change(member)


def test_pages_about_people_and_places_cost_the_same_however_much_there_is(acme_client: Client) -> None:
    stages = make_stages()
    _more_of_everything(acme_client)
    line, merge, change = SharedPhone.objects.get(), ContactMerge.objects.get(), StaffChange.objects.get()
    follow, member, store = Follow.objects.filter(contact=merge.kept).get(), change.member, change.from_store
    person, region, dealer = f"/contacts/{merge.kept_id}", Region.objects.get(), Dealer.objects.get()
    paths = [
        "/contacts/columns/", "/contacts/views/", "/contacts/views/new/", "/contacts/where/?mode=tree", "/m/customers/", "/stages/",
        f"/stages/{stages['new'].pk}/archive/", "/fields/", f"/board/{stages['new'].pk}/", "/board/overdue/", f"{person}/merge/",
        f"{person}/details/", f"{person}/follows/{follow.pk}/remark/", "/erasures/", "/duplicates/phones/",
        f"/duplicates/phones/{line.pk}/", "/merges/", f"/merges/{merge.pk}/undo/", "/ownership/", f"/org/stores/{store.pk}/",
        "/org/regions/", f"/org/regions/{region.pk}/", "/org/dealers/", f"/org/dealers/{dealer.pk}/", "/org/departments/",
        "/org/members/", f"/org/members/{member.pk}/", f"/org/changes/{change.pk}/",
    ]  # fmt: skip

    def costs() -> dict[str, int]:
        found = {}
        for path in paths:
            with CaptureQueriesContext(connection) as captured:
                text(acme_client.get(path))
            found[path] = len(captured)
        return found

    acme_client.get(paths[0])  # what a first page alone asks
    few = costs()
    for _number in range(4):
        _more_of_everything(acme_client)
    many = costs()
    assert {path: (few[path], many[path]) for path in paths if many[path] > few[path]} == {}
    assert many.pop("/contacts/where/?mode=tree") <= 30, "its lists, and the settings under which people are counted"
    assert max(many.values()) <= 18, many


def test_a_guide_sees_her_customers_and_no_others(make_user: Any, log_in: Any) -> None:
    user, lin = guide(make_user)
    hers, foreign = make_follow(member=lin).contact, make_follow().contact
    client = log_in(user)

    assert client.get(f"/contacts/{hers.pk}/").status_code == 200
    assert client.get(f"/contacts/{foreign.pk}/").status_code == 404
    listing = text(client.get("/m/customers/"))
    assert hers.name in listing and foreign.name not in listing


def test_after_a_hand_over_the_old_guide_has_no_page(make_user: Any, log_in: Any) -> None:
    user, lin = guide(make_user)
    person = make_follow(member=lin, relation="transferred", relation_since=clock.now()).contact
    assert log_in(user).get(f"/contacts/{person.pk}/").status_code == 404


def test_a_dealer_and_a_region_see_their_stores(make_user: Any) -> None:
    east, dealer = make_region("华东"), make_dealer("锦禾商贸")
    first, second = make_store(region=east), make_store(dealer=dealer)
    a, b = make_follow(member=make_member(store=first)).contact, make_follow(member=make_member(store=second)).contact
    make_follow()
    for scope, wanted in ((east, a), (dealer, b), (second, b)):
        user = make_user(role="region", scope=scope)
        assert list(visible_contacts(data_scope(user, "contacts.view"))) == [wanted]


def test_a_merged_contact_leads_to_its_root(acme_client: Client) -> None:
    root = make_follow().contact
    branch = make_follow(make_contact(root=root)).contact
    response = acme_client.get(f"/contacts/{branch.pk}/")
    assert (response.status_code, response["Location"]) == (302, f"/contacts/{root.pk}/")
    assert response.status_code == 302


def test_phones_are_masked_and_unmasking_is_on_record(acme_client: Client, make_user: Any, log_in: Any) -> None:
    person = make_follow().contact
    ContactPhone.objects.create(contact=person, phone="+8613812345678", source="manual", created_at=at(0))
    page = text(acme_client.get(f"/contacts/{person.pk}/"))
    assert "138****5678" in page and "13812345678" not in page

    assert "13812345678" in text(acme_client.post(f"/contacts/{person.pk}/unmask/"))
    assert AuditEntry.objects.filter(action="contact.unmasked", subject_id=str(person.pk)).count() == 1
    assert log_in("region").post(f"/contacts/{person.pk}/unmask/").status_code in (403, 404)


def test_the_stage_changes_with_a_reason_and_stays_in_the_record(acme_client: Client) -> None:
    stages = make_stages()
    person = make_follow().contact
    refused = acme_client.post(f"/contacts/{person.pk}/stage/", {"stage": stages["loyal"].pk, "reason": ""})
    assert refused.status_code == 422

    acme_client.post(f"/contacts/{person.pk}/stage/", {"stage": stages["loyal"].pk, "reason": "会员日办卡"})

    person.refresh_from_db()
    assert person.stage == stages["loyal"]
    assert person.stage_transitions.get().reason == "会员日办卡"
    page = text(acme_client.get(f"/contacts/{person.pk}/"))
    assert "阶段变更" in page and "会员日办卡" in page


def test_whoever_was_moved_meanwhile_is_not_moved_again_unseen(acme_client: Client) -> None:
    stages = make_stages()
    person = make_follow(make_contact(stage=stages["loyal"])).contact
    seen = re.search(r'name="seen" value="(\d+)"', acme_client.get(f"/contacts/{person.pk}/").content.decode())
    assert seen and int(seen[1]) == stages["loyal"].pk
    change_stage([person.pk], stages["lapsed"], source="rule", by=SYSTEM, at=clock.now())

    wish = {"stage": stages["new"].pk, "reason": "回来了", "seen": seen[1]}
    told = acme_client.post(f"/contacts/{person.pk}/stage/", wish)
    assert told.status_code == 409 and "移动过" in told.content.decode()
    person.refresh_from_db()
    assert person.stage == stages["lapsed"]

    assert f'name="seen" value="{person.stage_id}"' in told.content.decode(), "what the answer shows is seen"
    acme_client.post(f"/contacts/{person.pk}/stage/", wish | {"seen": person.stage_id})
    person.refresh_from_db()
    assert person.stage == stages["new"]


def test_opt_out_gates_until_its_day_and_ends(acme_client: Client) -> None:
    person = make_follow().contact
    acme_client.post(f"/contacts/{person.pk}/opt-out/", {"span": "30"})
    person.refresh_from_db()
    now = clock.now()
    assert is_opted_out(person, now + timedelta(days=29)) and not is_opted_out(person, now + timedelta(days=31))

    acme_client.post(f"/contacts/{person.pk}/opt-out/", {"span": "forever"})
    acme_client.post(f"/contacts/{person.pk}/opt-out/", {"span": "90"})
    person.refresh_from_db()
    assert person.opt_out_until is None and is_opted_out(person, now)

    acme_client.post(f"/contacts/{person.pk}/opt-out/", {"span": "end"})
    person.refresh_from_db()
    assert not is_opted_out(person, now)


def test_credit_cannot_go_to_a_guide_who_is_no_friend(acme_client: Client) -> None:
    person = make_follow().contact
    stranger = make_member(store=make_store())
    assert acme_client.post(f"/contacts/{person.pk}/owner/", {"member": stranger.pk}).status_code == 422
    first, second = make_follow(person, own=False).member, make_follow(person, own=False).member
    page = f"/contacts/{person.pk}/owner/"
    body = {"seen": person.owner_id or ""}
    acme_client.post(page, body | {"member": first.pk})
    person.refresh_from_db()
    assert person.owner == first

    refused = acme_client.post(page, body | {"member": second.pk})
    assert refused.status_code == 409 and f"更改过,现在归「{first}」" in refused.content.decode()
    assert acme_client.user.display_name in refused.content.decode()
    person.refresh_from_db()
    assert person.owner == first
    assert refused.context["owner_form"]["seen"].value() == first.pk, "having read it she may decide again"
    acme_client.post(page, {"seen": first.pk, "member": second.pk})
    person.refresh_from_db()
    assert person.owner == second


def test_the_timeline_filters_by_kind(acme_client: Client) -> None:
    person = make_follow().contact
    acme_client.post(f"/contacts/{person.pk}/opt-out/", {"span": "30"})
    acme_client.post(f"/contacts/{person.pk}/opt-out/", {"span": "end"})
    page = text(acme_client.get(f"/contacts/{person.pk}/timeline/", {"kind": "opt_out.set"}, HTTP_HX_REQUEST="true"))
    assert "<strong>设置免打扰</strong>" in page and "<strong>取消免打扰</strong>" not in page


def test_the_timeline_keeps_orders_and_tags_from_whoever_may_not_see_them(
    acme_client: Client, log_in: Any, make_user: Any
) -> None:
    person, amount = make_follow().contact, {"amount_minor": 39_900, "currency": "CNY", "number": "A1"}
    for kind, payload in (("order.paid", amount), ("tag.added", {"tag": "老客"})):
        record_events([NewEvent(kind, at(5), "product", f"{kind}:1", contact_id=person.pk, payload=payload)])
    url, without = f"/contacts/{person.pk}/", log_in(make_user(permissions=["contacts.view"]))
    assert {"下单", "打标签"} <= {event["title"] for event in acme_client.get(url).context["events"]}
    page = without.get(url, {"kind": "order.paid"})
    assert page.context["events"] == [] and "399" not in text(page)
    assert {"order.paid", "tag.added"}.isdisjoint(kind["key"] for kind in page.context["kinds"])


def test_groups_show_people_owner_and_moves(acme_client: Client) -> None:
    owner = make_member("群主陈婧", store=make_store())
    group = make_group("静安寺福利群", owner=owner, customer_count=1)
    person = make_follow(make_contact("小圆子")).contact
    group.memberships.create(
        kind=2, userid="wm1", name="小圆子", contact=person, joined_at=clock.now() - timedelta(days=1)
    )
    listing = text(acme_client.get("/groups/"))
    assert "静安寺福利群" in listing and "群主陈婧" in listing
    page = text(acme_client.get(f"/groups/{group.pk}/"))
    assert f"/contacts/{person.pk}/" in page
    assert text(acme_client.get(f"/groups/{group.pk}/?tab=left"))


def test_a_store_moves_region_by_placement(acme_client: Client) -> None:
    east, south = make_region("华东"), make_region("华南")
    acme_client.post("/org/stores/new/", {"code": "S1", "name": "静安寺", "region": east.pk, "is_open": "on"})
    store = Store.objects.get(code="S1")
    fields = {"code": "S1", "name": "静安寺", "region": south.pk, "is_open": "on"}
    assert acme_client.post(f"/org/stores/{store.pk}/", fields | {"seen": store.digest}).status_code == 302
    old, new = StorePlacement.objects.filter(store=store).order_by("pk")
    assert (old.region, new.region, new.placed_to) == (east, south, None)
    assert old.placed_to == new.placed_from


def test_a_guide_moves_and_links_to_a_log_in(acme_client: Client, make_user: Any) -> None:
    member, store, user = make_member(store=make_store()), make_store(), make_user(role="guide")
    person = make_follow(member=member).contact
    acme_client.post(f"/org/members/{member.pk}/store/", {"store": store.pk})
    acme_client.post(f"/org/members/{member.pk}/account/", {"user": user.pk})
    person.refresh_from_db()
    assert person.store == store
    assert MemberPlacement.objects.filter(member=member, placed_to__isnull=True).get().store == store
    assert MemberAccount.objects.get().user == user
    assert text(acme_client.get(f"/org/members/{member.pk}/"))


@pytest.mark.parametrize(
    "path", ["/org/", "/org/members/", "/org/regions/", "/org/dealers/", "/org/departments/", "/groups/"]
)
def test_lists_have_an_empty_state(acme_client: Client, path: str) -> None:
    assert 'class="state"' in text(acme_client.get(path))


def test_every_fact_recorded_has_a_registered_kind(acme_client: Client) -> None:
    person = make_follow().contact
    acme_client.post(f"/contacts/{person.pk}/opt-out/", {"span": "30"})
    assert TimelineEvent.objects.get().kind == "opt_out.set"
    assert Contact.objects.count() == 1
    assert make_corp()
