"""What the corp's administrator does in the console: departments and tags."""

from typing import TYPE_CHECKING

from simulator.callbacks import events
from simulator.hands.errors import HandError

if TYPE_CHECKING:
    from simulator.corp import Corp
    from simulator.simulator import Simulator


def create_department(sim: "Simulator", corp: "Corp", name: str, parent: int) -> dict:
    """A new department, such as a store that opens."""
    if parent not in corp.directory.departments:
        raise HandError("没有这个上级部门")
    row = corp.directory.add_department(name, parent)
    fields: list[tuple[str, events.Value]] = [("Id", row.id), ("Name", name), ("ParentId", parent), ("Order", row.id)]
    sim.emit(corp, events.change_contact("create_party", fields))
    return {"department": row.id}


def create_tags(sim: "Simulator", corp: "Corp", group_name: str, names: list[str]) -> dict:
    """Make tags in a group, new or existing; a new group and each tag give an event of their own."""
    group, now = corp.tags.group_named(group_name), sim.clock.now()
    if group is None:
        group = corp.tags.new_group(group_name, now, by="console")
        sim.emit(corp, events.change_tag(group.id, "tag_group", "create"))
    made = {}
    for name in names:
        if corp.tags.tag_named(group.id, name) is None:
            made[name] = corp.tags.new_tag(group.id, name, now, by="console").id
            sim.emit(corp, events.change_tag(made[name], "tag", "create"))
    return {"group_id": group.id, "tags": made}


def rename_tag(sim: "Simulator", corp: "Corp", row_id: str, name: str) -> dict:
    """Rename a tag or a group."""
    row = corp.tags.tags.get(row_id) or corp.tags.groups.get(row_id)
    if row is None or row.deleted:
        raise HandError("没有这个标签")
    row.name = name
    kind = "tag" if row_id in corp.tags.tags else "tag_group"
    sim.emit(corp, events.change_tag(row_id, kind, "update"))
    return {}


def order_tags(sim: "Simulator", corp: "Corp", group_id: str, ids: list[str]) -> dict:
    """Put the tags of a group in this order, or the groups themselves when no group is named. One event tells of it."""
    rows = corp.tags.tags if group_id else corp.tags.groups
    for place, row_id in enumerate(reversed(ids)):
        if row_id not in rows or rows[row_id].deleted:
            raise HandError("没有这个标签")
        rows[row_id].order = place
    sim.emit(corp, events.shuffle_tags(group_id))
    return {}


def delete_tag(sim: "Simulator", corp: "Corp", row_id: str) -> dict:
    """Delete a tag, or a group; the group's tags give no event of their own."""
    if corp.tags.alive(row_id):
        emptied = corp.tags.delete_tag(row_id)
        sim.emit(corp, events.change_tag(row_id, "tag", "delete"))
        if emptied:
            sim.emit(corp, events.change_tag(emptied, "tag_group", "delete"))
    elif row_id in corp.tags.groups and not corp.tags.groups[row_id].deleted:
        corp.tags.delete_group(row_id)
        sim.emit(corp, events.change_tag(row_id, "tag_group", "delete"))
    else:
        raise HandError("没有这个标签")
    corp.customers.forget_fragments()
    return {}
