"""Tags of customer strategies (规则组标签). Corp tags and these share the 3000 of a corp."""

from simulator.api.errors import WeComError
from simulator.api.fields import Field
from simulator.api.registry import Call, endpoint
from simulator.api.strategies import own
from simulator.api.tags import NAME_MOST, ORDER_MOST, clean_tags
from simulator.callbacks import events
from simulator.corp import CONTACT
from simulator.world.strategies import StrategyGroup
from simulator.world.tags import TAG_LIMIT, TagRow


def _shown(group: StrategyGroup, rows: list[TagRow]) -> dict:
    return {
        "strategy_id": group.strategy_id,
        "group_id": group.id,
        "group_name": group.name,
        "create_time": group.create_time,
        "order": group.order,
        "tag": [{"id": t.id, "name": t.name, "create_time": t.create_time, "order": t.order} for t in rows],
    }


def _seen(call: Call, strategy_id: int) -> bool:
    row = call.corp.strategies.rows[strategy_id]
    return call.kind in (CONTACT, row.by)


@endpoint(
    "externalcontact/get_strategy_tag_list",
    Field("strategy_id", int),
    Field("tag_id", list, default=(), items=str),
    Field("group_id", list, default=(), items=str),
)
def list_tags(call: Call) -> dict:
    """Tags of one strategy or of all this secret may see; `tag_id` is ignored beside `group_id`."""
    book = call.corp.strategy_tags
    if call["strategy_id"]:
        own(call, call.corp.strategies, call["strategy_id"])
    groups = [g for g in book.groups.values() if call["strategy_id"] in (None, 0, g.strategy_id)]
    groups = sorted((g for g in groups if _seen(call, g.strategy_id)), key=lambda g: -g.order)
    if call["group_id"]:
        groups = [g for g in groups if g.id in call["group_id"]]
    by_tag = set(call["tag_id"]) if not call["group_id"] else set()
    shown = [_shown(g, [t for t in book.of(g.id) if not by_tag or t.id in by_tag]) for g in groups]
    return {"tag_group": [row for row in shown if row["tag"]]}


@endpoint(
    "externalcontact/add_strategy_tag",
    Field("strategy_id", int, missing=40058),
    Field("group_id"),
    Field("group_name", most=NAME_MOST),
    Field("order", int, default=0, least=0, most=ORDER_MOST),
    Field("tag", list, missing=40058, items=dict),
)
def add_tags(call: Call) -> dict:
    """Add tags to a group of a first-level strategy, given by id, by name, or new."""
    book, wanted = call.corp.strategy_tags, clean_tags(call["tag"])
    strategy = own(call, call.corp.strategies, call["strategy_id"])
    if strategy.parent_id:
        raise WeComError(40058, "invalid Request Parameter, strategy_id")
    if not call["group_id"] and not call["group_name"]:
        raise WeComError(40058)
    group = book.groups.get(call["group_id"]) if call["group_id"] else None
    if call["group_id"] and (group is None or group.strategy_id != strategy.strategy_id):
        raise WeComError(40068)
    group = group or book.group_named(strategy.strategy_id, call["group_name"])
    known = {t.name for t in book.of(group.id)} if group else set()
    fresh = [(name, order) for name, order in wanted if name not in known]
    if len(call.corp.tags.living()) + len(book.tags) + len(fresh) > TAG_LIMIT:
        raise WeComError(40126)
    is_new = group is None
    group = group or book.new_group(
        strategy.strategy_id, call["group_name"], call.now, order=call["order"], by=call.kind
    )
    made = [book.new_tag(group.id, name, call.now, order=order, by=call.kind) for name, order in fresh]
    _tell(call, "create", strategy.strategy_id, [group.id] if is_new else [], [row.id for row in made])
    names = {name for name, _ in wanted}
    return {"tag_group": _shown(group, [t for t in book.of(group.id) if t.name in names])}


def _own_row(call: Call, row_id: str) -> TagRow | StrategyGroup:
    """A tag or a group this secret may change. Raises WeComError 40068 or 60011."""
    book = call.corp.strategy_tags
    row = book.tags.get(row_id) or book.groups.get(row_id)
    if row is None:
        raise WeComError(40068)
    if call.kind not in (CONTACT, row.by):
        raise WeComError(60011)
    return row


@endpoint(
    "externalcontact/edit_strategy_tag",
    Field("id", missing=40058),
    Field("name", most=NAME_MOST),
    Field("order", int, least=0, most=ORDER_MOST),
)
def edit_tag(call: Call) -> dict:
    """Rename or reorder a tag or a group. 40071 when the name is taken."""
    book, row = call.corp.strategy_tags, _own_row(call, call["id"])
    if isinstance(row, TagRow):
        taken = any(t.name == call["name"] and t is not row for t in book.of(row.group_id))
        strategy_id = book.groups[row.group_id].strategy_id
    else:
        taken = book.group_named(row.strategy_id, call["name"] or "") not in (None, row)
        strategy_id = row.strategy_id
    if taken:
        raise WeComError(40071)
    row.name = call["name"] or row.name
    row.order = row.order if call["order"] is None else call["order"]
    is_tag = isinstance(row, TagRow)
    _tell(call, "update", strategy_id, [] if is_tag else [row.id], [row.id] if is_tag else [])
    return {}


@endpoint(
    "externalcontact/del_strategy_tag",
    Field("tag_id", list, default=(), items=str),
    Field("group_id", list, default=(), items=str),
)
def delete_tags(call: Call) -> dict:
    """Delete tags and groups; a group goes with its last tag."""
    book = call.corp.strategy_tags
    if not call["tag_id"] and not call["group_id"]:
        raise WeComError(40058)
    if any(one not in book.tags for one in call["tag_id"]) or any(one not in book.groups for one in call["group_id"]):
        raise WeComError(40068)
    for one in [*call["tag_id"], *call["group_id"]]:
        _own_row(call, one)
    for one in call["tag_id"]:
        book.delete_tag(one)
    for one in call["group_id"]:
        if one in book.groups:
            book.delete_group(one)
    return {}


def _tell(call: Call, change: str, strategy_id: int, groups: list[str], tags: list[str]) -> None:
    """Only the 客户联系 app hears of these, and of API writes only with the switch."""
    if not call.sim.switches.callbacks_on_api_writes:
        return
    for kind, ids in (("tag_group", groups), ("tag", tags)):
        for row_id in ids:
            event = events.change_tag(row_id, kind, change)
            event.fields.insert(2, ("StrategyId", strategy_id))
            call.sim.emit(call.corp, event)
