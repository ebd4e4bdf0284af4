"""试算: whom a rule would have touched over the last days, day by day. Nothing is written but the job's result.

Facts are those of the past (compile_tree as_of); what a person has only one value of is today's. What a rule did is part of that past:
nothing here imagines the world without it.
"""

from datetime import UTC, date, datetime, timedelta
from datetime import time as day_time
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import connection, transaction
from django.db.models import QuerySet
from django.db.models.functions import Coalesce
from django.utils.translation import gettext as _

from conditions.compiler import compile_tree
from conditions.people import people
from conditions.sweeps import room
from conditions.windows import zone
from contacts import longjobs
from scrm.lib import clock
from scrm.lib.errors import UserError
from tagging import actions, triggers
from tagging.models import Rule, SegmentChange
from tagging.services.broken import reasons_against
from tagging.services.rule_schedule import next_slot
from tenants.audit import Actor
from tenants.ledger.models import Job

KIND = "tagging.rule_dry_run"
LONGEST = 90
KEPT = 20_000  # people told apart over all days; of more we say 至少
SAMPLE = 10


@transaction.atomic
def start(rule: Rule, days: int | None, *, by: Actor) -> Job:
    """Begin. Raises UserError for a rule that cannot work, or days that are none."""
    if days is None or not 1 <= days <= LONGEST:
        raise UserError(_("请写 1 到 %(most)d 天") % {"most": LONGEST})
    reasons = reasons_against(rule)
    if reasons:
        raise UserError(reasons[0])
    title = _("试算规则「%(name)s」") % {"name": rule.name}
    params = {"rule": rule.pk, "version": rule.version, "days": days}
    return longjobs.start(KIND, title, params=params, by=by, total=days)


def step(job: Job, deadline: datetime) -> bool:
    """Some days of it, the oldest first; True at the end."""
    rule = Rule.objects.filter(pk=job.params["rule"], version=job.params["version"]).first()
    if rule is None:
        raise UserError(_("规则已修改,请按新的版本再试算一次。"))
    while job.done < job.params["days"]:
        if clock.wall() >= deadline:
            return False
        _count_day(rule, job)
        job.save(update_fields=["done", "result"])
    return True


def _count_day(rule: Rule, job: Job) -> None:
    today = (job.started_at or job.created_at).astimezone(zone()).date()
    day = today - timedelta(days=job.params["days"] - 1 - job.done)
    touched = touched_on(rule, day, job.started_at or job.created_at)
    with transaction.atomic(), room():
        count, ids = _first(touched, KEPT + 1)
        calls = sum(kind.calls(action, touched) for action in rule.actions if (kind := actions.find(action["kind"])))
    everybody = {*job.result.get("ids", ()), *ids}
    job.result = {
        **job.result,
        "days": [*job.result.get("days", ()), {"day": day.isoformat(), "people": count, "calls": calls}],
        "ids": sorted(everybody)[:KEPT],
        "is_more": job.result.get("is_more", False) or len(everybody) > KEPT,
    }
    job.done += 1


def _first(people: QuerySet[Any], most: int) -> tuple[int, list[int]]:
    """How many there are, and the ids of the first so many: of one instant, and the others stay in the database."""
    try:
        sql, params = people.order_by().values_list("pk").query.sql_with_params()
    except EmptyResultSet:
        return 0, []
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH found (id) AS MATERIALIZED ({sql}) SELECT (SELECT count(*) FROM found),"
            " ARRAY(SELECT id FROM found ORDER BY id LIMIT %s)",
            [*params, most],
        )
        count, ids = cursor.fetchone()
    return int(count), ids


def touched_on(rule: Rule, day: date, now: datetime) -> QuerySet[Any]:
    """Whom the rule would have acted on during a day of the merchant's clock, as far as `now`: a query of people, to be asked in
    conditions.sweeps.room()."""
    begins, ends = (datetime.combine(one, day_time(), zone()).astimezone(UTC) for one in (day, day + timedelta(days=1)))
    ends = min(ends, now)
    if rule.is_match:
        held = _matching(rule, begins)
        return _matching(rule, ends).exclude(pk__in=held.values("pk"))
    if rule.when["kind"] == "schedule":
        slot = next_slot(rule.when, begins - timedelta(microseconds=1))
        return _matching(rule, slot) if slot is not None and slot < ends else people().none()
    return _matching(rule, ends, sweep=False).filter(pk__in=_heard(rule, begins, ends))  # few of all


def _heard(rule: Rule, begins: datetime, ends: datetime) -> QuerySet[Any, Any]:
    """Ids of the roots to whom it happened."""
    if rule.when["kind"] == "segment":
        changes = SegmentChange.objects.filter(
            segment_id=rule.when["segment"], kind=rule.when["way"], changed_at__gte=begins, changed_at__lt=ends
        )
        return _roots(changes.exclude(cause=SegmentChange.Cause.BUILD))
    events = triggers.events_of(rule.when)
    assert events is not None  # each other trigger is about facts
    return _roots(events.filter(occurred_at__gte=begins, occurred_at__lt=ends))


def _roots(rows: QuerySet[Any]) -> QuerySet[Any, Any]:
    found: QuerySet[Any, Any] = rows.order_by().annotate(person=Coalesce("contact__root_id", "contact_id"))
    return found.values("person")


def _matching(rule: Rule, at: datetime, *, sweep: bool = True) -> QuerySet[Any]:
    return people().filter(compile_tree(rule.tree, at, as_of=True, sweep=sweep))


def latest(rule: Rule) -> Job | None:
    """The last one of the rule as it is now."""
    return Job.objects.filter(kind=KIND, params__rule=rule.pk, params__version=rule.version).order_by("-pk").first()


def figures(job: Job) -> dict[str, Any]:
    """What a page shows of one that is over, or under way."""
    days = job.result.get("days", [])
    return {
        "days": days,
        "people": len(job.result.get("ids", ())),
        "is_more": job.result.get("is_more", False),
        "runs": sum(one["people"] for one in days),
        "calls": sum(one["calls"] for one in days),
        "most": max((one["people"] for one in days), default=0),
    }
