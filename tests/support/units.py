"""A guide's unit on its way through WeCom: what is commanded, taken, confirmed and answered."""

from datetime import timedelta

from campaigns import tasks
from campaigns.models import Delivery, Dispatch
from campaigns.services import claiming, results
from scrm.lib import clock
from tests.support import campaigns as make
from wecom_bridge.models import OutboundCommand


def commands(kind: str) -> list[OutboundCommand]:
    """All commands of a kind, oldest first."""
    return list(OutboundCommand.objects.filter(kind=kind).order_by("pk"))


def drain() -> None:
    """Work off what is due in campaigns."""
    tasks.drain(clock.wall() + timedelta(seconds=20))


def tasked(unit: Dispatch) -> None:
    """The unit agreed to, claimed at 通知时间 and taken by WeCom."""
    make.agree(unit)
    with make.at_time(make.local(10)):
        claiming.claim_due()
        make.give_task(unit)


def answer(unit: Dispatch, *statuses: int, after: int = 0) -> None:
    """What WeCom lists as results for the unit's people, in order."""
    rows = list(Delivery.objects.filter(dispatch=unit).order_by("pk"))
    sent = int(make.local(10, 30).timestamp())
    listed = [
        {"external_userid": row.external_userid, "status": status, **({"send_time": sent} if status == 1 else {})}
        for row, status in zip(rows[after:], statuses, strict=False)
    ]
    results.record_results(unit.pk, listed, "")


def confirm(unit: Dispatch) -> None:
    """WeCom says that the guide has sent it at half past ten."""
    sent = int(make.local(10, 30).timestamp())
    results.record_task_state(unit.pk, [{"userid": unit.sender.userid, "status": 2, "send_time": sent}])
