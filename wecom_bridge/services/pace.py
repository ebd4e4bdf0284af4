"""Entities that keep coming back unchanged are looked at less often: what we wrote ourselves must not keep us reading for ever.

Counted in Redis, per tenant and entity: readings in a row that WeCom answered alike. Losing Redis loses only the slowing.
"""

import hashlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from scrm.lib import clock
from tenants.paths import channel

logger = logging.getLogger(__name__)

WINDOW = timedelta(minutes=10)
MOST = 30  # readings alike within the window; a guide who edits a customer by hand stays far below
SLOW = timedelta(seconds=60)

# KEYS: the entity. ARGV: digest, now (ms), window (ms). The window begins anew when the answer differs.
_COUNT = """
if redis.call('HGET', KEYS[1], 'digest') ~= ARGV[1] then
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], 'digest', ARGV[1], 'alike', 0)
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
else
  redis.call('HINCRBY', KEYS[1], 'alike', 1)
end
redis.call('HSET', KEYS[1], 'at', ARGV[2])
return 0
"""


@lru_cache(maxsize=1)
def _redis() -> redis.Redis:
    """Asked once: the claim that asks holds row locks."""
    retry = Retry(NoBackoff(), 0)
    return redis.Redis.from_url(settings.REDIS_URL, socket_timeout=1.0, socket_connect_timeout=1.0, retry=retry)


def note_read(digests: Mapping[str, str]) -> None:
    """These entities were read and settled: entity_key → digest of the answer."""
    if not digests:
        return
    now, window = _ms(clock.wall()), int(WINDOW.total_seconds() * 1000)
    try:
        pipe = _redis().pipeline(transaction=False)
        for entity_key, digest in digests.items():
            pipe.eval(_COUNT, 1, _key(entity_key), digest, now, window)
        pipe.execute()
    except redis.RedisError:
        logger.warning("the loop guard is off: redis does not answer")


def slowed(entity_keys: Iterable[str], now: datetime) -> dict[str, datetime]:
    """Those that have to wait → until when (wall)."""
    keys: Sequence[str] = sorted(entity_keys)
    if not keys:
        return {}
    try:
        pipe = _redis().pipeline(transaction=False)
        for entity_key in keys:
            pipe.hmget(_key(entity_key), "alike", "at")
        answers = pipe.execute()
    except redis.RedisError:
        logger.warning("the loop guard is off: redis does not answer")
        return {}
    found = {}
    for entity_key, (alike, at) in zip(keys, answers, strict=True):
        if alike is not None and at is not None and int(alike) > MOST:
            until = datetime.fromtimestamp(int(at) / 1000, UTC) + SLOW
            if until > now:
                found[entity_key] = until
    return found


def _key(entity_key: str) -> str:
    """The entity's own id is personal and stays out of Redis."""
    return channel(f"wecom-pace:{hashlib.blake2b(entity_key.encode(), digest_size=12).hexdigest()}")


def _ms(instant: datetime) -> int:
    return int(instant.timestamp() * 1000)
