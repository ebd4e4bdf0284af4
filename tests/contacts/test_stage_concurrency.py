"""Several operators at one customer at once, over connections of their own."""

import threading

import pytest
from django.db import connections

from contacts.models import Contact, StageTransition
from contacts.services.stages import move_by_hand
from scrm.lib import clock
from scrm.lib.errors import Conflict
from tenants.audit import Actor
from tenants.context import current_tenant, tenant_scope
from tests.support import contacts as people

pytestmark = pytest.mark.django_db(transaction=True)


def test_of_four_who_move_one_customer_at_the_same_moment_one_succeeds_and_three_are_told():
    stages = people.make_stages()
    person = people.make_contact("小圆子", stage=stages["new"], stage_since=clock.now())
    tenant, start, told = current_tenant(), threading.Barrier(4), []

    def move(key: str) -> None:
        try:
            with tenant_scope(tenant):
                start.wait(10)
                move_by_hand(
                    person.pk, stages[key].pk, seen=stages["new"].pk, reason="", by=Actor("user", 1), at=clock.now()
                )
                told.append(key)
        except Conflict as error:
            told.append(error.message)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=move, args=(key,)) for key in ("interested", "first_order", "repeat", "loyal")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    moved = [one for one in told if one in stages]
    assert (len(told), len(moved)) == (4, 1)
    assert Contact.objects.get(pk=person.pk).stage == stages[moved[0]]
    assert StageTransition.objects.count() == 1
    assert all(f"现在在「{stages[moved[0]].name}」" in one for one in told if one not in stages)
