"""The governor's word, as the errors of this house: what it refuses is held, so no work loses a try over it."""

from collections.abc import Iterator
from contextlib import contextmanager

from wecom_bridge.gateway.errors import BUSY, CallError
from wecom_bridge.governor.pace import KEPT_SECONDS, Pace, Refused
from wecom_bridge.governor.shared import connection as _redis

__all__ = ["_redis", "turn"]

_WORDS = {
    "closed": (45009, "rate window closed"),
    "full": (45009, "this window's calls are used up"),
    "busy": (45033, "as many calls as allowed are running"),
    "hold": (45033, "as many calls as allowed are running"),
    "away": (None, "no connection"),
}


@contextmanager
def turn(pace: Pace, api: str, *, subject: str = "", kept: float = KEPT_SECONDS) -> Iterator[None]:
    """Call inside. Raises CallError: held when it is not one's turn, final when the subject's uses are spent.

    A 45009 from inside leaves with the time for which the window is closed.
    """
    try:
        taken = pace.take(api, subject=subject, kept=kept)
    except Refused as no:
        raise _refusal(no) from None
    try:
        yield
    except CallError as error:
        outcome = outcome_of(error)
        wait = pace.left(taken, outcome)
        if outcome in ("frequent", "none"):
            error.retry_after = wait
        raise
    except BaseException:
        pace.left(taken, "ok")  # a mistake of ours says nothing about WeCom
        raise
    pace.left(taken, "ok")


def outcome_of(error: CallError) -> str:
    """What a failed call says of WeCom's state: a plain refusal says it is well."""
    if error.errcode == 45009:
        return "frequent"
    if error.errcode == 45033:
        return "crowded"
    if error.not_connected:
        return "none"
    if error.timed_out:
        return "slow"
    return "busy" if error.errcode in (BUSY, None) else "ok"


def _refusal(no: Refused) -> CallError:
    if no.word == "each":
        return CallError("as often as allowed for this one", errcode=no.errcode or 45009)
    errcode, text = _WORDS[no.word]
    return CallError(text, errcode=errcode, retryable=True, retry_after=no.wait, held=True)
