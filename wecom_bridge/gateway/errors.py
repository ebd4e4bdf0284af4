"""What a call to WeCom may come to, as one exception with what the caller must know to decide."""

import re

import requests
from wechatpy.exceptions import WeChatClientException

from wecom_bridge.shapes.pieces import Malformed

# Answers that mean "not now": the call had no effect and may be made again (customer-contact reference 12.2, 12.3).
# 41063: the mass message is still being dispatched; 41096: the welcome is being sent; 6000: a version conflict.
NOT_NOW = {45009: 60.0, 45033: 2.0, 6000: 1.0, 41063: 30.0, 41096: 1.5}
# System busy: whether it took effect is not said.
BUSY = -1
TOKEN_REFUSED = {40001, 40014, 42001}
# Refusals of the corp's set-up, which a person mends: nothing is lost meanwhile, nothing is tried in vain.
SET_UP = {60020: 600.0, 48002: 1800.0, 48004: 1800.0, 48006: 1800.0, 50003: 1800.0, 301007: 3600.0}
# Refusals of a secret by gettoken. Asking again bans the caller's address for an hour.
SECRET_REFUSED = {40001, 40013, 40091, 41002, 41004, 50003, 301007}

NO_RELATION = 84061
UNKNOWN_CUSTOMER = 40096
GONE_MEMBER = {60111, 46004}
TOO_LARGE, NO_PERMISSION = 45029, 60011
GROUP_GONE = 49008
UNKNOWN_GROUP = {GROUP_GONE, 90501}
OUT_OF_RANGE = {60011, 60021, 50002}  # she may be there: unknown, not gone
# The member is out of the app's range or has no customer contact: his customers are unknown, not gone.
MEMBER_DENIED = {40003, 40031, 60011, 60021, 60030, 60111, 84074, 84083}
NOT_FROM_HERE = 60020
_ADDRESS = re.compile(r"from ip: ([0-9A-Fa-f.:]{2,45})")


class CallError(Exception):
    """A call that brought no answer, or a refusal.

    errcode: WeCom's, None where there was none (time-out, broken answer). retryable: the same call may succeed later.
    executed_maybe: it may have taken effect although no answer says so. retry_after: seconds until a new try makes sense,
    None to leave it to the caller's own back-off. held: the delay is no fault of the call, so no attempt is counted.
    timed_out, not_connected: the failure's kind, for the governor.
    The message never carries a token: it holds WeCom's words or the failure's kind.
    """

    def __init__(
        self,
        message: str,
        *,
        errcode: int | None = None,
        retryable: bool = False,
        executed_maybe: bool = False,
        retry_after: float | None = None,
        held: bool = False,
        timed_out: bool = False,
        not_connected: bool = False,
    ) -> None:
        super().__init__(message)
        self.errcode = errcode
        self.message = message
        self.retryable = retryable
        self.executed_maybe = executed_maybe
        self.retry_after = retry_after
        self.held = held
        self.timed_out = timed_out
        self.not_connected = not_connected

    @property
    def code(self) -> str:
        """WeCom's errcode, or in two words what came instead: for counting."""
        if self.errcode is not None:
            return str(self.errcode)
        return "no answer" if self.executed_maybe else "no connection"

    def __str__(self) -> str:
        return f"[{self.errcode}] {self.message}" if self.errcode is not None else self.message


def from_errcode(errcode: int, message: str) -> CallError:
    """The error of an answer with a code other than 0."""
    text = message.split(", hint:")[0].split(", more info")[0].strip()[:300]
    if errcode == NOT_FROM_HERE and address_in(message):
        text = f"{text}, from ip: {address_in(message)}"  # the one thing a person must know to mend it
    if errcode == BUSY:
        return CallError(text, errcode=errcode, retryable=True, executed_maybe=True)
    if errcode in NOT_NOW:
        return CallError(
            text, errcode=errcode, retryable=True, retry_after=NOT_NOW[errcode], held=errcode in (45009, 45033)
        )
    if errcode in SET_UP:
        return CallError(text, errcode=errcode, retryable=True, retry_after=SET_UP[errcode], held=True)
    if errcode in TOKEN_REFUSED:
        return CallError(text, errcode=errcode, retryable=True, retry_after=30.0)
    return CallError(text, errcode=errcode)


def address_in(message: str) -> str:
    """The caller's address that WeCom names in an errmsg (`…, from ip: 1.2.3.4, more info at …`); empty when it does not."""
    found = _ADDRESS.search(message)
    return found.group(1).rstrip(".:") if found else ""


def from_failure(error: Exception) -> CallError:
    """The error of a call without a usable answer. Only a connection that was never made is known to have done nothing."""
    if isinstance(error, WeChatClientException):
        if error.errcode is not None:
            return from_errcode(int(error.errcode), str(error.errmsg))
        status = getattr(error.response, "status_code", "?")
        return CallError(f"HTTP {status}", retryable=True, executed_maybe=True)
    if isinstance(error, requests.ConnectTimeout) or _never_connected(error):
        # Held: nothing left this house, so an hour without WeCom uses up nobody's tries.
        return CallError("no connection", retryable=True, held=True, not_connected=True)
    if isinstance(error, requests.Timeout):
        return CallError("no answer in time", retryable=True, executed_maybe=True, timed_out=True)
    words = str(error) if isinstance(error, Malformed) else f"broken answer ({type(error).__name__})"
    return CallError(words, retryable=True, executed_maybe=True)


def _never_connected(error: Exception) -> bool:
    """urllib3 names a refused or unresolved address in the reason of MaxRetryError."""
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return isinstance(error, requests.ConnectionError) and type(reason).__name__ in {
        "NewConnectionError",
        "NameResolutionError",
    }
