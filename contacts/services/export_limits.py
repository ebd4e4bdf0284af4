"""How many customers one person takes along in files on a tenant day, where no second permission says that she may take more.

Every row asked for counts, also of a customer who was in an earlier file; files that failed count nothing.
"""

from datetime import datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from django.db import transaction
from django.db.models import Sum
from django.db.models.functions import Coalesce, Greatest
from django.utils.translation import gettext as _

from contacts.policy import EXPORTS_MOST, people_policy
from scrm.lib import clock
from scrm.lib.errors import UserError
from scrm.lib.numbers import whole_number
from tenants import audit, locks
from tenants.audit import Actor
from tenants.context import current_tenant
from tenants.ledger.models import Job
from tenants.services.policies import change_policy

BEYOND = "contacts.export_many"


class OverLimit(UserError):
    """She asked for more than the day still holds; `told` is what goes on record."""

    def __init__(self, taken: int, count: int, most: int) -> None:
        words = _(
            "每人每天最多导出 %(most)s 位客户,您今天已经导出 %(taken)s 位,这次 %(count)s 位超过了上限。"
            "请加上筛选缩小范围,或明天再导;确实需要,请有「导出不受每日上限」权限的管理者来导出,或在「导出记录」里调高上限。"
        ) % {"most": f"{most:,}", "taken": f"{taken:,}", "count": f"{count:,}"}
        super().__init__(words, code="over_limit")
        self.told: dict[str, Any] = {"taken": taken, "count": count, "most": most}


def taken_today(user_id: int, kinds: list[str]) -> int:
    """Rows of the files that somebody asked for since the tenant's midnight. One query."""
    zone = ZoneInfo(current_tenant().time_zone)
    since = datetime.combine(clock.local_day(clock.now(), current_tenant().time_zone), time(), zone)
    jobs = Job.objects.filter(kind__in=kinds, created_by_id=user_id, created_at__gte=since)
    counted = jobs.exclude(state__in=[Job.State.FAILED, Job.State.CANCELLED])
    found: int = counted.aggregate(n=Coalesce(Sum(Greatest(Coalesce("total", 0), "done")), 0))["n"]
    return found


def check(count: int, kinds: list[str], *, by: Actor) -> None:
    """In the transaction that begins the file: two at once do not both fit. Raises OverLimit."""
    locks.lock_in_transaction(f"exports:{by.id}")
    most, taken = people_policy().exports_a_day, taken_today(by.id or 0, kinds)
    if taken + count > most:
        raise OverLimit(taken, count, most)


@transaction.atomic
def save_limit(given: str, *, by: Actor) -> int:
    """The merchant's limit from now on. Raises UserError."""
    most = whole_number(given.strip().replace(",", ""))
    if most is None or not 1 <= most <= EXPORTS_MOST:
        raise UserError(_("每人每天的上限请填 1 到 %(most)s 之间的整数。") % {"most": f"{EXPORTS_MOST:,}"})
    before = people_policy().exports_a_day
    change_policy("contacts", exports_a_day=most)
    audit.record("contacts.export_limit_changed", by=by, before=before, after=most)
    return most
