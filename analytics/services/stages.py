"""How many friends stood in each stage at the end of a tenant day, from the append-only transitions and periods."""

from datetime import date

from django.db import connection

from analytics.models import StageDay
from analytics.services.days import day_bounds
from scrm.lib import clock

# The last transition up to the day's end of each person (merged rows count as one) who was a friend of somebody then. Region and
# dealer: of the store, as placed then.
_SQL = """
WITH friends AS (
  SELECT DISTINCT coalesce(c.root_id, c.id) AS root_id
  FROM contacts_followperiod p JOIN contacts_follow f ON f.id = p.follow_id JOIN contacts_contact c ON c.id = f.contact_id
  WHERE p.added_at < %(end)s AND (p.ended_at IS NULL OR p.ended_at >= %(end)s)
),
last AS (
  SELECT DISTINCT ON (coalesce(c.root_id, c.id)) t.to_stage_id, t.store_id, t.member_id
  FROM contacts_stagetransition t JOIN contacts_contact c ON c.id = t.contact_id
  JOIN friends ON friends.root_id = coalesce(c.root_id, c.id)
  WHERE t.changed_at < %(end)s
  ORDER BY coalesce(c.root_id, c.id), t.changed_at DESC, t.id DESC
)
SELECT last.to_stage_id, coalesce(p.region_id, 0), coalesce(p.dealer_id, 0), coalesce(last.store_id, 0),
       coalesce(last.member_id, 0), count(*)
FROM last LEFT JOIN contacts_storeplacement p ON p.store_id = last.store_id
  AND p.placed_from < %(end)s AND (p.placed_to IS NULL OR p.placed_to >= %(end)s)
GROUP BY 1, 2, 3, 4, 5
"""


def recompute(day: date | None, key: int) -> None:
    """Rewrite the stage counts of one day; nothing is written for a day that is not over, pages count that live."""
    assert day is not None
    _start, end = day_bounds(day)
    StageDay.objects.filter(day=day).delete()
    if end > clock.now():
        return
    with connection.cursor() as cursor:
        cursor.execute(_SQL, {"end": end})
        found = cursor.fetchall()
    StageDay.objects.bulk_create(
        [
            StageDay(
                day=day,
                stage_id=stage,
                region_id=region,
                dealer_id=dealer,
                store_id=store,
                member_id=member,
                people=people,
            )
            for stage, region, dealer, store, member, people in found
        ],
        batch_size=1000,
    )
