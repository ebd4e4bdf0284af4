"""Entry rules of the stages: each may have a condition tree, and who newly answers to one is moved.

The rules' answer for a person is the last stage in the order whose tree holds for her. She moves when that answer changes, not
while it stays: a stage set by hand stands until then. Rules lead forward in the order; back only to a stage that says so
(Stage.leads_back). Saving a rule, or another order, notes everybody's answer and moves nobody (services.stage_answers); who holds
already is moved when somebody asks for it (apply_rule). Facts of the first sync are noted the same way; who stands in no stage yet
is placed, as 回填.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Count, Q, QuerySet
from django.utils.translation import gettext as _

from conditions import boundaries, consumers, dirty
from conditions.drain import LOCK
from conditions.people import people
from conditions.reading import field_keys
from conditions.schema import validate
from conditions.tree import is_everyone
from contacts.models import Contact, Stage, StageTransition
from contacts.services.stage_answers import READER, answer, joined, note_answers, reached, standing_stages, unfinished
from contacts.services.stages import change_stage
from scrm.lib import clock
from scrm.lib.db.bulk import lock_rows, update_rows
from scrm.lib.errors import Conflict, UserError
from tenants import audit, locks
from tenants.audit import SYSTEM, Actor

logger = logging.getLogger(__name__)
# Two rules may send a person to and fro: so often a day they move one person.
MOVES_A_DAY = 3


# --- Consuming marks --------------------------------------------------------------------------------------------


def reads() -> set[str]:
    """Every key some entry rule reads."""
    trees = [stage.rule for stage in standing_stages() if stage.rule]
    found = {key for tree in trees for key in field_keys(tree)}
    return found | {boundaries.recheck_key(READER)} if trees else found


def consume(root_ids: Sequence[int], keys: frozenset[str], now: datetime) -> None:
    """Move whoever answers to another rule than before."""
    _decide(root_ids, now, acting=True)


def absorb(root_ids: Sequence[int], keys: frozenset[str], now: datetime) -> None:
    """The same for facts of the first sync: only people without a stage are placed."""
    _decide(root_ids, now, acting=False)


CONSUMER = consumers.Consumer("stages", reads, consume, absorb=absorb, order=100)


def _decide(root_ids: Sequence[int], now: datetime, *, acting: bool) -> None:
    stages = standing_stages()
    if not any(stage.rule for stage in stages):
        return
    root_ids = reached(root_ids)
    rows = people().filter(pk__in=root_ids).annotate(_answer=answer(stages, now))
    changed = {pk: said for pk, before, said in rows.values_list("pk", "ruled_stage", "_answer") if said != before}
    boundaries.schedule(READER, joined(stages), root_ids, now)
    # Locked in the order of ids, as every writer does; where she stands is what the lock found, not what was read before.
    locked = Contact.objects.select_for_update(of=("self",), no_key=True).filter(pk__in=changed).order_by("pk")
    moves: dict[int, list[int]] = defaultdict(list)
    for pk, current in locked.values_list("pk", "stage_id"):
        said = changed[pk]
        if said is not None and (_may_move(stages, current, said) if acting else current is None):
            moves[said].append(pk)
    update_rows(Contact, [{"id": pk, "ruled_stage": said} for pk, said in changed.items()])
    for stage in stages:
        if moves[stage.pk]:
            _move(stage, moves[stage.pk], now, acting=acting)


def _may_move(stages: list[Stage], current: int | None, said: int) -> bool:
    """Forward always; back where the stage says so; from nowhere, or from a stage no longer in use, anywhere."""
    place = {stage.pk: index for index, stage in enumerate(stages)}
    if current not in place:
        return True
    return said != current and (place[said] > place[current] or stages[place[said]].leads_back)


def _move(stage: Stage, ids: list[int], now: datetime, *, acting: bool) -> None:
    tired = _moved_too_often(ids, now)
    if tired:
        logger.warning("stage rules moved %d people %d times within a day; left alone", len(tired), MOVES_A_DAY)
    source = "rule" if acting else "backfill"
    change_stage(set(ids) - tired, stage, source=source, reason=_("符合进入条件"), by=SYSTEM, at=now)


def _moved_too_often(ids: Iterable[int], now: datetime) -> set[int]:
    recent = StageTransition.objects.filter(
        contact_id__in=list(ids), source="rule", changed_at__gt=now - timedelta(days=1)
    )
    counted = recent.values("contact_id").annotate(moves=Count("pk")).filter(moves__gte=MOVES_A_DAY).order_by()
    return set(counted.values_list("contact_id", flat=True))


# --- Changing rules ---------------------------------------------------------------------------------------------


def entering(stage: Stage, now: datetime) -> QuerySet[Any]:
    """People who answer to the stage's rule but stand elsewhere, whence it may move them: those it met before they came to match,
    and those moved away by hand since."""
    stages = standing_stages()
    answering: QuerySet[Any] = people().annotate(_answer=answer(stages, now)).filter(_answer=stage.pk)
    found = answering.exclude(stage_id=stage.pk)
    if stage.leads_back or stage.is_archived:
        return found
    ids = [one.pk for one in stages]
    return found.filter(Q(stage__isnull=True) | ~Q(stage_id__in=ids[ids.index(stage.pk) :]))


@transaction.atomic
def save_rule(stage_id: int, *, tree: dict[str, Any] | None, leads_back: bool, by: Actor) -> Stage:
    """Give a stage its entry rule, or none (tree None: by hand only). Who answers to it already is noted, and stays where she is.

    Raises ConditionInvalid or UserError.
    """
    locks.lock_in_transaction(LOCK)  # no batch of marks may run between the note and the switch
    stage = _standing(stage_id)
    if tree is not None and is_everyone(validate(tree)):
        raise UserError(_("还没有条件,请至少添加一条,或选择「只由人工移入」。"))
    stage.rule, stage.leads_back = tree, leads_back
    stage.save(update_fields=["rule", "leads_back"])
    note_answers(by=by)
    audit.record("stage.rule_saved", stage, by=by, by_hand=tree is None, leads_back=leads_back)
    return stage


@transaction.atomic
def apply_rule(stage_id: int, *, expected: int, by: Actor) -> int:
    """Move everybody the rule holds for already, soon and in batches; how many. Raises Conflict when they are not as many as the
    person saw."""
    locks.lock_in_transaction(LOCK)
    if unfinished().exists():
        raise Conflict(_("还在按新的条件核对客户,核对完才能移入。"))
    stage = _standing(stage_id)
    ids = list(entering(stage, clock.now()).values_list("pk", flat=True))
    if expected != len(ids):
        text = _("会移入的客户已从 %(seen)d 人变为 %(now)d 人,请看过新的人数再移。")
        raise Conflict(text % {"seen": expected, "now": len(ids)})
    lock_rows(Contact, ids)
    Contact.objects.filter(pk__in=ids).update(ruled_stage=None)  # their answer is news again
    dirty.mark(ids, CONSUMER.own_key, backfill=False)
    audit.record("stage.rule_applied", stage, by=by, count=len(ids))
    return len(ids)


def _standing(stage_id: int) -> Stage:
    stage = Stage.objects.select_for_update().get(pk=stage_id)
    if stage.is_archived:
        raise UserError(_("阶段「%(name)s」已停用,请先恢复使用。") % {"name": stage.name})
    return stage
