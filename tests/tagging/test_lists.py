"""固定名单 by file, by chosen customers and by hand; pins; what a segment was on other days."""

from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from accounts.scope import EVERYTHING
from campaigns.queries import audience
from contacts.models import Contact, ImportRun
from contacts.services import bulk
from contacts.services.imports import running
from scrm.lib import clock
from tagging.models import Segment, SegmentEntry, SegmentPin
from tagging.services import segments
from tagging.services.segment_history import segment_diff
from tagging.services.segment_pins import pin
from tagging.services.static_lists import fill_static
from tenants.audit import SYSTEM
from tenants.ledger.models import Job
from tests.support import tagging
from tests.support.core import log_in, make_user
from tests.support.tagging import tree_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def people(guide: Any) -> list[Contact]:
    found = []
    for number in range(3):
        person = tagging.make_person(f"客户{number}", owner=guide, active_follows=1, last_added_at=clock.now())
        tagging.make_relation(person, guide)
        found.append(person)
    return found


def members(segment: Segment) -> set[str]:
    return set(SegmentEntry.objects.filter(segment=segment).values_list("contact__name", flat=True))


def upload(text: str) -> SimpleUploadedFile:
    return SimpleUploadedFile("名单.csv", text.encode(), content_type="text/csv")


def work() -> None:
    """The long jobs that wait are done."""
    from contacts import longjobs

    longjobs.drain(clock.wall() + timedelta(seconds=20))
    assert not Job.objects.filter(state__in=("waiting", "running")).exists()


def test_a_list_comes_by_file_with_a_trial_and_goes_back_by_undo(acme_client, people):
    rows = f"客户编号\n{people[0].pk}\n{people[1].pk}\n{people[1].pk}\n999999999\n"
    made = acme_client.post("/segments/lists/new/", {"name": "双十一名单", "file": upload(rows)})
    segment, run = Segment.objects.get(), ImportRun.objects.get()
    assert made.status_code == 302 and made.url.endswith(f"/{run.pk}/") and run.aim == segment.pk
    acme_client.post(f"{made.url}check/", {"head-0": "id"})
    work()
    run.refresh_from_db()
    assert (run.rows_read, run.rows_updated, run.rows_rejected) == (4, 2, 2)
    assert members(segment) == set()  # a trial
    acme_client.post(f"{made.url}start/")
    work()
    assert members(segment) == {"客户0", "客户1"}
    segment.refresh_from_db()
    assert segment.size == 2
    page = acme_client.get(f"/segments/{segment.pk}/").content.decode()
    assert "移出" in page and "用文件追加客户" in page
    running.undo(run.pk, by=SYSTEM)
    work()
    assert members(segment) == set()


def test_a_file_that_is_none_makes_no_list(acme_client, people):
    answer = acme_client.post("/segments/lists/new/", {"name": "空的", "file": upload("")})
    assert answer.status_code == 422 and not Segment.objects.exists() and not ImportRun.objects.exists()


def test_without_the_right_to_import_a_list_is_made_empty_only(people):
    client = log_in(make_user(permissions=["segments.view", "segments.edit", "contacts.view"]))
    refused = client.post("/segments/lists/new/", {"name": "名单", "file": upload("客户编号\n1\n")})
    assert refused.status_code in (403, 422) and not Segment.objects.exists()
    assert client.post("/segments/lists/new/", {"name": "名单"}).status_code == 302
    assert Segment.objects.get().kind == "static"


def test_ticked_customers_go_on_a_list_and_off_and_back(acme_client, actor, people):
    segment = segments.create_list(name="到店礼", by=SYSTEM)
    fill_static(segment, [people[0].pk], how="add", by=SYSTEM)
    chosen = Contact.objects.filter(pk__in=[person.pk for person in people])
    change = bulk.start("list", chosen, {"segment": segment.pk, "how": "add"}, EVERYTHING, by=actor, expected=3)
    assert (change.changed, change.unchanged) == (2, 1)
    assert members(segment) == {"客户0", "客户1", "客户2"}
    bulk.ask_undo(change.pk, EVERYTHING, by=actor)
    work()
    assert members(segment) == {"客户0"}
    ticked = {"ids": [people[1].pk], "name": "新名单", "how": "add", "expected": 1}
    assert acme_client.post("/segments/lists/bulk/", ticked).status_code == 302
    assert members(Segment.objects.get(name="新名单")) == {"客户1"}
    acme_client.post(f"/segments/{segment.pk}/remove/{people[0].pk}/")
    assert members(segment) == set()


def test_a_customer_is_pinned_in_and_out_with_a_reason_and_let_go(acme_client, people):
    tree = tree_of({"all": [{"field": "contact.name", "op": "is", "value": "客户0"}]})
    segment = segments.save_segment(None, name="条件", tree=tree, by=SYSTEM)
    segments.drain_builds(clock.wall() + timedelta(seconds=20))
    path = f"/segments/{segment.pk}/pin"
    assert acme_client.post(f"{path}/{people[1].pk}/", {"pin": "in", "reason": "老板朋友"}).status_code == 302
    acme_client.post(f"{path}/{people[0].pk}/", {"pin": "out"})
    assert members(segment) == {"客户1"}
    segments.request_rebuild(segment, by=SYSTEM)
    segments.drain_builds(clock.wall() + timedelta(seconds=20))
    assert members(segment) == {"客户1"}
    why = acme_client.get(f"/segments/{segment.pk}/why/{people[1].pk}/").content.decode()
    assert "手动固定在内" in why and "老板朋友" in why
    acme_client.post(f"{path}/{people[1].pk}/", {"pin": "none"})
    assert members(segment) == set() and SegmentPin.objects.count() == 1
    assert acme_client.post(f"{path}/{people[1].pk}/", {"pin": "nonsense"}).status_code == 422


def test_the_history_shows_sizes_and_who_came_and_went(acme_client, people, at):
    segment = segments.create_list(name="名单", by=SYSTEM)
    fill_static(segment, [people[0].pk, people[1].pk], how="add", by=SYSTEM)
    at(tagging.NOW + timedelta(days=3))
    fill_static(segment, [people[1].pk, people[2].pk], how="replace", by=SYSTEM)
    first = (tagging.NOW + timedelta(days=1)).date()
    found = segment_diff(segment, first, first + timedelta(days=3))
    assert [person.name for person in found.came] == ["客户2"]
    assert [person.name for person in found.went] == ["客户0"]
    span = f"from={first}&to={first + timedelta(days=3)}"
    page = acme_client.get(f"/segments/{segment.pk}/history/?{span}&side=went").content.decode()
    assert "客户0" in page and "每天结束时的人数" in page
    wrong = acme_client.get(f"/segments/{segment.pk}/history/?from=2026-03-05&to=2026-03-01")
    assert wrong.status_code == 422 and "较早的一天" in wrong.content.decode()
    assert acme_client.get(f"/segments/{segment.pk}/history/?from=x").status_code == 422


def test_whoever_sends_asks_the_condition_and_the_pins_anew(acme, people):
    tree = tree_of({"not": {"field": "contact.name", "op": "is", "value": "客户2"}})
    segment = segments.save_segment(None, name="群发人群", tree=tree, by=SYSTEM)
    segments.drain_builds(clock.wall() + timedelta(seconds=20))
    pin(segment, [people[0].pk], is_in=False, reason="", by=SYSTEM)
    pin(segment, [people[2].pk], is_in=True, reason="", by=SYSTEM)
    Contact.objects.filter(pk=people[1].pk).update(name="客户2")  # a change that nobody worked off yet
    assert members(segment) == {"客户2"} and SegmentEntry.objects.filter(segment=segment).count() == 2
    wanted = audience.people({"segment": segment.pk}, within=EVERYTHING, now=clock.now())
    assert [person.pk for person in wanted] == [people[2].pk]
