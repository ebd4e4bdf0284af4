"""群标签: tags of our own on customer groups. WeCom knows none for groups, and never hears of ours."""

from django.db import transaction
from django.utils.translation import gettext as _

from contacts.models import GroupChat, GroupTag, GroupTagging
from scrm.lib import clock
from scrm.lib.db.bulk import clean_text
from scrm.lib.errors import UserError
from tenants import audit, locks
from tenants.audit import Actor

MAX_LENGTH, MAX_PER_GROUP, MAX_TAGS = 30, 10, 200


@transaction.atomic
def add_tag(group: GroupChat, name: str, *, by: Actor) -> GroupTag:
    """Put the tag on the group; one nobody used before is made. Twice is once. Raises UserError."""
    name = " ".join(clean_text(name).split())
    if not name or len(name) > MAX_LENGTH:
        raise UserError(_("群标签要写 1 到 %(n)d 个字,请改短后再添加。") % {"n": MAX_LENGTH})
    locks.lock_in_transaction("group_tags")
    tag = GroupTag.objects.filter(name=name).first()
    if tag is not None and tag.taggings.filter(group=group).exists():
        return tag
    if group.taggings.count() >= MAX_PER_GROUP:
        raise UserError(_("一个群最多 %(n)d 个标签,请先去掉一个。") % {"n": MAX_PER_GROUP})
    now = clock.now()
    if tag is None:
        if GroupTag.objects.count() >= MAX_TAGS:
            raise UserError(_("群标签已有 %(n)d 个,请用已有的标签,或先从群上去掉不用的。") % {"n": MAX_TAGS})
        tag = GroupTag.objects.create(name=name, created_at=now)
    GroupTagging.objects.create(tag=tag, group=group, tagged_at=now)
    audit.record("group.tagged", group, by=by, tag=name)
    return tag


@transaction.atomic
def remove_tag(group: GroupChat, tag_id: int, *, by: Actor) -> None:
    """Take the tag off the group; one that no group carries any more is gone. Nothing happens where it is not on."""
    locks.lock_in_transaction("group_tags")
    tagging = GroupTagging.objects.filter(group=group, tag=tag_id).select_related("tag").first()
    if tagging is None:
        return
    tagging.delete()
    if not tagging.tag.taggings.exists():
        tagging.tag.delete()
    audit.record("group.untagged", group, by=by, tag=tagging.tag.name)
