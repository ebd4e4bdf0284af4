"""What of the dictionary is told to WeCom, and what its answers mean. WeCom lets an app edit and delete only what it made: a refusal
of that kind is remembered, so that nobody is offered the same again."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from scrm.lib import clock
from tagging.models import Tag, TagGroup
from tagging.services.broken import break_readers_of_groups
from tagging.services.capacity import learn_full
from tagging.services.mirror import delete_tags
from wecom_bridge.contracts import Call, CommandKind, Refusal
from wecom_bridge.models import OutboundCommand

TOO_MANY = 40126
NOT_OURS = (60011, 301002)  # no permission on this tag; an app other than the one that made it


def _tag(command: OutboundCommand) -> Tag | None:
    return Tag.objects.select_related("group").filter(pk=command.subject_id or 0, deleted_at__isnull=True).first()


def _group(command: OutboundCommand) -> TagGroup | None:
    return TagGroup.objects.filter(pk=command.subject_id or 0, deleted_at__isnull=True).first()


def _reason(refusal: Refusal) -> str:
    known = {
        40068: _("企业微信里已没有这个标签或标签组"),
        40071: _("企业微信里已有同名标签"),
        TOO_MANY: _("企业标签已达上限,请先删除不用的标签"),
        **dict.fromkeys(NOT_OURS, _("不是本系统创建的,企业微信不允许在这里改,请到企业微信管理后台修改")),
    }
    return (known.get(refusal.errcode or 0) or refusal.message)[:200]


# --- Tags -------------------------------------------------------------------------------------------------------


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


def _build_edit(command: OutboundCommand) -> Call | None:
    """A new name, a new place, or both."""
    tag = _tag(command)
    wanted = {key: command.payload[key] for key in ("name", "order") if key in command.payload}
    return Call("edit_corp_tag", {"id": tag.wecom_tag_id, **wanted}) if tag and tag.wecom_tag_id else None


def _edited(command: OutboundCommand, result: Mapping[str, Any]) -> None:
    """A reading between the wish and the answer may have brought the old place back."""
    values: dict[str, Any] = {"order": command.payload["order"]} if "order" in command.payload else {}
    Tag.objects.filter(pk=command.subject_id or 0).update(last_error="", **values)


def _build_delete(command: OutboundCommand) -> Call | None:
    tag = _tag(command)
    return Call("del_corp_tag", {"tag_id": [tag.wecom_tag_id]}) if tag and tag.wecom_tag_id else None


def _deleted(command: OutboundCommand, result: Mapping[str, Any]) -> None:
    tag = _tag(command)
    if tag is not None:
        delete_tags([tag], clock.now())


def _refused(command: OutboundCommand, refusal: Refusal) -> None:
    """The tag says why, and is as it was before."""
    tag = _tag(command)
    if tag is None:
        return
    tag.last_error = _reason(refusal)
    if refusal.errcode == TOO_MANY:
        learn_full(command.corp_id)
    if refusal.errcode in NOT_OURS:
        tag.is_ours = False
    if "before" in command.payload:
        tag.name = command.payload["before"]
    if "order_before" in command.payload:
        tag.order = command.payload["order_before"]
    tag.save(update_fields=["name", "order", "is_ours", "last_error"])


# --- Groups -----------------------------------------------------------------------------------------------------


def _build_group_edit(command: OutboundCommand) -> Call | None:
    group = _group(command)
    wanted = {key: command.payload[key] for key in ("name", "order") if key in command.payload}
    return Call("edit_corp_tag", {"id": group.wecom_group_id, **wanted}) if group and group.wecom_group_id else None


def _group_edited(command: OutboundCommand, result: Mapping[str, Any]) -> None:
    values: dict[str, Any] = {"order": command.payload["order"]} if "order" in command.payload else {}
    TagGroup.objects.filter(pk=command.subject_id or 0).update(last_error="", **values)


def _build_group_delete(command: OutboundCommand) -> Call | None:
    group = _group(command)
    return Call("del_corp_tag", {"group_id": [group.wecom_group_id]}) if group and group.wecom_group_id else None


def _group_deleted(command: OutboundCommand, result: Mapping[str, Any]) -> None:
    group = _group(command)
    if group is not None:
        forget_group(group)


def forget_group(group: TagGroup) -> None:
    """The group is gone with its tags: WeCom sends no events for these."""
    now = clock.now()
    delete_tags(Tag.objects.filter(group=group, deleted_at__isnull=True), now)
    TagGroup.objects.filter(pk=group.pk).update(deleted_at=now)
    break_readers_of_groups([group.pk])


def _group_refused(command: OutboundCommand, refusal: Refusal) -> None:
    group = _group(command)
    if group is None:
        return
    group.last_error = _reason(refusal)
    if refusal.errcode in NOT_OURS:
        group.is_ours = False
    if "before" in command.payload:
        group.name = command.payload["before"]
    if "order_before" in command.payload:
        group.order = command.payload["order_before"]
    group.save(update_fields=["name", "order", "is_ours", "last_error"])


ALREADY_GONE = frozenset({40068})  # no such tag or group: an earlier call did it, or somebody in WeCom
COMMANDS = (
    CommandKind(
        "tag.create", "idempotent", _build_create, _created, _refused, priority=20, label=gettext_lazy("新建企业标签")
    ),
    CommandKind(
        "tag.rename", "idempotent", _build_edit, _edited, _refused, priority=20, label=gettext_lazy("修改企业标签")
    ),
    CommandKind(
        "tag.delete", "idempotent", _build_delete, _deleted, _refused,
        already=ALREADY_GONE, priority=20, label=gettext_lazy("删除企业标签"),
    ),
    CommandKind(
        "tag_group.edit", "idempotent", _build_group_edit, _group_edited, _group_refused,
        priority=20, label=gettext_lazy("修改企业标签组"),
    ),
    CommandKind(
        "tag_group.delete", "idempotent", _build_group_delete, _group_deleted, _group_refused,
        already=ALREADY_GONE, priority=20, label=gettext_lazy("删除企业标签组"),
    ),
)  # fmt: skip
