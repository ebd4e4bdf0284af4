"""Delivery: encrypted, signed, five seconds of patience, up to three retries; and the verification of an address."""

import asyncio
import contextlib
import random
import secrets
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

import aiohttp

from simulator import crypto
from simulator.callbacks import replies
from simulator.callbacks.events import Event, cdata
from simulator.chaos.book import ChaosBook, Fate
from simulator.clock import wall
from simulator.corp import CallbackConfig, Corp

if TYPE_CHECKING:
    from simulator.switches import Switches

VERIFY_TIMEOUT = 1.0
KEEP = 20_000


@dataclass
class Delivery:
    """One event on its way; `attempts` lists what each try met (an HTTP status, or the failure's name), `reply` what became of a
    passive answer."""

    serial: int
    corp: Corp
    event: Event
    created: int
    plain: bytes
    attempts: list = field(default_factory=list)
    state: str = "pending"
    reply: str = ""
    queued: float = 0.0
    finished: float = 0.0

    def shown(self) -> dict:
        """For `/control/callbacks`."""
        return {
            "serial": self.serial,
            "corp_id": self.corp.corp_id,
            "created": self.created,
            "event": self.event.shown(),
            "state": self.state,
            "attempts": self.attempts,
            "reply": self.reply,
            "queued": self.queued,
            "finished": self.finished,
        }


@dataclass
class Held:
    """A delivery kept back until `behind` later events of its corp went by."""

    row: Delivery
    behind: int
    seconds: float


def envelope(config: CallbackConfig, corp_id: str, agent_id: int, plain: bytes) -> tuple[dict[str, str], bytes]:
    """(query, body) of a push; the time stamp of the query is wall time, every try makes a fresh nonce."""
    encrypted = crypto.encrypt(config.encoding_aes_key, plain, corp_id)
    query = _signed(config, encrypted)
    body = f"<xml><ToUserName>{cdata(corp_id)}</ToUserName><AgentID>{cdata(str(agent_id))}</AgentID>"
    return query, f"{body}<Encrypt>{cdata(encrypted)}</Encrypt></xml>".encode()


def _signed(config: CallbackConfig, encrypted: str) -> dict[str, str]:
    timestamp, nonce = str(int(wall())), str(secrets.randbelow(10**10))
    sign = crypto.signature(config.token, timestamp, nonce, encrypted)
    return {"msg_signature": sign, "timestamp": timestamp, "nonce": nonce}


def dial(url: str, connect: str) -> tuple[str, dict[str, str]]:
    """(URL to open, headers): with `connect` its host:port is dialled over HTTP and the URL's host named in Host."""
    if not connect:
        return url, {}
    parts = urlsplit(url)
    return urlunsplit(("http", connect, parts.path, parts.query, "")), {"Host": parts.netloc}


class Sender:
    """A queue with a few workers; what failed waits for its retry beside the queue and holds up nobody."""

    def __init__(self, switches: "Switches", chaos: ChaosBook, note_change: Callable[[], None]) -> None:
        self.switches, self.chaos, self._note_change = switches, chaos, note_change
        self.log: deque[Delivery] = deque(maxlen=KEEP)
        self._queue: asyncio.Queue[Delivery] = asyncio.Queue()
        self._workers: list[asyncio.Task] = []
        self._waiting: set[asyncio.Task] = set()
        self._held: dict[str, list[Held]] = {}
        self._open = 0
        self._serial = 0
        self._random = random.Random(7)
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Begin to deliver."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar()
        )
        self._hire()

    def _hire(self) -> None:
        """Workers up to the switch; called whenever work arrives, so that a raised switch takes effect."""
        while self._session and len(self._workers) < self.switches.callback_workers:
            self._workers.append(asyncio.create_task(self._work()))

    async def stop(self) -> None:
        """Stop; what is not delivered is lost, as it would be."""
        await self.clear()
        if self._session:
            await self._session.close()

    async def clear(self) -> None:
        """Give up everything under way and forget the log."""
        running = [*self._workers, *self._waiting]
        for task in running:
            task.cancel()
        for task in running:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._workers.clear()
        self._waiting.clear()
        self._held.clear()
        self._queue = asyncio.Queue()
        self._open = 0
        self.log.clear()

    @property
    def pending(self) -> int:
        """Deliveries queued, in flight, held back or waiting for a retry."""
        return self._open

    def put(self, corp: Corp, event: Event, created: int) -> None:
        """Accept an event; outside the app's range or without an address it is only noted. Switches and chaos may lose,
        double or delay it."""
        self._serial += 1
        row = Delivery(self._serial, corp, event, created, event.xml(corp.corp_id, created).encode(), queued=wall())
        self.log.append(row)
        if corp.callback is None:
            row.state = "no address"
            return
        if not corp.hears(event):
            row.state = "out of range"
            return
        fate = self.chaos.event(corp.corp_id)
        if self._random.random() < self.switches.callback_drop or not fate.copies:
            row.state = "dropped"
            return
        waiting = list(self._held.get(corp.corp_id, ()))
        twice = self._random.random() < self.switches.callback_double
        for _copy in range(fate.copies + twice):
            self._open += 1
            self._set_off(row, fate)
        self._let_pass(waiting)

    def _set_off(self, row: Delivery, fate: Fate) -> None:
        if not fate.behind:
            return self._enqueue(row, fate.seconds)
        held = Held(row, fate.behind, fate.seconds)
        self._held.setdefault(row.corp.corp_id, []).append(held)
        return self._later(fate.patience, lambda: self._release(held))

    def _let_pass(self, waiting: list[Held]) -> None:
        """One more event went by those held before it."""
        for held in waiting:
            held.behind -= 1
            if held.behind <= 0:
                self._release(held)

    def _release(self, held: Held) -> None:
        rows = self._held.get(held.row.corp.corp_id, [])
        if held in rows:
            rows.remove(held)
            self._enqueue(held.row, held.seconds)

    def _enqueue(self, row: Delivery, seconds: float = 0.0) -> None:
        if seconds:
            return self._later(seconds, lambda: self._enqueue(row))
        self._queue.put_nowait(row)
        return self._hire()

    def _later(self, seconds: float, act: Callable[[], None]) -> None:
        async def wait() -> None:
            await asyncio.sleep(seconds)
            act()

        task = asyncio.create_task(wait())
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)

    async def _work(self) -> None:
        queue = self._queue
        while True:
            row = await queue.get()
            if self._random.random() < self.switches.callback_reorder and not queue.empty():
                queue.put_nowait(row)  # any of those that wait goes first
                for _n in range(self._random.randrange(queue.qsize())):
                    queue.put_nowait(queue.get_nowait())
                row = queue.get_nowait()
            await self._deliver(row)

    async def _deliver(self, row: Delivery) -> None:
        """One try; success and the last failure end the delivery, any other waits to be queued again."""
        outcome = await self._try(row)
        row.attempts.append(outcome)
        if outcome != 200 and len(row.attempts) <= self.switches.callback_retries:
            spacing = self.switches.callback_retry_spacing or [0.0]
            return self._later(spacing[min(len(row.attempts), len(spacing)) - 1], lambda: self._enqueue(row))
        row.state = "received" if outcome == 200 else "failed"
        row.finished = wall()
        self._open -= 1
        return None

    async def _try(self, row: Delivery) -> int | str:
        config = row.corp.callback
        if config is None or self._session is None:
            return "no address"
        query, body = envelope(config, row.corp.corp_id, row.corp.agent_id, row.plain)
        url, headers = dial(config.url, config.connect)
        if row.event.welcome_code:
            row.corp.welcomes.went_out(row.event.welcome_code, wall())
        limit = aiohttp.ClientTimeout(total=self.switches.callback_timeout)
        headers = headers | {"Content-Type": "text/xml"}
        try:
            async with self._session.post(
                url, params=query, data=body, headers=headers, timeout=limit, allow_redirects=False
            ) as response:
                answer = await response.read()
                if response.status == 200 and (reply := replies.take(config, row.corp, row.event, answer)):
                    row.reply = reply
                    self._note_change()
                return response.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return type(error).__name__

    async def verify(self, corp: Corp, config: CallbackConfig) -> str:
        """Save-time check: GET with echostr, the plaintext back within a second. Returns what failed, or ''."""
        echo = str(secrets.randbelow(10**18)).encode()
        encrypted = crypto.encrypt(config.encoding_aes_key, echo, corp.corp_id)
        query = _signed(config, encrypted) | {"echostr": encrypted}
        url, headers = dial(config.url, config.connect)
        if self._session is None:
            return "the simulator is not running"
        try:
            limit = aiohttp.ClientTimeout(total=VERIFY_TIMEOUT)
            async with self._session.get(
                url, params=query, headers=headers, timeout=limit, allow_redirects=False
            ) as response:
                answer = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            return f"openapi回调地址请求不通过: {type(error).__name__}"
        if response.status != 200 or answer != echo:
            return f"openapi回调地址请求不通过: HTTP {response.status}"
        return ""
