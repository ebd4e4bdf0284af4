"""How much of the 20 seconds of a welcome code is used when the merchant has a backlog and another one reads everything."""

import json
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import ClassVar

import psycopg2

from benchmarks import load_stack
from benchmarks.harness import Benchmark, Unfair, cpu_of, require_durable_server

WINDOW_SECONDS = 20.0  # a welcome code's life (customer-contact reference 7.3)
SAMPLES = 500
EVERY_SECONDS = 0.12
LEAST_A_MINUTE = 300  # of the backlog, meanwhile: welcomes must not be fast because everything else stands still


class WelcomeUnderLoad(Benchmark):
    """p99 from WeCom's push of the callback to its acceptance of the welcome, by the simulator's own watch; none may be missed, and
    the backlog moves on.

    The whole product runs, with the processes of production. One merchant has the backlog and the newcomers, another reads her
    customers all the time.
    """

    name: ClassVar[str] = "welcome_under_load"
    goal: ClassVar[float] = 0.15
    baseline: ClassVar[str] = "the 20 s that WeCom gives"
    scale: ClassVar[int] = 100_000
    quick_scale: ClassVar[int] = 2_000
    rounds: ClassVar[int] = 3

    def prepare(self) -> None:
        self.detail |= {"server": require_durable_server(), "samples_a_round": SAMPLES, "every_seconds": EVERY_SECONDS}
        self.closing = ExitStack()
        size = f"scale:members=100,customers={self.size},groups=0"
        self.stack = self.closing.enter_context(load_stack.running([size, size]))
        first, second = self.stack.control.get("corps")["corps"]
        self.busy = self.stack.open_merchant("bench-busy", first)
        self.reader = self.stack.open_merchant("bench-reader", second)
        self.connection = psycopg2.connect(self.stack.database_url)
        self.connection.autocommit = True
        self.closing.callback(self.connection.close)
        self.pairs = load_stack.known_customers(self.stack, first, self.size)
        self.guides = sorted({userid for userid, _external in self.pairs})
        self._flood()

    def _flood(self) -> None:
        file = Path(self.stack.folder) / "flood.json"
        file.write_text(json.dumps(self.pairs))
        self.detail["flooded"] = self.stack.inside("flood", slug=self.busy["slug"], file=str(file))

    def measure_subject(self, round_number: int) -> float:
        """Seconds at p99 of the round's newcomers."""
        self.stack.inside("start_sync", slug=self.reader["slug"])
        samples = SAMPLES if round_number >= 0 else 20
        before, began = self._backlog(), time.monotonic()
        with cpu_of(self.stack.pids, self.detail), self._reading_on():
            codes = self._arrive(samples)
            taken = load_stack.wait_until("every welcome", lambda: self._accepted(codes), 60)
        self._check_load(before, time.monotonic() - began)
        times = sorted(taken.values())
        self.detail.setdefault("p50", []).append(round(statistics.median(times), 3))
        self.detail.setdefault("slowest", []).append(round(times[-1], 3))
        return times[round(0.99 * (len(times) - 1))]

    def measure_baseline(self, round_number: int) -> float:
        return WINDOW_SECONDS

    @contextmanager
    def _reading_on(self) -> Iterator[None]:
        """The other merchant's full read begins again whenever it is through."""
        over = threading.Event()

        def watch() -> None:
            while not over.wait(2.0):
                if not self._reading():
                    self.stack.inside("start_sync", slug=self.reader["slug"])

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()

    def _reading(self) -> int:
        runs = f'"{self.reader["schema"]}".wecom_bridge_syncrun'
        with psycopg2.connect(self.stack.database_url) as connection, connection.cursor() as cursor:
            cursor.execute(f"SELECT count(*) FROM {runs} WHERE state = 'running'")
            return int(cursor.fetchone()[0])

    def _arrive(self, samples: int) -> dict[str, float]:
        """Newcomers one after the other; welcome code → when WeCom pushed its callback."""
        control, codes = self.stack.control, {}
        began = time.monotonic()
        for number in range(samples):
            time.sleep(max(0.0, began + number * EVERY_SECONDS - time.monotonic()))
            guide = self.guides[number % len(self.guides)]
            at = time.time()
            code = control.hand("add", corp_id=self.busy["corp_id"], userid=guide, name="新客")["welcome_code"]
            codes[code] = at
        return codes

    def _accepted(self, codes: dict[str, float]) -> dict[str, float] | None:
        """Welcome code → seconds until WeCom's yes; None while some are not accepted. Raises Unfair for one that was refused."""
        calls = self.stack.control.get("calls?limit=5000&endpoint=externalcontact/send_welcome_msg")["calls"]
        mine = [row for row in calls if row["args"].get("welcome_code") in codes]
        refused = [row["errcode"] for row in mine if row["errcode"] != 0]
        if refused:
            raise Unfair(f"welcomes were missed: {refused}")
        if len(mine) < len(codes):
            return None
        return {(code := row["args"]["welcome_code"]): row["at"] + row["ms"] / 1000 - codes[code] for row in mine}

    def _backlog(self) -> int:
        """Events of the flood that wait; it was there before any newcomer's."""
        with self.connection.cursor() as cursor:
            cursor.execute(
                f'SELECT count(*) FROM "{self.busy["schema"]}".wecom_bridge_inboundevent'
                f" WHERE settled_at IS NULL AND id <= {int(self.detail['flooded'])}"
            )
            return int(cursor.fetchone()[0])

    def _check_load(self, before: int, seconds: float) -> None:
        """The load lasted as long as the samples, and went down meanwhile. Raises Unfair."""
        after = self._backlog()
        a_minute = round((before - after) / seconds * 60)
        self.detail.setdefault("backlog", []).append([before, after])
        self.detail.setdefault("backlog_a_minute", []).append(a_minute)
        running = self._reading()
        if self.size == self.scale and not (after and running):
            raise Unfair(f"the load was over too soon: {after} events left, {running} syncs running")
        if self.size == self.scale and a_minute < LEAST_A_MINUTE:
            raise Unfair(f"only {a_minute} entities of the backlog were settled in a minute")

    def close(self) -> None:
        if hasattr(self, "closing"):
            self.closing.close()
