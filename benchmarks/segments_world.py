"""A merchant whose customers have everything segments ask about: for each contact two relations, five marks of tags, ten facts and an
order; a tenth of that scale has the same shape. Made once for a process, and removed when it ends."""

import atexit
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from benchmarks import merchants, people
from benchmarks.tenant import drop_tenant

TAGS, GROUPS = 200, 10
CHUNK = 1_000_000
_TABLES = (
    "contacts_contact, contacts_follow, contacts_identity, tagging_followtag, contacts_timelineevent, commerce_order"
)

# The other guide of each customer: their ids follow each other, and the first is another one.
_OTHER_FOLLOWS = """
INSERT INTO contacts_follow (corp_id, identity_id, contact_id, member_id, remark, description, remark_company, remark_mobiles,
    relation, relation_since, relation_proof, relation_proved_at, added_at, add_way, state, synced_at)
SELECT f.corp_id, f.identity_id, f.contact_id, m.lowest + (f.member_id - m.lowest + 7) %% m.number, '', '', '', '{}',
    CASE WHEN f.id %% 9 = 0 THEN 'by_customer' ELSE 'active' END, f.added_at, 'sync', f.added_at, f.added_at, 3, '', f.added_at
FROM contacts_follow AS f, (SELECT min(id) AS lowest, count(*) AS number FROM contacts_member) AS m
"""
_MARKS = """
INSERT INTO tagging_followtag (follow_id, contact_id, tag_id, origin, state, tagged_at, last_error)
SELECT f.id, f.contact_id, t.lowest + (f.id * 31 + k * 67) %% %(tags)s, CASE WHEN f.id %% 4 = 0 THEN 'rule' ELSE 'sync' END, 'on',
    %(now)s::timestamptz - (f.id * 104729 + k * 7919) %% 63072000 * interval '1 second', ''
FROM contacts_follow AS f, generate_series(0, 2) AS k, (SELECT min(id) AS lowest FROM tagging_tag) AS t
WHERE k < 2 OR f.id %% 2 = 0
"""
_EVENTS = """
INSERT INTO contacts_timelineevent (kind, occurred_at, recorded_at, source, contact_id, actor, subject, payload, fact_key)
SELECT (ARRAY['push.sent', 'push.sent', 'push.sent', 'tag.added', 'tag.added', 'stage.changed', 'follow.added', 'order.paid',
    'group.joined', 'note.written'])[1 + n %% 10], at, at, 'sync', c.lowest + n * 7919 %% %(size)s, '', '', '{}', 'bench:' || n
FROM (SELECT n, %(now)s::timestamptz - n * 104729 %% 63072000 * interval '1 second' AS at
      FROM generate_series(%(first)s::bigint, %(last)s) AS n) AS made, (SELECT min(id) AS lowest FROM contacts_contact) AS c
"""
_ORDERS = """
INSERT INTO commerce_order (source, number, status, currency, total_minor, refunded_minor, ordered_at, contact_id, bound_by, buyer_phone,
    buyer_unionid, buyer_external_userid, member_source, store_source, created_at, updated_at)
SELECT 'pos', 'bench' || n, CASE WHEN n %% 20 = 0 THEN 'cancelled' ELSE 'paid' END, 'CNY', n * 37 %% 50000, 0, at,
    c.lowest + n * 7919 %% (%(size)s * 4 / 10), 'phone', '', '', '', '', '', at, at
FROM (SELECT n, %(now)s::timestamptz - n * 92821 %% 63072000 * interval '1 second' AS at FROM generate_series(1::bigint, %(size)s) AS n) AS made,
    (SELECT min(id) AS lowest FROM contacts_contact) AS c
"""


@dataclass(frozen=True)
class World:
    """The merchant, ids of her tags, stages, stores and guides, and the instant her facts end at."""

    tenant: Any
    size: int
    now: datetime
    tags: list[int]
    stages: list[int]
    stores: list[int]
    members: list[int]


@cache
def world(size: int) -> World:
    """The merchant with so many customers."""
    from django.db import connection

    from contacts.models import Member, Stage, Store
    from scrm.lib import clock
    from tagging.models import Tag, TagGroup
    from tenants.context import tenant_scope

    merchants.migrate_public()
    now = clock.now()
    tenant = people.make_merchant(
        f"bench-segments-{size}", size, until=now - timedelta(hours=1), step=timedelta(days=700) / size
    )
    atexit.register(drop_tenant, tenant)
    with tenant_scope(tenant):
        groups = [TagGroup.objects.create(kind="internal", name=f"标签组{n}") for n in range(GROUPS)]
        Tag.objects.bulk_create(Tag(group=groups[n % GROUPS], name=f"标签{n}") for n in range(TAGS))
        Member.objects.update(has_customer_contact=True)
        given = {"size": size, "now": now, "tags": TAGS}
        with connection.cursor() as cursor:
            cursor.execute(_OTHER_FOLLOWS.replace("%%", "%"))
            cursor.execute(_MARKS, given)
            cursor.execute(_ORDERS, given)
            for first in range(1, size * 10 + 1, CHUNK):
                cursor.execute(_EVENTS, {**given, "first": first, "last": min(size * 10, first + CHUNK - 1)})
            cursor.execute(f"VACUUM (ANALYZE) {_TABLES}")
        ids = [list(model.objects.order_by("pk").values_list("pk", flat=True)) for model in (Tag, Stage, Store, Member)]
    return World(tenant, size, now, *ids)


def empty(*, forget_segments: bool = False) -> None:
    """No entries, no changes, no boundaries: as before a first build, for either side of a comparison."""
    from django.db import connection

    segment = ", tagging_segment, tagging_segmentsize, tagging_segmentpin" if forget_segments else ""
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE tagging_segmententry, tagging_segmentchange, conditions_dirtymark{segment}")
        cursor.execute("UPDATE tagging_segment SET built_version = NULL")  # entries that are gone answer to nothing
