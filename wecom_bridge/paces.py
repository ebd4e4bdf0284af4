"""How fast WeCom may be asked, for pages that say how long something will take."""

from wecom_bridge.governor import limits


def least_seconds(api: str, calls: int, *, priority: int) -> float:
    """How long one corp's calls of a priority take at least under the rate governor, when nothing else is asked."""
    table = limits.in_force()
    known, level = table.of(api), limits.level_of(priority)
    windows = ((60, known.minute), (3600, known.hour))
    return max((calls * seconds / table.part(level, limit) for seconds, limit in windows if limit), default=0.0)
