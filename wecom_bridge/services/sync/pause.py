"""What an error means for a unit of a sync: wait, give it up as unknown, or find it empty. Never: gone."""

from datetime import datetime

from django.utils import timezone
from django.utils.translation import gettext as _

from scrm.lib import clock
from wecom_bridge.gateway.errors import MEMBER_DENIED, NO_RELATION, CallError
from wecom_bridge.models import SyncRun, SyncUnit
from wecom_bridge.services.backoff import next_try

MAX_ATTEMPTS = 8
API_REFUSED = {48002, 48006}  # this API is not the app's, which other APIs may be; the token is good


class Paused(Exception):
    """The run cannot go on before `until` (wall); its units stay as they are."""

    def __init__(self, until: datetime, error: CallError) -> None:
        super().__init__(str(error))
        self.until = until
        self.error = error


def is_refusal(error: CallError) -> bool:
    """Whether WeCom will not tell this one thing until somebody gives the app the permission, while others can be read.

    No refusal of this kind is an outage, a closed window, or a word about the whole credential (a refused token, an address that
    is not trusted, an app that is switched off): those pause the run.
    """
    return error.errcode in API_REFUSED or (error.errcode is not None and not error.retryable)


def note_error(unit: SyncUnit, error: CallError) -> None:
    """Move the unit as the error says. Raises Paused for one that would meet every unit: a closed window, a refused secret."""
    now = clock.wall()
    if error.held and not is_refusal(error):
        raise Paused(next_try(1, now, error.retry_after), error)
    unit.attempts += 1
    unit.last_error = str(error)[:200]
    if error.errcode == NO_RELATION:
        unit.state = SyncUnit.State.EMPTY
    elif error.errcode in MEMBER_DENIED | API_REFUSED:
        unit.state = SyncUnit.State.DENIED
    elif error.retryable and unit.attempts < MAX_ATTEMPTS:
        unit.next_attempt_at = next_try(unit.attempts, now, error.retry_after)
    else:
        unit.state = SyncUnit.State.FAILED
    unit.save(update_fields=["attempts", "last_error", "state", "next_attempt_at"])


def say_paused(run: SyncRun, pause: Paused) -> None:
    """Tell whoever watches why nothing moves, and until when."""
    at = timezone.localtime(pause.until).strftime("%H:%M:%S")
    words = _("企业微信暂时不应答(%(error)s),%(at)s 自动继续") % {"error": pause.error, "at": at}
    run.last_error = words[:500]
    run.counts = run.counts | {"paused_until": pause.until.isoformat()}
    run.save(update_fields=["last_error", "counts"])
