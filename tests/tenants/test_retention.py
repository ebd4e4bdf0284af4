from datetime import timedelta

import pytest
import time_machine

from scrm.lib import clock
from tenants import audit, retention
from tenants.ledger.models import AuditEntry, RetentionRule

pytestmark = pytest.mark.django_db
SOON = timedelta(seconds=20)


def age(days: int) -> int:
    row = audit.record("probe.done", by=audit.SYSTEM)
    AuditEntry.objects.filter(pk=row.pk).update(at=clock.wall() - timedelta(days=days))
    return row.pk


def test_rows_older_than_the_rule_go_and_the_rule_says_how_many(acme):
    old, young = age(800), age(700)

    assert retention.drain(clock.wall() + SOON) is False

    assert set(AuditEntry.objects.filter(pk__in=[old, young]).values_list("pk", flat=True)) == {young}
    rule = RetentionRule.objects.get(kind="audit")
    assert rule.last_pruned_rows == 1


def test_a_merchants_own_days_win(acme):
    retention.seed_rules(acme)
    RetentionRule.objects.filter(kind="audit").update(keep_days=10)
    recent = age(20)
    retention.drain(clock.wall() + SOON)
    assert not AuditEntry.objects.filter(pk=recent).exists()


def test_pruning_runs_once_a_day_at_three_in_tenant_time(acme):
    with time_machine.travel("2026-03-01T20:00:00Z"):  # 04:00 in Shanghai
        retention.drain(clock.wall() + SOON)
        first = RetentionRule.objects.get(kind="audit").last_pruned_at
        assert retention.next_due().isoformat() == "2026-03-03T03:00:00+08:00"
    with time_machine.travel("2026-03-02T18:00:00Z"):  # 02:00, still the same night's round
        retention.drain(clock.wall() + SOON)
        assert RetentionRule.objects.get(kind="audit").last_pruned_at == first
    with time_machine.travel("2026-03-02T19:30:00Z"):
        retention.drain(clock.wall() + SOON)
        assert RetentionRule.objects.get(kind="audit").last_pruned_at > first


def test_a_long_round_stops_at_the_deadline_and_goes_on(acme, monkeypatch):
    monkeypatch.setattr(retention, "BATCH", 1)
    for _row in range(3):
        age(800)
    assert retention.drain(clock.wall() - SOON) is True
    assert AuditEntry.objects.filter(action="probe.done").count() == 3
    assert retention.drain(clock.wall() + SOON) is False
    assert AuditEntry.objects.filter(action="probe.done").count() == 0
