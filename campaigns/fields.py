"""Condition fields about touches: what became of messages meant for a person, and the SOPs she runs or ran through."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet
from django.utils.translation import gettext_lazy as _

from campaigns.models import Broadcast, Delivery, Enrollment, Sop
from campaigns.queries.broadcasts import visible_broadcasts
from campaigns.queries.sops import visible_sops
from campaigns.services.marking import PUSH, SOP
from campaigns.states import OPEN_DELIVERY, REASONS, DeliveryState, PushKind, PushTarget
from conditions.operators import ValueType
from conditions.people import branches
from conditions.registry import Field, Option, Trait, register

GROUP = _("触达")


# --- What exists -------------------------------------------------------------------------------------------------


def _outcomes() -> list[Option]:
    """Of what is over: whether a task of it exists already is no outcome."""
    return [Option(state.value, state.label) for state in DeliveryState if state not in OPEN_DELIVERY]


def _reasons() -> list[Option]:
    return [Option(code, label) for code, label in REASONS.items()]


def _kinds() -> list[Option]:
    return [Option(kind.value, kind.label) for kind in PushKind if kind != PushKind.MOMENT]


def _broadcasts() -> list[Option]:
    """Those that were frozen, newest first."""
    rows = Broadcast.objects.filter(target=PushTarget.PEOPLE, push__isnull=False).order_by("-pk")
    return [Option(pk, name) for pk, name in rows.values_list("pk", "name")]


def _sops() -> list[Option]:
    """Those that run or ran; one in use before others of its name."""
    rows = Sop.objects.exclude(state="draft").order_by("name", "-pk")
    return [Option(sop.pk, sop.name, sop.get_state_display()) for sop in rows]


# --- Rows --------------------------------------------------------------------------------------------------------


def _deliveries() -> QuerySet[Any]:
    return Delivery.objects.filter(contact__isnull=False)


def _of_broadcasts(broadcast_ids: Sequence[Any]) -> Q:
    return Q(push__kind=PushKind.BROADCAST, push__source_id__in=broadcast_ids)


def _runs() -> QuerySet[Any]:
    return Enrollment.objects.filter(contact__isnull=False)


def _running() -> QuerySet[Any]:
    return _runs().filter(state=Enrollment.State.RUNNING)


# --- For one person's facts --------------------------------------------------------------------------------------


def _read_deliveries(root_ids: Sequence[int]) -> Mapping[int, Any]:
    root_of = branches(root_ids)
    found: dict[int, list[tuple[datetime, Any]]] = defaultdict(list)
    for delivery in Delivery.objects.filter(contact_id__in=list(root_of)):
        if delivery.contact_id:
            found[root_of[delivery.contact_id]].append((delivery.frozen_at, None))
    return found


def _read_running(root_ids: Sequence[int]) -> Mapping[int, Any]:
    root_of = branches(root_ids)
    found: dict[int, list[tuple[int, datetime]]] = defaultdict(list)
    for run in Enrollment.objects.filter(contact_id__in=list(root_of)):
        if run.contact_id and run.state == "running":
            found[root_of[run.contact_id]].append((run.sop_id, run.entered_at))
    return found


def _read_runs(root_ids: Sequence[int]) -> Mapping[int, Any]:
    root_of = branches(root_ids)
    found: dict[int, list[tuple[datetime, Any]]] = defaultdict(list)
    for run in Enrollment.objects.filter(contact_id__in=list(root_of)):
        if run.contact_id:
            found[root_of[run.contact_id]].append((run.entered_at, None))
    return found


# --- The fields --------------------------------------------------------------------------------------------------

FIELDS = (
    Field(
        "push", _("群发与 SOP 消息"), GROUP, ValueType.FACTS, read=_read_deliveries, rows=_deliveries, at="frozen_at", unit=_("条"),
        dirty_keys=(PUSH,), order=10, permissions=("broadcasts.view",),
        traits=(
            Trait("outcome", _("结果"), "state", _outcomes),
            Trait("reason", _("没有发到的原因"), "reason", _reasons),
            Trait("kind", _("由什么发出"), "push__kind", _kinds),
            Trait("broadcast", _("哪次群发"), "push__source_id", _broadcasts, offered=visible_broadcasts, keeps=_of_broadcasts),
        ),
    ),
    Field(
        "sop", _("在跑的 SOP"), GROUP, ValueType.SET, read=_read_running, rows=_running, value="sop_id", at="entered_at",
        options=_sops, offered=visible_sops, dirty_keys=(SOP,), order=20, permissions=("sops.view",),
    ),
    Field(
        "sop.entered", _("进入过 SOP"), GROUP, ValueType.FACTS, read=_read_runs, rows=_runs, at="entered_at", unit=_("次"),
        dirty_keys=(SOP,), order=30, permissions=("sops.view",),
        traits=(
            Trait("sop", _("SOP"), "sop", _sops, offered=visible_sops),
            Trait("outcome", _("结果"), "state", lambda: [Option(value, label) for value, label in Enrollment.State.choices]),
        ),
    ),
)  # fmt: skip


def fill() -> None:
    """Register them, in AppConfig.ready()."""
    register(*FIELDS)
