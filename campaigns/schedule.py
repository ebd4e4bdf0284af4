"""When a SOP step is due: day N at its slot in the tenant's time; a step of the first day waits for the next slot after entry."""

from datetime import datetime, time, timedelta

from campaigns.policy import SendPolicy
from campaigns.times import at_local, local_day


def slot_of(entered_at: datetime, day: int, slot: time, policy: SendPolicy) -> datetime:
    """The instant a step is sent out to its guide.

    Day 0: the first of the tenant's slots after the entry that is not before the step's own slot of that day; after the last
    one, the first slot of the next day. Later days: the step's slot on that day.
    """
    first_day = local_day(entered_at, policy)
    wanted = at_local(first_day + timedelta(days=day), slot, policy)
    if day > 0 or wanted > entered_at:
        return wanted
    coming = (at_local(first_day + timedelta(days=n), at, policy) for n in (0, 1) for at in policy.slots)
    return next(at for at in coming if at > entered_at)
