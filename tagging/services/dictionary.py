"""The tag dictionary as people edit it here: corp tags travel to WeCom through the outbox, internal ones stand at once.

WeCom lets an app edit and delete only the tags it created (is_ours); all others can be put and taken off, nothing more.
A corp tag without wecom_tag_id is on its way; a refused one says why in last_error.
"""

from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from scrm.lib import clock
from scrm.lib.db.bulk import clean_text
from scrm.lib.errors import UserError
from tagging.models import Colour, Tag, TagGroup
from tagging.services.mirror import delete_tags
from tagging.services.tag_commands import forget_group
from tenants import audit
from tenants.audit import Actor
from wecom_bridge import commands
from wecom_bridge.models import Corp

NAME_LIMIT, TEXT_LIMIT = 30, 300


@transaction.atomic
def create_group(*, name: str, tag_names: Sequence[str], corp: Corp | None, is_exclusive: bool, by: Actor) -> TagGroup:
    """A tag group with its first tags; with a corp: in WeCom, else internal. Raises UserError for bad names."""
    name, names = _clean(name), _clean_all(tag_names)
    kind = TagGroup.Kind.CORP if corp else TagGroup.Kind.INTERNAL
    if TagGroup.objects.filter(kind=kind, corp=corp, name=name, deleted_at__isnull=True).exists():
        raise UserError(
            _("已有名为「%(name)s」的标签组,请在那一组里添加标签") % {"name": name}, fields={"name": _("名字已被使用")}
        )
    group = TagGroup.objects.create(kind=kind, corp=corp, name=name, is_exclusive=is_exclusive, is_ours=True)
    _create(group, names)
    audit.record("tag_group.created", group, by=by, tags=names)
    return group


@transaction.atomic
def add_tags(group: TagGroup, tag_names: Sequence[str], *, by: Actor) -> None:
    """More tags in a group. Raises UserError for a name the group has, or a personal group."""
    group = TagGroup.objects.select_for_update(of=("self",)).select_related("corp").get(pk=group.pk)
    if group.kind == TagGroup.Kind.PERSONAL or group.deleted_at:
        raise UserError(_("这个标签组不能添加标签"))
    names = _clean_all(tag_names)
    taken = set(Tag.objects.filter(group=group, name__in=names, deleted_at__isnull=True).values_list("name", flat=True))
    if taken:
        raise UserError(
            _("这一组里已有标签:%(names)s") % {"names": "、".join(sorted(taken))}, fields={"tags": _("名字重复")}
        )
    _create(group, names)
    audit.record("tags.created", group, by=by, tags=names)


def _create(group: TagGroup, names: Sequence[str]) -> None:
    is_corp = group.kind == TagGroup.Kind.CORP
    for name in names:  # WeCom takes several per call; one each lets one bad name fail alone
        tag = Tag.objects.create(group=group, corp=group.corp, name=name, is_ours=is_corp, created_at=clock.now())
        if is_corp:
            commands.enqueue(
                "tag.create", corp=group.corp_id or 0, entity_key=f"taggroup:{group.pk}", subject_id=tag.pk, priority=20
            )


@transaction.atomic
def rename_tag(tag: Tag, name: str, *, by: Actor) -> None:
    """A new name, in WeCom too. Refused for tags made elsewhere."""
    tag = _editable(tag)
    before, tag.name = tag.name, _clean(name)
    if Tag.objects.filter(group=tag.group, name=tag.name, deleted_at__isnull=True).exclude(pk=tag.pk).exists():
        raise UserError(_("这一组里已有标签:%(names)s") % {"names": tag.name}, fields={"name": _("名字重复")})
    tag.save(update_fields=["name"])
    if tag.group.kind == TagGroup.Kind.CORP:
        tell_tag("tag.rename", tag, {"name": tag.name, "before": before})
    audit.record("tag.renamed", tag, by=by, before=before, after=tag.name)


@transaction.atomic
def delete_tag(tag: Tag, *, by: Actor) -> None:
    """Internal: gone at once. Corp: gone when WeCom says so. Refused for tags made elsewhere."""
    tag = _editable(tag)
    if tag.group.kind == TagGroup.Kind.CORP and tag.wecom_tag_id:
        tell_tag("tag.delete", tag, {})
    else:
        delete_tags([tag], clock.now())
    audit.record("tag.deleted", tag, by=by, name=tag.name)


@transaction.atomic
def describe_tag(tag: Tag, *, definition: str, owner_id: int | None, colour: str, by: Actor) -> None:
    """What it means, who answers for it, its colour: our own notes, so a tag made elsewhere can have them too. Raises UserError."""
    if colour not in Colour.values:
        raise UserError(_("请从列出的颜色里选一种"), fields={"colour": _("没有这种颜色")})
    values = {"definition": _text(definition, "definition"), "owner_id": owner_id, "colour": colour}
    Tag.objects.filter(pk=tag.pk).update(**values)
    audit.record("tag.described", tag, by=by, **values)


# --- Groups -----------------------------------------------------------------------------------------------------


@transaction.atomic
def save_group(
    group: TagGroup, *, name: str, note: str, owner_id: int | None, is_exclusive: bool, by: Actor
) -> TagGroup:
    """A group's name, in WeCom too, and our own notes about it. Marks that stand stay when it becomes exclusive. Raises UserError for
    a new name of a group made elsewhere."""
    group = locked_group(group)
    before, values = group.name, {"note": _text(note, "note"), "owner_id": owner_id, "is_exclusive": is_exclusive}
    name = name.strip()
    if name != before:
        _refuse_foreign(group)
        values["name"] = name = _clean(name)
        same = TagGroup.objects.filter(kind=group.kind, corp=group.corp_id, name=name, deleted_at__isnull=True)
        if same.exclude(pk=group.pk).exists():
            raise UserError(
                _("已有名为「%(name)s」的标签组,请换一个名字") % {"name": name}, fields={"name": _("名字已被使用")}
            )
        tell_group("tag_group.edit", group, {"name": name, "before": before})
    for key, value in values.items():
        setattr(group, key, value)
    group.save(update_fields=list(values))
    audit.record("tag_group.saved", group, by=by, before=before, **values)
    return group


@transaction.atomic
def delete_group(group: TagGroup, *, by: Actor) -> None:
    """The group and its tags: internal ones at once, corp ones when WeCom says so. Refused for a group made elsewhere."""
    group = locked_group(group)
    _refuse_foreign(group)
    if group.kind == TagGroup.Kind.CORP and group.wecom_group_id:
        tell_group("tag_group.delete", group, {})
    else:
        forget_group(group)
    audit.record("tag_group.deleted", group, by=by, name=group.name)


def is_editable(group: TagGroup) -> bool:
    """Whether it may be renamed, moved and deleted here; of one made before this was noted WeCom's answer tells."""
    if group.kind == TagGroup.Kind.PERSONAL:
        return False
    return group.kind == TagGroup.Kind.INTERNAL or group.is_ours is not False


def locked_group(group: TagGroup) -> TagGroup:
    """The group for a change. Raises UserError when it is gone."""
    group = TagGroup.objects.select_for_update().get(pk=group.pk)
    if group.deleted_at:
        raise UserError(_("这个标签组已被删除"))
    return group


def _refuse_foreign(group: TagGroup) -> None:
    if not is_editable(group):
        text = _("「%(name)s」不是本系统创建的,改名、移动和删除请到企业微信管理后台")
        raise UserError(text % {"name": group.name})


def tell_group(kind: str, group: TagGroup, payload: dict[str, Any]) -> None:
    """A command about a group that WeCom knows."""
    if group.kind == TagGroup.Kind.CORP and group.wecom_group_id:
        key = f"taggroup:{group.pk}"
        commands.enqueue(
            kind, corp=group.corp_id or 0, entity_key=key, subject_id=group.pk, payload=payload, priority=20
        )


# --- Shared -----------------------------------------------------------------------------------------------------


def _editable(tag: Tag) -> Tag:
    # no_key: whoever waits for the marks' batches with it must not hold up a batch that puts the tag on somebody.
    tag = Tag.objects.select_for_update(of=("self",), no_key=True).select_related("group").get(pk=tag.pk)
    if tag.deleted_at:
        raise UserError(_("这个标签已被删除"))
    if tag.group.kind == TagGroup.Kind.PERSONAL or (tag.group.kind == TagGroup.Kind.CORP and not tag.is_ours):
        raise UserError(
            _("「%(name)s」不是本系统创建的,只能打上、去掉和筛选;改名和删除请到企业微信管理后台") % {"name": tag.name}
        )
    return tag


def tell_tag(kind: str, tag: Tag, payload: dict[str, Any]) -> None:
    """A command about a corp tag; those of one group come one after the other."""
    commands.enqueue(
        kind,
        corp=tag.corp_id or 0,
        entity_key=f"taggroup:{tag.group_id}",
        subject_id=tag.pk,
        payload=payload,
        priority=20,
    )


def _clean(name: str) -> str:
    name = name.strip()
    if not name or len(name) > NAME_LIMIT:
        raise UserError(_("名字要有 1 到 30 个字"), fields={"name": _("1 到 30 个字")})
    return name


def _clean_all(names: Sequence[str]) -> list[str]:
    found = list(dict.fromkeys(_clean(name) for name in names if name.strip()))
    if not found:
        raise UserError(_("请至少填一个标签,每行一个"), fields={"tags": _("还没有标签")})
    return found


def _text(text: str, key: str) -> str:
    text = clean_text(text).strip()
    if len(text) > TEXT_LIMIT:
        raise UserError(_("说明最多 %(n)d 个字") % {"n": TEXT_LIMIT}, fields={key: _("太长了")})
    return text
