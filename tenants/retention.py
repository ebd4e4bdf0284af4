"""How long a tenant keeps each kind of record, and the lane that prunes what is older.

Apps register their kinds; the days are the tenant's own rows (RetentionRule), laid with the default when it is provisioned:

    retention.register(Kind("audit", _("操作记录"), keep_days=730, prune=retention.older(AuditEntry, "at")))
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.db import models, transaction
from django.utils.functional import Promise
from django.utils.translation import gettext as _

from scrm.lib import clock
from scrm.lib.errors import UserError
from tenants import audit
from tenants.audit import Actor
from tenants.context import current_tenant
from tenants.ledger.models import RetentionRule
from tenants.models import Tenant

BATCH = 2000
_HOUR = 3  # tenant time, when shops sleep


@dataclass(frozen=True)
class Kind:
    """prune(before, limit) deletes at most `limit` rows older than a domain instant and says how many.

    least, most: days between which the merchant may choose; why_least: what would no longer work with fewer.
    """

    key: str
    label: str | Promise
    keep_days: int
    prune: Callable[[datetime, int], int]
    least: int = 1
    most: int = 3650
    why_least: str | Promise = ""


_kinds: dict[str, Kind] = {}


def register(kind: Kind) -> None:
    """Add a kind. Raises ValueError when the key is taken by another."""
    if kind.key in _kinds and _kinds[kind.key] is not kind:
        raise ValueError(f"retention kind {kind.key} is registered twice")
    _kinds[kind.key] = kind


def all_kinds() -> list[Kind]:
    """Every registered kind, by key."""
    return [_kinds[key] for key in sorted(_kinds)]


def keep_days(key: str) -> int:
    """How many days the tenant in scope keeps a kind. One query. Raises KeyError for an unknown one."""
    rule = RetentionRule.objects.filter(kind=key).values_list("keep_days", flat=True).first()
    return _kinds[key].keep_days if rule is None else rule


def older(model: type[models.Model], column: str, **only: object) -> Callable[[datetime, int], int]:
    """A prune function for rows whose `column` lies before the limit; `only` are further conditions."""

    def prune(before: datetime, limit: int) -> int:
        rows = model._default_manager.filter(**{f"{column}__lt": before}, **only).order_by(column)
        keys = list(rows.values_list("pk", flat=True)[:limit])
        model._default_manager.filter(pk__in=keys).delete()
        return len(keys)

    return prune


def seed_rules(tenant: Tenant) -> None:
    """A rule with the default days for every kind that has none in the tenant in scope."""
    RetentionRule.objects.bulk_create(
        [RetentionRule(kind=kind.key, keep_days=kind.keep_days) for kind in all_kinds()], ignore_conflicts=True
    )


@transaction.atomic
def set_days(wanted: Mapping[str, int], *, by: Actor) -> dict[str, tuple[int, int]]:
    """Keep these kinds for so many days from tonight on: kind → (before, after) of those that changed.

    Raises KeyError for an unknown kind, UserError for days outside the kind's limits; then nothing is changed.
    """
    seed_rules(current_tenant())
    rules = {rule.kind: rule for rule in RetentionRule.objects.select_for_update().filter(kind__in=wanted)}
    changed: dict[str, tuple[int, int]] = {}
    for key, days in sorted(wanted.items()):
        kind, rule = _kinds[key], rules[key]
        if not kind.least <= days <= kind.most:
            raise UserError(said_limits(kind))
        if rule.keep_days != days:
            changed[key] = (rule.keep_days, days)
            rule.keep_days = days
            rule.save(update_fields=["keep_days"])
    if changed:
        audit.record("retention.changed", by=by, days={key: list(pair) for key, pair in changed.items()})
    return changed


def said_limits(kind: Kind) -> str:
    """Between how many days a merchant may choose, and why not fewer."""
    said = _("「%(name)s」可以保留 %(least)d 到 %(most)d 天。") % {
        "name": kind.label, "least": kind.least, "most": kind.most,
    }  # fmt: skip
    return f"{said}{kind.why_least}"


def drain(deadline: datetime) -> bool:
    """The lane: prune what is due today, a batch per transaction. True when the time ran out first."""
    now = clock.now()
    since = _latest_hour(now)
    seed_rules(current_tenant())
    due = RetentionRule.objects.filter(kind__in=list(_kinds)).exclude(last_pruned_at__gte=since)
    return any(not _prune(rule, now, deadline) for rule in due.order_by("kind"))


def next_due() -> datetime:
    """Tonight's hour."""
    return _latest_hour(clock.now()) + timedelta(days=1)


def _prune(rule: RetentionRule, now: datetime, deadline: datetime) -> bool:
    """True when the kind is done for today."""
    rows = 0
    while True:
        if clock.wall() >= deadline:
            return False
        with transaction.atomic():
            deleted = _kinds[rule.kind].prune(now - timedelta(days=rule.keep_days), BATCH)
        rows += deleted
        if deleted < BATCH:
            break
    rule.last_pruned_at, rule.last_pruned_rows = now, rows
    rule.save(update_fields=["last_pruned_at", "last_pruned_rows"])
    return True


def _latest_hour(now: datetime) -> datetime:
    local = now.astimezone(ZoneInfo(current_tenant().time_zone))
    today = local.replace(hour=_HOUR, minute=0, second=0, microsecond=0)
    return today if today <= local else today - timedelta(days=1)
