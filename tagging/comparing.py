"""Tags as we have them, against what a batch says. Our own wishes that WeCom has not carried out yet are no difference."""

from collections.abc import Iterator

from django.utils.translation import gettext_lazy as _

from tagging.models import FollowTag, Tag, TagGroup
from tagging.services.mirror import follows_read_before, taken_off_since
from wecom_bridge.comparing import Difference, differing, name_columns, on_compare
from wecom_bridge.contracts import PeopleBatch, TagsBatch

State = FollowTag.State
COLUMNS = {"tags": _("企业标签"), "group.name": _("标签组"), "group.wecom_group_id": _("标签组编号")}


def compare_tags(batch: TagsBatch) -> Iterator[Difference]:
    """The dictionary: tags by id, with their names, their order and their group."""
    rows = Tag.objects.filter(corp=batch.corp, group__kind=TagGroup.Kind.CORP, wecom_tag_id__isnull=False)
    known = {str(tag.wecom_tag_id): tag for tag in rows.select_related("group")}
    told = set()
    for group in batch.groups:
        for info in () if group.deleted else group.tags:
            if info.deleted:
                continue
            told.add(info.tag_id)
            tag = known.get(info.tag_id)
            if tag is None or tag.deleted_at is not None:
                yield Difference("tag", info.tag_id, "missing", {}, {"name": info.name})
                continue
            sides = differing(Tag, tag, {"name": info.name[:64], "order": info.order})
            before, after = sides or ({}, {})
            for column, theirs in (("wecom_group_id", group.group_id), ("name", group.name[:64])):
                if getattr(tag.group, column) != theirs:
                    before[f"group.{column}"], after[f"group.{column}"] = getattr(tag.group, column), theirs
            if before:
                yield Difference("tag", info.tag_id, "different", before, after)
    if batch.is_full:
        standing = (key for key, tag in known.items() if tag.deleted_at is None and key not in told)
        yield from (Difference("tag", key, "extra", {"name": known[key].name}) for key in standing)


def compare_people_tags(batch: PeopleBatch) -> Iterator[Difference]:
    """Corp tags of relations we have: WeCom's ids that only one side carries."""
    told = {(row.person.external_userid, info.userid): info for row in batch.rows for info in row.follows}
    follows = follows_read_before(batch.corp, told, batch.read_at)
    ids = {tag_id for info in told.values() for tag_id in info.tag_ids}
    known = dict(Tag.objects.filter(corp=batch.corp, wecom_tag_id__in=ids).values_list("pk", "wecom_tag_id"))
    carried: dict[int, set[str]] = {}
    wished: dict[int, set[str]] = {}
    marks = FollowTag.objects.filter(follow_id__any_of={row.pk for row in follows.values()})
    marks = marks.filter(tag__group__kind=TagGroup.Kind.CORP, tag__wecom_tag_id__isnull=False)
    columns = marks.values_list("follow_id", "tag__wecom_tag_id", "state", "settled_at", "tagged_at")
    for follow_id, tag_id, state, settled_at, tagged_at in columns:
        is_settled = state == State.ON and (settled_at or tagged_at) < batch.read_at
        (carried if is_settled else wished).setdefault(follow_id, set()).add(str(tag_id))
    for follow_pk, tag_pk in taken_off_since(batch.read_at, (row.pk for row in follows.values())):
        wished.setdefault(follow_pk, set()).add(str(known.get(tag_pk)))
    standing = set(known.values())
    for pair, follow in follows.items():
        ours, theirs = carried.get(follow.pk, set()), set(told[pair].tag_ids) & standing
        pending = wished.get(follow.pk, set())
        surplus, lacking = sorted(ours - theirs), sorted(theirs - ours - pending)
        if surplus or lacking:
            yield Difference("follow", "/".join(pair), "different", {"tags": surplus}, {"tags": lacking})


def register() -> None:
    """Tell the bridge."""
    name_columns(COLUMNS)
    on_compare("tags", name="tagging", compare=compare_tags)
    on_compare("people", name="tagging", compare=compare_people_tags)
