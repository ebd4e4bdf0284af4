"""The order of tags and groups, in WeCom too. It shows the larger number first and leaves ties open; what another app or the console
made cannot be moved."""

import itertools
from collections.abc import Sequence
from typing import TypeVar

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from scrm.lib.errors import UserError
from tagging.models import Tag, TagGroup
from tagging.services.dictionary import is_editable, locked_group, tell_group, tell_tag
from tenants import audit
from tenants.audit import Actor

Row = TypeVar("Row", Tag, TagGroup)
MOST = 2**32 - 1  # customer-contact reference 2.1: order is below 2^32


def new_orders(rows: Sequence[tuple[int, int, bool]]) -> dict[int, int] | None:
    """Numbers that put rows (id, number now, may be moved) in the given order, first row first; None where a row that stays where it
    is makes that impossible. As few change as can be: rows that only trade places trade their numbers."""
    free = [pk for pk, _order, movable in rows if movable]
    traded = sorted((order for _pk, order, movable in rows if movable), reverse=True)
    swapped = dict(zip(free, traded, strict=True))
    for numbers in (swapped, _spread(rows)):
        whole = [(pk, numbers.get(pk, order), movable) for pk, order, movable in rows]
        if _descends(whole):
            return {pk: order for pk, order, _movable in whole}
    return None


def _spread(rows: Sequence[tuple[int, int, bool]]) -> dict[int, int]:
    """New numbers from the last row upward, never larger than needed: a fixed row may stand above."""
    found: dict[int, int] = {}
    below = -1
    for pk, order, movable in reversed(rows):
        if movable:
            found[pk] = below = below + 1
        else:
            below = order
    return found


def _descends(rows: Sequence[tuple[int, int, bool]]) -> bool:
    """Whether each number is above the next; two fixed rows may be equal in the order they have anyway."""
    pairs = itertools.pairwise(rows)
    strictly = all(
        one > two or (one == two and not (free or frees) and pk < other)
        for (pk, one, free), (other, two, frees) in pairs
    )
    return strictly and all(0 <= order <= MOST for _pk, order, _movable in rows)


# --- Tags and groups --------------------------------------------------------------------------------------------


def tags_in_order(group: TagGroup) -> QuerySet[Tag]:
    """The tags of a group that stand, as they are shown."""
    return Tag.objects.filter(group=group, deleted_at__isnull=True).order_by("-order", "pk")


def groups_in_order(group: TagGroup) -> QuerySet[TagGroup]:
    """The groups beside one (of its corp, or internal), as they are shown."""
    beside = TagGroup.objects.filter(kind=group.kind, corp=group.corp_id, deleted_at__isnull=True)
    return beside.order_by("-order", "pk")


@transaction.atomic
def order_tags(group: TagGroup, ids: Sequence[int], *, by: Actor) -> None:
    """Put the tags of a group in this order. Raises UserError when they are others now, or for a place beyond what cannot be moved."""
    group = locked_group(group)
    rows = list(tags_in_order(group).select_for_update(of=("self",)))
    movable = {tag.pk for tag in rows if group.kind == TagGroup.Kind.INTERNAL or tag.is_ours}
    for tag, order in _moved(rows, ids, movable):
        before, tag.order = tag.order, order
        tag.save(update_fields=["order"])
        if group.kind == TagGroup.Kind.CORP and tag.wecom_tag_id:
            tell_tag("tag.rename", tag, {"order": order, "order_before": before})
    audit.record("tags.ordered", group, by=by, order=list(ids))


@transaction.atomic
def order_groups(group: TagGroup, ids: Sequence[int], *, by: Actor) -> None:
    """Put the groups beside this one, and it, in this order. Raises UserError as order_tags does."""
    rows = list(groups_in_order(group).select_for_update(of=("self",)))
    for row, order in _moved(rows, ids, {row.pk for row in rows if is_editable(row)}):
        before, row.order = row.order, order
        row.save(update_fields=["order"])
        tell_group("tag_group.edit", row, {"order": order, "order_before": before})
    audit.record("tag_groups.ordered", group, by=by, order=list(ids))


def shifted(ids: Sequence[int], pk: int, *, later: bool) -> list[int]:
    """The order with one of them a place earlier or later; at an end it stays."""
    order = list(ids)
    place = order.index(pk) if pk in order else -1
    other = place + (1 if later else -1)
    if place >= 0 and 0 <= other < len(order):
        order[place], order[other] = order[other], order[place]
    return order


def moved_to(ids: Sequence[int], pk: int, target: int) -> list[int]:
    """The order with one of them at the place where another stands. Raises UserError when that one is gone."""
    if pk not in ids or target not in ids:
        raise UserError(_("列表刚有变动,请刷新页面后再调整顺序"))
    order = [one for one in ids if one != pk]
    order.insert(list(ids).index(target), pk)
    return order


def _moved(rows: Sequence[Row], ids: Sequence[int], movable: set[int]) -> list[tuple[Row, int]]:
    by_id = {row.pk: row for row in rows}
    if sorted(ids) != sorted(by_id):
        raise UserError(_("列表刚有变动,请刷新页面后再调整顺序"))
    orders = new_orders([(pk, by_id[pk].order, pk in movable) for pk in ids])
    if orders is None:
        raise UserError(_("不是本系统创建的标签和标签组保持在企业微信后台的位置,不能越过它们放在这里"))
    return [(by_id[pk], order) for pk, order in orders.items() if by_id[pk].order != order]
