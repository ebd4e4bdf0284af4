"""The short way of a first sync writes what the general way writes."""

import threading
from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction

from contacts.models import Contact, Follow, OwnershipChange
from contacts.services import inbound
from contacts.services.members import ensure_members
from scrm.lib import clock
from tests.support.core import in_thread
from tests.support.wecom import make_corp
from wecom_bridge.contracts import Contended, ExternalContactInfo, FollowInfo, PeopleBatch, PersonRow

pytestmark = pytest.mark.django_db
NOW = clock.from_unix(1718000000)


def follow(userid, days, **more):
    return FollowInfo(userid=userid, created_at=NOW - timedelta(days=days), **more)


ROWS = [
    ("wm1", "王小雨", "", [follow("lin", 30, remark="王姐 老客", remark_mobiles=("138 0000 0001", "bad"))]),
    ("wm2", "陈", "", [follow("lin", 10, remark="二"), follow("an", 20, remark="一", remark_mobiles=("13900000002",))]),
    ("wm3", "Same Second", "", [follow("zoe", 5), follow("an", 5)]),
    ("wm4", "one", "union", [follow("an", 4)]),
    ("wm5", "the same one", "union", [follow("lin", 9, state="code_1")]),
    ("wm6", "nobody's", "", []),
]


def batch_of(corp, source="backfill"):
    rows = [PersonRow(ExternalContactInfo(e, name, 1, unionid=u), tuple(f), False) for e, name, u, f in ROWS]
    return PeopleBatch(corp, source, NOW, rows)


def written():
    columns = ("name", "search_text", "active_follows", "first_added_at", "last_added_at", "owner__userid", "store_id")
    owners = OwnershipChange.objects.values_list("contact__name", "to_member__userid", "changed_at", "reason")
    return sorted(Contact.objects.values_list(*columns)), sorted(owners), Follow.objects.count()


def test_both_ways_write_the_same(db, monkeypatch):
    corp = make_corp(open_account="open")
    inbound.apply_people(batch_of(corp))
    short = written()
    Contact.objects.all().delete()
    OwnershipChange.objects.all().delete()
    monkeypatch.setattr(inbound, "_first_columns", lambda batch: {})

    inbound.apply_people(batch_of(corp))

    assert written() == short
    assert len(short[0]) == 5 and short[2] == 7


def test_a_second_guide_in_a_later_batch_is_counted(db):
    corp = make_corp()
    inbound.apply_people(batch_of(corp))
    later = PersonRow(ExternalContactInfo("wm1", "王小雨", 1), (follow("an", 40, remark="小雨"),), False)
    inbound.apply_people(PeopleBatch(corp, "backfill", NOW, [later]))

    person = Contact.objects.get(name="王小雨")
    assert (person.active_follows, person.owner.userid) == (2, "an") and "小雨" in person.search_text
    assert OwnershipChange.objects.get(contact=person).to_member.userid == "an"


def stranger(external, unionid="", userid="lin"):
    return PersonRow(ExternalContactInfo(external, external, 1, unionid=unionid), (follow(userid, 3),), False)


def test_beside_another_batch_only_strangers_are_written(db):
    corp = make_corp()
    inbound.apply_people(PeopleBatch(corp, "backfill", NOW, [stranger("wm1")]))

    with pytest.raises(Contended), transaction.atomic():
        inbound.apply_people(PeopleBatch(corp, "backfill", NOW, [stranger("wm1"), stranger("wm2")], alongside=True))

    assert Contact.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_batches_at_once_that_share_a_unionid_do_not_make_two_people(acme):
    """The second waits for the first, fails on the key, and is told again alone."""
    corp = make_corp(open_account="open")
    ensure_members(corp, ["lin"])
    wrote, may_commit = threading.Event(), threading.Event()

    def first():
        with transaction.atomic():
            inbound.apply_people(PeopleBatch(corp, "backfill", NOW, [stranger("wm1", "union")], alongside=True))
            wrote.set()
            may_commit.wait(10)

    def second():
        with transaction.atomic():
            inbound.apply_people(PeopleBatch(corp, "backfill", NOW, [stranger("wm2", "union")], alongside=True))

    running = in_thread(first)
    assert wrote.wait(10)
    other = in_thread(second)
    other.join(0.5)
    may_commit.set()
    running.result()
    with pytest.raises(IntegrityError):
        other.result()
    with transaction.atomic():
        inbound.apply_people(PeopleBatch(corp, "backfill", NOW, [stranger("wm2", "union")]))

    person = Contact.objects.get()
    assert person.active_follows == 2
