"""数据保留期: HQ sees and sets how long each kind of record is kept, within limits, and what went last."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from contacts.models import ConsentRecord
from contacts.services.consents import prune_superseded
from scrm.lib import clock
from tenants import retention
from tenants.ledger.models import AuditEntry, RetentionRule
from tests.support.contacts import make_contact
from tests.support.core import log_in

pytestmark = pytest.mark.django_db


def days(acme: Any, **over: int) -> dict[str, int]:
    retention.seed_rules(acme)
    return dict(RetentionRule.objects.values_list("kind", "keep_days")) | over


def test_every_kind_stands_there_with_its_days_and_what_went_last(acme: Any, acme_client: Client) -> None:
    retention.seed_rules(acme)
    RetentionRule.objects.filter(kind="notes").update(last_pruned_at=clock.now(), last_pruned_rows=1234)
    with CaptureQueriesContext(connection) as caught:
        page = acme_client.get("/settings/retention/").content.decode()
    assert all(f'name="{kind.key}"' in page for kind in retention.all_kinds())
    assert "1,234" in page and "还没有" in page and len(caught) < 12


def test_days_within_the_limits_are_saved_and_audited_once(acme: Any, acme_client: Client) -> None:
    assert acme_client.post("/settings/retention/", days(acme, notes=400)).status_code == 302
    assert RetentionRule.objects.get(kind="notes").keep_days == 400
    assert AuditEntry.objects.get(action="retention.changed").data == {"days": {"notes": [1095, 400]}}
    acme_client.post("/settings/retention/", days(acme))
    assert AuditEntry.objects.filter(action="retention.changed").count() == 1


@pytest.mark.parametrize("wrong", [0, 179, 99999, "viel", ""])
def test_days_outside_the_limits_change_nothing_and_say_why(acme: Any, acme_client: Client, wrong: Any) -> None:
    answer = acme_client.post("/settings/retention/", days(acme, notes=400) | {"audit": wrong})
    assert answer.status_code == 422 and "可以保留 180 到 3650 天。法规要求" in answer.content.decode()
    assert RetentionRule.objects.get(kind="notes").keep_days == 1095


def test_only_who_may_set_them_sees_the_page(acme: Any) -> None:
    assert log_in("operator").get("/settings/retention/").status_code == 403


def test_of_consents_only_what_a_later_word_replaced_goes(acme: Any) -> None:
    person, now = make_contact(), clock.now()
    for age, decision in ((3000, "given"), (2500, "withdrawn"), (10, "given")):
        at = now - timedelta(days=age)
        ConsentRecord.objects.create(
            contact=person,
            purpose="messages",
            decision=decision,
            channel="store",
            source="customer",
            decided_at=at,
            noted_at=at,
        )
    other = make_contact()
    at = now - timedelta(days=3000)
    ConsentRecord.objects.create(
        contact=other,
        purpose="messages",
        decision="withdrawn",
        channel="store",
        source="customer",
        decided_at=at,
        noted_at=at,
    )
    assert prune_superseded(now - timedelta(days=1825), 1) == 1
    assert prune_superseded(now - timedelta(days=1825), 10) == 1
    left = ConsentRecord.objects.order_by("pk").values_list("contact_id", "decision")
    assert list(left) == [(person.pk, "given"), (other.pk, "withdrawn")]
