"""Redis, asked in one step and never waited for: while it is away, a process goes on by itself (see `local`)."""

import logging
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

_away_until = 0.0


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
            return client.eval(self.text, len(keys), *keys, *arguments)


admit, leave, seed, rejoin, look = (
    _Script(text) for text in (scripts.ADMIT, scripts.LEAVE, scripts.SEED, scripts.REJOIN, scripts.LOOK)
)


def ask(question: Callable[[], T]) -> T | None:
    """Its answer; None while Redis is away."""
    global _away_until
    if time.monotonic() < _away_until:
        return None
    try:
        return question()
    except redis.RedisError as error:
        _away_until = time.monotonic() + AWAY_SECONDS
        logger.warning("calls are paced by this process alone: redis does not answer (%s)", type(error).__name__)
        return None


def forget() -> None:
    """Ask again at once."""
    global _away_until
    _away_until = 0.0
