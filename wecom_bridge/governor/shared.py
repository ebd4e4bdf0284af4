"""Redis, asked in one step and never waited for: while it is away, a process goes on by itself (see `local`)."""

import logging
import os
import threading
import time
from collections import deque
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


def _connect() -> Any:
    """A connection beside the pool, which counts those it ever made and gives no more after a hundred."""
    pool = connection().connection_pool
    line = pool.connection_class(**pool.connection_kwargs)
    line.connect()
    return line


def _closed(line: Any) -> bool:
    """Whether Redis closed this connection, on which it says nothing: a first write would be lost without an error."""
    try:
        return bool(line.can_read(0))
    except redis.ConnectionError:
        return True


def packed(*words: Any) -> bytes:
    """A command as Redis reads it: words are text, bytes or numbers."""
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        text = word if isinstance(word, bytes) else str(word).encode()
        parts.append(b"$%d\r\n%b\r\n" % (len(text), text))
    return b"".join(parts)


class _Lines:
    """Connections of this process, used without the client above them: it costs more than the question does."""

    def __init__(self) -> None:
        self._free: deque[Any] = deque()
        self._process = 0

    def ask(self, command: bytes) -> Any:
        """Its answer. A connection that turns out to have been closed while it was idle is replaced once."""
        if self._process != os.getpid():
            self.forget()
            self._process = os.getpid()
        try:
            line = self._free.pop()
        except IndexError:
            return self._ask(_connect(), command)
        try:
            return self._ask(line, command)
        except redis.ConnectionError:
            self.forget()
            return self._ask(_connect(), command)

    def _ask(self, line: Any, command: bytes) -> Any:
        try:
            line.send_packed_command([command])
            answer = line.read_response()
        except redis.ResponseError:
            self._free.append(line)
            raise
        except BaseException:  # half an answer may be on its way: nobody may read it as his own
            line.disconnect()
            raise
        self._free.append(line)
        return answer

    def forget(self) -> None:
        """Those at rest are left to be closed."""
        self._free.clear()


class _Script:
    """A script by its digest, sent whole only when Redis does not know it (any more)."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._digest = b""

    def __call__(self, keys: list[str], arguments: list[Any]) -> Any:
        if not self._digest:
            self._digest = lines.ask(packed("SCRIPT", "LOAD", self.text))
        try:
            return lines.ask(packed("EVALSHA", self._digest, len(keys), *keys, *arguments))
        except redis.exceptions.NoScriptError:
            done.forget()
            return lines.ask(packed("EVAL", self.text, len(keys), *keys, *arguments))


class _Aside:
    """A connection on which Redis answers nothing: for news that nobody waits for, at the price of one write."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._lock = threading.Lock()
        self._line: Any = None
        self._digest, self._process = b"", 0

    def __call__(self, keys: list[str], arguments: list[Any]) -> None:
        with self._lock:
            try:
                self._say(keys, arguments)
            except redis.ConnectionError:  # it may have been idle for too long: once more, on a new one
                self._say(keys, arguments)

    def _say(self, keys: list[str], arguments: list[Any]) -> None:
        """A connection that failed is not used again: it would connect by itself, and answers would come that nobody reads."""
        line = self._line if self._process == os.getpid() else None
        self._line = None
        if line is None or _closed(line):
            line = self._open()
        line.send_packed_command([packed("EVALSHA", self._digest, len(keys), *keys, *arguments)])
        self._line = line

    def _open(self) -> Any:
        self._digest, self._process = lines.ask(packed("SCRIPT", "LOAD", self.text)), os.getpid()
        line = _connect()
        line.send_packed_command([packed("CLIENT", "REPLY", "OFF")])
        return line

    def settle(self) -> None:
        """Wait until all that was said has been done. What was said on a connection closed since is done, or lost."""
        with self._lock:
            if self._line is not None and _closed(self._line):
                self._line = None
            if self._line is not None:
                self._line.send_packed_command([packed("CLIENT", "REPLY", "ON")])
                self._line.read_response()
                self._line.send_packed_command([packed("CLIENT", "REPLY", "OFF")])

    def forget(self) -> None:
        """Begin anew: the server is another, or forgot its scripts."""
        with self._lock:
            if self._line is not None:
                self._line.disconnect()
            self._line = None


lines = _Lines()
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
    lines.forget()
    done.forget()
