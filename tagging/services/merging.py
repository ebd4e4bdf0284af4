"""One tag merged into another («敏感皮» into «敏感肌»).

For us it happens at one instant: in one transaction, while no condition is being decided, whoever carries the old tag carries the
kept one, and what named the old one names the kept one. So no rule, segment or stage ever sees a half of it; whoever newly answers to
a rule by it is noted and left alone. WeCom follows relation by relation, one call each, in a job that goes on where it was killed.
The undo is the same the other way round, for whoever is still as the merge left her.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Count, QuerySet
from django.db.models.functions import Coalesce
from django.urls import reverse
from django.utils.translation import gettext as _

from conditions import dirty
from conditions.drain import LOCK
from contacts import longjobs, timeline
from contacts.models import Follow, Relation
from scrm.lib import clock
from scrm.lib.errors import Conflict, UserError
from tagging import tag_readers
from tagging.models import FollowTag, Tag, TagGroup, TagMerge, TagMergeMove
from tagging.queries import CARRIED, count_people_per_tag, live_tags
from tagging.services import merged_readers
from tagging.services.broken import break_readers_of_tags
from tagging.services.dictionary import delete_tag
from tagging.services.marks import COMMAND, MERGE, tag_event
from tagging.sources import Source
from tagging.tag_readers import Reader
from tenants import audit, locks
from tenants.audit import SYSTEM, Actor
from tenants.ledger.models import Job
from wecom_bridge import commands
from wecom_bridge.paces import least_seconds

JOB, UNDO_JOB = "tagging.merge", "tagging.merge_undo"
PART = 1_000
PRIORITY = 80  # after what people do meanwhile
UNDO_WITHIN = timedelta(days=30)
State = TagMerge.State


@dataclass(frozen=True)
class Preview:
    """What a merge would do. calls: of WeCom; follows: what would name the kept tag afterwards; holds: what has to be changed by hand first."""

    people: int
    relations: int
    calls: int
    seconds: int
    follows: Sequence[Reader]
    holds: Sequence[Reader]


def choices_for(old: Tag) -> QuerySet[Tag]:
    """Tags that one may be merged into: of the same kind and corp, not itself."""
    tags = live_tags().filter(group__kind=old.group.kind, corp=old.corp_id).exclude(pk=old.pk)
    return tags if old.group.kind == TagGroup.Kind.INTERNAL else tags.filter(wecom_tag_id__isnull=False)


def preview(old: Tag) -> Preview:
    """Counted now."""
    relations = _moving(old).count()
    calls = relations if old.group.kind == TagGroup.Kind.CORP else 0
    follows = [one for one in tag_readers.readers_of([old.pk]) if one.kind in merged_readers.KINDS]
    people = count_people_per_tag([old.pk]).get(old.pk, 0)
    return Preview(people, relations, calls, seconds_for(calls), follows, _holds(old))


def seconds_for(calls: int) -> int:
    """How long so many calls take at least under the rate governor, when nothing else is asked."""
    return round(least_seconds("mark_tag", calls, priority=PRIORITY))


def _holds(old: Tag) -> list[Reader]:
    """What names the tag and cannot be made to name another: SOPs and broadcasts, whose conditions were approved as they are."""
    return [one for one in tag_readers.readers_of([old.pk]) if one.kind not in merged_readers.KINDS]


@transaction.atomic
def start(old: Tag, kept: Tag, *, by: Actor) -> TagMerge:
    """Merge, by a job. Raises UserError where it cannot be, Conflict where it is under way."""
    old = Tag.objects.select_for_update(of=("self",)).select_related("group").get(pk=old.pk)
    _refuse(old, kept)
    if TagMerge.objects.filter(old=old, state__in=(State.WAITING, State.MOVING, State.DONE, State.UNDOING)).exists():
        raise Conflict(_("「%(name)s」已经合并或正在合并,请刷新页面") % {"name": old.name})
    merge = TagMerge.objects.create(
        old=old, kept=kept, created_at=clock.now(), created_by_id=by.id if by.kind == "user" else None
    )
    title = _("合并标签「%(old)s」到「%(kept)s」") % {"old": old.name, "kept": kept.name}
    merge.job_id = longjobs.start(JOB, title, params={"merge": merge.pk}, by=by).pk
    merge.save(update_fields=["job_id"])
    audit.record("tag.merge_started", old, by=by, kept=kept.pk, merge=merge.pk)
    return merge


def _refuse(old: Tag, kept: Tag) -> None:
    if not live_tags().filter(pk=old.pk).exists() or not choices_for(old).filter(pk=kept.pk).exists():
        raise UserError(_("只能合并两个在用的、同一类的标签,请重新选择"))
    if old.group.kind == TagGroup.Kind.PERSONAL:
        raise UserError(_("个人标签只能由导购本人在企业微信里改,不能合并"))
    holds = _holds(old)
    if holds:
        text = _("%(what)s还在用「%(name)s」,请先改用「%(kept)s」再合并")
        raise UserError(text % {"what": "、".join(one.text for one in holds[:5]), "name": old.name, "kept": kept.name})


@transaction.atomic
def ask_undo(merge_id: int, *, by: Actor) -> TagMerge:
    """Set back whoever is still as the merge left her, and what names the tag. Asking twice asks once. Raises UserError when it is too late."""
    merge = TagMerge.objects.select_for_update().select_related("old__group", "kept").get(pk=merge_id)
    if merge.state in (State.UNDOING, State.UNDONE):
        return merge
    if merge.state not in (State.MOVING, State.DONE) or merge.moved_at is None:
        raise UserError(_("这次合并还没有开始,请稍后再撤销"))
    if clock.now() > merge.moved_at + UNDO_WITHIN:
        raise UserError(_("合并只能在 30 天内撤销,这一次已经超过了"))
    if merge.old.deleted_at or merge.old.group.deleted_at:
        raise UserError(_("旧标签「%(name)s」已被删除,不能撤销") % {"name": merge.old.name})
    if merge.kept.alias_of_id:
        raise UserError(_("「%(name)s」后来又合并到了别的标签,请先撤销那一次") % {"name": merge.kept.name})
    merge.state, merge.undo_asked_at = State.UNDOING, clock.now()
    Job.objects.filter(pk=merge.job_id or 0, state__in=[Job.State.QUEUED, Job.State.RUNNING]).update(
        state=Job.State.CANCELLED, finished_at=clock.now()
    )
    title = _("撤销合并「%(old)s」") % {"old": merge.old.name}
    merge.undo_job_id = longjobs.start(UNDO_JOB, title, params={"merge": merge.pk}, by=by).pk
    merge.save(update_fields=["state", "undo_asked_at", "undo_job_id"])
    audit.record("tag.merge_undo_asked", merge.old, by=by, kept=merge.kept_id, merge=merge.pk)
    return merge


def sources_of(ids: Any) -> dict[int, Source]:
    """What merges are called on a tag they moved."""
    words = _("由「%(name)s」合并而来")
    rows = TagMerge.objects.filter(pk__in=ids).values_list("pk", "old__name")
    return {pk: Source(words % {"name": name}, reverse("tagging:tag_merge", args=[pk])) for pk, name in rows}


def aliases_of(ids: Any) -> dict[int, Source]:
    """The same for what was put on in WeCom after its tag had been merged."""
    words = _("在企业微信里打的是已合并的「%(name)s」")
    return {pk: Source(words % {"name": name}) for pk, name in Tag.objects.filter(pk__in=ids).values_list("pk", "name")}


# --- The jobs ---------------------------------------------------------------------------------------------------


def step(job: Job, deadline: datetime) -> bool:
    """Switch, if that is not done; then tell WeCom until the slice is over."""
    merge = TagMerge.objects.get(pk=job.params["merge"])
    if merge.state == State.WAITING:
        try:
            _switch(merge.pk)
        except UserError as error:
            TagMerge.objects.filter(pk=merge.pk).update(state=State.FAILED, last_error=error.message[:300])
            raise
    return _tell(job, merge.pk, deadline, ends=State.DONE)


def undo_step(job: Job, deadline: datetime) -> bool:
    """The same the other way round."""
    merge = TagMerge.objects.get(pk=job.params["merge"])
    if merge.state == State.UNDOING and not merge.moves.filter(is_undone__isnull=False).exists():
        _switch_back(merge.pk)
    return _tell(job, merge.pk, deadline, ends=State.UNDONE)


def _tell(job: Job, merge_id: int, deadline: datetime, *, ends: str) -> bool:
    while True:
        with transaction.atomic():
            merge = TagMerge.objects.select_for_update().get(pk=merge_id)
            if merge.state in (State.UNDOING, State.UNDONE) and ends == State.DONE:
                return True  # taken back meanwhile
            done = _tell_some(merge, back=ends == State.UNDONE)
            job.done, job.total = job.done + done, merge.relations
            if not done:
                merge.state = ends
                merge.save(update_fields=["state"])
                return True
            job.save(update_fields=["done", "total"])
        if clock.wall() >= deadline:
            return False


def _tell_some(merge: TagMerge, *, back: bool) -> int:
    """The next relations: their commands, their people's marks. In one transaction with the note that it is done.

    back: of one that the undo left alone and WeCom never heard of, WeCom is told what the merge made of it.
    """
    moves = list(merge.moves.filter(is_told=False).order_by("pk")[:PART])
    if not moves:
        return 0
    corps = dict(Follow.objects.filter(pk__in=[one.follow_id for one in moves]).values_list("pk", "corp_id"))
    if merge.old.group.kind == TagGroup.Kind.CORP:
        wishes = [
            commands.Wish(corps[one.follow_id], f"follow:{one.follow_id}", _payload(one, merge, back=back), one.follow_id, priority=PRIORITY)
            for one in moves
        ]  # fmt: skip
        commands.enqueue_many(COMMAND, wishes)
    else:
        _note_internal(moves, merge, back=back)
    dirty.mark({one.contact_id for one in moves}, "tag")
    TagMergeMove.objects.filter(pk__in=[one.pk for one in moves]).update(is_told=True)
    return len(moves)


def _payload(move: TagMergeMove, merge: TagMerge, *, back: bool) -> dict[str, Any]:
    """Who had the kept one before keeps it when the merge is taken back, and needs not get it when it is made."""
    kept = [] if move.had_kept else [merge.kept_id]
    add, remove = ([merge.old_id], kept) if back and move.is_undone else (kept, [merge.old_id])
    return {"add": add, "remove": remove, "merged": True}


def _note_internal(moves: Sequence[TagMergeMove], merge: TagMerge, *, back: bool) -> None:
    """Internal tags stand at once, so their facts are written here; nobody tagged anybody, so no rule acts on them."""
    follows = Follow.objects.in_bulk([one.follow_id for one in moves])
    now, events = clock.now(), []
    for one in moves:
        on, off = (merge.old, merge.kept) if back and one.is_undone else (merge.kept, merge.old)
        for tag, added in ((on, True), (off, False)):
            if not (one.had_kept and tag.pk == merge.kept_id):
                follow = follows[one.follow_id]
                events.append(tag_event(follow, tag, added=added, at=now, source="backfill", why=one.origin))
    timeline.record_events(events)


# --- At one instant ---------------------------------------------------------------------------------------------


def _moving(old: Tag) -> QuerySet[FollowTag]:
    """Marks that a merge moves. Those of ended relations stay: WeCom would refuse them, and nobody counts them."""
    marks = FollowTag.objects.filter(tag=old, state__in=CARRIED)
    return marks.filter(follow__relation=Relation.ACTIVE) if old.group.kind == TagGroup.Kind.CORP else marks


def _moved(merge: TagMerge) -> QuerySet[Any, Any]:
    return merge.moves.values_list(Coalesce("contact__root_id", "contact_id"), flat=True)


@transaction.atomic
def _switch(merge_id: int) -> None:
    """Everybody at once, while nobody decides a condition."""
    locks.lock_in_transaction(LOCK)
    merge = TagMerge.objects.select_for_update().get(pk=merge_id)
    tags = Tag.objects.select_for_update(of=("self",)).select_related("group").in_bulk([merge.old_id, merge.kept_id])
    old, kept, now = tags[merge.old_id], tags[merge.kept_id], clock.now()
    _refuse(old, kept)
    is_corp = old.group.kind == TagGroup.Kind.CORP
    merge.relations = _note_moves(merge, is_corp, now)
    _put(merge, kept.pk, "adding" if is_corp else "on")
    moved = FollowTag.objects.filter(tag=old, follow__in=merge.moves.values("follow"))
    if is_corp:
        moved.update(state=FollowTag.State.REMOVING, via=f"{MERGE}{merge.pk}", last_error="")
    else:
        moved.delete()
    merge.rewritten = merged_readers.rewrite(old.pk, kept.pk)
    old.alias_of = kept
    old.save(update_fields=["alias_of"])
    merged_readers.settle([old.pk, kept.pk], _moved(merge), merge.rewritten, now)
    break_readers_of_tags([old.pk])
    merge.state, merge.moved_at = State.MOVING, now
    merge.save(update_fields=["relations", "rewritten", "state", "moved_at"])
    audit.record("tag.merged", old, by=SYSTEM, kept=kept.pk, relations=merge.relations, rewritten=len(merge.rewritten))


def _note_moves(merge: TagMerge, is_corp: bool, now: datetime) -> int:
    active = " AND f.relation = 'active'" if is_corp else ""
    return _run(
        "INSERT INTO tagging_tagmergemove (merge_id, follow_id, contact_id, had_kept, origin, rule_id, actor_id, via, tagged_at,"
        " moved_at, is_told) SELECT %s, o.follow_id, o.contact_id, coalesce(k.state IN ('on', 'adding'), false), o.origin, o.rule_id,"
        " o.actor_id, o.via, o.tagged_at, %s, false FROM tagging_followtag o JOIN contacts_follow f ON f.id = o.follow_id"
        " LEFT JOIN tagging_followtag k ON k.follow_id = o.follow_id AND k.tag_id = %s"
        f" WHERE o.tag_id = %s AND o.state IN ('on', 'adding'){active}",
        [merge.pk, now, merge.kept_id, merge.old_id],
    )


def _put(merge: TagMerge, tag_id: int, state: str) -> int:
    """The kept tag on whoever had the old one alone, with who put that and when: why it is on her has not changed."""
    return _run(
        "INSERT INTO tagging_followtag (follow_id, contact_id, tag_id, origin, rule_id, actor_id, state, tagged_at, via, last_error)"
        " SELECT follow_id, contact_id, %s, origin, rule_id, actor_id, %s, tagged_at, %s, '' FROM tagging_tagmergemove"
        " WHERE merge_id = %s AND NOT had_kept ON CONFLICT (follow_id, tag_id) DO UPDATE SET origin = EXCLUDED.origin,"
        " rule_id = EXCLUDED.rule_id, actor_id = EXCLUDED.actor_id, state = EXCLUDED.state, tagged_at = EXCLUDED.tagged_at,"
        " via = EXCLUDED.via, last_error = ''",
        [tag_id, state, f"{MERGE}{merge.pk}", merge.pk],
    )


@transaction.atomic
def _switch_back(merge_id: int) -> None:
    """Whoever still carries what the merge gave her, and a friend still, gets the old tag back, as it was."""
    locks.lock_in_transaction(LOCK)
    merge = TagMerge.objects.select_for_update().get(pk=merge_id)
    tags = Tag.objects.select_for_update(of=("self",)).select_related("group").in_bulk([merge.old_id, merge.kept_id])
    old, kept, now = tags[merge.old_id], tags[merge.kept_id], clock.now()
    is_corp = old.group.kind == TagGroup.Kind.CORP
    merge.undone = _note_undone(merge, is_corp)
    merge.moves.filter(is_undone__isnull=True).update(is_undone=False)
    _put_back(merge, old.pk, "adding" if is_corp else "on")
    taken = FollowTag.objects.filter(
        tag=kept, follow__in=merge.moves.filter(is_undone=True, had_kept=False).values("follow")
    )
    if is_corp:
        taken.update(state=FollowTag.State.REMOVING, last_error="")
        _forget_ended(merge)
    else:
        taken.delete()
    old.alias_of = None
    old.save(update_fields=["alias_of"])
    merged_readers.restore(merge.rewritten)
    merged_readers.settle([old.pk, kept.pk], _moved(merge), merge.rewritten, now)
    merge.save(update_fields=["undone"])
    audit.record("tag.unmerged", old, by=SYSTEM, kept=kept.pk, relations=merge.undone)


def _note_undone(merge: TagMerge, is_corp: bool) -> int:
    """Whoever still carries what the merge gave her; who had the kept one before has to have it still. Only friends, where WeCom is told."""
    active = " AND f.relation = 'active'" if is_corp else ""
    return _run(
        "UPDATE tagging_tagmergemove AS m SET is_undone = true, is_told = false FROM tagging_followtag AS k, contacts_follow AS f"
        " WHERE m.merge_id = %s AND k.follow_id = m.follow_id AND k.tag_id = %s AND k.state IN ('on', 'adding')"
        f" AND (m.had_kept OR k.via = %s) AND f.id = m.follow_id{active}",
        [merge.pk, merge.kept_id, f"{MERGE}{merge.pk}"],
    )


def _forget_ended(merge: TagMerge) -> None:
    """Relations that ended before WeCom heard of their move: it would refuse now, so what it has of them stands, as before the merge."""
    ended = merge.moves.exclude(follow__relation=Relation.ACTIVE).filter(is_told=False, is_undone=False)
    marks = FollowTag.objects.filter(follow__in=ended.values("follow"))
    marks.filter(tag_id=merge.old_id, state=FollowTag.State.REMOVING).update(state=FollowTag.State.ON, last_error="")
    marks.filter(tag_id=merge.kept_id, state=FollowTag.State.ADDING, via=f"{MERGE}{merge.pk}").delete()
    ended.update(is_told=True)


def _put_back(merge: TagMerge, tag_id: int, state: str) -> int:
    return _run(
        "INSERT INTO tagging_followtag (follow_id, contact_id, tag_id, origin, rule_id, actor_id, state, tagged_at, via, last_error)"
        " SELECT follow_id, contact_id, %s, origin, r.id, actor_id, %s, tagged_at, m.via, '' FROM tagging_tagmergemove m"
        " LEFT JOIN tagging_rule r ON r.id = m.rule_id WHERE merge_id = %s AND is_undone"
        " ON CONFLICT (follow_id, tag_id) DO UPDATE SET origin = EXCLUDED.origin, rule_id = EXCLUDED.rule_id,"
        " actor_id = EXCLUDED.actor_id, state = EXCLUDED.state, tagged_at = EXCLUDED.tagged_at, via = EXCLUDED.via, last_error = ''",
        [tag_id, state, merge.pk],
    )


def _run(sql: str, params: Sequence[Any]) -> int:
    with connection.cursor() as cursor:
        cursor.execute(sql, list(params))
        return int(cursor.rowcount)


# --- Reading ----------------------------------------------------------------------------------------------------


def merges() -> QuerySet[TagMerge]:
    """Every merge, newest first."""
    return TagMerge.objects.select_related("old__group", "kept__group").order_by("-pk")


@transaction.atomic
def delete_old(merge: TagMerge, *, by: Actor) -> None:
    """The merged tag away in WeCom too, which frees its place there; the merge cannot be taken back afterwards. Raises UserError."""
    if merge.state != State.DONE or waiting_in_wecom(merge):
        raise UserError(_("合并还没有全部同步到企业微信,完成后才能删除旧标签"))
    delete_tag(merge.old, by=by)


def waiting_in_wecom(merge: TagMerge) -> int:
    """Relations whose call WeCom has not answered yet."""
    marks = FollowTag.objects.filter(follow__in=merge.moves.values("follow"), tag_id__in=(merge.old_id, merge.kept_id))
    pending = marks.filter(state__in=(FollowTag.State.ADDING, FollowTag.State.REMOVING))
    return int(pending.aggregate(n=Count("follow_id", distinct=True))["n"])
