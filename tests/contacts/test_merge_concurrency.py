"""Several operators merge the same people at once, over connections of their own."""

import threading

import pytest
from django.db import connections

from contacts.models import Contact, ContactMerge
from contacts.services.hand_merging import merge_by_hand, plan_merge
from contacts.services.merging import deep_branches
from scrm.lib.errors import UserError
from tenants.audit import Actor
from tenants.context import current_tenant, tenant_scope
from tests.support.contacts import make_follow, make_member, make_store

pytestmark = pytest.mark.django_db(transaction=True)


def test_of_three_who_merge_one_pair_one_succeeds_and_two_are_told_who_it_was() -> None:
    guide = make_member(store=make_store())
    first, second = make_follow(member=guide).contact, make_follow(member=guide).contact
    token = plan_merge(first, second).token
    tenant, start = current_tenant(), threading.Barrier(3)
    done: list[ContactMerge] = []
    told: list[str] = []

    def merge() -> None:
        try:
            with tenant_scope(tenant):
                start.wait(10)
                done.append(merge_by_hand(first.pk, second.pk, seen=token, by=Actor("user", 1)))
        except UserError as error:
            told.append(error.message)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=merge) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert (len(done), len(told)) == (1, 2)
    assert all("已经是同一位客户" in one for one in told)
    assert (ContactMerge.objects.count(), deep_branches().count()) == (1, 0)
    assert Contact.objects.get(pk=second.pk).root_id == first.pk
