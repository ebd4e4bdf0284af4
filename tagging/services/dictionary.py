"""The tag dictionary as people edit it here: corp tags travel to WeCom through the outbox, internal ones stand at once.

WeCom lets an app edit and delete only the tags it created (is_ours); all others can be put and taken off, nothing more.
A corp tag without wecom_tag_id is on its way; a refused one says why in last_error.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from scrm.lib import clock
from scrm.lib.errors import UserError
from tagging.models import Tag, TagGroup
from tagging.services.mirror import delete_tags
from tenants import audit
from tenants.audit import Actor
from wecom_bridge import commands
from wecom_bridge.contracts import Call, CommandKind, Refusal
from wecom_bridge.models import Corp, OutboundCommand

NAME_LIMIT = 30


@transaction.atomic
def create_group(*, name: str, tag_names: Sequence[str], corp: Corp | None, is_exclusive: bool, by: Actor) -> TagGroup:
    """A tag group with its first tags; with a corp: in WeCom, else internal. Raises UserError for bad names."""
    name, names = _clean(name), _clean_all(tag_names)
    kind = TagGroup.Kind.CORP if corp else TagGroup.Kind.INTERNAL
    if TagGroup.objects.filter(kind=kind, corp=corp, name=name, deleted_at__isnull=True).exists():
        raise UserError(
            _("已有名为「%(name)s」的标签组,请在那一组里添加标签") % {"name": name}, fields={"name": _("名字已被使用")}
        )
    group = TagGroup.objects.create(kind=kind, corp=corp, name=name, is_exclusive=is_exclusive)
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
        tag = Tag.objects.create(group=group, corp=group.corp, name=name, is_ours=is_corp)
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
        _enqueue("tag.rename", tag, {"name": tag.name, "before": before})
    audit.record("tag.renamed", tag, by=by, before=before, after=tag.name)


@transaction.atomic
def delete_tag(tag: Tag, *, by: Actor) -> None:
    """Internal: gone at once. Corp: gone when WeCom says so. Refused for tags made elsewhere."""
    tag = _editable(tag)
    if tag.group.kind == TagGroup.Kind.CORP and tag.wecom_tag_id:
        _enqueue("tag.delete", tag, {})
    else:
        delete_tags([tag], clock.now())
    audit.record("tag.deleted", tag, by=by, name=tag.name)


@transaction.atomic
def set_exclusive(group: TagGroup, is_exclusive: bool, *, by: Actor) -> None:
    """Whether a new tag of the group replaces the old one. Our own rule: WeCom knows none. Marks that stand stay."""
    TagGroup.objects.filter(pk=group.pk).update(is_exclusive=is_exclusive)
    audit.record("tag_group.exclusive", group, by=by, is_exclusive=is_exclusive)


def _editable(tag: Tag) -> Tag:
    tag = Tag.objects.select_for_update(of=("self",)).select_related("group").get(pk=tag.pk)
    if tag.deleted_at:
        raise UserError(_("这个标签已被删除"))
    if tag.group.kind == TagGroup.Kind.PERSONAL or (tag.group.kind == TagGroup.Kind.CORP and not tag.is_ours):
        raise UserError(
            _("「%(name)s」不是本系统创建的,只能打上、去掉和筛选;改名和删除请到企业微信管理后台") % {"name": tag.name}
        )
    return tag


def _enqueue(kind: str, tag: Tag, payload: dict[str, Any]) -> None:
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


# --- The commands -----------------------------------------------------------------------------------------------


def _tag(command: OutboundCommand) -> Tag | None:
    return Tag.objects.select_related("group").filter(pk=command.subject_id or 0, deleted_at__isnull=True).first()


def _build_create(command: OutboundCommand) -> Call | None:
    tag = _tag(command)
    if tag is None or tag.wecom_tag_id:
        return None
    where = {"group_id": tag.group.wecom_group_id} if tag.group.wecom_group_id else {"group_name": tag.group.name}
    return Call("add_corp_tag", {**where, "tag": [{"name": tag.name}]})


def _created(command: OutboundCommand, result: Mapping[str, Any]) -> None:
    """WeCom's ids; a callback may have brought them already, then the mirrored row is this one."""
    tag, made = _tag(command), result.get("tag_group") or {}
    wecom_id = next((row["id"] for row in made.get("tag", []) if tag and row.get("name") == tag.name), None)
    if tag is None or wecom_id is None:
        return
    TagGroup.objects.filter(pk=tag.group_id, wecom_group_id__isnull=True).update(wecom_group_id=made["group_id"])
    Tag.objects.filter(pk=tag.pk, wecom_tag_id__isnull=True).update(wecom_tag_id=wecom_id, last_error="")


def _note_refusal(command: OutboundCommand, refusal: Refusal) -> None:
    reason = {40071: _("企业微信里已有同名标签"), 40126: _("企业标签已达上限")}.get(
        refusal.errcode or 0, refusal.message
    )
    tag = _tag(command)
    if tag is None:
        return
    tag.last_error = reason[:200]
    if command.kind == "tag.rename":
        tag.name = command.payload["before"]
    tag.save(update_fields=["name", "last_error"])


def _build_rename(command: OutboundCommand) -> Call | None:
    tag = _tag(command)
    return (
        Call("edit_corp_tag", {"id": tag.wecom_tag_id, "name": command.payload["name"]})
        if tag and tag.wecom_tag_id
        else None
    )


def _renamed(command: OutboundCommand, result: Mapping[str, Any]) -> None:
    Tag.objects.filter(pk=command.subject_id or 0).update(last_error="")


def _build_delete(command: OutboundCommand) -> Call | None:
    tag = _tag(command)
    return Call("del_corp_tag", {"tag_id": [tag.wecom_tag_id]}) if tag and tag.wecom_tag_id else None


def _deleted(command: OutboundCommand, result: Mapping[str, Any]) -> None:
    tag = _tag(command)
    if tag is not None:
        delete_tags([tag], clock.now())


COMMANDS = (
    CommandKind(
        "tag.create",
        "idempotent",
        _build_create,
        _created,
        _note_refusal,
        priority=20,
        label=gettext_lazy("新建企业标签"),
    ),
    CommandKind(
        "tag.rename",
        "idempotent",
        _build_rename,
        _renamed,
        _note_refusal,
        priority=20,
        label=gettext_lazy("修改企业标签"),
    ),
    CommandKind(
        "tag.delete",
        "idempotent",
        _build_delete,
        _deleted,
        _note_refusal,
        already=frozenset({40068}),  # no such tag: an earlier call did it, or somebody in WeCom
        priority=20,
        label=gettext_lazy("删除企业标签"),
    ),
)
