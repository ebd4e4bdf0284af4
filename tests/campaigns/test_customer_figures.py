"""What the first screen of the customer page says of touches and quota."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client, RequestFactory
from django.utils import timezone

from campaigns.customer_figures import last_touch, quota_left
from campaigns.models import Delivery, LedgerCoverage, MassSend, MassSendResult
from contacts.models import Contact
from contacts.panels import Said
from scrm.lib import clock
from tests.support import campaigns as make

pytestmark = pytest.mark.django_db


def first_screen(client: Client, person: Contact) -> str:
    answer = client.get(f"/contacts/{person.pk}/")
    assert answer.status_code == 200
    page = answer.content.decode()
    return page[page.index('<dl class="facts">') : page.index("</dl>")]


def foreign(person: Contact, *, sent_at: Any, create_type: int = 0, status: int = 1) -> None:
    """A mass message that somebody sent past this system."""
    follow = person.follows.get()
    number = MassSend.objects.count()
    send = MassSend.objects.create(
        corp=follow.corp, msgid=f"m{number}", chat_type="single", create_type=create_type, created_at=sent_at
    )
    MassSendResult.objects.create(
        corp=follow.corp, mass_send=send, userid=follow.member.userid, target=follow.identity.value, status=status,
        sent_at=sent_at,
    )  # fmt: skip


def test_quota_counts_our_sends_and_everybody_elses(acme: Any) -> None:
    request = RequestFactory().get("/")
    with timezone.override("Asia/Shanghai"), make.at_time(make.local(11)):
        [person] = make.make_customers(1)
        # March; WeCom's rule by default is one a day, counted by the month.
        assert quota_left(request, person) == Said("还可发 31 条", "04-01 重新计算")
        push = make.released([person])
        Delivery.objects.filter(push=push).update(state="sent", sent_at=clock.now(), settled_at=clock.now())
        foreign(person, sent_at=clock.now())
        foreign(person, sent_at=clock.now(), create_type=1)
        foreign(person, sent_at=clock.now(), status=2)  # it did not reach her
        foreign(person, sent_at=clock.now() - timedelta(days=40))  # of another month
        assert quota_left(request, person) == Said("还可发 28 条", "04-01 重新计算")
        touch = last_touch(request, person)
    assert (touch.text, touch.note[:14]) == (push.title, "2026-03-03 11:")


def test_quota_that_nobody_read_is_unknown_not_full(acme_client: Client) -> None:
    [person] = make.make_customers(1)
    LedgerCoverage.objects.all().delete()
    words = first_screen(acme_client, person)
    assert "额度未知" in words and "还可发" not in words and "还没有群发发到" in words


def test_a_customer_who_is_nobodys_friend_has_no_quota(acme_client: Client) -> None:
    [person] = make.make_customers(1)
    person.follows.update(relation="by_customer")
    assert "群发额度" not in first_screen(acme_client, person)
