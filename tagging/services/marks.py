"""Putting tags on follows and taking them off: rows now, WeCom through the outbox.

WeCom's mark_tag knows one member and one customer per call, so one command is one follow, however many tags.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from conditions import dirty
from contacts import timeline
from contacts.models import Follow, Relation
from scrm.lib import clock
from scrm.lib.db.bulk import insert_rows
from scrm.lib.errors import UserError
from tagging import causes
from tagging.models import FollowTag, Rule, Tag, TagGroup
from tenants import audit
from tenants.audit import Actor
from wecom_bridge import commands
from wecom_bridge.contracts import Call, CommandKind, Refusal
from wecom_bridge.models import OutboundCommand

State = FollowTag.State
COMMAND = "tag.mark"
MERGE = "merge:"  # how FollowTag.via of what a merge of tags moved begins


class FollowKeys(NamedTuple):
    """What facts and marks need of a follow; a first sync comes with thousands, and model instances are slow to make."""

    pk: int
    contact_id: int
    identity_id: int
    member_id: int


@transaction.atomic
def mark_tags(
    follow_ids: Iterable[int],
    add: Sequence[int] = (),
    remove: Sequence[int] = (),
    *,
    origin: str,
    by: Actor,
    rule: Rule | None = None,
    at: datetime | None = None,
    via: str | None = None,
    again: bool = False,
) -> int:
    """Wish tags on and off follows; how many (follow, tag) pairs changed. Doing it again changes nothing.

    Corp tags travel by command, internal ones stand at once. In an exclusive group the new tag replaces the old; of two named in
    one call the later one stands. at: the domain instant of the wish, now by default. via: what put them
    (tagging.sources). A rule does not repeat what WeCom refused it, unless asked to (again). Raises UserError for a tag that is
    deleted, personal, or of another corp only.
    """
    tags = refuse_tags([*add, *remove])
    follows = {row.pk: row for row in _follows(follow_ids, locked=any(tags[pk].group.is_exclusive for pk in add))}
    now = at or clock.now()
    marks = _lock_marks(follows)
    plan = _Plan(marks, rule, again=again)
    wanted = _standing(tags[pk] for pk in add)
    for follow in follows.values():
        for tag in wanted:
            plan.add(follow, tag)
        for tag_id in remove:
            if rule is None or plan.is_of_the_rule(follow, tags[tag_id]):
                plan.remove(follow, tags[tag_id])
    plan.write(origin=origin, actor_id=by.id if by.kind == "user" else None, now=now, via=via)
    _enqueue(follows, plan)
    _note_internal(follows, plan, origin, now)
    dirty.mark(plan.people, "tag")
    if plan.changes and origin != FollowTag.Origin.RULE:
        audit.record("tags.marked", by=by, add=list(add), remove=list(remove), pairs=plan.changes, follows=len(follows))
    return plan.changes


def _follows(follow_ids: Iterable[int], *, locked: bool) -> QuerySet[Follow]:
    """The follows; locked: somebody else's tag of the same exclusive group is waited for, so that it is seen and replaced."""
    follows = Follow.objects.filter(pk__in=list(follow_ids)).select_related("identity")
    return follows.select_for_update(of=("self",), no_key=True).order_by("pk") if locked else follows


@transaction.atomic
def move_marks(follow_ids: Iterable[int], old: Tag, kept: Tag, *, origin: str, via: str) -> None:
    """Somebody put a tag that was merged into another: the other instead, on our side in this transaction, in WeCom by one call a
    relation."""
    follows = {row.pk: row for row in _follows(follow_ids, locked=kept.group.is_exclusive)}
    plan = _Plan(_lock_marks(follows), None)
    for follow in follows.values():
        plan.add(follow, kept)
        plan.remove(follow, old)
    plan.write(origin=origin, actor_id=None, now=clock.now(), via=via)
    _enqueue(follows, plan)
    dirty.mark(plan.people, "tag")


def refuse_tags(tag_ids: Iterable[int]) -> dict[int, Tag]:
    """The tags by id; one that was merged into another stands for that. Raises UserError for one that nobody here can put on or take off."""
    tags = {tag.pk: kept_tag(tag) for tag in Tag.objects.filter(pk__in=set(tag_ids)).select_related("group")}
    for tag_id in set(tag_ids):
        tag = tags.get(tag_id)
        if tag is None or tag.deleted_at or tag.group.deleted_at:
            raise UserError(_("标签「%(name)s」已被删除,请换一个") % {"name": tag.name if tag else tag_id})
        if tag.group.kind == TagGroup.Kind.PERSONAL:
            raise UserError(_("「%(name)s」是导购的个人标签,只能由导购本人在企业微信里打") % {"name": tag.name})
        if tag.group.kind == TagGroup.Kind.CORP and not tag.wecom_tag_id:
            raise UserError(_("「%(name)s」还在企业微信里创建,请稍后再打") % {"name": tag.name})
    return tags


def _standing(tags: Iterable[Tag]) -> list[Tag]:
    """Each once, and of an exclusive group the last."""
    return list({("group", tag.group_id) if tag.group.is_exclusive else ("tag", tag.pk): tag for tag in tags}.values())


def kept_tag(tag: Tag) -> Tag:
    """The tag itself, or what it was merged into, that too perhaps into another."""
    seen = {tag.pk}
    while tag.alias_of_id and tag.alias_of_id not in seen:
        seen.add(tag.alias_of_id)
        tag = Tag.objects.select_related("group").get(pk=tag.alias_of_id)
    return tag


def _lock_marks(follows: Iterable[int]) -> dict[tuple[int, int], FollowTag]:
    rows = (
        FollowTag.objects.select_for_update(of=("self",))
        .filter(follow_id__in=list(follows))
        .select_related("tag__group")
    )
    return {(row.follow_id, row.tag_id): row for row in rows.order_by("pk")}


class _Plan:
    """What has to change, collected before anything is written."""

    def __init__(self, marks: dict[tuple[int, int], FollowTag], rule: Rule | None, *, again: bool = False) -> None:
        self.marks, self.rule, self.again = marks, rule, again
        self.of_follow: dict[int, list[FollowTag]] = defaultdict(list)
        for mark in marks.values():
            self.of_follow[mark.follow_id].append(mark)
        self.to_create: list[tuple[Follow, Tag]] = []
        self.to_add: list[FollowTag] = []
        self.to_remove: dict[int, FollowTag] = {}
        self.wishes: dict[int, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))  # corp tags, per follow
        self.internal: list[tuple[int, Tag, bool]] = []
        self.people: set[int] = set()

    @property
    def changes(self) -> int:
        return len(self.to_create) + len(self.to_add) + len(self.to_remove)

    def add(self, follow: Follow, tag: Tag) -> None:
        mark = self.marks.get((follow.pk, tag.pk))
        if not _can_carry(follow, tag) or (mark and mark.state in (State.ON, State.ADDING)):
            return
        refused_it = mark and mark.state == State.FAILED and self.rule is not None and mark.rule_id == self.rule.pk
        if refused_it and not self.again:
            return
        if mark:
            self.to_add.append(mark)
            self._note(follow, tag, added=True)
        else:
            self.to_create.append((follow, tag))
        if tag.group.is_exclusive:
            for other in self.of_follow[follow.pk]:
                if other.tag.group_id == tag.group_id and other.tag_id != tag.pk:
                    self.remove(follow, other.tag)

    def remove(self, follow: Follow, tag: Tag) -> None:
        mark = self.marks.get((follow.pk, tag.pk))
        if mark is not None and mark.state != State.REMOVING and mark.pk not in self.to_remove:
            self.to_remove[mark.pk] = mark
            self._note(follow, tag, added=False)

    def is_of_the_rule(self, follow: Follow, tag: Tag) -> bool:
        """A rule takes off what it put on, nobody else's."""
        mark = self.marks.get((follow.pk, tag.pk))
        return mark is not None and self.rule is not None and mark.rule_id == self.rule.pk

    def _note(self, follow: Follow, tag: Tag, *, added: bool) -> None:
        self.people.add(follow.contact_id)
        if tag.group.kind == TagGroup.Kind.CORP:
            self.wishes[follow.pk][0 if added else 1].append(tag.pk)
        else:
            self.internal.append((follow.pk, tag, added))

    def write(self, *, origin: str, actor_id: int | None, now: datetime, via: str | None) -> None:
        fields: dict[str, Any] = {
            "origin": origin,
            "rule_id": self.rule.pk if self.rule else None,
            "actor_id": actor_id,
            "tagged_at": now,
            "via": via,
            "last_error": "",
        }
        self._create(fields)
        FollowTag.objects.filter(pk__in=[mark.pk for mark in self.to_add]).update(state=State.ADDING, **fields)
        gone = [mark for mark in self.to_remove.values() if mark.tag.group.kind != TagGroup.Kind.CORP]
        FollowTag.objects.filter(pk__in=[mark.pk for mark in gone]).delete()
        going = [mark.pk for mark in self.to_remove.values() if mark.tag.group.kind == TagGroup.Kind.CORP]
        FollowTag.objects.filter(pk__in=going).update(state=State.REMOVING, last_error="")

    def _create(self, fields: Mapping[str, Any]) -> None:
        """What somebody else put on meanwhile is hers: no second command or fact of it is ours."""
        rows = [
            {"follow_id": follow.pk, "contact_id": follow.contact_id, "tag_id": tag.pk, "state": _first_state(tag), **fields}
            for follow, tag in sorted(self.to_create, key=lambda pair: (pair[0].pk, pair[1].pk))
        ]  # fmt: skip
        written = set(insert_rows(FollowTag, rows, ignore_conflicts=True, returning=("follow_id", "tag_id")))
        self.to_create = [(follow, tag) for follow, tag in self.to_create if (follow.pk, tag.pk) in written]
        for follow, tag in self.to_create:
            self._note(follow, tag, added=True)


def _can_carry(follow: Follow, tag: Tag) -> bool:
    """A corp tag fits a follow of its own corp that still is one."""
    if tag.group.kind != TagGroup.Kind.CORP:
        return True
    return tag.corp_id == follow.corp_id and follow.relation == Relation.ACTIVE


def _first_state(tag: Tag) -> str:
    return State.ADDING.value if tag.group.kind == TagGroup.Kind.CORP else State.ON.value


def _enqueue(follows: Mapping[int, Follow], plan: _Plan) -> None:
    cause = {"cause": sorted(causes.chain())} if causes.chain() else {}
    wishes = [
        commands.Wish(
            corp_id=follows[follow_id].corp_id,
            entity_key=f"follow:{follow_id}",
            subject_id=follow_id,
            payload={"add": add, "remove": remove, **cause},
            priority=causes.priority(),
        )
        for follow_id, (add, remove) in plan.wishes.items()
    ]
    commands.enqueue_many(COMMAND, wishes)


def _note_internal(follows: Mapping[int, Follow], plan: _Plan, origin: str, now: datetime) -> None:
    """Internal tags are settled at once, so their facts are written at once."""
    events = [
        tag_event(follows[pk], tag, added=added, at=now, source="product", why=origin)
        for pk, tag, added in plan.internal
    ]
    timeline.record_events(events)


def tag_event(
    follow: Follow | FollowKeys, tag: Tag, *, added: bool, at: datetime, source: str, why: str, quiet: bool = False
) -> timeline.NewEvent:
    """The fact that a follow gained or lost a tag. quiet: as NewEvent's."""
    kind = "tag.added" if added else "tag.removed"
    return timeline.NewEvent(
        kind=kind,
        occurred_at=at,
        source=source,
        fact_key=f"{kind}:{follow.pk}:{tag.pk}:{int(at.timestamp() * 1000)}",
        contact_id=follow.contact_id,
        identity_id=follow.identity_id,
        member_id=follow.member_id,
        subject=f"tag:{tag.pk}",
        payload={"tag": tag.name, "group": tag.group.name, "origin": why},
        quiet=quiet,
    )


# --- The command ------------------------------------------------------------------------------------------------


def _build(command: OutboundCommand) -> Call | None:
    """Only what is still wished: a later act of somebody may have taken it back."""
    follow = Follow.objects.select_related("identity", "member").filter(pk=command.subject_id or 0).first()
    if follow is None:
        return None
    add = _wished(command, "add", State.ADDING)
    remove = _wished(command, "remove", State.REMOVING)
    if not add and not remove:
        return None
    return Call(
        "mark_tag",
        {
            "userid": follow.member.userid,
            "external_userid": follow.identity.value,
            "add_tag": [mark.tag.wecom_tag_id for mark in add],
            "remove_tag": [mark.tag.wecom_tag_id for mark in remove],
        },
    )


def _wished(command: OutboundCommand, side: str, state: str) -> list[FollowTag]:
    marks = FollowTag.objects.filter(
        follow_id=command.subject_id or 0, tag_id__in=command.payload.get(side, []), state=state
    )
    return list(marks.select_related("tag__group", "follow").order_by("tag_id"))


def _on_result(command: OutboundCommand, result: Mapping[str, Any]) -> None:
    now = clock.now()
    added, removed = _wished(command, "add", State.ADDING), _wished(command, "remove", State.REMOVING)
    # Where two tags became one nobody tagged anybody: the fact is written, no rule acts on it.
    source = "backfill" if command.payload.get("merged") else "product"
    with causes.within(command.payload.get("cause", ())):
        causes.mark(sorted({mark.contact_id for mark in [*added, *removed]}))
        timeline.record_events(
            [tag_event(mark.follow, mark.tag, added=True, at=now, source=source, why=mark.origin) for mark in added]
            + [
                tag_event(mark.follow, mark.tag, added=False, at=now, source=source, why=mark.origin)
                for mark in removed
            ]
        )
    FollowTag.objects.filter(pk__in=[mark.pk for mark in added]).update(state=State.ON, settled_at=now, last_error="")
    FollowTag.objects.filter(pk__in=[mark.pk for mark in removed]).delete()


def _on_refused(command: OutboundCommand, refusal: Refusal) -> None:
    """What was to come on did not; what was to go off is still there. Both say why."""
    now, reason = clock.now(), _reason(refusal)
    added, removed = _wished(command, "add", State.ADDING), _wished(command, "remove", State.REMOVING)
    FollowTag.objects.filter(pk__in=[mark.pk for mark in added]).update(
        state=State.FAILED, settled_at=now, last_error=reason
    )
    FollowTag.objects.filter(pk__in=[mark.pk for mark in removed]).update(
        state=State.ON, settled_at=now, last_error=reason
    )
    dirty.mark({mark.contact_id for mark in [*added, *removed]}, "tag")


def _reason(refusal: Refusal) -> str:
    known = {
        84061: _("已不是好友,不能打标签"),
        40068: _("企业微信里已没有这个标签"),
        40096: _("企业微信不认识这位客户"),
        40126: _("这位客户身上的标签已达企业微信的上限"),
        60111: _("企业微信里没有这位导购"),
    }
    return (known.get(refusal.errcode or 0) or refusal.message)[:200]


MARK_COMMAND = CommandKind(
    name=COMMAND,
    policy="idempotent",
    build=_build,
    on_result=_on_result,
    on_refused=_on_refused,
    priority=50,
    label=gettext_lazy("打标签"),
)
