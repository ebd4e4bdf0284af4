"""Merchants with many customers, for benchmarks of lists: the same shape at every size, so that only the number differs."""

from datetime import UTC, datetime, timedelta
from typing import Any

from benchmarks.tenant import make_tenant

STORES, STAGES = 50, 7
ENDED = 41  # of so many people one was deleted by her guide
NAMED = 40  # people whom the search finds, whatever the size
# Characters that names are made of, four to a name.
_SIGNS = "王李张刘陈杨黄赵周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕苏卢蒋蔡贾丁魏薛叶阎余潘杜戴夏钟汪田任姜范方石姚谭廖邹熊金陆郝孔白崔康毛邱秦江史顾侯邵孟龙万段雷钱汤尹黎易常武乔贺赖龚文"

# As contacts.services.search.people_text has them.
_INNER = " || ' ' || ".join(f"substr(name, {at}, 2)" for at in (2, 3, 4))
_PEOPLE = """
INSERT INTO contacts_contact (name, avatar_url, gender, kind, corp_name, stage_id, stage_since, owner_id, store_id, custom,
    opt_out_source, first_added_at, last_added_at, active_follows, search_text, created_at, updated_at)
SELECT name, '', 0, 1, '', stages.ids[1 + n %% cardinality(stages.ids)], at, members.ids[1 + n %% {stores}],
    stores.ids[1 + n %% {stores}], '{{}}', '', at, at, (n %% {ended} > 0)::int, lower(name) || ' ' || {inner} || ' ' || phone, at, at
FROM (
    SELECT n, %(until)s::timestamptz - n * %(step)s::interval AS at, lpad((n::bigint * 7919 %% 10000)::text, 4, '0') AS phone,
        CASE WHEN n %% %(every)s = 0 THEN '欧阳晓雨' ELSE
            (SELECT string_agg(substr(%(signs)s, 1 + (('x' || substr(md5(n::text), 1 + 4 * k, 4))::bit(16)::int %% %(count)s), 1), '')
             FROM generate_series(0, 3) AS k) END AS name
    FROM generate_series(1, %(size)s) AS n
) AS made, (SELECT array_agg(id ORDER BY id) AS ids FROM contacts_stage) AS stages,
    (SELECT array_agg(id ORDER BY id) AS ids FROM contacts_store) AS stores,
    (SELECT array_agg(id ORDER BY id) AS ids FROM contacts_member) AS members
"""
_IDENTITIES = """
INSERT INTO contacts_identity (kind, scope, value, id_space, contact_id, created_at)
SELECT 'external', %(corp_id)s, 'wm' || id, 'plain', id, created_at FROM contacts_contact
"""
_FOLLOWS = """
INSERT INTO contacts_follow (corp_id, identity_id, contact_id, member_id, remark, description, remark_company, remark_mobiles,
    relation, relation_since, relation_proof, relation_proved_at, added_at, add_way, state, synced_at)
SELECT %(corp)s, i.id, c.id, c.owner_id, CASE WHEN c.id %% 3 = 0 THEN '老客' ELSE '' END, '', '', '{}',
    CASE WHEN c.active_follows > 0 THEN 'active' ELSE 'by_guide' END, c.last_added_at, 'sync', c.last_added_at, c.last_added_at, 1, '', c.last_added_at
FROM contacts_contact AS c JOIN contacts_identity AS i ON i.contact_id = c.id
"""


def make_merchant(
    slug: str, size: int, until: datetime = datetime(2026, 1, 1, tzinfo=UTC), step: timedelta = timedelta(minutes=1)
) -> Any:
    """A merchant with so many customers in 50 stores, with a guide each, NAMED of them called 欧阳晓雨; one came each step until then."""
    from django.db import connection

    from contacts.models import Member, Store
    from scrm.lib import clock
    from tenants.context import tenant_scope
    from wecom_bridge.models import Corp

    tenant = make_tenant(slug)
    with tenant_scope(tenant):
        corp = Corp.objects.create(corp_id=f"ww{slug}"[:18], name=slug, created_at=clock.wall())
        stores = [Store.objects.create(code=f"S{number}", name=f"门店{number}") for number in range(STORES)]
        for number, store in enumerate(stores):
            Member.objects.create(
                corp=corp, userid=f"guide{number}", name=f"导购{number}", store=store, status="active"
            )
        given = {
            "until": until,
            "step": step,
            "size": size,
            "every": size // NAMED,
            "signs": _SIGNS,
            "count": len(_SIGNS),
        }
        with connection.cursor() as cursor:
            cursor.execute(_PEOPLE.format(stores=STORES, ended=ENDED, inner=_INNER), given)
            cursor.execute(_IDENTITIES, {"corp_id": corp.corp_id})
            cursor.execute(_FOLLOWS, {"corp": corp.pk})
            cursor.execute("VACUUM (ANALYZE) contacts_contact, contacts_follow, contacts_identity")
    return tenant


def log_in(tenant: Any) -> Any:
    """The browser of an HQ user of the merchant."""
    from django.conf import settings
    from django.test import Client

    from accounts.models import Role, RoleGrant, User
    from scrm.lib import clock
    from tenants.context import tenant_scope

    with tenant_scope(tenant):
        user = User.objects.create(username="hq", display_name="hq", password="!", created_at=clock.wall())
        RoleGrant.objects.create(user=user, role=Role.objects.get(key="hq"), scope_kind="all", scope_id=0)
        client = Client(headers={"host": f"{tenant.slug}.{settings.BASE_DOMAIN}"})
        client.force_login(user)
    return client
