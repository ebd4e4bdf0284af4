"""JS-SDK tickets, one per app and kind, kept in Redis for all processes like the tokens in their rows (platform reference D3, J).

A ticket lives two hours and may be asked for 100 times an hour per app (400 per corp), so one process asks and the others wait
for it. It is replaced ten minutes before its end by whoever notices first; meanwhile the old one serves. Without Redis each
process keeps its own.
"""

import hashlib
import json
import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urldefrag

from scrm.lib import clock
from tenants.paths import channel
from wecom_bridge.gateway import CallError, Gateway, gateway_for
from wecom_bridge.gateway.rates import _redis
from wecom_bridge.governor import shared
from wecom_bridge.models import Corp
from wecom_bridge.shapes.logins import Ticket

logger = logging.getLogger(__name__)

Kind = Literal["corp", "agent_config"]
REFRESH_BEFORE = 600.0  # seconds
UNUSABLE_BEFORE = 30.0
PER_HOUR = 90  # of the 100 an app may ask for
ASKING_SECONDS = 15  # a killed asker's place is free after this
POLL_SECONDS = 0.05

# Free the place only if it is still ours.
_LEAVE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


@dataclass(frozen=True)
class Kept:
    """A ticket with the wall time of its end."""

    ticket: str
    expires_at: float

    def lives(self, margin: float) -> bool:
        return self.expires_at - margin > clock.wall().timestamp()


_own: dict[str, Kept] = {}  # what this process knows; all there is while Redis is away


def corp_ticket(corp: Corp) -> str:
    """The corp's ticket, for wx.config. Raises CallError; RuntimeError inside a transaction where it must be asked for."""
    return _ticket(corp, "corp", lambda gateway: gateway.get_jsapi_ticket())


def agent_ticket(corp: Corp) -> str:
    """The app's ticket, for wx.agentConfig. Raises like corp_ticket."""
    return _ticket(corp, "agent_config", lambda gateway: gateway.get_agent_ticket())


def js_signature(ticket: str, noncestr: str, timestamp: int, url: str) -> str:
    """The signature a page shows: over the address as it stands in the browser, without what follows `#`."""
    page = urldefrag(url).url
    text = f"jsapi_ticket={ticket}&noncestr={noncestr}&timestamp={timestamp}&url={page}"
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def forget() -> None:
    """Drop what this process remembers."""
    _own.clear()


def _ticket(corp: Corp, kind: Kind, ask: Callable[[Gateway], Ticket]) -> str:
    gateway = gateway_for(corp)
    key = channel(f"wecom-ticket:{corp.corp_id}:{gateway.agent_id}:{kind}")
    stop = time.monotonic() + ASKING_SECONDS
    while True:
        kept = _read(key)
        if kept and kept.lives(REFRESH_BEFORE):
            return kept.ticket
        mark = secrets.token_hex(8)
        if _enter(key, mark):
            return _renew(key, mark, kept, lambda: ask(gateway))
        if kept and kept.lives(UNUSABLE_BEFORE):
            return kept.ticket  # another process is asking
        if time.monotonic() > stop:
            raise CallError("no ticket in time", retryable=True, retry_after=10.0, held=True)
        time.sleep(POLL_SECONDS)


def _renew(key: str, mark: str, seen: Kept | None, ask: Callable[[], Ticket]) -> str:
    """Ask for the next one, unless another process just has. A refusal is told only when the old one is of no use."""
    try:
        kept = _read(key)
        if kept and kept != seen and kept.lives(REFRESH_BEFORE):
            return kept.ticket
        try:
            _count(key)
            answer = ask()
        except CallError:
            if kept and kept.lives(UNUSABLE_BEFORE):
                logger.warning("the ticket could not be renewed; the old one serves on")
                return kept.ticket
            raise
        fresh = Kept(answer.ticket, clock.wall().timestamp() + answer.expires_in)
        _write(key, fresh)
        return fresh.ticket
    finally:
        _leave(key, mark)


def _read(key: str) -> Kept | None:
    told = _ask(lambda: _redis().get(key))
    if told is None:
        return _own.get(key)
    if not told[0]:
        return None
    value = json.loads(told[0])
    return Kept(value["ticket"], value["expires_at"])


def _write(key: str, kept: Kept) -> None:
    _own[key] = kept
    life = max(int((kept.expires_at - clock.wall().timestamp()) * 1000), 1)
    _ask(lambda: _redis().set(key, json.dumps({"ticket": kept.ticket, "expires_at": kept.expires_at}), px=life))


def _enter(key: str, mark: str) -> bool:
    told = _ask(lambda: _redis().set(f"{key}:asking", mark, nx=True, ex=ASKING_SECONDS))
    return told is None or bool(told[0])


def _leave(key: str, mark: str) -> None:
    _ask(lambda: _redis().eval(_LEAVE, 1, f"{key}:asking", mark))


def _ask(question: Callable[[], Any]) -> tuple[Any] | None:
    """What Redis says; None while it is away: then one time-out is enough for all that a ticket asks of it."""
    return shared.ask(lambda: (question(),))


def _count(key: str) -> None:
    """Count one question of this hour. Raises CallError (held) when the share is used up."""
    now = clock.wall().timestamp()
    counter = f"{key}:asked:{int(now // 3600)}"

    def add() -> int:
        pipe = _redis().pipeline(transaction=False)
        pipe.incr(counter)
        pipe.expire(counter, 3600)
        return int(pipe.execute()[0])

    told = _ask(add)
    if told is not None and told[0] > PER_HOUR:
        wait = 3600 - now % 3600
        raise CallError("this hour's tickets are used up", errcode=45009, retryable=True, retry_after=wait, held=True)
