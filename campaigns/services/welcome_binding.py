"""Tying welcomes to the adding they greeted, once the people's facts are written; and adds that brought no code."""

from collections.abc import Sequence

from campaigns.models import WelcomeSend
from contacts.models import FollowPeriod, Identity
from wecom_bridge.contracts import EventFact, PeopleBatch
from wecom_bridge.models import Corp

ADDS = ("add_external_contact", "add_half_external_contact")


def bind(batch: PeopleBatch) -> None:
    """Hang unbound welcomes on the period their callback began, and note adds without a code. Five statements at most.

    A half add and the full add after it may each have brought a code: both hang on the one period.
    """
    added = {
        (event.fields.get("ExternalUserID", ""), event.fields.get("UserID", "")): event
        for event in batch.events
        if event.change_type in ADDS
    }
    if not added or batch.source != "callback":
        return
    periods = _open_periods(batch, added)
    unbound = WelcomeSend.objects.filter(
        corp=batch.corp,
        period__isnull=True,
        external_userid__in=[external for external, _userid in added],
        member_userid__in=[userid for _external, userid in added],
    )
    bound = [send for send in unbound if (send.external_userid, send.member_userid) in periods]
    for send in bound:
        send.period_id = periods[send.external_userid, send.member_userid]
    WelcomeSend.objects.bulk_update(bound, ["period"], batch_size=1000)
    greeted = set(WelcomeSend.objects.filter(period_id__in=periods.values()).values_list("period_id", flat=True))
    _note_without_code(batch.corp, [(periods[pair], added[pair]) for pair in periods if periods[pair] not in greeted])


def _open_periods(batch: PeopleBatch, added: dict[tuple[str, str], EventFact]) -> dict[tuple[str, str], int]:
    """(external_userid, userid) → the open period of that relation, in the id space the corp speaks in now."""
    rows = FollowPeriod.objects.filter(
        ended_at__isnull=True,
        follow__corp=batch.corp,
        follow__member__id_space=batch.corp.id_space,
        **Identity.named(batch.corp, [external for external, _userid in added], "follow__identity__"),
        follow__member__userid__in=[userid for _external, userid in added],
    ).values_list("follow__identity__value", "follow__member__userid", "pk")
    return {(external, userid): pk for external, userid, pk in rows if (external, userid) in added}


def _note_without_code(corp: Corp, found: Sequence[tuple[int, EventFact]]) -> None:
    """Only a finished add says that there was no code: of a half add the code may still come."""
    rows = [
        WelcomeSend(
            corp=corp,
            period_id=period_id,
            member_userid=event.fields.get("UserID", ""),
            external_userid=event.fields.get("ExternalUserID", ""),
            state=WelcomeSend.State.NO_CODE,
            received_at=event.received_at,
        )
        for period_id, event in found
        if event.change_type == ADDS[0] and not event.fields.get("WelcomeCode")
    ]
    WelcomeSend.objects.bulk_create(rows, ignore_conflicts=True)
