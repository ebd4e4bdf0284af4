"""What an address was told lately: the last refusals with their cause, and when it was last verified from outside.

Kept in the merchant's cache for a day, a few entries per address: it helps a person find the mistake, and losing it loses
nothing. Each function runs inside the merchant whose address it is.
"""

from dataclasses import dataclass, field
from datetime import datetime

from django.core.cache import cache

from scrm.lib import clock

KEEP_SECONDS = 24 * 3600
VERIFIED_SECONDS = 30 * 24 * 3600
MAX_KEPT = 20
# Our own knocks carry this nonce, which is signed: they prove our side alone, and must not be taken for WeCom's.
OWN_NONCE = "selftest"


@dataclass(frozen=True)
class Knocks:
    """refusals: (when, cause), oldest first; verified_at: the last GET that was answered. Wall time."""

    refusals: list[tuple[datetime, str]] = field(default_factory=list)
    verified_at: datetime | None = None


def note_refusal(opaque: str, cause: str) -> None:
    """Remember why a callback to a known address was refused. Two of them at once may cost one entry."""
    kept = cache.get(_key(opaque), [])
    cache.set(_key(opaque), [*kept, (clock.wall(), cause[:80])][-MAX_KEPT:], KEEP_SECONDS)


def note_verified(opaque: str, nonce: str) -> None:
    """Remember that somebody who knows Token and key verified the address."""
    if not nonce.startswith(OWN_NONCE):
        cache.set(_key(opaque, "verified"), clock.wall(), VERIFIED_SECONDS)


def forget_refusals_since(opaque: str, began: datetime) -> None:
    """Drop those that a test of our own has caused: spoilt on the way, they no longer say whose they are."""
    kept = cache.get(_key(opaque), [])
    cache.set(_key(opaque), [row for row in kept if row[0] < began], KEEP_SECONDS)


def recall(opaque: str) -> Knocks:
    """What is remembered of an address."""
    return Knocks(cache.get(_key(opaque), []), cache.get(_key(opaque, "verified")))


def _key(opaque: str, what: str = "refused") -> str:
    return f"knock-{what}:{opaque}"
