"""Customer groups: the list of each hundred owners, then every group by itself."""

from datetime import datetime

from django.db import transaction

from scrm.lib import clock
from wecom_bridge import contracts as c
from wecom_bridge.gateway import CallError, Gateway
from wecom_bridge.gateway.errors import GROUP_GONE
from wecom_bridge.models import SyncRun, SyncUnit
from wecom_bridge.services.errors import in_words
from wecom_bridge.services.parallel import run_all
from wecom_bridge.services.sync.customers import WIDTH, due_units
from wecom_bridge.services.sync.pause import note_error
from wecom_bridge.services.sync.telling import tell

TOGETHER = 50
OWNERS_PER_LIST = 100


def plan_lists(run: SyncRun, userids: list[str]) -> None:
    """A unit per hundred owners. Without an owner filter WeCom refuses ranges of more than 1,000 members (81017)."""
    chunks = range(0, len(userids), OWNERS_PER_LIST)
    SyncUnit.objects.bulk_create(
        [SyncUnit(run=run, kind="group_list", key=str(start)) for start in chunks], ignore_conflicts=True
    )


def fetch_lists(run: SyncRun, gateway: Gateway) -> None:
    """Read the lists that are due and make a unit of every group they name."""
    userids = list(SyncUnit.objects.filter(run=run, kind="contacts").order_by("id").values_list("key", flat=True))
    for unit in due_units(run, "group_list", 1_000):
        start = int(unit.key)
        try:
            found = _whole_list(gateway, userids[start : start + OWNERS_PER_LIST])
        except CallError as error:
            note_error(unit, error)
            continue
        with transaction.atomic():
            SyncUnit.objects.bulk_create(
                [SyncUnit(run=run, kind="group", key=chat_id, cursor=str(status)) for chat_id, status in found],
                ignore_conflicts=True,
            )
            unit.state, unit.fetched = SyncUnit.State.FETCHED, len(found)
            unit.save(update_fields=["state", "fetched"])


def _whole_list(gateway: Gateway, userids: list[str]) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    cursor = ""
    while True:
        page, cursor = gateway.get_group_page(userids, cursor)
        found += page
        if not cursor:
            return found


def fetch(run: SyncRun, gateway: Gateway, deadline: datetime) -> None:
    """Read groups and tell the handlers, a few dozen per transaction, until none is due or the slice is over."""
    while clock.wall() < deadline:
        units = due_units(run, "group", TOGETHER)
        if not units:
            return
        read_at = clock.now()
        groups: list[tuple[SyncUnit, c.GroupChatInfo]] = []
        gone: list[SyncUnit] = []
        errors: list[tuple[SyncUnit, CallError]] = []
        for unit, outcome in run_all(lambda one: gateway.get_group(one.key), units, width=WIDTH):
            if isinstance(outcome, c.GroupChatInfo):
                groups.append((unit, outcome))
            elif isinstance(outcome, CallError) and outcome.errcode == GROUP_GONE:
                gone.append(unit)
            else:
                error = outcome if isinstance(outcome, CallError) else CallError(f"broken answer: {in_words(outcome)}")
                errors.append((unit, error))
        _tell(run, read_at, groups, gone)
        for unit, error in errors:
            note_error(unit, error)


@transaction.atomic
def _tell(
    run: SyncRun, read_at: datetime, groups: list[tuple[SyncUnit, c.GroupChatInfo]], gone: list[SyncUnit]
) -> None:
    source: c.Source = "backfill" if run.kind == SyncRun.Kind.FIRST else "reconcile"
    batch = c.GroupsBatch(run.corp, source, read_at, [info for _unit, info in groups], [unit.key for unit in gone])
    tell(run, "groups", batch)
    told = [unit.pk for unit, _info in groups] + [unit.pk for unit in gone]
    SyncUnit.objects.filter(pk__in=told).update(state=SyncUnit.State.APPLIED)
