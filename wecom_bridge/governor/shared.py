"""Redis, asked in one step and never waited for: while it is away, a process goes on by itself (see `local`)."""

import logging
import os
import threading
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar

import redis
from django.conf import settings

from wecom_bridge.governor import scripts

logger = logging.getLogger(__name__)
AWAY_SECONDS = 2.0  # after a failure, how long Redis is not asked
T = TypeVar("T")

_away_until = 0.0  # 0 while it answers
_trying = threading.Lock()


@lru_cache(maxsize=1)
def connection() -> redis.Redis:
    """The process's connection pool."""
    return redis.Redis.from_url(settings.REDIS_URL, socket_timeout=1.0, socket_connect_timeout=1.0)


class _Script:
    """A script by its digest, sent whole only when Redis does not know it (any more)."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._digest = ""

    def __call__(self, keys: list[str], arguments: list[Any]) -> Any:
        client = connection()
        if not self._digest:
            self._digest = str(client.script_load(self.text))
        try:
            return client.evalsha(self._digest, len(keys), *keys, *arguments)
        except redis.exceptions.NoScriptError:
            done.forget()
            return client.eval(self.text, len(keys), *keys, *arguments)


class _Aside:
    """A connection on which Redis answers nothing: for news that nobody waits for, at the price of one write."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._lock = threading.Lock()
        self._line: Any = None
        self._digest, self._process = "", 0

    def __call__(self, keys: list[str], arguments: list[Any]) -> None:
        with self._lock:
            try:
                self._say(keys, arguments)
            except redis.RedisError:
                self._line = None  # it may have been idle for too long: once more, on a new one
                self._say(keys, arguments)

    def _say(self, keys: list[str], arguments: list[Any]) -> None:
        if self._line is None or self._process != os.getpid():
            self._open()
        self._line.send_command("EVALSHA", self._digest, len(keys), *keys, *arguments)

    def _open(self) -> None:
        client = connection()
        self._digest, self._process = str(client.script_load(self.text)), os.getpid()
        self._line = client.connection_pool.make_connection()
        self._line.connect()
        self._line.send_command("CLIENT", "REPLY", "OFF")

    def settle(self) -> None:
        """Wait until all that was said has been done."""
        with self._lock:
            if self._line is not None:
                self._line.send_command("CLIENT", "REPLY", "ON")
                self._line.read_response()
                self._line.send_command("CLIENT", "REPLY", "OFF")

    def forget(self) -> None:
        """Begin anew: the server is another, or forgot its scripts."""
        with self._lock:
            if self._line is not None:
                self._line.disconnect()
            self._line = None


done = _Aside(scripts.DONE)
admit, leave, seed, rejoin, look = (
    _Script(text) for text in (scripts.ADMIT, scripts.LEAVE, scripts.SEED, scripts.REJOIN, scripts.LOOK)
)


def ask(question: Callable[[], T]) -> T | None:
    """Its answer; None while Redis is away."""
    global _away_until
    if _away_until and not _may_try():
        return None
    try:
        answer = question()
    except redis.RedisError as error:
        _away_until = time.monotonic() + AWAY_SECONDS
        logger.warning("calls are paced by this process alone: redis does not answer (%s)", type(error).__name__)
        return None
    _away_until = 0.0
    return answer


def _may_try() -> bool:
    """Of those who come after the pause one finds out for all, or each of them would wait for the same time-out."""
    global _away_until
    with _trying:
        now = time.monotonic()
        if now < _away_until:
            return False
        _away_until = now + AWAY_SECONDS
        return True


def forget() -> None:
    """Ask again at once."""
    global _away_until
    _away_until = 0.0
    done.forget()
