"""Idempotency-Key: one answer per token and key, given again to whoever asks again."""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _
from rest_framework.renderers import JSONRenderer

from scrm.lib import clock
from scrm.lib.errors import Conflict, UserError
from tenants.ledger.models import IdempotentRequest

# A request that never answered (its process was killed) blocks its key this long.
ABANDONED = timedelta(minutes=5)
MAX_KEY = 80
NOT_NOW = {409, 425, 429}


@dataclass(frozen=True)
class Claim:
    """This request is the one that does the work for its key."""

    pk: int


class Answered(Exception):
    """The work is done already; this is what was said."""

    def __init__(self, status: int, body: Any) -> None:
        super().__init__(status)
        self.status, self.body = status, body


def claim(token_id: int, key: str, *, method: str, path: str, body: bytes) -> Claim:
    """Take the key for this request.

    Raises Answered when an earlier request with the same body has its answer, Conflict while it is at work, and UserError
    for a key that is empty, too long, or was used with another request.
    """
    if not 1 <= len(key) <= MAX_KEY:
        raise UserError(_("Idempotency-Key 需要 1 到 80 个字符。"), code="bad_idempotency_key")
    digest = hashlib.sha256(b"\0".join((method.encode(), path.encode(), body))).hexdigest()
    now = clock.wall()
    # Who inserts the row does the work; create() in a savepoint says who that was.
    try:
        with transaction.atomic():
            row = IdempotentRequest.objects.create(token_id=token_id, key=key, request_digest=digest, created_at=now)
            return Claim(row.pk)
    except IntegrityError:
        row = IdempotentRequest.objects.get(token_id=token_id, key=key)
    if row.request_digest != digest:
        raise UserError(_("这个 Idempotency-Key 已用于另一个请求。"), code="idempotency_key_reused")
    if row.status is not None:
        raise Answered(row.status, row.body)
    if row.created_at < now - ABANDONED and _take_over(row, now):
        return Claim(row.pk)
    raise Conflict(_("同一个 Idempotency-Key 的请求还在处理,请稍后再取结果。"), code="request_in_progress")


def _take_over(row: IdempotentRequest, now: datetime) -> bool:
    """Ours, unless somebody else took it over since we looked."""
    stale = IdempotentRequest.objects.filter(pk=row.pk, status__isnull=True, created_at=row.created_at)
    return bool(stale.update(created_at=now))


def settle(claimed: Claim, status: int, data: Any) -> None:
    """Keep the answer. One that says "later", or that the server failed, is not kept, so that a retry does the work."""
    if status >= 500 or status in NOT_NOW:
        release(claimed)
        return
    body = json.loads(JSONRenderer().render(data)) if data is not None else None
    IdempotentRequest.objects.filter(pk=claimed.pk).update(status=status, body=body)


def release(claimed: Claim) -> None:
    """Give the key free."""
    IdempotentRequest.objects.filter(pk=claimed.pk, status__isnull=True).delete()
