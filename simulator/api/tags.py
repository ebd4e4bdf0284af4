"""Corp tags and marking customers with them (企业标签)."""

from simulator.api import common
from simulator.api.errors import WeComError
from simulator.api.fields import Field
from simulator.api.registry import Call, endpoint
from simulator.callbacks import events
from simulator.corp import CONTACT
from simulator.world.tags import TAG_LIMIT, GroupRow, TagRow

NAME_MOST, ORDER_MOST = 30, 2**32 - 1
MARKS_MOST = 3000


def _group_shown(group: GroupRow, rows: list[TagRow], *, by_id: bool) -> dict:
    shown: dict = {
        "group_id": group.id,
        "group_name": group.name,
        "create_time": group.create_time,
        "order": group.order,
        "tag": [_tag_shown(row, by_id=by_id) for row in sorted(rows, key=lambda row: -row.order)],
    }
    return shown | ({"deleted": group.deleted} if by_id else {})


def _tag_shown(row: TagRow, *, by_id: bool) -> dict:
    shown: dict = {"id": row.id, "name": row.name, "create_time": row.create_time, "order": row.order}
    return shown | ({"deleted": row.deleted} if by_id else {})


@endpoint("externalcontact/get_corp_tag_list", Field("tag_id", list, items=str), Field("group_id", list, items=str))
def list_tags(call: Call) -> dict:
    """All living tags, or those asked for by id (deleted ones included); `tag_id` is ignored beside `group_id`."""
    book = call.corp.tags
    if call["group_id"]:
        groups = [book.groups[g] for g in call["group_id"] if g in book.groups]
        rows = [_group_shown(g, [t for t in book.tags.values() if t.group_id == g.id], by_id=True) for g in groups]
        return {"tag_group": rows}
    if call["tag_id"]:
        asked = [book.tags[t] for t in call["tag_id"] if t in book.tags]
        groups = [g for g in book.groups.values() if any(t.group_id == g.id for t in asked)]
        rows = [_group_shown(g, [t for t in asked if t.group_id == g.id], by_id=True) for g in groups]
        return {"tag_group": rows}
    living = sorted((g for g in book.groups.values() if not g.deleted), key=lambda g: -g.order)
    return {"tag_group": [_group_shown(g, book.living(g.id), by_id=False) for g in living]}


def clean_tags(given: list[dict]) -> list[tuple[str, int]]:
    """(name, order) of each tag asked for, names once. Raises WeComError 40058."""
    clean: dict[str, int] = {}
    for item in given:
        name, order = item.get("name"), item.get("order", 0)
        if not isinstance(name, str) or not 0 < len(name) <= NAME_MOST:
            raise WeComError(40058, "invalid Request Parameter, name")
        if not isinstance(order, int) or not 0 <= order <= ORDER_MOST:
            raise WeComError(40058, "invalid Request Parameter, order")
        clean.setdefault(name, order)
    return list(clean.items())


@endpoint(
    "externalcontact/add_corp_tag",
    Field("group_id"),
    Field("group_name", most=NAME_MOST),
    Field("order", int, default=0, least=0, most=ORDER_MOST),
    Field("tag", list, missing=40058, items=dict),
    Field("agentid", int),
)
def add_tags(call: Call) -> dict:
    """Add tags to a group given by id, by name, or new. A name the group already has is not made twice."""
    book, wanted = call.corp.tags, clean_tags(call["tag"])
    if not call["group_id"] and not call["group_name"]:
        raise WeComError(40058)
    group = _target_group(call)
    fresh = [(name, order) for name, order in wanted if group is None or not book.tag_named(group.id, name)]
    if len(book.living()) + len(call.corp.strategy_tags.tags) + len(fresh) > TAG_LIMIT:
        raise WeComError(40126)
    is_new = group is None
    group = group or book.new_group(call["group_name"], call.now, order=call["order"], by=call.kind)
    made = [book.new_tag(group.id, name, call.now, order=order, by=call.kind) for name, order in fresh]
    asked = [book.tag_named(group.id, name) for name, _ in wanted]
    _tell(call, "create", [group.id] if is_new else [], [row.id for row in made])
    return {"tag_group": _group_shown(group, [row for row in asked if row], by_id=False)}


def _target_group(call: Call) -> GroupRow | None:
    book = call.corp.tags
    if not call["group_id"]:
        return book.group_named(call["group_name"])
    group = book.groups.get(call["group_id"])
    if group is None or group.deleted:
        raise WeComError(40068)
    return group


def _own(call: Call, row: TagRow | GroupRow) -> None:
    """An app changes only what it made; the 客户联系 secret may change all."""
    if call.kind != CONTACT and row.by != call.kind:
        raise WeComError(60011)


@endpoint(
    "externalcontact/edit_corp_tag",
    Field("id", missing=40058),
    Field("name", most=NAME_MOST),
    Field("order", int, least=0, most=ORDER_MOST),
    Field("agentid", int),
)
def edit_tag(call: Call) -> dict:
    """Rename or reorder a tag or a group. 40071 when the name is taken."""
    book = call.corp.tags
    row = book.tags.get(call["id"]) or book.groups.get(call["id"])
    if row is None or row.deleted:
        raise WeComError(40068)
    _own(call, row)
    if call["name"]:
        same = book.tag_named(row.group_id, call["name"]) if isinstance(row, TagRow) else book.group_named(call["name"])
        if same is not None and same is not row:
            raise WeComError(40071)
        row.name = call["name"]
    if call["order"] is not None:
        row.order = call["order"]
    is_tag = isinstance(row, TagRow)
    _tell(call, "update", [] if is_tag else [row.id], [row.id] if is_tag else [])
    return {}


@endpoint(
    "externalcontact/del_corp_tag",
    Field("tag_id", list, default=(), items=str),
    Field("group_id", list, default=(), items=str),
    Field("agentid", int),
)
def delete_tags(call: Call) -> dict:
    """Delete tags and groups; a group goes with its last tag."""
    book = call.corp.tags
    if not call["tag_id"] and not call["group_id"]:
        raise WeComError(40058)
    if any(not book.alive(t) for t in call["tag_id"]):
        raise WeComError(40068)
    if any(g not in book.groups or book.groups[g].deleted for g in call["group_id"]):
        raise WeComError(40068)
    for row in [book.tags[t] for t in call["tag_id"]] + [book.groups[g] for g in call["group_id"]]:
        _own(call, row)
    emptied = [book.delete_tag(t) for t in call["tag_id"]]
    for group_id in call["group_id"]:
        book.delete_group(group_id)
    call.corp.customers.forget_fragments()
    _tell(call, "delete", [*call["group_id"], *(g for g in emptied if g)], list(call["tag_id"]))
    return {}


def _tell(call: Call, change: str, groups: list[str], tags: list[str]) -> None:
    if not call.sim.switches.callbacks_on_api_writes:
        return
    for kind, ids in (("tag_group", groups), ("tag", tags)):
        for row_id in ids:
            call.sim.emit(call.corp, events.change_tag(row_id, kind, change))


@endpoint(
    "externalcontact/mark_tag",
    Field("userid", missing=41009),
    Field("external_userid", missing=41035),
    Field("add_tag", list, default=(), items=str),
    Field("remove_tag", list, default=(), items=str),
    concurrency="mark_tag_concurrency",
)
def mark_customer(call: Call) -> dict:
    """Add and remove corp tags on one relation."""
    if not call["add_tag"] and not call["remove_tag"]:
        raise WeComError(40058)
    owner = common.known_member(call, call["userid"])
    number = common.customer(call, call["external_userid"])
    if any(not call.corp.tags.alive(t) for t in [*call["add_tag"], *call["remove_tag"]]):
        raise WeComError(40068)
    common.in_range(call, owner)
    if call.corp.customers.usable(owner.userid, number) is None:
        raise WeComError(84061)
    follow = call.corp.customers.edit(owner.userid, number)
    kept = [t for t in follow.tags if t not in call["remove_tag"]]
    marks = list(dict.fromkeys([*kept, *call["add_tag"]]))
    if len(marks) > MARKS_MOST:
        raise WeComError(40126)
    follow.tags = marks
    if call.sim.switches.callbacks_on_api_writes:
        call.sim.emit(call.corp, events.edit_contact(owner.userid, call["external_userid"]))
    return {}
