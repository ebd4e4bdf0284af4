"""Which tag groups are exclusive, and who carries the tag the repair rule of the scenario speaks of."""

from demo.scenarios.model import Scenario
from tagging.models import FollowTag, TagGroup


def mark_exclusive(scenario: Scenario) -> None:
    """WeCom does not know exclusive groups; the merchant says which are."""
    TagGroup.objects.filter(name__in=scenario.exclusive_groups).update(is_exclusive=True)


def carriers(scenario: Scenario) -> set[int]:
    """Contact ids that carry the scenario's repair tag."""
    if scenario.repair is None:
        return set()
    marks = FollowTag.objects.filter(tag__name=scenario.repair[0], tag__deleted_at__isnull=True)
    return set(marks.values_list("contact_id", flat=True))
