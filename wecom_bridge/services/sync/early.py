"""A first sync shows people before it has read them all: those of the first page, each read with all her guides.

A page of a guide's list tells only her own follow, and a person must not be told by half. So these few are asked for one by one
(externalcontact/get names every guide); the rows that later pages bring of the same pairs are passed over. A courtesy: whatever
goes wrong here is left to the reading that follows.
"""

import logging

from django.db import connection, transaction

from wecom_bridge import contracts as c
from wecom_bridge.gateway import CallError, Gateway
from wecom_bridge.models import StagedRow, SyncRun, SyncUnit
from wecom_bridge.services.parallel import run_all
from wecom_bridge.services.sync import staging
from wecom_bridge.services.sync.customers import WIDTH
from wecom_bridge.services.sync.removals import TOLD, read_at_of
from wecom_bridge.services.sync.telling import tell

GUIDES = 5  # whose first page is looked at until one has customers
EARLY = ""  # the key of the unit that counts these people

logger = logging.getLogger(__name__)

# By the pairs themselves: joined with its own rows, the table without statistics was read from end to end.
_DROP_TOLD = """
DELETE FROM wecom_bridge_stagedrow
WHERE run_id = %s AND kind = 'contacts' AND (key, unit_key) IN (SELECT * FROM unnest(%s::text[], %s::text[]))
"""


def show_some(run: SyncRun, gateway: Gateway) -> None:
    """Tell the handlers of the first page's customers."""
    if SyncUnit.objects.filter(run=run, kind=SyncUnit.WRITE, key=EARLY).exists():
        return
    try:
        externals = _first_page(run, gateway)
    except CallError:
        return
    people = [
        one
        for _external, one in run_all(gateway.get_customer, externals, width=WIDTH)
        if isinstance(one, c.PersonRow) and one.follows
    ]
    if people:
        _tell(run, people)


def _first_page(run: SyncRun, gateway: Gateway) -> list[str]:
    units = SyncUnit.objects.filter(run=run, kind="contacts").order_by("id").values_list("key", flat=True)
    for userid in units[:GUIDES]:
        items, _cursor = gateway.get_customer_page(userid)
        if items:
            return [str(item["external_contact"]["external_userid"]) for item in items]
    return []


@transaction.atomic
def _tell(run: SyncRun, people: list[c.PersonRow]) -> None:
    tell(run, "people", c.PeopleBatch(run.corp, "backfill", read_at_of(run), rows=people))
    pairs = [(row.person.external_userid, follow.userid) for row in people for follow in row.follows]
    staging.write([staging.staged_row(run.pk, TOLD, userid, external, {}) for external, userid in pairs])
    SyncUnit.objects.create(
        run=run, kind=SyncUnit.WRITE, key=EARLY, state=SyncUnit.State.APPLIED, fetched=len(pairs)
    )  # the same transaction: told once


def pass_over(run: SyncRun) -> None:
    """Drop the staged rows of pairs that were told already."""
    told = list(StagedRow.objects.filter(run=run, kind=TOLD).values_list("key", "unit_key"))
    if told:
        with connection.cursor() as cursor:
            cursor.execute(_DROP_TOLD, [run.pk, *map(list, zip(*told, strict=True))])
