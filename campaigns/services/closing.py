"""The end of a push: when every unit is over, it and its broadcast say so."""

from django.db import transaction
from django.db.models import Exists, OuterRef

from campaigns.models import Broadcast, Dispatch, Push
from campaigns.services import succeeding
from campaigns.states import FINAL_DISPATCH, PushState
from scrm.lib import clock


@transaction.atomic
def close_pushes() -> int:
    """End the open pushes that have no unit at work any more. How many ended. Six statements at most, and those of who was taken over meanwhile.

    Only the campaigns lane calls it: two units that end at the same time would each see the other still at work.
    """
    at_work = Dispatch.objects.filter(push=OuterRef("pk")).exclude(state__in=FINAL_DISPATCH)
    over = Push.objects.select_for_update(of=("self",)).filter(~Exists(at_work), state=PushState.FROZEN)
    rows = list(over.values_list("pk", "stop_wanted_at"))
    now = clock.now()
    succeeding.carry_on([pk for pk, stopped in rows if not stopped], now)
    for state, ids in (
        (PushState.STOPPED, [pk for pk, stopped in rows if stopped]),
        (PushState.ENDED, [pk for pk, stopped in rows if not stopped]),
    ):
        if ids:
            Push.objects.filter(pk__in=ids).update(state=state, ended_at=now)
            Broadcast.objects.filter(push_id__in=ids).update(state=state.value, updated_at=now)
    return len(rows)
