"""How many entities of a flooding merchant are handled while the first event of another waits for its turn."""

import json
import statistics
import time
from contextlib import ExitStack
from pathlib import Path
from typing import ClassVar

import psycopg2

from benchmarks import load_stack
from benchmarks.harness import Benchmark, Unfair, cpu_of, require_durable_server
from scrm.runtime.services import POOLS

SAMPLES = 30
HELD_SECONDS = 0.4  # the second merchant's call is answered this late, so that her claim can be seen


class LaneFairness(Benchmark):
    """The mean over events of the second merchant, each sent while the first one's backlog is being worked off.

    Arrival is the row's received_at, start its claim; what counts are the first merchant's entities settled in between.
    """

    name: ClassVar[str] = "lane_fairness"
    goal: ClassVar[float] = 2.0
    baseline: ClassVar[str] = "the slots of the worker pool that serves the lane"
    scale: ClassVar[int] = 40_000
    quick_scale: ClassVar[int] = 2_000
    rounds: ClassVar[int] = 3

    def prepare(self) -> None:
        from wecom_bridge.services.inbox import CLAIM

        self.claim_seconds = CLAIM.total_seconds()  # a claimed event says until when, and so since when
        self.detail |= {"server": require_durable_server(), "samples_a_round": SAMPLES}
        self.closing = ExitStack()
        big, small = f"scale:members=40,customers={self.size},groups=0", "scale:members=2,customers=200,groups=0"
        self.stack = self.closing.enter_context(load_stack.running([big, small]))
        first, second = self.stack.control.get("corps")["corps"]
        self.flooding = self.stack.open_merchant("bench-flood", first)
        self.other = self.stack.open_merchant("bench-other", second)
        self.connection = psycopg2.connect(self.stack.database_url)
        self.connection.autocommit = True
        self.closing.callback(self.connection.close)
        self.others = load_stack.known_customers(self.stack, second, 200)
        file = Path(self.stack.folder) / "flood.json"
        file.write_text(json.dumps(load_stack.known_customers(self.stack, first, self.size)))
        self.stack.inside("flood", slug=self.flooding["slug"], file=str(file))

    def measure_subject(self, round_number: int) -> float:
        """Entities of the flood that went before, on average."""
        before = []
        with cpu_of(self.stack.pids, self.detail):
            for number in range(SAMPLES if round_number >= 0 else 3):
                before.append(self._one(self.others[number % len(self.others)]))
        self.detail.setdefault("waited_seconds", []).append(round(statistics.median(row[1] for row in before), 4))
        self.detail.setdefault("most", []).append(max(row[0] for row in before))
        if self.size == self.scale and not self._count(self.flooding, "settled_at IS NULL"):
            raise Unfair("the flood was over too soon")
        # The harness divides by a count, which may be none.
        return max(statistics.mean(row[0] for row in before), 0.01)

    def measure_baseline(self, round_number: int) -> float:
        pool = next(name for name, queues in POOLS.items() if "inbound" in queues)
        self.detail["pool"] = pool
        return float(load_stack.PROCESSES)

    def _one(self, pair: tuple[str, str]) -> tuple[int, float]:
        """(entities of the flood settled between arrival and start, seconds in between) of one event."""
        userid, external = pair
        control, corp_id = self.stack.control, self.other["corp_id"]
        control.script("externalcontact/get", corp_id=corp_id, delay=HELD_SECONDS)
        control.hand(
            "edit_notes", corp_id=corp_id, userid=userid, external_userid=external, remark=str(time.monotonic())[:20]
        )
        arrived, claimed_until = load_stack.wait_until("the claim", self._claim, 60)
        start = f"timestamptz '{claimed_until.isoformat()}' - interval '{self.claim_seconds} s'"
        arrival = f"timestamptz '{arrived.isoformat()}'"
        settled = self._count(self.flooding, f"settled_at BETWEEN {arrival} AND {start}")
        load_stack.wait_until("the end", lambda: not self._count(self.other, "settled_at IS NULL"), 60)
        return settled, claimed_until.timestamp() - self.claim_seconds - arrived.timestamp()

    def _claim(self) -> tuple | None:
        with self.connection.cursor() as cursor:
            cursor.execute(
                f'SELECT received_at, claimed_until FROM "{self.other["schema"]}".wecom_bridge_inboundevent'
                " WHERE settled_at IS NULL AND claimed_until IS NOT NULL"
            )
            return cursor.fetchone()

    def _count(self, merchant: dict, where: str) -> int:
        with self.connection.cursor() as cursor:
            cursor.execute(
                f'SELECT count(DISTINCT entity_key) FROM "{merchant["schema"]}".wecom_bridge_inboundevent WHERE {where}'
            )
            return int(cursor.fetchone()[0])

    def close(self) -> None:
        if hasattr(self, "closing"):
            self.closing.close()
