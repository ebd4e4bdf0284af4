"""Handling settled events once more: one, or a range. The entity is read as it is today, facts already written stay single,
and no welcome is decided again: a replayed event goes to the inbox, never to the welcome lane."""

from collections.abc import Iterator

from django.db import transaction

from scrm.lib import clock
from tenants import audit, jobs
from tenants.audit import Actor
from wecom_bridge.callbacks import parsing
from wecom_bridge.callbacks.envelope import Refused
from wecom_bridge.models import InboundEvent
from wecom_bridge.selection import Selection, replayable
from wecom_bridge.services import inbox

SLICE = 1_000  # events per transaction, each with its audit row


def replay(chosen: Selection, *, by: Actor) -> int:
    """Handle them once more; how many. What arrives or settles meanwhile with a higher id is left out."""
    last = replayable(chosen).order_by("-pk").values_list("pk", flat=True).first()
    done, after = 0, 0
    while last is not None and after < last:
        told, after = _replay_slice(chosen, after, last, by)
        done += told
        if after == 0:
            break
    return done


@transaction.atomic
def _replay_slice(chosen: Selection, after: int, last: int, by: Actor) -> tuple[int, int]:
    """(how many, the highest id looked at, 0 when there was none left). The deed and its audit row are one."""
    rows = replayable(chosen).filter(pk__gt=after, pk__lte=last).select_for_update(of=("self",)).order_by("pk")
    found = list(rows.values_list("pk", "entity_key")[:SLICE])
    if not found:
        return 0, 0
    for pk, entity_key in _aimed([pk for pk, entity_key in found if not entity_key]):
        InboundEvent.objects.filter(pk=pk).update(entity_key=entity_key)
    now = clock.wall()
    count = InboundEvent.objects.filter(pk__in=[pk for pk, _key in found]).exclude(entity_key="").update(
        state=InboundEvent.State.WAITING, lane=inbox.LANE, attempts=0, next_attempt_at=now, settled_at=None,
        claimed_until=None, last_error="",
    )  # fmt: skip
    first_id, last_id = found[0][0], found[-1][0]
    audit.record("inbox.replayed", by=by, count=count, first_id=first_id, last_id=last_id, chosen=chosen.told())
    jobs.nudge(inbox.LANE)
    return count, found[-1][0]


def _aimed(pks: list[int]) -> Iterator[tuple[int, str]]:
    """Events kept as ignored that somebody handles since."""
    for pk, corp_id, body, at in InboundEvent.objects.filter(pk__in=pks).values_list(
        "pk", "corp_id", "body", "occurred_at"
    ):
        try:
            event = parsing.understand(body.encode(), at)
        except Refused:
            continue
        if event.entity:
            yield pk, f"{corp_id}:{event.entity}"
