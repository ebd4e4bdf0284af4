"""群标签: tags of our own on customer groups, kept in sets. WeCom knows none for groups, and never hears of ours."""

from collections.abc import Sequence

from django.db import transaction
from django.utils.translation import gettext as _

from contacts import marks
from contacts.models import GroupChat, GroupMembership, GroupTag, GroupTagging, GroupTagSet
from scrm.lib import clock
from scrm.lib.db.bulk import clean_text
from scrm.lib.errors import UserError
from tenants import audit, locks
from tenants.audit import Actor

MAX_LENGTH, MAX_PER_GROUP, MAX_TAGS, MAX_SETS = 30, 10, 200, 30
LOCK = "group_tags"


# --- On groups ------------------------------------------------------------------------------------------------------


@transaction.atomic
def add_tag(group: GroupChat, name: str, *, by: Actor) -> GroupTag:
    """Put the tag on the group; one nobody used before is made. Twice is once. Raises UserError."""
    locks.lock_in_transaction(LOCK)
    name = _clean(name)
    tag = GroupTag.objects.filter(name=name).first() or _make([name], None)[0]
    put_on([group], tag, by=by)
    return tag


@transaction.atomic
def put_on(groups: Sequence[GroupChat], tag: GroupTag, *, by: Actor) -> int:
    """Put the tag on groups; how many did not have it. All or none. Raises UserError where a group has no room."""
    locks.lock_in_transaction(LOCK)
    having = set(GroupTagging.objects.filter(tag=tag, group__in=groups).values_list("group_id", flat=True))
    fresh = [group for group in groups if group.pk not in having]
    for group in fresh:
        if group.taggings.count() >= MAX_PER_GROUP:
            text = _("一个群最多 %(n)d 个标签,请先从「%(group)s」去掉一个。")
            raise UserError(text % {"group": group.name or group.chat_id, "n": MAX_PER_GROUP})
    now = clock.now()
    GroupTagging.objects.bulk_create([GroupTagging(tag=tag, group=group, tagged_at=now) for group in fresh])
    _mark([group.pk for group in fresh])
    for group in fresh:
        audit.record("group.tagged", group, by=by, tag=tag.name)
    return len(fresh)


@transaction.atomic
def take_off(groups: Sequence[GroupChat], tag_id: int, *, by: Actor) -> int:
    """Take the tag off groups; how many had it. The tag stays in the dictionary."""
    locks.lock_in_transaction(LOCK)
    taggings = list(GroupTagging.objects.filter(group__in=groups, tag=tag_id).select_related("tag", "group"))
    GroupTagging.objects.filter(pk__in=[row.pk for row in taggings]).delete()
    _mark([row.group_id for row in taggings])
    for row in taggings:
        audit.record("group.untagged", row.group, by=by, tag=row.tag.name)
    return len(taggings)


# --- The dictionary -------------------------------------------------------------------------------------------------


@transaction.atomic
def create_set(name: str, tag_names: Sequence[str], *, by: Actor) -> GroupTagSet:
    """A set with its first tags, which may be none. Raises UserError."""
    locks.lock_in_transaction(LOCK)
    name = _clean(name)
    if GroupTagSet.objects.filter(name=name).exists():
        raise UserError(_("已有群标签组「%(name)s」,请在那一组里添加。") % {"name": name})
    if GroupTagSet.objects.count() >= MAX_SETS:
        raise UserError(_("群标签组最多 %(n)d 个,请先删去不用的。") % {"n": MAX_SETS})
    made = GroupTagSet.objects.create(name=name, created_at=clock.now())
    _fill(made, tag_names)
    audit.record("group_tag_set.created", made, by=by, tags=list(tag_names))
    return made


@transaction.atomic
def add_to_set(tag_set: GroupTagSet, tag_names: Sequence[str], *, by: Actor) -> None:
    """More tags in a set; one that stands in no set yet moves in. Raises UserError."""
    locks.lock_in_transaction(LOCK)
    _fill(tag_set, tag_names)
    audit.record("group_tag_set.changed", tag_set, by=by, tags=list(tag_names))


def _fill(tag_set: GroupTagSet, tag_names: Sequence[str]) -> None:
    names = list(dict.fromkeys(_clean(name) for name in tag_names if name.strip()))
    known = {tag.name: tag for tag in GroupTag.objects.filter(name__in=names).select_related("tag_set")}
    for tag in known.values():
        if tag.tag_set is not None and tag.tag_set_id != tag_set.pk:
            text = _("群标签「%(name)s」已在「%(set)s」组里,请换一个名字。")
            raise UserError(text % {"name": tag.name, "set": tag.tag_set.name})
    GroupTag.objects.filter(pk__in=[tag.pk for tag in known.values()]).update(tag_set=tag_set)
    _make([name for name in names if name not in known], tag_set)


def _make(names: Sequence[str], tag_set: GroupTagSet | None) -> list[GroupTag]:
    if names and GroupTag.objects.count() + len(names) > MAX_TAGS:
        raise UserError(_("群标签最多 %(n)d 个,请用已有的,或先在群标签页删去不用的。") % {"n": MAX_TAGS})
    now = clock.now()
    return [GroupTag.objects.create(name=name, tag_set=tag_set, created_at=now) for name in names]


@transaction.atomic
def rename_set(tag_set: GroupTagSet, name: str, *, by: Actor) -> None:
    """Raises UserError for a name another set has."""
    locks.lock_in_transaction(LOCK)
    name = _clean(name)
    if GroupTagSet.objects.filter(name=name).exclude(pk=tag_set.pk).exists():
        raise UserError(_("已有群标签组「%(name)s」,请换一个名字。") % {"name": name})
    GroupTagSet.objects.filter(pk=tag_set.pk).update(name=name)
    audit.record("group_tag_set.renamed", tag_set, by=by, before=tag_set.name, after=name)


@transaction.atomic
def delete_set(tag_set: GroupTagSet, *, by: Actor) -> None:
    """The set goes, its tags stay on their groups and stand under 未分组."""
    locks.lock_in_transaction(LOCK)
    audit.record("group_tag_set.deleted", tag_set, by=by, name=tag_set.name)
    tag_set.delete()


@transaction.atomic
def rename_tag(tag: GroupTag, name: str, *, by: Actor) -> None:
    """A new name on every group that has it. Raises UserError for a name another tag has."""
    locks.lock_in_transaction(LOCK)
    name = _clean(name)
    if GroupTag.objects.filter(name=name).exclude(pk=tag.pk).exists():
        raise UserError(_("已有群标签「%(name)s」,请换一个名字。") % {"name": name})
    GroupTag.objects.filter(pk=tag.pk).update(name=name)
    audit.record("group_tag.renamed", tag, by=by, before=tag.name, after=name)


@transaction.atomic
def delete_tag(tag: GroupTag, *, by: Actor) -> None:
    """Off every group, and gone."""
    locks.lock_in_transaction(LOCK)
    audit.record("group_tag.deleted", tag, by=by, name=tag.name, groups=tag.taggings.count())
    _mark(list(tag.taggings.values_list("group_id", flat=True)))
    tag.delete()


def _mark(group_ids: Sequence[int]) -> None:
    """Conditions ask who joined a group that has a tag."""
    if group_ids:
        joinings = GroupMembership.objects.filter(group__in=group_ids, contact__isnull=False)
        marks.mark_rows(joinings, "group.tag", "contact_id")


def _clean(name: str) -> str:
    name = " ".join(clean_text(name).split())
    if not name or len(name) > MAX_LENGTH:
        raise UserError(_("群标签要写 1 到 %(n)d 个字,请改短后再添加。") % {"n": MAX_LENGTH})
    return name
