"""Delivery: encrypted, signed, five seconds of patience, up to three retries; and the verification of an address."""

import asyncio
import contextlib
import random
import secrets
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

import aiohttp

from simulator import crypto
from simulator.callbacks.events import Event, cdata
from simulator.clock import wall
from simulator.corp import CallbackConfig, Corp

if TYPE_CHECKING:
    from simulator.switches import Switches

VERIFY_TIMEOUT = 1.0
KEEP = 5000


@dataclass
class Delivery:
    """One event on its way; `attempts` lists what each try met (an HTTP status, or the failure's name)."""

    serial: int
    corp: Corp
    event: Event
    created: int
    plain: bytes
    attempts: list = field(default_factory=list)
    state: str = "pending"
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
            "queued": self.queued,
            "finished": self.finished,
        }


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

    def __init__(self, switches: "Switches") -> None:
        self.switches = switches
        self.log: deque[Delivery] = deque(maxlen=KEEP)
        self._queue: asyncio.Queue[Delivery] = asyncio.Queue()
        self._workers: list[asyncio.Task] = []
        self._waiting: set[asyncio.Task] = set()
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
        self._queue = asyncio.Queue()
        self._open = 0
        self.log.clear()

    @property
    def pending(self) -> int:
        """Deliveries queued, in flight or waiting for a retry."""
        return self._open

    def put(self, corp: Corp, event: Event, created: int) -> None:
        """Accept an event; without a callback address it is only noted, and by the chaos switches lost or doubled."""
        self._serial += 1
        row = Delivery(self._serial, corp, event, created, event.xml(corp.corp_id, created).encode(), queued=wall())
        self.log.append(row)
        if corp.callback is None:
            row.state = "no address"
            return
        if self._random.random() < self.switches.callback_drop:
            row.state = "dropped"
            return
        self._enqueue(row)
        if self._random.random() < self.switches.callback_double:
            self._enqueue(row)

    def _enqueue(self, row: Delivery) -> None:
        self._open += 1
        self._queue.put_nowait(row)
        self._hire()

    async def _work(self) -> None:
        queue = self._queue
        while True:
            row = await queue.get()
            if self._random.random() < self.switches.callback_reorder and not queue.empty():
                queue.put_nowait(row)  # step back behind those already waiting
                continue
            await self._deliver(row)

    async def _deliver(self, row: Delivery) -> None:
        """One try; success and the last failure end the delivery, any other waits to be queued again."""
        outcome = await self._try(row)
        row.attempts.append(outcome)
        if outcome != 200 and len(row.attempts) <= self.switches.callback_retries:
            waiting = asyncio.create_task(self._queue_later(row, len(row.attempts) - 1))
            self._waiting.add(waiting)
            waiting.add_done_callback(self._waiting.discard)
            return
        row.state = "received" if outcome == 200 else "failed"
        row.finished = wall()
        self._open -= 1

    async def _queue_later(self, row: Delivery, failures: int) -> None:
        spacing = self.switches.callback_retry_spacing or [0.0]
        await asyncio.sleep(spacing[min(failures, len(spacing) - 1)])
        self._queue.put_nowait(row)

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
                await response.read()
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
