"""How a benchmark is measured: interleaved rounds against a baseline, the median ratio, its spread, a goal to judge it by."""

import os
import platform
import statistics
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

ROUNDS = 5
QUICK_ROUNDS = 2


class Unfair(Exception):
    """The two sides did not do the same work, or the server is not set up as in production; there is no ratio to print."""


class Benchmark(ABC):
    """One claim. A file in this folder defines a subclass; the runner finds it by its `name`.

    `measure_subject` and `measure_baseline` return the same kind of number for the same work: seconds when `better` is
    "lower", a rate when it is "higher". The ratio is subject / baseline.
    """

    name: ClassVar[str]
    goal: ClassVar[float]
    better: ClassVar[Literal["lower", "higher"]] = "lower"
    baseline: ClassVar[str]  # what the subject is compared with, in one sentence
    scale: ClassVar[int]  # rows, events, tenants: the size the claim is made for
    quick_scale: ClassVar[int]
    rounds: ClassVar[int] = ROUNDS

    def __init__(self, scale: int) -> None:
        self.size = scale
        self.detail: dict[str, Any] = {}  # anything worth keeping beside the ratio, as JSON values

    def prepare(self) -> None:  # noqa: B027  most need it, some do not
        """Make what both sides need. Not measured."""

    @abstractmethod
    def measure_subject(self, round_number: int) -> float:
        """The product's way, once. Round -1 warms up and is not counted."""

    @abstractmethod
    def measure_baseline(self, round_number: int) -> float:
        """The yardstick, once, leaving the same rows in tables with the same indexes."""

    def compare(self) -> None:  # noqa: B027
        """Called after each round. Raises Unfair when the rows that the two sides left differ."""

    def close(self) -> None:  # noqa: B027
        """Remove what `prepare` made. Runs whatever happened."""


@dataclass
class Result:
    """What one benchmark found; `row` is its entry in results.json."""

    name: str
    ratio: float
    goal: float
    ok: bool
    detail: dict[str, Any] = field(default_factory=dict)

    def row(self) -> dict[str, Any]:
        """The entry in results.json."""
        return {"name": self.name, "ratio": self.ratio, "goal": self.goal, "ok": self.ok, "detail": self.detail}


def is_quick() -> bool:
    """SCALE=quick, or another size than the claim's (SCALE=100000): judges nothing and writes nothing."""
    return os.environ.get("SCALE", "") != ""


def chosen_scale(kind: type[Benchmark], *, quick: bool) -> int:
    """The size to measure at."""
    asked = os.environ.get("SCALE", "")
    return int(asked) if asked.isdecimal() else kind.quick_scale if quick else kind.scale


def run(kind: type[Benchmark], *, quick: bool) -> Result:
    """Measure one benchmark. Raises Unfair, or whatever the benchmark raised."""
    bench = kind(chosen_scale(kind, quick=quick))
    try:
        bench.prepare()
        pairs = list(_rounds(bench, QUICK_ROUNDS if quick else max(kind.rounds, ROUNDS)))
    finally:
        bench.close()
    return summarise(kind, bench, pairs)


def _rounds(bench: Benchmark, count: int) -> Iterator[tuple[float, float]]:
    """Pairs (subject, baseline). Sides take turns at going first, so that neither always finds the warmer machine."""
    for number in range(-1, count):
        if number % 2:
            baseline = bench.measure_baseline(number)
            subject = bench.measure_subject(number)
        else:
            subject = bench.measure_subject(number)
            baseline = bench.measure_baseline(number)
        bench.compare()
        if number >= 0:
            yield subject, baseline


def summarise(kind: type[Benchmark], bench: Benchmark, pairs: list[tuple[float, float]]) -> Result:
    """The median of the rounds' ratios, judged against the goal; the spread is (max - min) / median."""
    if any(subject <= 0 or baseline <= 0 for subject, baseline in pairs):
        raise Unfair("a round measured nothing")
    ratios = [subject / baseline for subject, baseline in pairs]
    ratio = statistics.median(ratios)
    ok = ratio <= kind.goal if kind.better == "lower" else ratio >= kind.goal
    detail = {
        "scale": bench.size,
        "baseline": kind.baseline,
        "better": kind.better,
        "rounds": len(pairs),
        "spread": round((max(ratios) - min(ratios)) / ratio, 3),
        "ratios": [round(value, 3) for value in ratios],
        "subject": [round(subject, 4) for subject, _ in pairs],
        "yardstick": [round(baseline, 4) for _, baseline in pairs],
        "machine": {"cores": os.cpu_count(), "system": platform.system(), "arch": platform.machine()},
        **bench.detail,
    }
    return Result(kind.name, round(ratio, 3), kind.goal, ok, detail)


# --- For the benchmarks themselves ------------------------------------------------------------------------------


class Stopwatch:
    """`with Stopwatch() as watch: ...`, then `watch.seconds`."""

    seconds: float = 0.0

    def __enter__(self) -> "Stopwatch":
        self._began = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self._began


@contextmanager
def cpu_of(pids: dict[str, int], into: dict[str, Any]) -> Iterator[None]:
    """CPU seconds that each named process and its children spend inside the block, stored under into["cpu_seconds"].

    It shows whether the load generator or the simulator, rather than the product, was what limited a round.
    """
    before = {name: _cpu_seconds(pid) for name, pid in pids.items()}
    yield
    spent = {name: round(_cpu_seconds(pid) - before[name], 3) for name, pid in pids.items()}
    into.setdefault("cpu_seconds", []).append(spent)


def _cpu_seconds(pid: int) -> float:
    import psutil

    total = 0.0
    for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total


def require_durable_server() -> dict[str, str]:
    """The server's settings that a claim about writes depends on. Raises Unfair when one is not as in production."""
    from django.db import connection

    with connection.cursor() as cursor:
        found = {}
        for name in ("fsync", "synchronous_commit", "full_page_writes", "autovacuum"):
            cursor.execute(f"SHOW {name}")
            found[name] = cursor.fetchone()[0]
        cursor.execute("SHOW server_version")
        version = cursor.fetchone()[0]
    if any(value != "on" for value in found.values()):
        raise Unfair(f"the server is not set up as in production: {found}")
    return {**found, "postgres": version}
