"""The order of a person's events, and a share of people drawn by lot."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db.models import F, QuerySet
from django.utils.translation import gettext_lazy as _

from conditions.operators import ValueType
from conditions.people import branches
from conditions.registry import Field, Option
from conditions.tree import Leaf
from contacts import timeline
from contacts.conditionfields.people import PERSON
from contacts.conditionfields.rows import FACTS
from contacts.models import TimelineEvent


def _kinds() -> list[Option]:
    return [Option(kind.key, kind.label) for kind in timeline.all_kinds()]


def _event_rows() -> QuerySet[Any]:
    return TimelineEvent.objects.filter(contact__isnull=False)


def _read_events(root_ids: Sequence[int]) -> Mapping[int, Any]:
    root_of = branches(root_ids)
    found: dict[int, list[tuple[str, datetime]]] = defaultdict(list)
    for event in TimelineEvent.objects.filter(contact_id__in=list(root_of)):
        found[root_of[event.contact_id or 0]].append((event.kind, event.occurred_at))
    return found


def _named(leaf: Leaf) -> list[str]:
    """The kinds a leaf names; it may not be valid yet."""
    return [kind for kind in leaf.value if isinstance(kind, str)] if isinstance(leaf.value, list) else []


def _sees_kinds(leaf: Leaf) -> list[str]:
    """Who asks for an order of events must be one who may see such events."""
    needed = {kind.key: kind.permission for kind in timeline.all_kinds()}
    return [needed[key] for key in _named(leaf) if key in needed]


def _read_share(root_ids: Sequence[int]) -> Mapping[int, Any]:
    return {pk: pk for pk in root_ids}


FIELDS = (
    Field(
        "events", _("行为先后"), FACTS, ValueType.SEQUENCE, read=_read_events, rows=_event_rows, value="kind", at="occurred_at",
        options=_kinds, dirty_keys=lambda leaf: [f"event.{kind}" for kind in _named(leaf)], leaf_permissions=_sees_kinds, order=10,
    ),
    Field("share", _("随机分组"), PERSON, ValueType.SHARE, read=_read_share, expression=lambda _now: F("pk"), order=90),
)  # fmt: skip
