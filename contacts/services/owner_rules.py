"""The merchant's rule of 业绩归属: choosing it moves nobody; how many it would move is counted, and it is applied, by a job in steps."""

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from conditions import consumers
from contacts import longjobs
from contacts.models import Contact
from contacts.policy import BASES, RULES, STORE, people_policy
from contacts.services.standing import count_moves, refresh_standing
from scrm.lib import clock
from scrm.lib.errors import UserError
from tenants import audit, locks
from tenants.audit import Actor
from tenants.ledger.models import Job
from tenants.services.policies import change_policy

COUNT, APPLY = "contacts.count_owner_moves", "contacts.apply_owner_rule"
BATCH = 500
_OPEN = (Job.State.QUEUED, Job.State.RUNNING)


@transaction.atomic
def save_rule(kind: str, basis: str, *, tells_clashes: bool, by: Actor) -> None:
    """Choose the rule for addings and endings from now on, and whether guides are told of 撞单. Raises UserError."""
    if kind not in RULES or (kind == STORE and basis not in BASES):
        raise UserError(_("请选择一种归属规则。"))
    basis = basis if basis in BASES else people_policy().owner_rule.basis
    change_policy("contacts", owner_rule=kind, owner_basis=basis, tells_clashes=tells_clashes)
    audit.record("owner_rule.saved", by=by, rule=kind, basis=basis, tells_clashes=tells_clashes)


@transaction.atomic
def start(kind: str, *, by: Actor) -> Job:
    """COUNT how many the rule of today would give to another guide, or APPLY it to them. Raises UserError while one of them runs."""
    locks.lock_in_transaction(APPLY)
    running = Job.objects.filter(kind__in=(COUNT, APPLY), state__in=_OPEN).order_by("pk").first()
    if running is not None:
        raise UserError(_("「%(title)s」还在进行,请等它做完。") % {"title": running.title})
    title = _("计算归属会变的客户") if kind == COUNT else _("按规则整理归属")
    if kind == APPLY:
        audit.record("owner_rule.applied", by=by, rule=_rule_of_today())
    return longjobs.start(kind, title, params=_rule_of_today(), by=by, total=_people(0).count())


def last_job() -> Job | None:
    """The count or the application that was asked for last."""
    return Job.objects.filter(kind__in=(COUNT, APPLY)).order_by("-pk").first()


def step(job: Job, deadline: datetime) -> bool:
    """Go on with everybody in the order of ids. Raises UserError when the rule is another by now."""
    while clock.wall() < deadline:
        with transaction.atomic():
            if job.params != _rule_of_today():
                raise UserError(_("归属规则在这期间改过,请重新计算。"))
            if job.kind == APPLY:
                locks.lock_in_transaction("people")
            ids = list(_people(int(job.result.get("after", 0))).order_by("pk").values_list("pk", flat=True)[:BATCH])
            if not ids:
                return True
            moved = (
                count_moves(ids) if job.kind == COUNT else len(refresh_standing(ids, now=clock.now(), thorough=True))
            )
            job.done += len(ids)
            job.result = {**job.result, "after": ids[-1], "moved": int(job.result.get("moved", 0)) + moved}
            job.save(update_fields=["done", "result"])
    return False


def _people(after: int) -> QuerySet[Contact]:
    return Contact.objects.filter(root__isnull=True, last_added_at__isnull=False, pk__gt=after)


def _rule_of_today() -> dict[str, str]:
    rule = people_policy().owner_rule
    return {"kind": rule.kind, "basis": rule.basis if rule.kind == STORE else ""}


# --- A purchase, where the rule goes by purchases -----------------------------------------------------------------


def reads() -> set[str]:
    """What changes her store besides addings and endings, which are judged in the transaction that writes them."""
    return {"order"} if people_policy().owner_rule.reads_purchases else set()


def consume(root_ids: Sequence[int], _keys: frozenset[str], now: datetime) -> None:
    """These people bought."""
    refresh_standing(root_ids, now=now)


def absorb(root_ids: Sequence[int], _keys: frozenset[str], now: datetime) -> None:
    """The same, where only the first sync told us."""
    refresh_standing(root_ids, now=now, backfill=True)


CONSUMER = consumers.Consumer("owner_rule", reads, consume, absorb=absorb, order=50)
