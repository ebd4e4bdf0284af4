"""Welcome first: an event with a WelcomeCode reaches its resolver before anything is read, and then the inbox.

The lane is not exclusive. Each row is claimed by its lock alone, inside the transaction that resolves it, so a killed
worker leaves nothing behind and two workers never meet on one row.
"""

import logging
from datetime import datetime, timedelta

from django.db import transaction

from scrm.lib import clock
from tenants import jobs
from wecom_bridge import contracts
from wecom_bridge.gateway import CallError, gateway_for
from wecom_bridge.models import Corp, InboundEvent
from wecom_bridge.services import inbox, outbox
from wecom_bridge.services.dirty import fact_of
from wecom_bridge.services.errors import in_words

logger = logging.getLogger(__name__)

LANE = "welcome"
RESOLVE_FOR = timedelta(seconds=0.5)


def drain(deadline: datetime) -> bool:
    """Resolve some, send them, and again: in a rush the first may not wait for the last. Only then look after the tokens, so that
    no other call comes first."""
    more = True
    while more and clock.wall() < deadline:
        more = resolve_codes(min(deadline, clock.wall() + RESOLVE_FOR))
        more = outbox.drain(deadline, LANE) or more
    keep_tokens_warm()
    return more


def next_due() -> datetime | None:
    """The domain instant at which the next welcome command can be claimed."""
    return outbox.next_due(LANE)


def keep_tokens_warm() -> None:
    """The rolling sweep passes here every ten minutes: a welcome never waits for a token."""
    for corp in Corp.objects.filter(is_active=True, credentials__broken_at=None, credentials__isnull=False).distinct():
        try:
            gateway_for(corp, level="welcome").warm_token()
        except CallError as error:
            logger.warning("no token for corp %s: %s", corp.pk, error)


def resolve_codes(until: datetime) -> bool:
    """Resolve waiting events one by one; True when it stopped with some left."""
    while clock.wall() < until:
        if not _resolve_one():
            return False
    return True


@transaction.atomic
def _resolve_one() -> bool:
    row = (
        InboundEvent.objects.select_for_update(skip_locked=True, of=("self",))
        .select_related("corp")
        .filter(lane=LANE, state__in=inbox.OPEN)
        .order_by("next_attempt_at", "id")
        .first()
    )
    if row is None:
        return False
    _tell_resolver(row)
    row.lane, row.next_attempt_at = inbox.LANE, clock.wall()
    row.save(update_fields=["lane", "next_attempt_at", "last_error"])
    jobs.nudge(inbox.LANE)
    return True


def _tell_resolver(row: InboundEvent) -> None:
    """A resolver that fails costs the welcome, never the customer: the event goes on to the inbox with the reason."""
    resolver = contracts.welcome_resolver()
    if resolver is None:
        return
    try:
        with transaction.atomic():
            resolver(row.corp, fact_of(row))
    except Exception as error:
        logger.exception("welcome of event %s failed", row.pk)
        row.last_error = f"welcome: {in_words(error)}"
