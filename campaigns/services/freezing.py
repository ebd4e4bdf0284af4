"""The freeze: one INSERT … SELECT writes a delivery for every target, the excluded and the held-out among them."""

from dataclasses import dataclass
from typing import Any

from django.db import connection

from campaigns.models import Delivery, Push
from campaigns.services.marking import mark_deliveries
from campaigns.states import DeliveryState

_TABLE = Delivery._meta.db_table
_COLUMNS = (
    "push_id, target, contact_id, group_id, follow_id, dispatch_id, external_userid, state, reason, note, "
    "store_id, member_id, region_id, dealer_id, frozen_at, sent_at, settled_at"
)


@dataclass(frozen=True)
class Frozen:
    """What a freeze wrote: how many targets, and the hex SHA-256 over their sorted keys."""

    count: int
    digest: str


def freeze_people(push: Push, verdicts: tuple[str, dict[str, Any]], *, holdout_key: str) -> Frozen:
    """Write the people's deliveries. The holdout is drawn from the reachable by a stable hash of root id and key."""
    statement, params = verdicts
    held_out = (
        "('x' || substr(md5(root_id::text || ':' || %(holdout_key)s), 1, 8))::bit(32)::bigint %% 10000 < %(holdout)s"
    )
    sql = f"""{statement}
INSERT INTO {_TABLE} ({_COLUMNS})
SELECT %(push_id)s, 'c' || root_id, root_id, NULL, follow_id, NULL, external_userid, state, reason, '',
       store_id, member_id, region_id, dealer_id, %(frozen_at)s, NULL, CASE WHEN state <> 'planned' THEN %(frozen_at)s END
FROM (SELECT verdict.*, CASE WHEN reason <> '' THEN 'excluded' WHEN {held_out} THEN 'holdout' ELSE 'planned' END AS state
      FROM verdict) judged
ON CONFLICT (push_id, target) DO NOTHING"""
    return _run(push, sql, params | {"holdout_key": holdout_key, "holdout": push.holdout_percent * 100})


def freeze_groups(push: Push, verdicts: tuple[str, dict[str, Any]]) -> Frozen:
    """Write the groups' deliveries."""
    statement, params = verdicts
    sql = f"""{statement}
INSERT INTO {_TABLE} ({_COLUMNS})
SELECT %(push_id)s, 'g' || group_id, NULL, group_id, NULL, NULL, '', CASE WHEN reason <> '' THEN 'excluded' ELSE 'planned' END,
       reason, '', store_id, member_id, region_id, dealer_id, %(frozen_at)s, NULL,
       CASE WHEN reason <> '' THEN %(frozen_at)s END
FROM verdict
ON CONFLICT (push_id, target) DO NOTHING"""
    return _run(push, sql, params)


def _run(push: Push, sql: str, params: dict[str, Any]) -> Frozen:
    with connection.cursor() as cursor:
        cursor.execute(sql, params | {"push_id": push.pk, "frozen_at": push.frozen_at})
        cursor.execute(
            f"SELECT count(*), encode(sha256(convert_to(coalesce(string_agg(target, E'\\n' ORDER BY target COLLATE \"C\"), ''),"
            f" 'UTF8')), 'hex') FROM {_TABLE} WHERE push_id = %s",
            [push.pk],
        )
        count, digest = cursor.fetchone()
    mark_deliveries(Delivery.objects.filter(push=push))
    return Frozen(count, digest)


def planned_count(push_id: int) -> int:
    """How many targets of a push are still to be sent to."""
    return Delivery.objects.filter(push_id=push_id, state=DeliveryState.PLANNED).count()
