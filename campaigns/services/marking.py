"""Conditions ask what became of the messages meant for a person, and through which SOPs she runs: whoever changes that marks her."""

from collections.abc import Collection
from typing import Any

from django.db.models import QuerySet

from campaigns.models import Delivery, Enrollment
from contacts import marks

PUSH, SOP = "push", "sop"


def settle(deliveries: QuerySet[Delivery], **values: Any) -> int:
    """Change deliveries of units that the caller locked, and mark whom they are for; how many."""
    mark_deliveries(deliveries)
    return deliveries.update(**values)


def mark_deliveries(deliveries: QuerySet[Delivery]) -> None:
    """Mark whom deliveries are for. From `planned` to `tasked` nothing is marked: no condition tells the two apart."""
    marks.mark_rows(deliveries.filter(contact__isnull=False), PUSH, "contact_id")


def mark_people(contact_ids: Collection[int | None]) -> None:
    """Mark whom deliveries are for, where they are known one by one."""
    marks.mark((pk for pk in contact_ids if pk), PUSH)


def mark_runs(runs: Collection[Enrollment]) -> None:
    """Mark people who entered a SOP, ended it, or go on with it."""
    marks.mark((run.contact_id for run in runs if run.contact_id), SOP)
