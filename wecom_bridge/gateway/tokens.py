"""Access tokens: one per credential, fetched by one process at a time, kept in the credential's row for all of them.

A refused secret opens a breaker: no further gettoken until the secret is changed, because WeCom bans an address that
repeats a wrong one (platform reference A). Versions are compared and swapped, so that a slow process cannot put back
a token that another has replaced, nor close the door on a secret that was mended meanwhile.
"""

import copy
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from scrm.lib import clock
from tenants.locks import session_lock
from tenants.paths import scope_name
from wecom_bridge.gateway.errors import SECRET_REFUSED, CallError
from wecom_bridge.models import CorpCredential
from wecom_bridge.shapes.pieces import Row, integer, needed

logger = logging.getLogger(__name__)

REFRESH_BEFORE = timedelta(minutes=10)  # whoever notices first fetches the next one; the others go on with this one
ASK_AGAIN = timedelta(seconds=60)
UNUSABLE_BEFORE = timedelta(seconds=30)
WAIT_FOR_OTHER_SECONDS = 15.0
POLL_SECONDS = 0.05
BROKEN_SECONDS = 300.0  # how often work that waits for a new secret looks whether it is there

MOST_SECONDS = 30 * 24 * 3600  # no token lives longer; WeCom says 7200


class Given(NamedTuple):
    """What WeCom gave: the token, and for how many seconds."""

    access_token: str
    seconds: int


Fetch = Callable[[str], Given]  # the gettoken call, given the secret


def read_answer(answer: Row) -> Given:
    """WeCom's answer to gettoken. Raises Malformed without a token: kept, half an answer would be asked with until it ended."""
    return Given(needed(answer, "access_token"), integer(answer, "expires_in", 7200, most=MOST_SECONDS))


@dataclass(frozen=True)
class Token:
    """A token as read: its version says which of two is newer."""

    value: str
    expires_at: datetime
    version: int
    asked_at: datetime | None = None

    def is_good(self, now: datetime, margin: timedelta) -> bool:
        """gettoken may answer the same token again until it ends: what was left of it when it was asked is used up by half
        before anybody asks again, so that its last 25 minutes cost five questions."""
        return bool(self.value) and self.expires_at - (UNUSABLE_BEFORE if self._just_asked(now) else margin) > now

    def _just_asked(self, now: datetime) -> bool:
        if self.asked_at is None:
            return False
        return now - self.asked_at < max(ASK_AGAIN, (self.expires_at - self.asked_at) / 2)


_known: dict[tuple[str, int], Token] = {}
_asked: dict[tuple[str, int], datetime] = {}  # a refresh that failed while the token is still good
_failed: dict[
    tuple[str, int], tuple[float, CallError]
] = {}  # the last gettoken that failed, and when on the monotonic clock
_guards: dict[tuple[str, int], threading.Lock] = {}
_guards_guard = threading.Lock()


def current(credential_pk: int, fetch: Fetch, *, margin: timedelta = REFRESH_BEFORE) -> Token:
    """A usable token; `fetch` makes the gettoken call when the one there has less than `margin` to live.

    Nobody waits while a token can still be used: one caller fetches the next, the others go on with it. Raises CallError
    (held) when the secret is refused.
    """
    key = (scope_name(), credential_pk)
    token, now = _known.get(key), clock.wall()
    if token and token.is_good(now, margin):
        return token
    if token and token.is_good(now, UNUSABLE_BEFORE):
        return _refreshed(key, token, fetch, now, margin)
    with _guard(key):
        token = _known.get(key)
        if not (token and token.is_good(now, margin)):
            token = _known[key] = _obtain(credential_pk, fetch, now, margin=margin)
    return token


def _refreshed(key: tuple[str, int], token: Token, fetch: Fetch, now: datetime, margin: timedelta) -> Token:
    """The next token if this caller is the one to fetch it and WeCom gives it; else the one at hand, which is good."""
    lock = _lock_of(key)
    if now - _asked.get(key, now - ASK_AGAIN) < ASK_AGAIN or not lock.acquire(blocking=False):
        return token
    try:
        _asked[key] = now
        _known[key] = _obtain(key[1], fetch, now, margin=margin)
        return _known[key]
    except CallError as error:
        if error.errcode in SECRET_REFUSED:
            raise
        return token
    finally:
        lock.release()


def replace(credential_pk: int, refused: Token, fetch: Fetch) -> Token:
    """The token after `refused`, which WeCom no longer accepts: the one another process already has, or a new one."""
    key = (scope_name(), credential_pk)
    with _guard(key):
        known = _known.get(key)
        if known is None or known.version <= refused.version or known.value == refused.value:
            least = max(refused.version, known.version if known and known.value == refused.value else -1)
            _known[key] = known = _obtain(credential_pk, fetch, clock.wall(), newer_than=least)
    return known


def notice(credential: CorpCredential) -> None:
    """The row was read anyway: what this process remembers of it is dropped when somebody has changed the secret or the token."""
    key = (scope_name(), credential.pk)
    token = _known.get(key)
    if token is not None and token.version < credential.access_token_version:
        _known.pop(key, None)


def forget(credential_pk: int) -> None:
    """Drop what this process remembers of a credential (its secret was changed)."""
    _known.pop((scope_name(), credential_pk), None)


def _lock_of(key: tuple[str, int]) -> threading.Lock:
    with _guards_guard:
        return _guards.setdefault(key, threading.Lock())


@contextmanager
def _guard(key: tuple[str, int]) -> Iterator[None]:
    """One caller of the process asks. Those who waited for him share what he was refused with: each asking again in turn, a
    WeCom that answers nothing would hold the last one for as many time-outs as there are callers."""
    since = time.monotonic()
    with _lock_of(key):
        failed_at, error = _failed.get(key, (0.0, None))
        if error is not None and failed_at > since:
            raise copy.copy(error)
        try:
            yield
        except CallError as failure:
            _failed[key] = time.monotonic(), copy.copy(failure)
            raise
        _failed.pop(key, None)


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
    if row.version != seen.version and row.version > newer_than and row.is_good(clock.wall(), UNUSABLE_BEFORE):
        return row
    secret = CorpCredential.objects.only("secret", "access_token_version").get(pk=credential_pk)
    try:
        given = fetch(secret.secret)
    except CallError as error:
        _note_refusal(secret, error)
        raise
    return _store(credential_pk, secret.access_token_version, given)


def _read(credential_pk: int) -> Token:
    row = CorpCredential.objects.only(
        "access_token", "access_token_expires_at", "access_token_version", "access_token_asked_at", "broken_at",
        "broken_reason",
    ).get(pk=credential_pk)  # fmt: skip
    if row.broken_at:
        raise CallError(row.broken_reason, errcode=40001, retryable=True, retry_after=BROKEN_SECONDS, held=True)
    expires = row.access_token_expires_at or clock.wall() - timedelta(days=1)
    return Token(row.access_token, expires, row.access_token_version, row.access_token_asked_at)


def _store(credential_pk: int, version: int, given: Given) -> Token:
    now = clock.wall()
    expires = now + timedelta(seconds=given.seconds)
    token = Token(given.access_token, expires, version + 1, now)
    swapped = CorpCredential.objects.filter(pk=credential_pk, access_token_version=version).update(
        access_token=token.value,
        access_token_expires_at=expires,
        access_token_version=token.version,
        access_token_asked_at=now,
    )
    if not swapped:
        token = _read(credential_pk)
    if not token.is_good(now, timedelta()):
        raise CallError("the secret was changed meanwhile", retryable=True, retry_after=1.0, held=True)
    return token


def _note_refusal(asked_with: CorpCredential, error: CallError) -> None:
    """Open the breaker for a refused secret; a person mends it, and until then nothing is lost or tried in vain.

    A secret that was changed while WeCom was asked stays open: its version says so.
    """
    if error.errcode not in SECRET_REFUSED:
        return
    error.retryable, error.held, error.retry_after = True, True, BROKEN_SECONDS
    same = CorpCredential.objects.filter(
        pk=asked_with.pk, broken_at=None, access_token_version=asked_with.access_token_version
    )
    if same.update(broken_at=clock.wall(), broken_reason=str(error)[:200]):
        logger.error("secret of credential %s refused: %s", asked_with.pk, error)
    elif not CorpCredential.objects.filter(pk=asked_with.pk, broken_at__isnull=False).exists():
        error.retry_after = 1.0
