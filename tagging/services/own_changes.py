"""Whose own change waits to be worked off, at the instant of the statement that asks.

Somebody's change and its mark are one transaction, and so are the deletion of the mark and what came of it. So a statement over everybody
sees of each person the mark, or what came of it, and never neither: it leaves those with a mark alone, and their change is told as theirs.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet
from django.db.models.functions import Coalesce

from conditions.dirty import EVERYTHING
from conditions.models import DirtyMark
from contacts.models import Contact


def waiting(keys: Iterable[str], put_off: Iterable[str], now: datetime) -> QuerySet[Any, Any]:
    """Root ids (`person`) of people with marks of these keys that are due, or of the keys of what was put off, due or not: by news alone, not
    by what only the first sync told. Whoever was merged counts as the person she is today."""
    later = [*put_off]
    due = [*keys, *later, EVERYTHING]
    # Three ways to look marks up, one for each index that fits.
    marks = DirtyMark.objects.filter(
        Q(not_before__isnull=True, field_key__in=due)
        | Q(not_before__isnull=False, field_key__in=later)
        | Q(not_before__isnull=False, not_before__lte=now, field_key__in=due),
        is_backfill=False,
    )
    known = Contact.objects.filter(pk__in=marks.values("contact_id"))
    return known.annotate(person=Coalesce("root_id", "pk")).order_by().values_list("person", flat=True)
