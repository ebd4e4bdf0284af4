"""The two actions tagging itself brings: tags and stages."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from django.http import QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from contacts.models import Contact, Stage
from contacts.services.stages import change_stage
from scrm.lib.numbers import whole_number
from tagging import naming
from tagging.actions import Kind
from tagging.models import FollowTag, Rule, TagGroup
from tagging.queries import count_follows_to_mark, follows_to_mark, live_tags
from tagging.services.exclusive import rivals_among
from tagging.services.marks import mark_tags
from tenants.audit import SYSTEM

MOST_TAGS = 100  # of one rule


def _tag_ids(action: Mapping[str, Any]) -> set[int]:
    return {pk for side in ("add", "remove") for pk in action.get(side) or [] if isinstance(pk, int)}


def _tag_problems(action: Mapping[str, Any]) -> list[str]:
    ids = _tag_ids(action)
    if not ids:
        return [_("请选择要打上或去掉的标签")]
    if len(ids) > MOST_TAGS:
        return [_("一条规则最多打上和去掉 %(most)d 个标签,请分成几条规则") % {"most": MOST_TAGS}]
    rows = live_tags().exclude(group__kind=TagGroup.Kind.PERSONAL).filter(pk__in=ids)
    known = {
        pk: (name, kind == TagGroup.Kind.INTERNAL or wecom_id)
        for pk, name, kind, wecom_id in rows.values_list("pk", "name", "group__kind", "wecom_tag_id")
    }
    if ids != set(known):
        return [_("动作里的标签已被删除,请重新选择")]
    unmade = [name for name, is_made in known.values() if not is_made]
    return [_("标签「%(name)s」还在企业微信里创建,请稍后再试") % {"name": name} for name in unmade]


def _tag_contradictions(action: Mapping[str, Any]) -> list[str]:
    """A group that became exclusive since stops no rule: the later of its tags is put."""
    clash = rivals_among(action.get("add") or [])
    return [clash] if clash else []


def _tag_words(action: Mapping[str, Any]) -> str:
    known = naming.by_id("tag", live_tags(), _tag_ids(action))
    names, gone = {pk: tag.name for pk, tag in known.items()}, _("已删除")
    parts = []
    for side, words in (("add", _("打标签%(names)s")), ("remove", _("去掉标签%(names)s"))):
        if action.get(side):
            parts.append(words % {"names": "、".join(f"「{names.get(pk, gone)}」" for pk in action[side])})
    whose = _("全部好友关系") if action.get("whose") == "all" else _("归属导购")
    return _("%(parts)s(%(whose)s)") % {"parts": ",".join(parts), "whose": whose}


def _run_tag(rule: Rule, root_ids: Sequence[int], action: Mapping[str, Any], now: datetime) -> Mapping[int, Any]:
    follows = follows_to_mark(root_ids, action.get("whose", "owner"))
    mark_tags(
        [pk for ids in follows.values() for pk in ids],
        add=action.get("add") or [],
        remove=action.get("remove") or [],
        origin=FollowTag.Origin.RULE,
        by=SYSTEM,
        rule=rule,
        at=now,
    )
    return {root_id: {"kind": "tag", "follows": len(follows.get(root_id, []))} for root_id in root_ids}


def _tag_claims(action: Mapping[str, Any]) -> dict[Any, Any]:
    """Each tag on or off; and of an exclusive group, which one."""
    found: dict[Any, Any] = {("tag", pk): side for side in ("add", "remove") for pk in action.get(side) or []}
    known = naming.by_id("tag", live_tags(), _tag_ids(action))
    added = [known[pk] for pk in action.get("add") or [] if pk in known]
    return found | {("tags of", tag.group_id): tag.pk for tag in added if tag.group.is_exclusive}


def _tag_calls(action: Mapping[str, Any], people: QuerySet[Any]) -> int:
    """WeCom's mark_tag knows one guide and one customer; internal tags never reach it."""
    if not live_tags().filter(pk__in=_tag_ids(action), group__kind=TagGroup.Kind.CORP).exists():
        return 0
    return count_follows_to_mark(people, action.get("whose", "owner"))


def _tag_from_post(post: QueryDict) -> dict[str, Any] | None:
    chosen = {side: [whole_number(pk) or 0 for pk in post.getlist(f"tags_{side}") if pk] for side in ("add", "remove")}
    found = {side: pks for side, pks in chosen.items() if pks}
    return {"whose": "all" if post.get("whose") == "all" else "owner", **found} if found else None


def _tag_options(action: Mapping[str, Any]) -> dict[str, Any]:
    tags = live_tags().exclude(group__kind=TagGroup.Kind.PERSONAL)
    return {
        "tag_choices": list(tags.order_by("-group__order", "group_id", "-order", "pk")),
        "adds": action.get("add") or [],
        "removes": action.get("remove") or [],
        "whose": action.get("whose", "owner"),
    }


TAG = Kind(
    "tag", gettext_lazy("打标签"), problems=_tag_problems, in_words=_tag_words, run=_run_tag, permission="tags.edit", tags=_tag_ids,
    claims=_tag_claims, calls=_tag_calls, contradictions=_tag_contradictions, template="tagging/actions/tag.html", options=_tag_options, from_post=_tag_from_post,
)  # fmt: skip


def _stage(action: Mapping[str, Any]) -> Stage | None:
    pk = action.get("stage")
    return naming.by_id("stage in use", Stage.objects.filter(is_archived=False), [pk]).get(pk or 0)


def _stage_problems(action: Mapping[str, Any]) -> list[str]:
    return [] if _stage(action) else [_("请选择要改成的阶段")]


def _stage_words(action: Mapping[str, Any]) -> str:
    stage = _stage(action)
    return _("阶段改为「%(name)s」") % {"name": stage.name if stage else _("已停用")}


def _run_stage(rule: Rule, root_ids: Sequence[int], action: Mapping[str, Any], now: datetime) -> Mapping[int, Any]:
    stage = _stage(action)
    assert stage is not None  # checked before the rule ran
    before = dict(Contact.objects.filter(pk__in=root_ids).values_list("pk", "stage_id"))
    moved = change_stage(root_ids, stage, source="rule", reason=rule.name, by=SYSTEM, at=now)
    return {pk: {"kind": "stage", "stage": stage.pk, "moved": pk in moved, "from": before.get(pk)} for pk in root_ids}


def _stage_from_post(post: QueryDict) -> dict[str, Any] | None:
    chosen = str(post.get("stage") or "")
    return {"stage": whole_number(chosen) or 0} if chosen else None


STAGE = Kind(
    "stage", gettext_lazy("改阶段"), problems=_stage_problems, in_words=_stage_words, run=_run_stage,
    permission="contacts.edit",
    claims=lambda action: {("stage",): action.get("stage")},
    template="tagging/actions/stage.html",
    options=lambda action: {"stages": Stage.objects.filter(is_archived=False), "stage_chosen": action.get("stage")},
    from_post=_stage_from_post,
)  # fmt: skip
