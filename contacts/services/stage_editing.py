"""The stages themselves: added, renamed, reordered, put out of use. Nobody is moved without being counted and agreed to first."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

from django.db import transaction
from django.db.models import Max, QuerySet
from django.utils.crypto import get_random_string
from django.utils.translation import gettext as _

from conditions.drain import LOCK
from conditions.reading import values_read
from contacts import longjobs
from contacts.models import Contact, Stage
from contacts.services.stage_answers import note_answers, standing_stages
from contacts.services.stages import change_stage
from scrm.lib import clock
from scrm.lib.errors import Conflict, UserError
from tenants import audit, locks
from tenants.audit import Actor
from tenants.ledger.models import Job

MOST = 20  # a board of more columns cannot be read
LONGEST = 3650  # days
EMPTY = "contacts.empty_stage"
BATCH = 1000

Uses = Callable[[int], Iterable[str]]
_uses: dict[str, Uses] = {}


def register_uses(name: str, find: Uses) -> None:
    """`find(stage id)` names what of an app uses a stage now (规则「…」), so that it is not put out of use underneath."""
    _uses[name] = find


Movers = Callable[[], Iterable[str]]
_movers: dict[str, Movers] = {}


def register_movers(name: str, find: Movers) -> None:
    """`find()` names what of an app may move on people whom somebody moved by hand (规则「…」), to warn whoever is about to."""
    _movers[name] = find


def movers() -> Iterator[str]:
    """Everything that may."""
    for find in _movers.values():
        yield from find()


def uses_of(stage_id: int) -> Iterator[str]:
    """Everything that uses the stage."""
    for stage in standing_stages():
        if stage.pk != stage_id and stage.rule and stage_id in values_read(stage.rule, "contact.stage"):
            yield _("阶段「%(name)s」的进入条件") % {"name": stage.name}
    for find in _uses.values():
        yield from find(stage_id)


def count_people(stage: Stage) -> int:
    """How many people stand in it."""
    return _people_in(stage.pk).count()


@transaction.atomic
def save_stage(stage_id: int | None, *, name: str, needs_reason: bool, max_days: int | None, by: Actor) -> Stage:
    """Add a stage at the end, or change one. Raises UserError."""
    locks.lock_in_transaction(LOCK)
    name = name.strip()
    if not name or len(name) > 20:
        raise UserError(_("请填写 1 到 20 个字的阶段名。"), fields={"name": _("1 到 20 个字")})
    if Stage.objects.exclude(pk=stage_id or 0).filter(name=name, is_archived=False).exists():
        text = _("已有名为「%(name)s」的阶段,请换一个名字。") % {"name": name}
        raise UserError(text, fields={"name": _("名字已被使用")})
    if max_days is not None and not 1 <= max_days <= LONGEST:
        raise UserError(_("停留上限请填 1 到 3650 天,或留空。"), fields={"max_days": _("1 到 3650 天")})
    values = {"name": name, "needs_reason": needs_reason, "max_days": max_days}
    if stage_id is None:
        _refuse_too_many()
        stage = Stage.objects.create(key=_new_key(), order=_next_order(), **values)
    else:
        stage = Stage.objects.select_for_update().get(pk=stage_id)
        for key, value in values.items():
            setattr(stage, key, value)
        stage.save(update_fields=list(values))
    audit.record("stage.saved", stage, by=by, **values)
    return stage


@transaction.atomic
def shift_stage(stage_id: int, *, later: bool, by: Actor) -> None:
    """One place earlier or later in the order. Who answers to two rules may answer to the other now; nobody moves for that."""
    locks.lock_in_transaction(LOCK)
    stages = standing_stages()
    place = next((index for index, stage in enumerate(stages) if stage.pk == stage_id), None)
    if place is None:
        raise UserError(_("这个阶段已停用,请刷新页面。"))
    other = place + (1 if later else -1)
    if not 0 <= other < len(stages):
        return
    stages[place], stages[other] = stages[other], stages[place]
    for index, stage in enumerate(stages, start=1):
        stage.order = index * 10
    Stage.objects.bulk_update(stages, ["order"])
    note_answers(by=by)
    audit.record("stage.shifted", by=by, order=[stage.pk for stage in stages])


@transaction.atomic
def archive_stage(stage_id: int, *, target_id: int | None, expected: int, by: Actor) -> Job | None:
    """Put a stage out of use. Its people go to the target, in batches; the job that moves them, or None where nobody is there.

    expected: how many the person saw there. Raises Conflict when they are others now, UserError when something uses the stage,
    people stand in it and no target is given, or it is the last one.
    """
    locks.lock_in_transaction(LOCK)
    stage = Stage.objects.select_for_update().get(pk=stage_id)
    count = count_people(stage)
    if count != expected:
        text = _("您看到时有 %(seen)d 位客户在「%(name)s」,现在是 %(now)d 位。请核对后再停用。")
        raise Conflict(text % {"seen": expected, "name": stage.name, "now": count})
    uses = list(uses_of(stage.pk))
    if uses and not stage.is_archived:
        text = _("「%(name)s」正被使用:%(uses)s。请先改掉它们再停用。")
        raise UserError(text % {"name": stage.name, "uses": "、".join(uses[:5])})
    others = [one for one in standing_stages() if one.pk != stage.pk]
    target = next((one for one in others if one.pk == target_id), None)
    if not others:
        raise UserError(_("至少要留一个阶段。"))
    if count and target is None:
        text = _("「%(name)s」里还有 %(count)d 位客户,请先选择他们要移到的阶段。")
        raise UserError(text % {"name": stage.name, "count": count})
    stage.is_archived = True
    stage.save(update_fields=["is_archived"])
    note_answers(by=by)
    audit.record("stage.archived", stage, by=by, count=count, target=target.pk if target else None)
    if not count or target is None:
        return None
    title = _("「%(from)s」的客户移到「%(to)s」") % {"from": stage.name, "to": target.name}
    return longjobs.start(EMPTY, title, params={"from": stage.pk, "to": target.pk}, by=by, total=count)


@transaction.atomic
def restore_stage(stage_id: int, *, by: Actor) -> None:
    """In use again, at the end of the order. Raises UserError when its name is taken or there are too many."""
    locks.lock_in_transaction(LOCK)
    stage = Stage.objects.select_for_update().get(pk=stage_id)
    if not stage.is_archived:
        return
    if is_being_emptied(stage.pk):
        raise UserError(_("客户还在移出「%(name)s」,请等移完再恢复。") % {"name": stage.name})
    if Stage.objects.filter(name=stage.name, is_archived=False).exists():
        raise UserError(_("已有名为「%(name)s」的阶段,请先给那一个改名。") % {"name": stage.name})
    _refuse_too_many()
    stage.is_archived, stage.order = False, _next_order()
    stage.save(update_fields=["is_archived", "order"])
    note_answers(by=by)
    audit.record("stage.restored", stage, by=by)


def is_being_emptied(stage_id: int) -> bool:
    """Whether a job still moves people out of the stage."""
    open_states = [Job.State.QUEUED, Job.State.RUNNING]
    return Job.objects.filter(kind=EMPTY, state__in=open_states, params__from=stage_id).exists()


def empty_step(job: Job, deadline: datetime) -> bool:
    """Move further people out of the stage; each batch commits with the job's progress."""
    by = Actor("user", job.created_by_id) if job.created_by_id else Actor("system")
    while clock.wall() < deadline:
        with transaction.atomic():
            after = int(job.result.get("after", 0))
            ids = list(
                _people_in(job.params["from"]).filter(pk__gt=after).order_by("pk")[:BATCH].values_list("pk", flat=True)
            )
            if not ids:
                return True
            target = Stage.objects.get(pk=job.params["to"])
            moved = change_stage(ids, target, source="manual", reason=_("原阶段已停用"), by=by, at=clock.now())
            job.done += len(moved)
            job.result = {**job.result, "after": ids[-1]}
            job.save(update_fields=["done", "result"])
    return False


def _people_in(stage_id: int) -> QuerySet[Contact]:
    return Contact.objects.filter(root__isnull=True, stage_id=stage_id)


def _refuse_too_many() -> None:
    if Stage.objects.filter(is_archived=False).count() >= MOST:
        raise UserError(_("最多 %(most)d 个阶段,请先停用一个。") % {"most": MOST})


def _next_order() -> int:
    return int(Stage.objects.aggregate(last=Max("order"))["last"] or 0) + 10


def _new_key() -> str:
    return f"s_{get_random_string(10, 'abcdefghijklmnopqrstuvwxyz234567')}"
