"""Tags for people who are not here yet: brought by a file, put on once when they arrive."""

from datetime import timedelta

import pytest

from accounts.scope import EVERYTHING, DataScope
from contacts import arrivals, timeline
from contacts.arrivals import NewKey
from contacts.models import Contact, ContactPhone, Identity, ImportRun
from contacts.services.imports import running
from contacts.services.imports.registry import BadCell
from scrm.lib import clock
from tagging.models import FollowTag, PreTag, Tag
from tagging.services import pretag_imports
from tenants.audit import SYSTEM
from tests.support import tagging
from tests.support.contacts import make_store
from tests.support.core import log_in
from tests.support.imports import tried, work

pytestmark = pytest.mark.django_db
PHONE, OTHER = "+8613800138000", "+8613800138001"


@pytest.fixture(autouse=True)
def _files(settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path


@pytest.fixture
def tag(corp):
    return tagging.make_tag("敏感肌", corp=corp)


def arrives(guide, phone=PHONE, name="王姐", unionid=""):
    """A new friend, whose phone becomes known."""
    person = tagging.make_person(name, owner=guide, last_added_at=clock.now(), active_follows=1)
    tagging.make_relation(person, guide)
    if phone:
        ContactPhone.objects.create(contact=person, phone=phone, source="order", created_at=clock.now())
        arrivals.tell([NewKey("phone", phone, person.pk)])
    if unionid:
        Identity.objects.create(kind="unionid", scope="", value=unionid, contact=person, created_at=clock.now())
        arrivals.tell([NewKey("unionid", unionid, person.pk)])
    return person


def bring(text, scope=EVERYTHING):
    run = tried(text, "pretags", scope)
    running.start(run.pk, acts=False, by=SYSTEM)
    work()
    run.refresh_from_db()
    return run


def wear(person):
    return set(FollowTag.objects.filter(contact=person).values_list("tag__name", "origin", "state"))


ON = {("敏感肌", "import", "adding")}


def test_who_arrives_by_phone_or_unionid_gets_her_tags_once(tag, guide):
    run = bring(
        "手机号,unionid,标签,有效天数\n13800138000,,敏感肌,\n,oUnion_123456,敏感肌,7\n13800138001,,没有的,\n123,,敏感肌,\n"
    )
    assert (run.rows_created, run.rows_rejected) == (2, 2)
    person = arrives(guide)
    assert wear(person) == ON
    assert wear(arrives(guide, phone="", unionid="oUnion_123456")) == ON
    waiting = PreTag.objects.get(kind="phone")
    assert (waiting.state, waiting.contact_id) == ("applied", person.pk)
    mark = FollowTag.objects.get(contact=person)
    assert mark.via == f"pretag:{run.pk}"
    mark.delete()
    arrivals.tell([NewKey("phone", PHONE, person.pk)])
    assert wear(person) == set(), "once"


def test_a_person_we_know_gets_them_when_a_guide_adds_her_and_a_friend_at_once(tag, guide):
    known = tagging.make_person("李姐")
    ContactPhone.objects.create(contact=known, phone=OTHER, source="order", created_at=clock.now())
    friend = arrives(guide)
    bring("手机号,标签\n13800138000,敏感肌\n13800138001,敏感肌\n")
    assert wear(friend) == ON and wear(known) == set()
    follow = tagging.make_relation(known, guide)
    added = timeline.NewEvent(
        kind="follow.added", occurred_at=clock.now(), source="callback", fact_key="added:1", contact_id=known.pk,
        identity_id=follow.identity_id, member_id=guide.pk, subject="pair:1",
    )  # fmt: skip
    timeline.record_events([added])
    assert wear(known) == ON


def test_two_people_with_the_phone_get_none_and_are_listed_until_they_are_one(acme_client, tag, guide):
    bring("手机号,标签\n13800138000,敏感肌\n")
    twin = tagging.make_person("同号")
    ContactPhone.objects.create(contact=twin, phone=PHONE, source="order", created_at=clock.now())
    person = arrives(guide)
    assert wear(person) == set() and PreTag.objects.get().state == "clash"
    page = acme_client.get("/tags/pre/?state=clash").content.decode()
    assert "有多位客户" in page and "敏感肌" in page and PHONE[-8:] not in page
    Contact.objects.filter(pk=twin.pk).update(root=person)
    acme_client.post("/tags/pre/retry/")
    assert wear(person) == ON
    assert tried("手机号,标签\n13800138000,敏感肌\n", "pretags").rows_created == 1


def test_what_is_past_its_days_or_whose_tag_is_gone_is_not_put(acme_client, tag, guide):
    bring("手机号,标签\n13800138000,敏感肌\n13800138001,敏感肌\n")
    PreTag.objects.filter(value=PHONE).update(expires_at=clock.now() - timedelta(seconds=1))
    Tag.objects.filter(pk=tag.pk).update(deleted_at=clock.now())
    assert wear(arrives(guide)) == set() and wear(arrives(guide, OTHER)) == set()
    assert set(PreTag.objects.values_list("value", "state")) == {(PHONE, "waiting"), (OTHER, "void")}
    assert "已过期" in acme_client.get("/tags/pre/").content.decode()


def test_an_undo_takes_off_what_stands_and_forgets_what_waits(tag, guide):
    run = bring("手机号,标签\n13800138000,敏感肌\n13800138001,敏感肌\n")
    person = arrives(guide)
    running.undo(run.pk, by=SYSTEM)
    work()
    assert wear(person) == {("敏感肌", "import", "removing")} and not PreTag.objects.exists()


def test_pasted_lines_become_an_import_and_a_file_can_be_stopped(acme_client, tag):
    refused = acme_client.post("/tags/pre/paste/", {"lines": "13800138000"}, HTTP_HX_REQUEST="true")
    assert refused.status_code == 422
    text = "138 0013 8000\noUnion_123456\n"
    done = acme_client.post("/tags/pre/paste/", {"lines": text, "tags": [tag.pk], "days": "30"})
    run = ImportRun.objects.get()
    assert done.url == f"/imports/{run.pk}/" and set(run.mapping) == {"phone", "unionid", "tags", "days"}
    running.check(run.pk, run.mapping, by=SYSTEM)
    work()
    running.start(run.pk, acts=False, by=SYSTEM)
    work()
    assert set(PreTag.objects.values_list("kind", "value")) == {("phone", PHONE), ("unionid", "oUnion_123456")}
    acme_client.post("/tags/pre/stop/", {"file": run.pk})
    assert not PreTag.objects.exists()


def test_only_who_sees_everybody_may_tag_whoever_arrives(acme, tag):
    client = log_in("service", scope=make_store())
    assert client.get("/tags/pre/").status_code == 403
    run = tried("手机号,标签\n13800138000,敏感肌\n", "pretags", DataScope(user_id=client.user.pk, own=True))
    assert (run.rows_created, run.rows_rejected) == (0, 1)


def test_a_name_that_holds_a_separator_is_one_tag_not_two(tag, corp, guide):
    other = tagging.make_tag("敏感肌、油", corp=corp, group=tag.group)
    read = pretag_imports._tags()
    assert read(f"{tag.group.name}/敏感肌、油") == [other.pk]
    assert read(f"{tag.group.name}/敏感肌、油、敏感肌") == sorted([tag.pk, other.pk])
    assert read("敏感肌,") == [tag.pk]
    with pytest.raises(BadCell):
        read("敏感肌、没有的")
