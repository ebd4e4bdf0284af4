"""再匹配: whoever waits is reached, however many before them wait for somebody who does not come."""

from datetime import timedelta

import pytest

from contacts.models import ContactPhone
from scrm.lib import clock
from scrm.lib.errors import Conflict
from tagging.models import FollowTag, PreTag
from tagging.services import pretags
from tenants.audit import SYSTEM
from tests.support import tagging
from tests.support.imports import work

pytestmark = pytest.mark.django_db


@pytest.fixture
def waiting(at, guide, corp, monkeypatch):
    """Five pre-tags, matched in parts of two; of the last alone somebody is a friend by now."""
    monkeypatch.setattr(pretags, "PART", 2)
    tag = tagging.make_tag("敏感肌", corp=corp)
    phones = [f"+861380013800{number}" for number in range(5)]
    for phone in phones:
        PreTag.objects.create(
            kind="phone", value=phone, tag_ids=[tag.pk], import_id=1, created_at=tagging.NOW,
            expires_at=tagging.NOW + timedelta(days=30),
        )  # fmt: skip
    person = tagging.make_person("王姐", owner=guide)
    tagging.make_relation(person, guide)
    ContactPhone.objects.create(contact=person, phone=phones[-1], source="order", created_at=clock.now())
    return person


def test_of_many_a_job_goes_through_all(acme_client, waiting):
    acme_client.post("/tags/pre/retry/")
    work()

    assert FollowTag.objects.get().contact == waiting
    job = pretags.last_again()
    assert (job.state, job.done, job.total, job.result["count"]) == ("done", 5, 5, 1)
    assert "已看 5 / 5 条,打上 1 条" in acme_client.get("/tags/pre/").content.decode()


def test_one_job_at_a_time(waiting):
    assert pretags.try_again(by=SYSTEM) is None
    with pytest.raises(Conflict):
        pretags.try_again(by=SYSTEM)


def test_few_are_matched_at_once(waiting):
    few = PreTag.objects.order_by("-pk").values_list("pk", flat=True)[:2]
    PreTag.objects.exclude(pk__in=list(few)).delete()

    assert pretags.try_again(by=SYSTEM) == 1 and FollowTag.objects.get().contact == waiting
    assert pretags.last_again() is None
