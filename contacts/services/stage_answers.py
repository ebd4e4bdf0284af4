"""What the entry rules of the stages say of people, and noting it when the rules themselves change: nobody moves for that.

A few people are noted at once, many by a job, batch after batch. Whom it has not reached yet the rules do not move, because
nobody knows which of two rules her answer is news of; what happens to her meanwhile is part of what is noted.
"""

import logging
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.db.models import BigIntegerField, Case, Max, Q, Value, When
from django.db.models.functions import Cast
from django.utils.translation import gettext as _

from conditions import boundaries, registry
from conditions.compiler import compile_tree
from conditions.drain import LOCK
from conditions.people import people
from conditions.schema import is_sound
from contacts import longjobs
from contacts.models import Contact, Stage
from scrm.lib import clock
from tenants import locks
from tenants.audit import Actor
from tenants.ledger.models import Job

logger = logging.getLogger(__name__)
READER = "stages"
KIND = "contacts.note_stage_answers"
AT_ONCE = 5000  # so many are noted within the request
BATCH = 2000
SOMEBODY = Q(pk__isnull=False)  # Case takes no empty condition


def standing_stages() -> list[Stage]:
    """The stages in use, in order."""
    return list(Stage.objects.filter(is_archived=False))


def answer(stages: Sequence[Stage], now: datetime) -> Any:
    """The last stage whose rule holds, as an expression over root contacts; null for none. A rule that names what is gone (a tag, a
    field nobody registers any more) holds for nobody; its page says so."""
    whens = []
    with registry.asked_once({}):
        for stage in reversed(stages):
            if not stage.rule:
                continue
            if not is_sound(stage.rule):
                logger.warning("the entry rule of stage %s names what is gone, and holds for nobody", stage.pk)
                continue
            whens.append(When(compile_tree(stage.rule, now) or SOMEBODY, then=Value(stage.pk)))
    return Cast(Case(*whens, default=None, output_field=BigIntegerField()), BigIntegerField())


def joined(stages: Iterable[Stage]) -> dict[str, Any]:
    """One tree that reads what all rules read: for their boundaries in time."""
    return {"version": 1, "root": {"any": [stage.rule["root"] for stage in stages if stage.rule]}}


def note_answers(*, by: Actor) -> Job | None:
    """Note what the rules say of everybody: now, or by the job that is returned. The caller holds the drain's lock."""
    unfinished().update(state=Job.State.CANCELLED, finished_at=clock.now())  # its rules are not those of now
    if people()[: AT_ONCE + 1].count() <= AT_ONCE:
        _note(None)
        return None
    last = Contact.objects.aggregate(last=Max("pk"))["last"]
    count = people().count()
    return longjobs.start(KIND, _("按新的进入条件核对客户"), params={"last": last}, by=by, total=count)


def unfinished() -> Any:
    """The job that notes people, if it is not through: at most one. One that failed keeps whom it did not reach."""
    return Job.objects.filter(kind=KIND).exclude(state__in=[Job.State.DONE, Job.State.CANCELLED])


def reached(root_ids: Collection[int]) -> list[int]:
    """Those of these people whose answer is noted under the rules of now, or who came after these."""
    job = unfinished().first()
    if job is None:
        return list(root_ids)
    return [pk for pk in root_ids if not job.result.get("after", 0) < pk <= job.params["last"]]


def note_step(job: Job, deadline: datetime) -> bool:
    """Note further people; each batch commits with the job's progress."""
    while clock.wall() < deadline:
        with transaction.atomic():
            locks.lock_in_transaction(LOCK)  # no batch of marks may run between the note and the job's progress
            if not unfinished().filter(pk=job.pk).exists():
                return False  # rules were saved again: another job notes everybody
            found = people().filter(pk__gt=job.result.get("after", 0), pk__lte=job.params["last"])
            ids = list(found.order_by("pk").values_list("pk", flat=True)[:BATCH])
            if not ids:
                return True
            _note(ids)
            job.done += len(ids)
            job.result = {**job.result, "after": ids[-1]}
            job.save(update_fields=["done", "result"])
    return False


def _note(root_ids: Sequence[int] | None) -> None:
    """Of these people (None: of everybody), and when to look again."""
    now, stages = clock.now(), standing_stages()
    asked = people() if root_ids is None else people().filter(pk__in=root_ids)
    sql, params = asked.annotate(_answer=answer(stages, now)).values_list("pk", "_answer").query.sql_with_params()
    table = connection.ops.quote_name(Contact._meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH said (id, answer) AS ({sql}), stale AS MATERIALIZED ("
            f"SELECT known.id, said.answer FROM {table} AS known JOIN said ON said.id = known.id"
            " WHERE known.ruled_stage IS DISTINCT FROM said.answer ORDER BY known.id FOR UPDATE OF known)"
            f" UPDATE {table} AS known SET ruled_stage = stale.answer FROM stale WHERE known.id = stale.id",
            params,
        )
    boundaries.schedule(READER, joined(stages), root_ids, now)
