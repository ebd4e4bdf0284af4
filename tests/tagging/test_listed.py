"""为什么 of a fixed list says how she came onto it, from what is recorded."""

from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from accounts.scope import EVERYTHING
from contacts import longjobs
from contacts.models import Contact, ImportRun
from contacts.services import bulk
from contacts.services.merging import Merged
from scrm.lib import clock
from tagging.services import segments
from tagging.services.static_lists import fill_static, on_merged
from tenants.audit import SYSTEM
from tests.support import tagging
from tests.support.consuming import CONSENT, built, happened, listening, named, settle
from tests.support.core import log_in, make_user

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_fields")]


def said(client, segment, person):
    came = client.get(f"/segments/{segment.pk}/why/{person.pk}/").context["came"]
    return (came.text, came.url) if came else None


def test_chosen_customers_and_a_copy_say_so(acme_client, actor, person):
    fixed = segments.create_list(name="到店礼", by=SYSTEM)
    chosen = Contact.objects.filter(pk=person.pk)
    change = bulk.start("list", chosen, {"segment": fixed.pk, "how": "add"}, EVERYTHING, by=actor, expected=1)
    text, url = said(acme_client, fixed, person)
    assert "批量操作「加入名单「到店礼」」" in text and url == f"/contacts/bulk/changes/{change.pk}/"
    source = built("王姐们", named("王姐"))
    text, url = said(acme_client, segments.freeze_segment(source, name="那天", by=actor), person)
    assert "从人群「王姐们」复制" in text and url == f"/segments/{source.pk}/"


def test_a_file_says_so_and_leads_there_who_may_import(acme_client, person):
    file = SimpleUploadedFile("名单.csv", f"客户编号\n{person.pk}\n".encode(), content_type="text/csv")
    made = acme_client.post("/segments/lists/new/", {"name": "双十一", "file": file})
    for act in ("check", "start"):
        acme_client.post(f"{made.url}{act}/", {"head-0": "id"})
        longjobs.drain(clock.wall() + timedelta(seconds=20))
    run = ImportRun.objects.get()
    fixed = segments.Segment.objects.get(pk=run.aim)
    text, url = said(acme_client, fixed, person)
    assert text.startswith("用文件导入") and url == f"/imports/{run.pk}/"
    reader = log_in(make_user(permissions=["segments.view", "contacts.view"]))
    assert said(reader, fixed, person)[1] == ""


def test_a_rule_is_named_to_whoever_may_see_what_it_hears(acme_client, at, person):
    fixed = segments.create_list(name="同意的", by=SYSTEM)
    rule = listening({"kind": "order"}, [{"kind": "segment", "segment": fixed.pk, "way": "add"}], "下单就加入")
    happened(person, "order.paid", "o", payload={"amount_minor": 100})
    settle()
    assert said(acme_client, fixed, person) == ("规则「下单就加入」", f"/rules/{rule.pk}/")
    reader = log_in(make_user(permissions=["segments.view", "contacts.view", "rules.view"]))
    assert said(reader, fixed, person) == ("自动规则", "")


def test_where_nothing_tells_it_says_so_and_a_merge_is_told(acme_client, at, person):
    fixed = segments.create_list(name="名单", by=SYSTEM)
    listening(CONSENT, [{"kind": "segment", "segment": fixed.pk, "way": "add"}], "没有执行过")
    other = tagging.make_person("旧档案")
    fill_static(fixed, [other.pk], how="add", by=SYSTEM)
    Contact.objects.filter(pk=other.pk).update(root=person.pk)
    on_merged(Merged(kept=person.pk, gone=other.pk, moved=(other.pk,), at=tagging.NOW + timedelta(hours=1)))
    assert said(acme_client, fixed, person) == ("与她合并的另一位客户原来在名单里", "")
    bare = segments.create_list(name="别的", by=SYSTEM)
    fill_static(bare, [person.pk], how="add", by=SYSTEM)
    page = acme_client.get(f"/segments/{bare.pk}/why/{person.pk}/")
    assert page.context["came"] is None and "没有留下是怎么加入的记录" in page.content.decode()
