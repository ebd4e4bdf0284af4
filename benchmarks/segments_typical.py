"""Twelve segments as merchants make them, each with the SELECT that somebody who knows the tables would write for it.

Facts of merged customers count as hers in both, so the SELECTs go by coalesce(root_id, id).
"""

from collections.abc import Callable
from typing import Any

from benchmarks.segments_world import World

Typical = tuple[str, dict[str, Any], str]  # name, tree, SELECT of root ids

_PEOPLE = "SELECT c.id FROM contacts_contact AS c WHERE c.root_id IS NULL AND c.erased_at IS NULL"
_ORDERS = "commerce_order AS o JOIN contacts_contact AS r ON r.id = o.contact_id WHERE o.status = 'paid'"
_EVENTS = "contacts_timelineevent AS e JOIN contacts_contact AS r ON r.id = e.contact_id WHERE e.kind = '{kind}'"
_MARKS = (
    "tagging_followtag AS t JOIN contacts_follow AS f ON f.id = t.follow_id AND f.relation = 'active'"
    " JOIN tagging_tag AS g ON g.id = t.tag_id AND g.deleted_at IS NULL JOIN contacts_contact AS r ON r.id = t.contact_id"
    " WHERE t.state IN ('on', 'adding')"
)
_ROOT = "coalesce(r.root_id, r.id)"


def _leaf(field: str, op: str, value: Any = None, days: int = 0) -> dict[str, Any]:
    leaf: dict[str, Any] = {"field": field, "op": op}
    if value is not None:
        leaf["value"] = value
    return leaf | ({"window": {"days": days}} if days else {})


def typical(world: World) -> list[Typical]:
    """The twelve, over the ids of the merchant."""

    def ago(days: int) -> str:
        return f"%(now)s::timestamptz - interval '{days * 24} hours'"

    def orders(days: int = 0) -> str:
        recent = f" AND o.ordered_at > {ago(days)} AND o.ordered_at <= %(now)s" if days else ""
        return f"SELECT {_ROOT} FROM {_ORDERS}{recent}"

    def events(kind: str, days: int) -> str:
        recent = f" AND e.occurred_at > {ago(days)} AND e.occurred_at <= %(now)s"
        return f"SELECT {_ROOT} FROM {_EVENTS.format(kind=kind)}{recent}"

    def marks(*tags: int) -> str:
        return f"SELECT {_ROOT} FROM {_MARKS} AND t.tag_id IN ({', '.join(map(str, tags))})"

    def follows(condition: str) -> str:
        return f"SELECT {_ROOT} FROM contacts_follow AS f JOIN contacts_contact AS r ON r.id = f.contact_id WHERE {condition}"

    def ids(values: list[int]) -> str:
        return ", ".join(map(str, values))

    often = f"{orders(365)} GROUP BY 1 HAVING count(*) >= 3"
    tag, stage, store, member = world.tags, world.stages, world.stores, world.members
    every: list[tuple[str, list[Any], str]] = [
        (
            "近30天新加未购", [_leaf("contact.first_added_at", "within", days=30), _leaf("order", "never")],
            f"c.first_added_at > {ago(30)} AND c.first_added_at <= %(now)s AND NOT EXISTS (SELECT 1 FROM ({orders()}) AS x (id) WHERE x.id = c.id)",
        ),
        (
            "高价值", [_leaf("order", "sum_at_least", 60000, 365)],
            f"c.id IN ({orders(365)} GROUP BY 1 HAVING sum(o.total_minor - o.refunded_minor) >= 60000)",
        ),
        (
            "沉睡", [_leaf("order", "last_older_than", 180)],
            f"c.id IN (SELECT {_ROOT} FROM {_ORDERS} GROUP BY 1 HAVING max(o.ordered_at) <= {ago(180)})",
        ),
        ("有任一标签", [_leaf("tag", "any", tag[:3])], f"c.id IN ({marks(*tag[:3])})"),
        (
            "两个标签都有、没有另一个", [_leaf("tag", "any", [tag[0]]), _leaf("tag", "any", [tag[1], tag[67]]), _leaf("tag", "none", [tag[134]])],
            f"c.id IN ({marks(tag[0])}) AND c.id IN ({marks(tag[1], tag[67])}) AND NOT EXISTS (SELECT 1 FROM ({marks(tag[134])}) AS x (id) WHERE x.id = c.id)",
        ),
        (
            "阶段与门店", [_leaf("contact.stage", "in", stage[:2]), _leaf("contact.store", "in", store[:10])],
            f"c.stage_id IN ({ids(stage[:2])}) AND c.store_id IN ({ids(store[:10])})",
        ),
        (
            "添加满一年仍是好友", [_leaf("contact.added_at", "older_than", 365), _leaf("contact.friends", "gte", 1)],
            f"c.last_added_at <= {ago(365)} AND c.active_follows >= 1",
        ),
        (
            "半年内两单", [_leaf("order", "count_at_least", 2, 180)],
            f"c.id IN ({orders(180)} GROUP BY 1 HAVING count(*) >= 2)",
        ),
        (
            "收到群发未回购", [_leaf("event.push.sent", "count_at_least", 1, 60), _leaf("order", "never", days=60)],
            f"c.id IN ({events('push.sent', 60)}) AND NOT EXISTS (SELECT 1 FROM ({orders(60)}) AS x (id) WHERE x.id = c.id)",
        ),
        (
            "几位导购的好友", [_leaf("follow.member", "any", member[:3])],
            "c.id IN (" + follows(f"f.relation = 'active' AND f.member_id IN ({ids(member[:3])})") + ")",
        ),
        (
            "被删除过又常互动", [_leaf("follow.relation", "any", ["by_customer"]), _leaf("event.note.written", "count_at_least", 1, 180)],
            "c.id IN (" + follows("f.relation = 'by_customer'") + f") AND c.id IN ({events('note.written', 180)})",
        ),
        (
            "标签或多次消费", [{"any": [_leaf("tag", "any", tag[10:12]), _leaf("order", "count_at_least", 3, 365)]}, _leaf("contact.stage", "not_in", stage[:1])],
            f"c.id IN ({marks(*tag[10:12])} UNION ALL {often}) AND (c.stage_id NOT IN ({ids(stage[:1])}) OR c.stage_id IS NULL)",
        ),
    ]  # fmt: skip
    return [(name, {"version": 1, "root": {"all": parts}}, f"{_PEOPLE} AND {sql}") for name, parts, sql in every]


def save_all(named: list[tuple[str, dict[str, Any]]], save: Callable[..., Any]) -> list[Any]:
    """The segments, in use and not computed yet."""
    from tenants.audit import SYSTEM

    return [save(None, name=name, tree=tree, by=SYSTEM) for name, tree in named]
