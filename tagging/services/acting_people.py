"""Actions on the person: a custom field, 业绩归属, a 待办 for her guide or the store's manager, a fixed list."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db.models import QuerySet
from django.http import QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from contacts import custom
from contacts.models import Contact, CustomField, Member
from contacts.services.clashes import managers_of
from contacts.services.custom_values import set_values
from contacts.services.ownership import assign_owner, strangers_to
from contacts.services.todos import LONGEST, Wanted, add_by_rule
from scrm.lib.errors import UserError
from scrm.lib.numbers import whole_number
from tagging import naming
from tagging.actions import Kind
from tagging.models import Rule, Segment
from tagging.queries import live_segments
from tagging.services.static_lists import fill_static
from tenants.audit import SYSTEM

HOURS_MOST = 24 * 30
Action = Mapping[str, Any]

# --- Custom fields ----------------------------------------------------------------------------------------------


def _fields() -> list[CustomField]:
    """Those that everybody may see and edit: whoever makes rules writes no others, as files do not."""
    fields = naming.once("fields in use", custom.fields_in_use)
    return [field for field in custom.open_to_all(fields) if not field.edit_roles]


def _field(action: Action) -> CustomField | None:
    return next((field for field in _fields() if field.key == action.get("key")), None)


def _field_problems(action: Action) -> list[str]:
    field = _field(action)
    if field is None:
        return [_("请选择要填的字段")]
    try:
        value = custom.parse(field, action.get("value"))
    except UserError as error:
        return [str(error.message)]
    return [] if value is not None else [_("请填写字段「%(label)s」的值") % {"label": field.label}]


def _field_words(action: Action) -> str:
    field = _field(action)
    return _("「%(label)s」填为「%(value)s」") % {
        "label": field.label if field else _("已停用"), "value": action.get("value", ""),
    }  # fmt: skip


def _run_field(rule: Rule, root_ids: Sequence[int], action: Action, now: datetime) -> Mapping[int, Any]:
    field = _field(action)
    assert field is not None  # checked before the rule ran
    value = custom.parse(field, action["value"])
    changed = set_values({pk: {field.key: value} for pk in root_ids}, by=SYSTEM, at=now)
    return {pk: {"kind": "field", "key": field.key, "changed": pk in changed} for pk in root_ids}


def _field_from_post(post: QueryDict) -> dict[str, Any] | None:
    key = str(post.get("field_key") or "")
    return {"key": key, "value": str(post.get("field_value") or "").strip()} if key else None


FIELD = Kind(
    "field", gettext_lazy("填自定义字段"), problems=_field_problems, in_words=_field_words, run=_run_field, permission="contacts.edit",
    claims=lambda action: {("field", action.get("key")): action.get("value")}, template="tagging/actions/field.html",
    options=lambda action: {"fields": _fields(), "key": action.get("key"), "value": action.get("value", "")},
    from_post=_field_from_post,
)  # fmt: skip

# --- 业绩归属 ----------------------------------------------------------------------------------------------------


def _guides() -> list[Member]:
    rows = Member.objects.filter(archived_at__isnull=True, has_customer_contact=True).exclude(status=Member.Status.LEFT)
    return list(rows.select_related("store").order_by("name", "pk"))


def _member(action: Action) -> Member | None:
    rows = Member.objects.filter(archived_at__isnull=True).exclude(status=Member.Status.LEFT)
    return naming.by_id("member", rows, [action.get("member")]).get(action.get("member") or 0)


def _owner_words(action: Action) -> str:
    return _("业绩归属改为 %(member)s(是好友才改)") % {"member": _member(action) or _("已离职")}


def _run_owner(rule: Rule, root_ids: Sequence[int], action: Action, now: datetime) -> Mapping[int, Any]:
    member = _member(action)
    assert member is not None  # checked before the rule ran
    strangers = strangers_to(member, root_ids)
    moved = assign_owner(set(root_ids) - strangers, member, by=SYSTEM, at=now, reason="rule")
    return {pk: {"kind": "owner", "moved": pk in moved, "stranger": pk in strangers} for pk in root_ids}


def _owner_from_post(post: QueryDict) -> dict[str, Any] | None:
    member_id = whole_number(post.get("owner_member"))
    return {"member": member_id} if member_id else None


OWNER = Kind(
    "owner", gettext_lazy("改业绩归属"), problems=lambda action: [] if _member(action) else [_("请选择在职的导购")],
    in_words=_owner_words, run=_run_owner, permission="contacts.edit", claims=lambda action: {("owner",): action.get("member")},
    template="tagging/actions/owner.html", options=lambda action: {"guides": _guides(), "member": action.get("member")},
    from_post=_owner_from_post,
)  # fmt: skip

# --- 待办 --------------------------------------------------------------------------------------------------------


def _todo_problems(action: Action) -> list[str]:
    text, hours = action.get("text"), action.get("hours")
    if not isinstance(text, str) or not text.strip() or len(text) > LONGEST:
        return [_("请写下要做什么,最多 %(limit)d 字。") % {"limit": LONGEST}]
    if type(hours) is not int or not 1 <= hours <= HOURS_MOST:
        return [_("待办的到期时间请写 1 到 %(most)d 小时") % {"most": HOURS_MOST}]
    return [] if action.get("to") in ("guide", "manager") else [_("请选择提醒谁")]


def _todo_words(action: Action) -> str:
    words = (
        _("给店长建待办「%(text)s」,%(hours)s 小时后到期")
        if action.get("to") == "manager"
        else _("给归属导购建待办「%(text)s」,%(hours)s 小时后到期")
    )
    return words % {"text": action.get("text", ""), "hours": action.get("hours")}


def _run_todo(rule: Rule, root_ids: Sequence[int], action: Action, now: datetime) -> Mapping[int, Any]:
    rows = Contact.objects.filter(pk__in=root_ids).values_list("pk", "owner_id", "store_id")
    whom: dict[int, int] = {pk: owner_id for pk, owner_id, _store in rows if owner_id}
    if action["to"] == "manager":
        bosses = managers_of({store_id for _pk, _owner, store_id in rows if store_id})
        whom = {pk: bosses[store_id][0].pk for pk, _owner, store_id in rows if bosses.get(store_id or 0)}
    wanted = Wanted(
        action["text"].strip(), now + timedelta(hours=action["hours"]), _("规则「%(name)s」") % {"name": rule.name}
    )
    given = add_by_rule(whom, wanted, author_id=rule.created_by_id or 0, at=now)
    return {pk: {"kind": "todo", "given": pk in given} for pk in root_ids}


def _todo_from_post(post: QueryDict) -> dict[str, Any] | None:
    text = str(post.get("todo_text") or "").strip()
    if not text:
        return None
    return {"text": text, "hours": whole_number(post.get("todo_hours")) or 0, "to": str(post.get("todo_to") or "guide")}


TODO = Kind(
    "todo", gettext_lazy("提醒导购或店长"), problems=_todo_problems, in_words=_todo_words, run=_run_todo, permission="contacts.edit",
    template="tagging/actions/todo.html",
    options=lambda action: {"text": action.get("text", ""), "hours": action.get("hours", 24), "to": action.get("to", "guide")},
    from_post=_todo_from_post,
)  # fmt: skip

# --- Fixed lists ------------------------------------------------------------------------------------------------


def _lists() -> QuerySet[Segment]:
    return live_segments().filter(kind="static")


def _list_words(action: Action) -> str:
    words = _("加入固定名单「%(name)s」") if action.get("way") == "add" else _("移出固定名单「%(name)s」")
    known = naming.by_id("list", _lists(), [action.get("segment")])
    return words % {"name": known.get(action.get("segment") or 0) or _("已归档")}


def _list_problems(action: Action) -> list[str]:
    good = action.get("way") in ("add", "remove") and _lists().filter(pk=action.get("segment") or 0).exists()
    return [] if good else [_("请选择在用的固定名单")]


def _run_list(rule: Rule, root_ids: Sequence[int], action: Action, now: datetime) -> Mapping[int, Any]:
    segment = _lists().get(pk=action["segment"])
    fill_static(segment, root_ids, how=action["way"], by=SYSTEM)
    return {pk: {"kind": "segment", "segment": segment.pk} for pk in root_ids}


def _list_from_post(post: QueryDict) -> dict[str, Any] | None:
    pk = whole_number(post.get("list_segment"))
    return {"segment": pk, "way": str(post.get("list_way") or "add")} if pk else None


SEGMENT = Kind(
    "segment", gettext_lazy("加入或移出固定名单"), problems=_list_problems, in_words=_list_words, run=_run_list, permission="segments.edit",
    claims=lambda action: {("segment", action.get("segment")): action.get("way")}, template="tagging/actions/segment.html",
    options=lambda action: {"lists": _lists(), "segment": action.get("segment"), "way": action.get("way")},
    from_post=_list_from_post,
)  # fmt: skip
