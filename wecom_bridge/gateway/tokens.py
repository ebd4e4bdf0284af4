"""Access tokens: one per credential, fetched by one process at a time, kept in the credential's row for all of them.

A refused secret opens a breaker: no further gettoken until the secret is changed, because WeCom bans an address that
repeats a wrong one (platform reference A). Versions are compared and swapped, so that a slow process cannot put back
a token that another has replaced.
"""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from scrm.lib import clock
from tenants.locks import session_lock
from tenants.paths import scope_name
from wecom_bridge.gateway.errors import SECRET_REFUSED, CallError
from wecom_bridge.models import CorpCredential

logger = logging.getLogger(__name__)

REFRESH_BEFORE = timedelta(minutes=10)  # whoever notices first fetches the next one; the others go on with this one
ASK_AGAIN_SECONDS = 60.0
UNUSABLE_BEFORE = timedelta(seconds=30)
WAIT_FOR_OTHER_SECONDS = 15.0
POLL_SECONDS = 0.05
BANNED_SECONDS = 3600.0  # 45009 on gettoken: the address is banned for an hour

BROKEN_SECONDS = 300.0  # how often work that waits for a new secret looks whether it is there

Fetch = Callable[[], dict[str, Any]]


@dataclass(frozen=True)
class Token:
    """A token as read: its version says which of two is newer."""

    value: str
    expires_at: datetime
    version: int

    def is_good(self, now: datetime, margin: timedelta) -> bool:
        return bool(self.value) and self.expires_at - margin > now


_known: dict[tuple[str, int], Token] = {}
_asked: dict[tuple[str, int], float] = {}
_guards: dict[tuple[str, int], threading.Lock] = {}
_guards_guard = threading.Lock()


def current(credential_pk: int, fetch: Fetch, *, margin: timedelta = REFRESH_BEFORE) -> Token:
    """A usable token; `fetch` makes the gettoken call when the one there has less than `margin` to live.

    Raises CallError (held) when the secret is refused.
    """
    key = (scope_name(), credential_pk)
    token, now = _known.get(key), clock.wall()
    if token and token.is_good(now, _margin(key, margin)):
        return token
    with _guard(key):
        token = _known.get(key)
        if not (token and token.is_good(now, _margin(key, margin))):
            token = _known[key] = _obtain(credential_pk, fetch, now, margin=margin)
            _asked[key] = time.monotonic()
    return token


def _margin(key: tuple[str, int], margin: timedelta) -> timedelta:
    """gettoken may answer the same token again until it ends: having just asked, we use it to its end."""
    just_asked = time.monotonic() - _asked.get(key, -ASK_AGAIN_SECONDS) < ASK_AGAIN_SECONDS
    return UNUSABLE_BEFORE if just_asked else margin


def replace(credential_pk: int, refused: Token, fetch: Fetch) -> Token:
    """The token after `refused`, which WeCom no longer accepts: the one another process already has, or a new one."""
    key = (scope_name(), credential_pk)
    with _guard(key):
        known = _known.get(key)
        if known is None or known.version <= refused.version:
            _known[key] = known = _obtain(credential_pk, fetch, clock.wall(), newer_than=refused.version)
    return known


def forget(credential_pk: int) -> None:
    """Drop what this process remembers of a credential (its secret was changed)."""
    _known.pop((scope_name(), credential_pk), None)


@contextmanager
def _guard(key: tuple[str, int]) -> Any:
    with _guards_guard:
        lock = _guards.setdefault(key, threading.Lock())
    with lock:
        yield


def _obtain(
    credential_pk: int, fetch: Fetch, now: datetime, *, newer_than: int = -1, margin: timedelta = REFRESH_BEFORE
) -> Token:
    """From the row if it is good there, else by one process's gettoken while the others watch the row."""
    stop = time.monotonic() + WAIT_FOR_OTHER_SECONDS
    while True:
        row = _read(credential_pk)
        if row.version > newer_than and row.is_good(now, margin):
            return row
        with session_lock(f"wecom-token:{credential_pk}") as mine:
            if mine:
                return _fetch_unless_done(credential_pk, fetch, row, newer_than)
        if row.version > newer_than and row.is_good(now, UNUSABLE_BEFORE):
            return row
        if time.monotonic() > stop:
            raise CallError("no token in time", retryable=True, retry_after=10.0, held=True)
        time.sleep(POLL_SECONDS)


def _fetch_unless_done(credential_pk: int, fetch: Fetch, seen: Token, newer_than: int) -> Token:
    row = _read(credential_pk)
    if row.version != seen.version and row.version > newer_than:
        return row
    try:
        answer = fetch()
    except CallError as error:
        _note_refusal(credential_pk, error)
        raise
    return _store(credential_pk, row.version, answer)


def _read(credential_pk: int) -> Token:
    row = CorpCredential.objects.only(
        "access_token", "access_token_expires_at", "access_token_version", "broken_at", "broken_reason"
    ).get(pk=credential_pk)
    if row.broken_at:
        raise CallError(row.broken_reason, errcode=40001, retryable=True, retry_after=BROKEN_SECONDS, held=True)
    expires = row.access_token_expires_at or clock.wall() - timedelta(days=1)
    return Token(row.access_token, expires, row.access_token_version)


def _store(credential_pk: int, version: int, answer: dict[str, Any]) -> Token:
    expires = clock.wall() + timedelta(seconds=int(answer.get("expires_in", 7200)))
    token = Token(str(answer["access_token"]), expires, version + 1)
    swapped = CorpCredential.objects.filter(pk=credential_pk, access_token_version=version).update(
        access_token=token.value, access_token_expires_at=expires, access_token_version=token.version
    )
    return token if swapped else _read(credential_pk)


def _note_refusal(credential_pk: int, error: CallError) -> None:
    """Open the breaker for a refused secret; a person mends it, and until then nothing is lost or tried in vain."""
    if error.errcode not in SECRET_REFUSED:
        return
    error.retryable, error.held, error.retry_after = True, True, BROKEN_SECONDS
    logger.error("secret of credential %s refused: %s", credential_pk, error)
    CorpCredential.objects.filter(pk=credential_pk, broken_at=None).update(
        broken_at=clock.wall(), broken_reason=str(error)[:200]
    )
