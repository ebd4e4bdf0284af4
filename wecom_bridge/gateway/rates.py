"""Pacing towards WeCom, shared by all processes through Redis: windows it closed, and how many calls run at once.

Losing Redis loses only the pacing: calls go out, WeCom answers 45009 or 45033, and the caller backs off.
"""

import logging
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import redis
from django.conf import settings

from scrm.lib import clock
from tenants.paths import channel
from wecom_bridge.gateway.errors import CallError

logger = logging.getLogger(__name__)

PER_MINUTE = 9_000  # of the 10,000 that one corp may call one API per minute (reference 12.2)
FEWER = {"add_moment_task": 10}  # per minute, where WeCom takes fewer (reference 8)
AT_ONCE = {"mark_tag": 5}  # concurrency caps (reference 2.1)
HOLD_SECONDS = 30  # a killed caller's place is free after this

# Places are members of a sorted set, scored by when they lapse. ARGV: now, cap, lapse, name.
_ENTER = """
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[1])
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
redis.call('ZADD', KEYS[1], ARGV[3], ARGV[4])
redis.call('EXPIRE', KEYS[1], 120)
return 1
"""


@lru_cache(maxsize=1)
def _redis() -> redis.Redis:
    return redis.Redis.from_url(settings.REDIS_URL, socket_timeout=1.0, socket_connect_timeout=1.0)


def close_window(corp_id: str, api: str, seconds: float) -> None:
    """WeCom answered 45009: nobody calls this API of this corp before the window is over."""
    try:
        _redis().set(channel(f"wecom-closed:{corp_id}:{api}"), "1", px=int(seconds * 1000))
    except redis.RedisError:
        logger.warning("pacing is off: redis does not answer")


def check(corp_id: str, api: str) -> None:
    """Count one call. Raises CallError (held) while the window is closed or this minute's share is used up."""
    minute = int(clock.wall().timestamp() // 60)
    counter = channel(f"wecom-rate:{corp_id}:{api}:{minute}")
    try:
        pipe = _redis().pipeline(transaction=False)
        pipe.pttl(channel(f"wecom-closed:{corp_id}:{api}"))
        pipe.incr(counter)
        pipe.expire(counter, 120)
        closed_ms, used, _ = pipe.execute()
    except redis.RedisError:
        logger.warning("pacing is off: redis does not answer")
        return
    if closed_ms > 0:
        raise CallError("rate window closed", errcode=45009, retryable=True, retry_after=closed_ms / 1000, held=True)
    if used > FEWER.get(api, PER_MINUTE):
        wait = 60 - clock.wall().timestamp() % 60
        raise CallError("this minute's calls are used up", errcode=45009, retryable=True, retry_after=wait, held=True)


@contextmanager
def place(corp_id: str, api: str) -> Iterator[None]:
    """Hold one of an API's places while calling. Raises CallError (held) when all are taken."""
    cap = AT_ONCE.get(api)
    if cap is None:
        yield
        return
    key, name = channel(f"wecom-busy:{corp_id}:{api}"), secrets.token_hex(8)
    if not _enter(key, cap, name):
        raise CallError(
            "as many calls as allowed are running", errcode=45033, retryable=True, retry_after=1.0, held=True
        )
    try:
        yield
    finally:
        try:
            _redis().zrem(key, name)
        except redis.RedisError:
            logger.warning("pacing is off: redis does not answer")


def _enter(key: str, cap: int, name: str) -> bool:
    now = clock.wall().timestamp()
    try:
        return bool(_redis().eval(_ENTER, 1, key, now, cap, now + HOLD_SECONDS, name))
    except redis.RedisError:
        logger.warning("pacing is off: redis does not answer")
        return True
