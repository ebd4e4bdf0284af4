"""What campaigns keep of a person: whom a message was for, and under which id she was written to."""

from typing import Any

from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from campaigns import changes
from campaigns.models import Delivery, Dispatch, Enrollment, WelcomeSend
from campaigns.services.marking import settle
from campaigns.services.sop_running import leave_all
from campaigns.states import DeliveryState, DispatchState
from contacts.erasers import of_contact
from tenants import erasure
from tenants.erasure import Eraser, Holdup, Subject

_BEFORE_A_TASK = (DispatchState.WAITING, DispatchState.AGREED)


def _marked(column: str) -> Any:
    """The mark in place of her id."""
    return lambda row, subject: subject.marks.get(getattr(row, column), getattr(row, column))


ERASERS = (
    Eraser("campaigns.Delivery", _("群发对象"), of_contact, blank={"external_userid": "", "note": ""}),
    Eraser(
        "campaigns.DeliveryMove", _("改派记录"), blank={"from_external_userid": ""},
        find=lambda subject: Q(delivery__contact_id__in=subject.pks("contacts.Contact")),
    ),
    Eraser(
        "campaigns.WelcomeSend", _("欢迎语"), blank={"external_userid": _marked("external_userid")},
        find=lambda subject: Q(external_userid__in=subject.texts()),
    ),
    Eraser(
        "campaigns.MassSendResult", _("群发结果"), blank={"target": _marked("target")},
        find=lambda subject: Q(target__in=subject.texts()),
    ),
    # Which fact enrolled her is told by a digest of her ids; once she is gone nothing enrols her for it again.
    Eraser(
        "campaigns.Enrollment", _("SOP 在跑记录"), of_contact,
        blank={"trigger_key": lambda row, subject: f"erased:{row.pk}"},
    ),
    Eraser("campaigns.Dispatch", _("任务的说明"), sweep=("note",)),
)  # fmt: skip


def _open(subject: Subject) -> Any:
    return Delivery.objects.filter(of_contact(subject), state__in=(DeliveryState.PLANNED, DeliveryState.TASKED))


def _count(subject: Subject) -> int:
    """Messages to her that WeCom has, or is just being asked for: their result must come first."""
    return _open(subject).exclude(dispatch__isnull=True).exclude(dispatch__state__in=_BEFORE_A_TASK).count()


def _leave(subject: Subject) -> None:
    """SOP runs end; messages for which no task exists yet are not made, as for anybody who wants none."""
    leave_all(Enrollment.objects.filter(of_contact(subject)), "erased", subject.at)
    theirs = _open(subject).filter(state=DeliveryState.PLANNED)
    # Locked, so that no claim counts her while she leaves.
    units = Dispatch.objects.filter(pk__in=theirs.values("dispatch")).select_for_update(of=("self",)).order_by("pk")
    early = [unit.pk for unit in units if unit.state in _BEFORE_A_TASK]
    shrinking = theirs.filter(Q(dispatch_id__in=early) | Q(dispatch__isnull=True))
    pushes = set(shrinking.values_list("push_id", flat=True))
    settle(shrinking, state=DeliveryState.SKIPPED, reason="opt_out", settled_at=subject.at)
    changes.tell(pushes)


def _entities(subject: Subject) -> set[str]:
    sends = WelcomeSend.objects.filter(external_userid__in=subject.texts())
    return {f"welcome:{pk}" for pk in sends.values_list("pk", flat=True)}


def register() -> None:
    """Tell the registry."""
    erasure.register(*ERASERS)
    erasure.register_entities(_entities)
    erasure.register_holdup(Holdup("messages", _("进行中的群发"), _count, _leave))
