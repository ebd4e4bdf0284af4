"""The cache is a convenience: while Redis is away it answers as if it were empty, and nobody is kept out for that."""

import logging
import time
from collections.abc import Callable
from typing import Any, TypeVar

import redis
from django.core.cache.backends.redis import RedisCache, RedisCacheClient

logger = logging.getLogger(__name__)
_SAY_EVERY_SECONDS = 60.0
_said_at = -_SAY_EVERY_SECONDS
T = TypeVar("T")


def _or_miss(ask: Callable[[], T], miss: T) -> T:
    try:
        return ask()
    except redis.RedisError as error:
        _say(error)
        return miss


def _say(error: redis.RedisError) -> None:
    """Once a minute per process, not once per request."""
    global _said_at
    if time.monotonic() - _said_at >= _SAY_EVERY_SECONDS:
        _said_at = time.monotonic()
        logger.warning("the cache does not answer; going on without it: %s", type(error).__name__)


class _Client(RedisCacheClient):
    """Django's client whose failures are misses: nothing is found, and nothing is kept."""

    def add(self, key: Any, value: Any, timeout: Any) -> bool:
        return _or_miss(lambda: super(_Client, self).add(key, value, timeout), True)

    def get(self, key: Any, default: Any) -> Any:
        return _or_miss(lambda: super(_Client, self).get(key, default), default)

    def set(self, key: Any, value: Any, timeout: Any) -> None:
        _or_miss(lambda: super(_Client, self).set(key, value, timeout), None)

    def touch(self, key: Any, timeout: Any) -> bool:
        return _or_miss(lambda: super(_Client, self).touch(key, timeout), False)

    def delete(self, key: Any) -> bool:
        return _or_miss(lambda: super(_Client, self).delete(key), False)

    def get_many(self, keys: Any) -> Any:
        nothing: dict[Any, Any] = {}
        return _or_miss(lambda: super(_Client, self).get_many(keys), nothing)

    def has_key(self, key: Any) -> bool:
        return _or_miss(lambda: super(_Client, self).has_key(key), False)

    def incr(self, key: Any, delta: Any) -> int:
        found = _or_miss(lambda: super(_Client, self).incr(key, delta), None)
        if found is None:
            raise ValueError(f"Key {key!r} not found.")  # what Django raises for a key that is not there
        return int(found)

    def set_many(self, data: Any, timeout: Any) -> None:
        _or_miss(lambda: super(_Client, self).set_many(data, timeout), None)

    def delete_many(self, keys: Any) -> None:
        _or_miss(lambda: super(_Client, self).delete_many(keys), None)

    def clear(self) -> bool:
        return _or_miss(lambda: super(_Client, self).clear(), False)


class ForgivingRedisCache(RedisCache):
    """Settings: CACHES[...]["BACKEND"] = "scrm.lib.cache.ForgivingRedisCache"."""

    def __init__(self, server: str, params: dict[str, Any]) -> None:
        super().__init__(server, params)
        self._class = _Client
