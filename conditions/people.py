"""The people conditions speak about: root contacts. This layer lies below contacts, so the model is found by its label."""

from collections.abc import Iterable
from typing import Any

from django.apps import apps
from django.db.models import Q, QuerySet

PERSON = "contacts.Contact"


def people() -> QuerySet[Any]:
    """All root contacts that stand for somebody, in no order."""
    everybody = apps.get_model(PERSON)._default_manager
    found: QuerySet[Any] = everybody.filter(root__isnull=True, erased_at__isnull=True).order_by()
    return found


def roots(contact_ids: Iterable[int]) -> dict[int, int]:
    """Contact id → the root it counts as today. Ids that no longer exist are left out."""
    rows = apps.get_model(PERSON)._default_manager.filter(pk__in=set(contact_ids)).values_list("pk", "root_id")
    return {pk: root_id or pk for pk, root_id in rows}


def branches(root_ids: Iterable[int]) -> dict[int, int]:
    """Contact id → root id, for the given roots and everyone merged into them: for reference readers."""
    wanted = set(root_ids)
    rows = (
        apps.get_model(PERSON)
        ._default_manager.filter(Q(pk__in=wanted) | Q(root_id__in=wanted))
        .values_list("pk", "root_id")
    )
    return {pk: root_id or pk for pk, root_id in rows if (root_id or pk) in wanted}
