"""The people conditions speak about: root contacts. This layer lies below contacts, so the model is found by its label."""

from collections.abc import Iterable
from typing import Any

from django.apps import apps
from django.db import connection
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


def families(contact_ids: Iterable[int]) -> dict[int, int]:
    """Contact id → root id, for everybody who counts as the same person as one of these. Ids that no longer exist are left out. One
    query."""
    table = connection.ops.quote_name(apps.get_model(PERSON)._meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH known AS (SELECT DISTINCT coalesce(root_id, id) AS id FROM {table} WHERE id = ANY(%s))"
            f" SELECT id, id FROM known UNION ALL SELECT c.id, c.root_id FROM {table} AS c JOIN known ON known.id = c.root_id",
            [list(set(contact_ids))],
        )
        return dict(cursor.fetchall())


def branches(root_ids: Iterable[int]) -> dict[int, int]:
    """Contact id → root id, for the given roots and everyone merged into them: for reference readers."""
    wanted = set(root_ids)
    rows = (
        apps.get_model(PERSON)
        ._default_manager.filter(Q(pk__in=wanted) | Q(root_id__in=wanted))
        .values_list("pk", "root_id")
    )
    return {pk: root_id or pk for pk, root_id in rows if (root_id or pk) in wanted}
