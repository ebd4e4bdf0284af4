"""Where the bridge's own books name a customer: callbacks, commands, what syncs staged and found."""

from collections.abc import Sequence
from typing import Any

from django.db.models import Q, TextField
from django.db.models.functions import Cast
from django.utils.translation import gettext_lazy as _

from scrm.lib import clock
from tenants import erasure
from tenants.audit import SYSTEM
from tenants.erasure import Eraser, Holdup, Subject
from wecom_bridge.models import InboundEvent, OutboundCommand
from wecom_bridge.services import outbox

State = OutboundCommand.State
IN_HAND = (State.CLAIMED, State.UNKNOWN)


def _hers(subject: Subject) -> Q:
    return Q(entity_key__in=subject.entities)


def _named(column: str, subject: Subject) -> Q:
    """Her id alone, or in a pair."""
    found = Q(**{f"{column}__in": subject.texts()})
    for key in subject.texts():
        found |= Q(**{f"{column}__startswith": f"{key}/"}) | Q(**{f"{column}__endswith": f"/{key}"})
    return found


def _ignore(rows: Sequence[InboundEvent], subject: Subject) -> None:
    """Callbacks about her alone that were not handled yet would read somebody nobody knows any more."""
    ids = [row.pk for row in rows if row.event == "change_external_contact"]
    InboundEvent.objects.filter(pk__in=ids, state__in=(*InboundEvent.OPEN, InboundEvent.State.PARKED)).update(
        state=InboundEvent.State.IGNORED, settled_at=clock.wall(), claimed_until=None
    )


def _empty(row: Any, subject: Subject) -> dict[str, Any]:
    return {}


ERASERS = (
    Eraser(
        "wecom_bridge.InboundEvent", _("企业微信回调"), sweep=("body", "entity_key", "last_error"), afterwards=_ignore
    ),
    Eraser(
        "wecom_bridge.OutboundCommand", _("企业微信调用"), _hers, blank={"payload": _empty, "result": _empty, "last_error": ""},
        sweep=("payload", "result", "entity_key", "last_error"),
    ),
    Eraser("wecom_bridge.StagedRow", _("同步暂存"), lambda subject: _named("key", subject), sweep=("payload",)),
    Eraser("wecom_bridge.SyncUnit", _("同步进度"), sweep=("key", "cursor")),
    Eraser(
        "wecom_bridge.DriftRow", _("对账差异"), lambda subject: _named("key", subject), sweep=("key", "before", "after"),
        blank={
            "before": _empty, "after": _empty, "key": lambda row, subject: subject.cleaned(row.key),
        },
    ),
)  # fmt: skip


def _count(subject: Subject) -> int:
    """Calls of hers in hand or in doubt, and open ones of others in which she is named."""
    doubtful = Q(state=State.PARKED, policy=OutboundCommand.Policy.ONCE, sent_at__isnull=False)
    own = OutboundCommand.objects.filter(_hers(subject)).filter(Q(state__in=IN_HAND) | doubtful)
    named = Q()
    for key in subject.texts():
        named |= Q(said__contains=key)
    if not named:
        return own.count()
    others = OutboundCommand.objects.filter(state__in=outbox.OPEN).exclude(_hers(subject))
    return own.count() + others.annotate(said=Cast("payload", TextField())).filter(named).count()


def _cancel(subject: Subject) -> None:
    """What was not called yet is given up; the apps are told."""
    waiting = OutboundCommand.objects.filter(_hers(subject), state__in=(State.WAITING, State.RETRY, State.PARKED))
    doubtful = Q(policy=OutboundCommand.Policy.ONCE, sent_at__isnull=False)
    ids = list(waiting.exclude(doubtful).order_by("id").values_list("pk", flat=True))
    if ids:
        outbox.drop(ids, by=SYSTEM)


def register() -> None:
    """Tell the registry."""
    erasure.register(*ERASERS)
    erasure.register_holdup(Holdup("commands", _("对企业微信的调用"), _count, _cancel))
