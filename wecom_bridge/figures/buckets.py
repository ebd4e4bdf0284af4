"""Durations as counts per bucket: they add up across processes and minutes, and a percentile is true to its bucket."""

from bisect import bisect_left
from collections.abc import Sequence

# Upper bounds in milliseconds, about a factor 1.5 apart; what is slower than the last falls into one more bucket.
BOUNDS_MS = (
    1, 2, 3, 5, 8, 12, 20, 30, 50, 80, 120, 200, 300, 500, 800, 1_200, 2_000, 3_000, 5_000, 8_000, 12_000, 20_000,
    60_000, 300_000, 3_600_000,
)  # fmt: skip
SIZE = len(BOUNDS_MS) + 1


def bucket_of(milliseconds: float) -> int:
    """The index of the bucket that a duration falls into."""
    return bisect_left(BOUNDS_MS, milliseconds)


def add(one: Sequence[int], other: Sequence[int]) -> list[int]:
    """Two histograms as one."""
    return [a + b for a, b in zip(one, other, strict=True)]


def percentile(buckets: Sequence[int], share: float) -> int | None:
    """The upper bound in milliseconds of the bucket in which the given share (0–1) is reached; None without a count.

    For what is slower than every bound it is the last one: read it as "more than".
    """
    total = sum(buckets)
    if not total:
        return None
    reached = 0
    for index, count in enumerate(buckets):
        reached += count
        if reached >= share * total:
            return BOUNDS_MS[min(index, len(BOUNDS_MS) - 1)]
    return BOUNDS_MS[-1]
