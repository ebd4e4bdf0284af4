"""The simulator inside a test process: its own thread and event loop, a real port."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any

from aiohttp import web

from simulator.app import build
from simulator.simulator import Simulator
from simulator.state import StateFile


class ThreadedSimulator:
    """`with ThreadedSimulator(["shop"], seed=7) as running:` then HTTP to `running.url`.

    `running.sim` may be read from the test's thread while nothing is under way; changes go through HTTP.
    """

    def __init__(
        self,
        specs: list[str],
        seed: int = 7,
        start: float | None = None,
        host: str = "127.0.0.1",
        state: StateFile | None = None,
    ) -> None:
        self._specs, self._seed, self._start, self._host, self._state = specs, seed, start, host, state
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="simulator", daemon=True)
        self._runner: web.AppRunner | None = None
        self.sim: Simulator
        self.port = 0

    @property
    def url(self) -> str:
        """Where it listens, without a trailing slash."""
        return f"http://{self._host}:{self.port}"

    def __enter__(self) -> "ThreadedSimulator":
        self._thread.start()
        self._call(self._serve())
        return self

    def __exit__(self, *_error: object) -> None:
        if self._runner:
            self._call(self._runner.cleanup())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()

    def _call(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=30)

    async def _serve(self) -> None:
        self.sim = Simulator(self._specs, self._seed, self._start)
        if self._state:
            self.sim.keep_in(self._state)
        self._runner = web.AppRunner(build(self.sim), access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, 0)
        await site.start()
        self.port = self._runner.addresses[0][1]
