"""Taking off what a rule put on: its own tags alone, and only while they still are its own."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime

from django.db.models import F
from django.db.models.functions import Coalesce

from contacts.models import Relation
from tagging.matching import of_people
from tagging.models import FollowTag, Rule
from tagging.queries import CARRIED
from tagging.services.marks import mark_tags
from tenants.audit import SYSTEM


def take_back_tags(rule: Rule, root_ids: Sequence[int], *, put_at: datetime | None = None) -> dict[int, int]:
    """Root id → how many tags of the rule's went off. put_at: only those put on at this instant, by one run of it."""
    marks = FollowTag.objects.filter(
        of_people(root_ids), rule=rule, state__in=CARRIED, follow__relation=Relation.ACTIVE,
        tag__deleted_at__isnull=True, tag__group__deleted_at__isnull=True,
    )  # fmt: skip
    if put_at is not None:
        marks = marks.filter(tagged_at=put_at)
    tags_of: dict[int, list[int]] = defaultdict(list)
    counts: Counter[int] = Counter()
    rows = marks.annotate(_root=Coalesce(F("contact__root_id"), F("contact_id"))).order_by("follow_id", "tag_id")
    for follow_id, tag_id, root_id in rows.values_list("follow_id", "tag_id", "_root"):
        tags_of[follow_id].append(tag_id)
        counts[root_id] += 1
    alike: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for follow_id, tags in tags_of.items():
        alike[tuple(tags)].append(follow_id)
    for same, follow_ids in sorted(alike.items()):
        mark_tags(follow_ids, remove=same, origin=FollowTag.Origin.RULE, by=SYSTEM, rule=rule)
    return dict(counts)
