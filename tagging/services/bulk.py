"""Tags put on many people at once, or taken off, and taken back."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from contacts.bulk import Kind, Outcome, Params, Reversal
from contacts.models import BulkChange, BulkReason, Follow, Relation
from scrm.lib.errors import UserError
from tagging.models import FollowTag, Tag
from tagging.queries import CARRIED, follows_to_mark, live_tags
from tagging.services.exclusive import rivals_among
from tagging.services.marks import mark_tags, refuse_tags
from tagging.sources import Source
from tenants.audit import Actor

OPERATOR = FollowTag.Origin.OPERATOR
Carried = Mapping[int, set[int]]


def _check(params: Params) -> None:
    if not params["add"] and not params["remove"]:
        raise UserError(_("请选择要打上或去掉的标签。"))
    if set(params["add"]) & set(params["remove"]):
        raise UserError(_("同一个标签不能既打上又去掉,请只选一边。"))
    refuse_tags([*params["add"], *params["remove"]])
    if clash := rivals_among(params["add"]):
        raise UserError(clash)


def _run(params: Params, ids: Sequence[int], by: Actor, at: datetime) -> Outcome:
    found = follows_to_mark(ids, params["whose"])
    _count, outcome = mark_people(
        {root_id: found.get(root_id, []) for root_id in ids},
        params["add"], params["remove"], origin=OPERATOR, by=by, at=at, via=f"bulk:{params['change']}",
    )  # fmt: skip
    return outcome


def mark_people(
    follows: Mapping[int, Sequence[int]], add: Sequence[int], remove: Sequence[int], *, origin: str, by: Actor, at: datetime, via: str
) -> tuple[int, Outcome]:  # fmt: skip
    """Tags on and off the follows of people (root → follows): how many (follow, tag) pairs changed, and of whom, in the words that
    taking it back needs."""
    flat = [pk for found in follows.values() for pk in found]
    before = _carried(flat)
    count = mark_tags(flat, add=add, remove=remove, origin=origin, by=by, at=at, via=via)
    after, outcome = _carried(flat), Outcome()
    for root_id, hers in follows.items():
        moves = [
            [pk, sorted(after[pk] - before[pk]), sorted(before[pk] - after[pk])]
            for pk in hers
            if after[pk] != before[pk]
        ]
        if moves:
            outcome.changed[root_id] = moves
        elif not hers:
            outcome.refused[root_id] = BulkReason.NO_FRIEND
        elif any(not after[pk].issuperset(add) for pk in hers):
            outcome.refused[root_id] = BulkReason.OTHER_CORP
    return count, outcome


def _undo(_params: Params, before: Mapping[int, Any], by: Actor, done_at: datetime) -> Reversal:
    flat = [pk for moves in before.values() for pk, _added, _removed in moves]
    now, since = _carried(flat), _carried(flat, since=done_at)
    active = set(Follow.objects.filter(pk__in=flat, relation=Relation.ACTIVE).values_list("pk", flat=True))

    def is_still(pk: int, added: Iterable[int], removed: Iterable[int]) -> bool:
        return pk in active and now[pk] >= set(added) and not (now[pk] & set(removed)) and not (since[pk] & set(added))

    still = {root_id: moves for root_id, moves in before.items() if all(is_still(*move) for move in moves)}
    known = set(live_tags().values_list("pk", flat=True))
    lost = {root_id for root_id, moves in still.items() if not _tags_of(moves) <= known}
    found = Reversal(still.keys() - lost, dict.fromkeys(lost, BulkReason.TAG_GONE))
    alike: dict[tuple[tuple[int, ...], tuple[int, ...]], list[int]] = defaultdict(list)
    for root_id in found.undone:
        for pk, added, removed in still[root_id]:
            alike[tuple(added), tuple(removed)].append(pk)
    for (added, removed), follow_ids in alike.items():
        mark_tags(follow_ids, add=removed, remove=added, origin=OPERATOR, by=by)
    return found


def _carried(follow_ids: Iterable[int], since: datetime | None = None) -> Carried:
    """Follow id → tags it carries, standing or on their way; since: only those put on after an instant."""
    found: dict[int, set[int]] = {pk: set() for pk in follow_ids}
    marks = FollowTag.objects.filter(follow_id__in=list(found), state__in=CARRIED)
    if since is not None:
        marks = marks.filter(tagged_at__gt=since)
    for follow_id, tag_id in marks.values_list("follow_id", "tag_id"):
        found[follow_id].add(tag_id)
    return found


def _tags_of(moves: Iterable[Any]) -> set[int]:
    return {pk for _follow, added, removed in moves for pk in (*added, *removed)}


def sources_of(ids: Collection[int]) -> Mapping[int, Source]:
    """What the changes are called on a tag they put on."""
    titles = BulkChange.objects.filter(pk__in=ids).values_list("pk", "title")
    words = _("批量操作「%(title)s」")
    return {pk: Source(words % {"title": title}, reverse("contacts:bulk_change", args=[pk])) for pk, title in titles}


def _in_words(params: Params) -> str:
    names = dict(Tag.objects.filter(pk__in=[*params["add"], *params["remove"]]).values_list("pk", "name"))
    parts = []
    for side, words in (("add", _("打标签%(names)s")), ("remove", _("去掉标签%(names)s"))):
        if params[side]:
            parts.append(words % {"names": "、".join(f"「{names.get(pk, '—')}」" for pk in params[side])})
    return ",".join(parts)


TAGS = Kind("tag", gettext_lazy("打标签"), "tags.edit", check=_check, run=_run, undo=_undo, in_words=_in_words)
