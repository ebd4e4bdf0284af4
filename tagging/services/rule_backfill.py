"""补跑: a rule that is on, run over everybody who matches now, as a job one can see, stop and, where the actions allow, take back.

The people are noted at the beginning (RuleEvents of the job), so a killed worker goes on where it stood and nobody is acted on twice.
What WeCom is asked goes behind everything else of its kind (causes.LOW).
"""

from collections import defaultdict
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Count, Q
from django.utils.translation import gettext as _

from conditions.drain import LOCK
from contacts import longjobs
from contacts.models import Contact, Stage
from contacts.services.stages import change_stage
from contacts.timeline import roots_of
from scrm.lib import clock
from scrm.lib.errors import Conflict, UserError
from tagging import causes
from tagging.models import FollowTag, Rule, RuleEvent, RuleVersion
from tagging.services import rule_schedule
from tagging.services.rule_authority import refuse_beyond
from tagging.services.rules import count_matching
from tagging.services.taking_back import take_back_tags
from tenants import audit, locks
from tenants.audit import SYSTEM, Actor
from tenants.ledger.models import Job
from wecom_bridge.paces import least_seconds

RUN, UNDO = "tagging.rule_backfill", "tagging.rule_backfill_undo"
BATCH = 200
API = "mark_tag"
State = RuleEvent.State


@transaction.atomic
def start(rule: Rule, *, expected: int | None, by: Actor) -> Job:
    """Note everybody who matches and begin. Raises Conflict when they are not as many as the person saw, or one is under way;
    UserError for a rule that is not on, NotAllowed for an action that `by` may not do herself."""
    locks.lock_in_transaction(LOCK)
    rule = Rule.objects.select_for_update().get(pk=rule.pk)
    refuse_beyond(rule.actions, by)
    if rule.state != Rule.State.ON:
        raise UserError(_("请先启用规则再补跑。"))
    if running(rule) is not None:
        raise Conflict(_("这条规则正在补跑,请等它完成或先停止。"))
    now, count = clock.now(), count_matching(rule)
    if count != expected:
        text = _("符合的客户已从 %(seen)d 人变为 %(now)d 人,请看过新的人数再补跑。")
        raise Conflict(text % {"seen": expected or 0, "now": count})
    for earlier in jobs_of(rule):  # one that was given up leaves people waiting
        _drop(earlier)
    title = _("补跑规则「%(name)s」") % {"name": rule.name}
    job = longjobs.start(RUN, title, params={"rule": rule.pk, "version": rule.version}, by=by, total=count)
    rule_schedule.insert_keyed(rule, f"job:{job.pk}:", now, now, job.pk)
    audit.record("rule.backfill_started", rule, by=by, count=count, job=job.pk)
    return job


def step(job: Job, deadline: datetime) -> bool:
    """Some batches; True when nobody waits any more."""
    while clock.wall() < deadline:
        more = _run_some(job)
        job.done = _rows(job).exclude(state=State.WAITING).count()
        job.save(update_fields=["done"])
        if not more:
            return True
    return False


@transaction.atomic
def _run_some(job: Job) -> bool:
    locks.lock_in_transaction(LOCK)
    ids = list(_rows(job).filter(state=State.WAITING).order_by("contact_id").values_list("pk", flat=True)[:BATCH])
    if not ids:
        return False
    with causes.in_no_haste():
        if rule_schedule.work_off(RuleEvent.objects.filter(pk__in=ids), clock.now()):
            raise RuntimeError("the rule stumbled")  # counted and tried again by longjobs; the cause is in the log
    return True


@transaction.atomic
def stop(job: Job, *, by: Actor) -> int:
    """Nobody who still waits is acted on; how many."""
    locks.lock_in_transaction(LOCK)
    count = _drop(job)
    audit.record("rule.backfill_stopped", None, by=by, job=job.pk, count=count)
    return count


def _drop(job: Job) -> int:
    waiting = _rows(job).filter(state=State.WAITING)
    return int(waiting.update(state=State.SKIPPED, outcome={"skipped": "stopped"}, settled_at=clock.now()))


# --- Taking back ------------------------------------------------------------------------------------------------


@transaction.atomic
def ask_undo(job: Job, *, by: Actor) -> Job:
    """Take back what it did: tags that still are the rule's, stages that still are as it set them. Raises Conflict while it runs or
    when it was asked already; NotAllowed as at its start."""
    locks.lock_in_transaction(LOCK)
    job = Job.objects.select_for_update().get(pk=job.pk)
    if not job.is_over:
        raise Conflict(_("补跑还没有结束,请先停止再撤销。"))
    if undo_of(job) is not None:
        raise Conflict(_("这次补跑已经撤销过了。"))
    did = RuleVersion.objects.filter(rule=job.params["rule"], number=job.params["version"]).first()
    refuse_beyond(did.actions if did else [], by)
    audit.record("rule.backfill_undone", None, by=by, job=job.pk)
    title = _("撤销:%(title)s") % {"title": job.title}
    return longjobs.start(UNDO, title, params={"job": job.pk, **job.params}, by=by, total=_acted(job.pk).count())


def undo_step(job: Job, deadline: datetime) -> bool:
    """Some batches; True at the end."""
    rule = Rule.objects.filter(pk=job.params["rule"]).first()
    if rule is None:
        raise UserError(_("规则已不存在。"))
    while clock.wall() < deadline:
        if not _undo_some(rule, job):
            return True
    return False


@transaction.atomic
def _undo_some(rule: Rule, job: Job) -> bool:
    locks.lock_in_transaction(LOCK)
    rows = list(_acted(job.params["job"]).filter(~Q(outcome__has_key="undone")).order_by("pk")[:BATCH])
    root_of = roots_of(row.contact_id for row in rows)
    together: dict[datetime, list[RuleEvent]] = defaultdict(list)
    for row in rows:
        together[row.settled_at or row.written_at].append(row)
        row.outcome = {**row.outcome, "undone": True}
    with causes.within({rule.pk}), causes.in_no_haste():
        for at, batch in sorted(together.items()):
            ids = sorted({root_of[row.contact_id] for row in batch if row.contact_id in root_of})
            causes.mark(ids)
            take_back_tags(rule, ids, put_at=at)
            _back_to_stages(batch, root_of, at)
    RuleEvent.objects.bulk_update(rows, ["outcome"], batch_size=1000)
    job.done += len(rows)
    job.save(update_fields=["done"])
    return bool(rows)


def _back_to_stages(rows: list[RuleEvent], root_of: dict[int, int], at: datetime) -> None:
    back: dict[tuple[int, int], list[int]] = defaultdict(list)
    for row in rows:
        for note in row.outcome.get("actions", ()):
            if note.get("kind") == "stage" and note.get("moved") and note.get("from") and row.contact_id in root_of:
                back[note["from"], note["stage"]].append(root_of[row.contact_id])
    stages = Stage.objects.filter(is_archived=False).in_bulk([before for before, _set in back])
    for (before, was_set), ids in sorted(back.items()):
        if before in stages:
            still = Contact.objects.filter(pk__in=ids, stage_id=was_set, stage_since=at).values_list("pk", flat=True)
            change_stage(list(still), stages[before], source="rule", reason=_("撤销补跑"), by=SYSTEM, at=clock.now())


# --- Reading ----------------------------------------------------------------------------------------------------


def _rows(job: Job) -> Any:
    return RuleEvent.objects.filter(job_id=job.pk)


def _acted(job_id: int) -> Any:
    return RuleEvent.objects.filter(job_id=job_id, state=State.DONE, outcome__has_key="actions")


def jobs_of(rule: Rule) -> Any:
    """Its backfills, newest first."""
    return Job.objects.filter(kind=RUN, params__rule=rule.pk).order_by("-pk")


def running(rule: Rule) -> Job | None:
    """The one under way."""
    found: Job | None = jobs_of(rule).filter(state__in=[Job.State.QUEUED, Job.State.RUNNING]).first()
    return found


def undo_of(job: Job) -> Job | None:
    """The job that takes it back; one that failed may be asked again."""
    rows = Job.objects.filter(kind=UNDO, params__job=job.pk).exclude(state=Job.State.FAILED)
    return rows.order_by("-pk").first()


def counts_of(job: Job) -> dict[str, int]:
    """How many waited, were acted on, and were left out and why. One query."""
    rows = _rows(job).values_list("state", "outcome__skipped").annotate(n=Count("pk")).order_by()
    found = {"waiting": 0, "done": 0, "stopped": 0, "skipped": 0}
    for state, skipped, n in rows:
        found[state if state != State.SKIPPED else "stopped" if skipped == "stopped" else "skipped"] += n
    return found


def count_at_wecom(rule: Rule) -> int:
    """Relations whose tags of this rule WeCom has not answered: calls that are still to come."""
    on_way = FollowTag.objects.filter(rule=rule, state__in=[FollowTag.State.ADDING, FollowTag.State.REMOVING])
    return on_way.values("follow_id").distinct().count()


def seconds_for(calls: int) -> float:
    """How long so many calls take at least under the rate governor, when nothing else is asked."""
    return least_seconds(API, calls, priority=causes.LOW)
