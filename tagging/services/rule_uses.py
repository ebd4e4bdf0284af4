"""Which rules and segments use a segment, a field or a stage, so that it is not put out of use underneath."""

from collections.abc import Iterator

from django.urls import reverse
from django.utils.translation import gettext as _

from conditions.reading import reads_field, values_read
from tagging import actions
from tagging.models import Rule
from tagging.queries import enabled_rules, live_segments
from tagging.segments import Use


def uses_of_segment(segment_id: int) -> Iterator[Use]:
    """Enabled rules whose trigger, condition or action names a segment."""
    for rule in enabled_rules():
        hears = rule.when.get("kind") == "segment" and rule.when.get("segment") == segment_id
        if hears or segment_id in values_read(rule.tree, "segment") or _acts_on(rule, ("segment", segment_id)):
            yield Use(
                _("规则「%(name)s」") % {"name": rule.name},
                reverse("tagging:rule_detail", args=[rule.pk]),
                "rules.view",
            )


def uses_of_field(key: str) -> Iterator[str]:
    """Enabled rules and live segments whose condition reads a field, and rules that write it."""
    for rule in enabled_rules():
        if reads_field(rule.tree, key) or _acts_on(rule, ("field", key.removeprefix("custom."))):
            yield _("规则「%(name)s」") % {"name": rule.name}
    for segment in live_segments().filter(kind="dynamic"):
        if reads_field(segment.tree, key):
            yield _("人群「%(name)s」") % {"name": segment.name}


def uses_of_stage(stage_id: int) -> Iterator[str]:
    """Enabled rules whose trigger or condition reads a stage or whose action leads to it, and segments that read it."""
    for rule in enabled_rules():
        leads = any(one.get("kind") == "stage" and one.get("stage") == stage_id for one in rule.actions)
        hears = rule.when.get("kind") == "stage" and rule.when.get("stage") == stage_id
        if leads or hears or stage_id in values_read(rule.tree, "contact.stage"):
            yield _("规则「%(name)s」") % {"name": rule.name}
    for segment in live_segments().filter(kind="dynamic"):
        if stage_id in values_read(segment.tree, "contact.stage"):
            yield _("人群「%(name)s」") % {"name": segment.name}


def _acts_on(rule: Rule, key: tuple[str, object]) -> bool:
    return any(key in actions.claims_of(action) for action in rule.actions)
