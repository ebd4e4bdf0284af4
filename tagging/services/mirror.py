"""What WeCom says about tags, written down: the dictionary by id, and who carries what. Set-based, idempotent."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db import connection
from django.db.models import Q, QuerySet

from conditions import dirty
from contacts import timeline
from contacts.models import Follow, Identity
from scrm.lib import clock
from scrm.lib.db.bulk import insert_rows
from tagging.models import FollowTag, Tag, TagGroup
from tagging.services.broken import break_readers_of_groups, break_readers_of_tags
from tagging.services.marks import COMMAND, MERGE, FollowKeys, kept_tag, move_marks, tag_event
from wecom_bridge.contracts import PeopleBatch, TagGroupInfo, TagInfo, TagsBatch
from wecom_bridge.models import Corp, OutboundCommand

logger = logging.getLogger(__name__)
State = FollowTag.State
PERSONAL_GROUP = "personal"
MANY_TAGS = 10  # a list that lacks more than so many, and more than SHARE of all, is not believed
SHARE = 0.1


# --- The dictionary ---------------------------------------------------------------------------------------------


def apply_tags(batch: TagsBatch) -> None:
    """Groups and tags as WeCom has them: by id, never by name. What a full read lacks, or WeCom says is gone, is deleted."""
    now = clock.now()
    standing = [group for group in batch.groups if not group.deleted]
    gone_tags = {tag.tag_id for group in batch.groups for tag in group.tags if tag.deleted} | set(batch.deleted_tag_ids)
    gone_groups = {group.group_id for group in batch.groups if group.deleted} | set(batch.deleted_group_ids)
    ours = Tag.objects.filter(corp=batch.corp, group__kind=TagGroup.Kind.CORP, deleted_at__isnull=True)
    told = {tag.tag_id for group in standing for tag in group.tags if not tag.deleted}
    missing = Q(wecom_tag_id__in=gone_tags) | Q(group__wecom_group_id__in=gone_groups)
    trusted = batch.is_full and not _lost_too_many(ours, told, missing)
    if trusted:
        missing |= ~Q(wecom_tag_id__in=told)
    elif not batch.is_full:
        missing |= Q(group__wecom_group_id__in=[group.group_id for group in standing]) & ~Q(wecom_tag_id__in=told)
    delete_tags(ours.filter(missing, wecom_tag_id__isnull=False), now)
    _delete_groups(batch, gone_groups, standing, now, is_full=trusted)
    _adopt(batch.corp, standing)
    _write_groups(batch.corp, standing)
    _write_tags(batch.corp, standing)


def _lost_too_many(ours: QuerySet[Tag], told: set[str], named: Q) -> bool:
    """Whether a full list lacks so many tags, beside those WeCom named as deleted, that it is not believed: rules and segments that
    read a deleted tag stop for good, while a list cut short (a narrowed range, an empty answer) comes back whole."""
    known = ours.filter(wecom_tag_id__isnull=False)
    lacking = known.exclude(wecom_tag_id__in=told).exclude(named).count()
    # An empty list is none at all: whoever deletes the last tag is believed by the event that names it.
    if not lacking or (told and lacking <= max(MANY_TAGS, known.count() * SHARE)):
        return False
    logger.warning("a tag list lacks %d of the tags we know; none of them is deleted for it", lacking)
    return True


def delete_tags(tags: Iterable[Tag], now: datetime) -> None:
    """The tags are gone in WeCom: nobody carries them, and what reads or puts them needs repair."""
    ids = [tag.pk for tag in tags]
    if not ids:
        return
    Tag.objects.filter(pk__in=ids).update(deleted_at=now)
    break_readers_of_tags(ids)
    _mark_carriers(ids)


def _delete_groups(
    batch: TagsBatch, gone: set[str], standing: Sequence[TagGroupInfo], now: datetime, *, is_full: bool
) -> None:
    groups = TagGroup.objects.filter(
        corp=batch.corp, kind=TagGroup.Kind.CORP, deleted_at__isnull=True, wecom_group_id__isnull=False
    )
    missing = Q(wecom_group_id__in=gone)
    if is_full:
        missing |= ~Q(wecom_group_id__in=[group.group_id for group in standing])
    ids = list(groups.filter(missing).values_list("pk", flat=True))
    TagGroup.objects.filter(pk__in=ids).update(deleted_at=now)
    if ids:
        break_readers_of_groups(ids)


def _adopt(corp: Corp, groups: Sequence[TagGroupInfo]) -> None:
    """What we asked WeCom to create may come back by callback before the command's own answer: the waiting rows take the ids."""
    waiting = Tag.objects.filter(
        corp=corp, group__kind=TagGroup.Kind.CORP, wecom_tag_id__isnull=True, deleted_at__isnull=True
    ).select_related("group")
    told = {
        (info.name, tag.name): (info.group_id, tag.tag_id) for info in groups for tag in info.tags if not tag.deleted
    }
    for tag in waiting:
        found = told.get((tag.group.name, tag.name))
        if found is None or Tag.objects.filter(corp=corp, wecom_tag_id=found[1]).exists():
            continue
        if not TagGroup.objects.filter(corp=corp, wecom_group_id=found[0]).exclude(pk=tag.group_id).exists():
            TagGroup.objects.filter(pk=tag.group_id, wecom_group_id__isnull=True).update(wecom_group_id=found[0])
        Tag.objects.filter(pk=tag.pk).update(wecom_tag_id=found[1], last_error="")


def _write_groups(corp: Corp, groups: Sequence[TagGroupInfo]) -> None:
    TagGroup.objects.bulk_create(
        [
            TagGroup(
                kind=TagGroup.Kind.CORP,
                corp=corp,
                wecom_group_id=info.group_id,
                name=info.name[:64],
                order=info.order,
                is_ours=False,
            )
            for info in groups
        ],
        update_conflicts=True,
        unique_fields=["corp", "wecom_group_id"],
        update_fields=["name", "order", "deleted_at"],
    )


def _write_tags(corp: Corp, groups: Sequence[TagGroupInfo]) -> None:
    """Names within a group are unique among standing tags, so names that swap are first put out of the way."""
    ids = dict(
        TagGroup.objects.filter(corp=corp, wecom_group_id__in=[info.group_id for info in groups]).values_list(
            "wecom_group_id", "pk"
        )
    )
    told = {
        tag.tag_id: (ids[info.group_id], tag)
        for info in groups
        for tag in info.tags
        if not tag.deleted and info.group_id in ids
    }
    known = {str(tag.wecom_tag_id): tag for tag in Tag.objects.filter(corp=corp, wecom_tag_id__in=told)}
    changed = [tag for wecom_id, tag in known.items() if _differs(tag, *told[wecom_id])]
    moved = [tag.pk for tag in changed if tag.deleted_at or tag.group_id != told[str(tag.wecom_tag_id)][0]]
    for tag in changed:
        tag.name = f"~{tag.pk}"
    Tag.objects.bulk_update(changed, ["name"])
    for tag in changed:
        tag.group_id, info = told[str(tag.wecom_tag_id)]
        tag.name, tag.order, tag.deleted_at = info.name[:64], info.order, None
        tag.created_at = tag.created_at or info.created_at
    Tag.objects.bulk_update(changed, ["group", "name", "order", "created_at", "deleted_at"])
    _mark_carriers(moved)
    Tag.objects.bulk_create(
        [
            Tag(
                group_id=group_id,
                corp=corp,
                wecom_tag_id=wecom_id,
                name=info.name[:64],
                order=info.order,
                created_at=info.created_at,
            )
            for wecom_id, (group_id, info) in told.items()
            if wecom_id not in known
        ]
    )


def _mark_carriers(tag_ids: Sequence[int]) -> None:
    """Tags went, came back or are in another group, which conditions may ask about: whoever carries them is looked at again. A tag may
    be half of everybody's, so nobody's id is read."""
    if tag_ids:
        table = connection.ops.quote_name(FollowTag._meta.db_table)
        dirty.mark_selected(f"SELECT DISTINCT contact_id, 'tag' FROM {table} WHERE tag_id = ANY(%s)", [list(tag_ids)])


def _differs(tag: Tag, group_id: int, info: TagInfo) -> bool:
    if tag.created_at is None and info.created_at is not None:
        return True
    return (tag.group_id, tag.name, tag.order, tag.deleted_at) != (group_id, info.name[:64], info.order, None)


# --- Who carries what -------------------------------------------------------------------------------------------

Pair = tuple[str, str]  # (external_userid, userid)


@dataclass
class _Diff:
    """What a read of follows changes about tags."""

    fresh: list[tuple[FollowKeys, Tag]] = field(default_factory=list)
    confirmed: list[FollowTag] = field(default_factory=list)
    gone: list[FollowTag] = field(default_factory=list)
    merged: list[FollowTag] = field(default_factory=list)  # standing marks of tags that were merged into others


def apply_people_tags(batch: PeopleBatch) -> None:
    """The tags of the follows in a batch are WeCom's truth at batch.read_at. Our pending wishes stay ours.

    What our own command put on or took off after the read began is not undone by it.
    """
    told = {(row.person.external_userid, info.userid): info for row in batch.rows for info in row.follows}
    follows = follows_read_before(batch.corp, told, batch.read_at)
    if not follows:
        return
    personal = {
        pair: info.personal_tags for pair, info in told.items() if info.personal_tags is not None and pair in follows
    }
    personal_tags = _ensure_personal_tags(batch.corp, {name for names in personal.values() for name in names or ()})
    corp_tags = {
        str(tag.wecom_tag_id): tag
        for tag in Tag.objects.filter(
            corp=batch.corp, wecom_tag_id__in={tag_id for info in told.values() for tag_id in info.tag_ids}
        ).select_related("group")
    }
    marks: dict[int, list[FollowTag]] = {}
    rows = FollowTag.objects.select_for_update(of=("self",)).filter(
        follow_id__any_of={row.pk for row in follows.values()}
    )
    for mark in rows.select_related("tag__group").order_by("pk"):
        marks.setdefault(mark.follow_id, []).append(mark)
    taken = taken_off_since(batch.read_at, (row.pk for row in follows.values()))
    diff = _Diff()
    for pair, follow in follows.items():
        wanted = [corp_tags[tag_id] for tag_id in told[pair].tag_ids if tag_id in corp_tags]
        wanted = [tag for tag in wanted if (follow.pk, tag.pk) not in taken]
        wanted += [personal_tags[name] for name in personal.get(pair) or () if name in personal_tags]
        _compare(diff, follow, wanted, marks.get(follow.pk, []), batch.read_at, knows_personal=pair in personal)
    _write(diff, batch)
    _replace_aliases(diff)


def _source_of(mark: FollowTag, batch: PeopleBatch) -> str:
    """Where two tags became one nobody tagged anybody: no rule acts on it."""
    return "backfill" if (mark.via or "").startswith(MERGE) else batch.source


def _replace_aliases(diff: _Diff) -> None:
    """Tags that were merged into others, put on in WeCom since: they count as those, here at once, there by command."""
    again: dict[int, list[int]] = {}
    for follow_id, tag in [
        *((follow.pk, tag) for follow, tag in diff.fresh),
        *((mark.follow_id, mark.tag) for mark in [*diff.confirmed, *diff.merged]),
    ]:
        if tag.alias_of_id:
            again.setdefault(tag.pk, []).append(follow_id)
    for tag in Tag.objects.filter(pk__in=again).select_related("group"):
        kept = kept_tag(tag)
        if kept.deleted_at is None:
            move_marks(again[tag.pk], tag, kept, origin=FollowTag.Origin.SYNC, via=f"alias:{tag.pk}")


def follows_read_before(corp: Corp, pairs: Iterable[Pair], read_at: datetime) -> dict[Pair, FollowKeys]:
    """The follows of pairs that are known and were not read again since. One query."""
    wanted = set(pairs)
    externals = {external for external, _userid in wanted}
    rows = Follow.objects.filter(corp=corp, **Identity.named(corp, externals)).exclude(synced_at__gt=read_at)
    columns = rows.values_list("pk", "contact_id", "identity_id", "member_id", "identity__value", "member__userid")
    return {
        (external, userid): FollowKeys(*keys) for *keys, external, userid in columns if (external, userid) in wanted
    }


def taken_off_since(read_at: datetime, follow_ids: Iterable[int]) -> set[tuple[int, int]]:
    """(follow, tag) pairs that a command of ours took off after a reading began: it may still have seen them. One query.

    The mark itself is gone by then, so the command has to say it.
    """
    rows = OutboundCommand.objects.filter(kind=COMMAND, subject_id__any_of=set(follow_ids))
    rows = rows.filter(state=OutboundCommand.State.DONE, settled_at__gte=clock.to_wall(read_at))
    done = rows.values_list("subject_id", "payload")
    return {(follow_id, tag_id) for follow_id, payload in done if follow_id for tag_id in payload.get("remove", [])}


def _ensure_personal_tags(corp: Corp, names: set[str]) -> dict[str, Tag]:
    """Personal tags have no ids in WeCom: mirrored by name, in one group per corp."""
    if not names:
        return {}
    group, _made = TagGroup.objects.get_or_create(
        corp=corp,
        wecom_group_id=PERSONAL_GROUP,
        defaults={"kind": TagGroup.Kind.PERSONAL, "name": "个人标签", "order": -1},
    )
    names = {name[:64] for name in names}
    known = set(Tag.objects.filter(group=group, name__in=names, deleted_at__isnull=True).values_list("name", flat=True))
    Tag.objects.bulk_create([Tag(group=group, corp=corp, name=name) for name in sorted(names - known)])
    rows = Tag.objects.filter(group=group, name__in=names, deleted_at__isnull=True).select_related("group")
    return {tag.name: tag for tag in rows}


def _compare(
    diff: _Diff,
    follow: FollowKeys,
    wanted: Sequence[Tag],
    marks: Sequence[FollowTag],
    read_at: datetime,
    *,
    knows_personal: bool,
) -> None:
    by_tag = {mark.tag_id: mark for mark in marks}
    wanted_ids = {tag.pk for tag in wanted}
    for tag in {tag.pk: tag for tag in wanted}.values():
        mark = by_tag.get(tag.pk)
        if mark is None:
            diff.fresh.append((follow, tag))
        elif mark.state in (State.ADDING, State.FAILED):
            diff.confirmed.append(mark)
        elif mark.state == State.ON and tag.alias_of_id:
            diff.merged.append(mark)
    for mark in marks:
        kind = mark.tag.group.kind
        mirrored = kind == TagGroup.Kind.CORP or (kind == TagGroup.Kind.PERSONAL and knows_personal)
        is_older = (mark.settled_at or mark.tagged_at) < read_at
        if mirrored and is_older and mark.tag_id not in wanted_ids and mark.state in (State.ON, State.REMOVING):
            diff.gone.append(mark)


def _mark_row(follow: FollowKeys, tag: Tag, at: datetime) -> dict[str, object]:
    return {
        "follow_id": follow.pk,
        "contact_id": follow.contact_id,
        "tag_id": tag.pk,
        "state": State.ON.value,
        "origin": FollowTag.Origin.SYNC.value,
        "rule_id": None,
        "tagged_at": at,
        "settled_at": at,
        "last_error": "",
    }


def _write(diff: _Diff, batch: PeopleBatch) -> None:
    """A first sync cannot know when a tag was put: its fact carries the time of the read, source backfill."""
    at = batch.read_at
    insert_rows(FollowTag, [_mark_row(follow, tag, at) for follow, tag in diff.fresh], ignore_conflicts=True)
    FollowTag.objects.filter(pk__in=[mark.pk for mark in diff.confirmed]).update(
        state=State.ON, settled_at=at, last_error=""
    )
    follows = {
        row.pk: row for row in Follow.objects.filter(pk__in={mark.follow_id for mark in [*diff.gone, *diff.confirmed]})
    }
    FollowTag.objects.filter(pk__in=[mark.pk for mark in diff.gone]).delete()
    # Strangers: everything about them was marked when they were written, in this transaction.
    quiet = batch.alongside
    events = [
        tag_event(follow, tag, added=True, at=at, source=batch.source, why="sync", quiet=quiet)
        for follow, tag in diff.fresh
    ]
    events += [
        tag_event(follows[mark.follow_id], mark.tag, added=True, at=at, source=_source_of(mark, batch), why=mark.origin)
        for mark in diff.confirmed
    ]
    events += [
        tag_event(follows[mark.follow_id], mark.tag, added=False, at=at, source=batch.source, why="sync")
        for mark in diff.gone
    ]
    timeline.record_events(events)
    people = {follow.contact_id for follow, _tag in diff.fresh} | {
        mark.contact_id for mark in [*diff.confirmed, *diff.gone]
    }
    if not quiet:
        with dirty.told_by(batch.source):
            dirty.mark(people, "tag")
