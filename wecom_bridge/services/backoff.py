"""How long to wait before the next try."""

import random
from datetime import datetime, timedelta

STEPS = (5, 30, 120, 600, 1800, 3600)  # seconds; the last one repeats


def next_try(attempts: int, now: datetime, retry_after: float | None = None) -> datetime:
    """The wall instant of the next try after `attempts` failures; `retry_after` is WeCom's own wish, kept as the least."""
    step = float(STEPS[min(max(attempts, 1), len(STEPS)) - 1])
    wait = max(step if retry_after is None else 0.0, retry_after or 0.0)
    return now + timedelta(seconds=wait * random.uniform(1.0, 1.2))
