"""One customer read again because somebody stands before her: WeCom is asked now, and the handlers are told as after a sync."""

from django.core.cache import cache
from django.db import transaction
from django.utils.translation import gettext as _

from scrm.lib import clock
from scrm.lib.errors import TryLater
from wecom_bridge.contracts import PeopleBatch, handlers_for
from wecom_bridge.gateway import CallError, gateway_for
from wecom_bridge.gateway.errors import NO_RELATION, UNKNOWN_CUSTOMER
from wecom_bridge.models import Corp

AGAIN_SECONDS = 60  # a page reloaded, or guesses, must not become a stream of calls


def read_customer(corp: Corp, external_userid: str) -> bool:
    """Whether she was read: False when WeCom knows no such customer in our range, or was asked about her within the minute.

    Raises TryLater; RuntimeError inside a transaction.
    """
    if not cache.add(f"reread:{corp.pk}:{external_userid}", 1, AGAIN_SECONDS):
        return False
    read_at = clock.now()
    try:
        row = gateway_for(corp).get_customer(external_userid)
    except CallError as error:
        if error.errcode in (NO_RELATION, UNKNOWN_CUSTOMER):
            return False
        raise TryLater(_("没有从企业微信读到这位客户,请过一分钟再试。"), code="wecom_unavailable") from error
    with transaction.atomic():
        for handle in handlers_for("people"):
            handle(PeopleBatch(corp, "reconcile", read_at, rows=[row]))
    return True
