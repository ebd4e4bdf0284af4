"""待合并: who is proposed as one person, by what, to whom it is shown, and what stays refused."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from contacts import longjobs
from contacts.models import Contact, ContactMerge, ContactPhone, Duplicate, Member, SharedPhone
from contacts.services import duplicates
from contacts.services.merging import merge_roots, undo_merge
from scrm.lib import clock
from scrm.lib.errors import Conflict
from tenants.audit import SYSTEM, Actor
from tenants.ledger.models import AuditEntry, Job
from tests.support.contacts import (
    follow_info,
    make_contact,
    make_corp,
    make_duplicate,
    make_follow,
    make_identity,
    make_member,
    make_phone,
    make_region,
    make_store,
    people_batch,
    person_row,
)
from tests.support.core import log_in, make_user
from wecom_bridge.contracts import handlers_for

pytestmark = pytest.mark.django_db
PHONE, OTHER = "13800138000", "13900139000"
HQ = Actor("user", 1, "李敏")


def seen(member: Member, *people: tuple[str, tuple[str, ...]]) -> None:
    """WeCom shows these (external_userid, noted phones) in the guide's list."""
    at = clock.now().replace(microsecond=0)
    rows = [
        person_row(
            external, follow_info(member.userid, at - timedelta(days=9), remark_mobiles=phones), name=f"客{external}"
        )
        for external, phones in people
    ]
    for handler in handlers_for("people"):
        handler(people_batch(*rows, read_at=at))


def pairs(state: str = "open") -> set[tuple[str, str]]:
    rows = Duplicate.objects.filter(state=state).values_list("first__name", "second__name")
    return {tuple(sorted(names)) for names in rows}


def person(name: str) -> Contact:
    return Contact.objects.get(name=name)


def join(first: str, second: str) -> ContactMerge:
    merge_roots([(person(first).pk, person(second).pk)], now=clock.now(), source="manual")
    return ContactMerge.objects.latest("pk")


def search() -> Job:
    job = duplicates.start_search(by=SYSTEM)
    while not longjobs.drain(clock.wall() + timedelta(seconds=20)):
        job.refresh_from_db()
        if job.is_over:
            break
    return job


def test_a_phone_on_two_people_proposes_them_with_who_noted_it(acme_client: Client) -> None:
    lin, mei = make_member("林小雅", store=make_store()), make_member("梅梅", store=make_store())
    seen(lin, ("a", (PHONE,)), ("b", (OTHER,)))
    seen(mei, ("c", ("+86 138-0013-8000",)))
    assert pairs() == {("客a", "客c")}

    response = acme_client.get("/duplicates/")
    (row,) = response.context["rows"]
    assert [one["says"] for one in row["people"]] == [["138****8000 · 1 处:林小雅"], ["138****8000 · 1 处:梅梅"]]
    assert response.context["tabs"][0]["count"] == 1
    assert PHONE not in response.content.decode()


def test_refused_once_it_is_proposed_again_by_nothing_but_new_evidence(acme_client: Client) -> None:
    lin = make_member("林小雅", store=make_store())
    seen(lin, ("a", (PHONE,)), ("b", (PHONE,)))
    pk = Duplicate.objects.get().pk
    assert acme_client.post(f"/duplicates/{pk}/refuse/").status_code == 302
    row = Duplicate.objects.get()
    assert (row.state, row.decided_by_id, row.decided_at is not None) == ("refused", acme_client.user.pk, True)
    assert AuditEntry.objects.filter(action="duplicate.refused").count() == 1

    seen(lin, ("a", ()), ("b", ()))
    seen(lin, ("a", (PHONE,)), ("b", (PHONE,)))
    search()
    assert (pairs(), pairs("refused")) == (set(), {("客a", "客b")})
    seen(lin, ("a", (PHONE, OTHER)), ("b", (PHONE, OTHER)))
    assert Duplicate.objects.get(state="open").keys == ["phone:+86" + OTHER]


def test_two_operators_cannot_decide_one_pair_and_a_slip_is_put_back(acme_client: Client) -> None:
    row = make_duplicate()
    for contact in (row.first, row.second):
        make_phone(contact)
    duplicates.refuse([row], by=HQ)
    with pytest.raises(Conflict, match="不是同一人"):
        duplicates.refuse([row], by=SYSTEM)
    assert acme_client.post(f"/duplicates/{row.pk}/reopen/").status_code == 302
    row.refresh_from_db()
    assert (row.state, row.refused_keys, row.decided_at) == ("open", [], None)
    answer = acme_client.post(f"/duplicates/{row.pk}/reopen/")
    assert answer.status_code in (302, 409) and Duplicate.objects.get().state == "open"


def test_a_shops_line_is_told_as_such_and_proposes_nobody(acme_client: Client) -> None:
    lin = make_member("林小雅", store=make_store())
    seen(lin, *[(name, (PHONE,)) for name in "abc"])
    assert len(pairs()) == 3
    seen(lin, ("d", (PHONE,)))
    assert (pairs(), len(pairs("lapsed")), SharedPhone.objects.get().people) == (set(), 3, 4)
    seen(lin, ("e", (PHONE,)))  # known as a line: nothing to look at until the night counts it again
    search()
    line = SharedPhone.objects.get()
    assert (line.people, pairs()) == (5, set())
    response = acme_client.get(f"/duplicates/phones/{line.pk}/")
    assert response.context["total"] == len(response.context["rows"]) == 5
    assert "138****8000" in acme_client.get("/duplicates/phones/").content.decode()

    seen(lin, *[(name, ()) for name in "cde"])
    search()
    assert (pairs(), SharedPhone.objects.count()) == ({("客a", "客b")}, 0)


def test_a_phone_taken_back_takes_the_proposal_along() -> None:
    lin = make_member("林小雅", store=make_store())
    seen(lin, ("a", (PHONE,)), ("b", (PHONE, OTHER)), ("c", (OTHER,)))
    assert pairs() == {("客a", "客b"), ("客b", "客c")}
    seen(lin, ("b", (OTHER,)))
    assert (pairs(), pairs("lapsed")) == ({("客b", "客c")}, {("客a", "客b")})
    seen(lin, ("b", (PHONE, OTHER)))
    assert pairs() == {("客a", "客b"), ("客b", "客c")}


def test_a_unionid_seen_in_two_open_accounts_proposes_the_pair() -> None:
    corps = [make_corp(corp_id=f"ww{n}", open_account=f"wx{n}") for n in (1, 2)]
    people = [make_contact(f"客{n}") for n in (1, 2)]
    for corp, contact in zip(corps, people, strict=True):
        make_identity(contact, corp=corp, kind="unionid", value="o_same")
    search()
    assert [(row.first, row.second, row.keys) for row in Duplicate.objects.all()] == [(*people, ["unionid:o_same"])]


def test_a_merge_settles_its_pair_and_carries_what_speaks_of_others() -> None:
    lin = make_member("林小雅", store=make_store())
    seen(lin, ("a", (PHONE,)), ("b", (PHONE, OTHER)), ("c", (OTHER,)))
    merge = join("客a", "客b")
    assert (pairs("merged"), pairs()) == ({("客a", "客b")}, {("客a", "客c")})
    undo_merge(merge.pk, by=HQ)
    assert (pairs("refused"), pairs()) == ({("客a", "客b")}, {("客b", "客c")})
    assert Duplicate.objects.get(state="refused").decided_by_id == HQ.id


def test_a_refusal_holds_for_the_people_they_became() -> None:
    lin = make_member("林小雅", store=make_store())
    seen(lin, ("a", ()), ("b", (PHONE,)), ("c", (PHONE,)))
    duplicates.refuse(list(Duplicate.objects.all()), by=HQ)
    join("客a", "客b")
    search()
    assert (pairs(), pairs("refused")) == (set(), {("客b", "客c")})


def test_what_somebody_took_apart_without_a_proposal_is_not_proposed_then() -> None:
    first, second = make_follow().contact, make_follow().contact
    merge_roots([(first.pk, second.pk)], now=clock.now(), source="manual")
    for contact in (first, second):
        make_phone(contact)
    undo_merge(ContactMerge.objects.get().pk, by=HQ)
    search()
    assert list(Duplicate.objects.values_list("state", flat=True)) == ["refused"]


def test_the_search_finds_what_nobody_was_told_of_and_changes_nothing_twice(monkeypatch: Any) -> None:
    monkeypatch.setattr(duplicates, "CHUNK", 3)
    for n in range(4):
        for contact in (make_follow().contact, make_follow().contact):
            make_phone(contact, f"+861380000000{n}")
    stale = make_duplicate(keys=["phone:+8613911111111"])
    job = search()
    assert (job.state, job.done, job.total) == ("done", 8, 8)
    assert Duplicate.objects.filter(state="open").count() == 4
    stale.refresh_from_db()
    assert stale.state == "lapsed"
    before = list(Duplicate.objects.order_by("pk").values())
    search()
    assert list(Duplicate.objects.order_by("pk").values()) == before


def test_one_search_runs_at_a_time_and_one_comes_each_night(acme_client: Client) -> None:
    assert acme_client.post("/duplicates/search/").status_code == 302
    assert acme_client.post("/duplicates/search/").status_code == 302
    job = Job.objects.get(kind=duplicates.FIND)
    assert acme_client.get(f"/duplicates/search/{job.pk}/").status_code == 200
    duplicates.drain(clock.wall())
    assert Job.objects.filter(kind=duplicates.FIND).count() == 1
    Job.objects.update(state="done", created_at=clock.now() - timedelta(days=3))
    duplicates.drain(clock.wall())
    assert Job.objects.filter(kind=duplicates.FIND).count() == 2
    assert duplicates.next_due() > clock.now()


def test_a_pair_is_shown_to_whoever_sees_both() -> None:
    region = make_region()
    inside, outside = make_store(region=region), make_store()
    near, far = make_member(store=inside), make_member(store=outside)
    both = make_duplicate(make_follow(member=near).contact, make_follow(member=near).contact)
    half = make_duplicate(make_follow(member=near).contact, make_follow(member=far).contact)
    SharedPhone.objects.create(phone="+8613800138000", people=9, found_at=clock.now())
    user = make_user(permissions=["contacts.merge", "contacts.view"], scope=region)
    client = log_in(user)
    response = client.get("/duplicates/")
    assert [row["pair"] for row in response.context["rows"]] == [both]
    assert response.context["tabs"][0]["count"] == 1
    assert client.post(f"/duplicates/{half.pk}/refuse/").status_code == 404
    assert client.get("/duplicates/phones/").context["total"] == 0
    assert client.get(f"/duplicates/phones/{SharedPhone.objects.get().pk}/").status_code == 404
    for role in ("guide", "store", "region", "service"):
        assert log_in(role, scope=None if role == "guide" else inside).get("/duplicates/").status_code == 403


def test_the_list_costs_the_same_with_many_pairs(acme_client: Client) -> None:
    def cost() -> int:
        with CaptureQueriesContext(connection) as spent:
            assert acme_client.get("/duplicates/").status_code == 200
        return len(spent)

    def add() -> None:
        row = make_duplicate(found_at=clock.now())
        for contact in (row.first, row.second):
            make_phone(contact, source=f"remark:{contact.follows.get().pk}")

    add()
    acme_client.get("/duplicates/")
    few = cost()
    for _ in range(6):
        add()
    assert cost() == few <= 22


def test_phones_arriving_cost_a_constant_number_of_queries() -> None:
    lin = make_member("林小雅", store=make_store())

    def cost(stem: str, count: int) -> int:
        people = [(f"{stem}{n}", (f"1380013{n:04d}",)) for n in range(count)]
        with CaptureQueriesContext(connection) as spent:
            seen(lin, *people)
        return len(spent)

    cost("w", 2)
    assert cost("x", 2) == cost("y", 30)
    assert ContactPhone.objects.count() == 34
