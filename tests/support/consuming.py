"""Segments and rules over the tests' own fields, and marks worked off by hand."""

from datetime import datetime
from typing import Any

from conditions.drain import drain_batch
from conditions.tree import EVERYONE
from contacts.models import Contact
from contacts.timeline import NewEvent, record_events
from tagging.models import Rule, Segment, SegmentEntry, Tag
from tagging.services import rules, segments
from tenants.audit import SYSTEM
from tests.support.tagging import NOW, tree_of

CONSENT = {"kind": "event", "event": "consent.given"}


def settle() -> None:
    """Work off every due mark."""
    for _ in range(50):
        if not drain_batch():
            return
    raise AssertionError("the marks never end")


def members(segment: Segment) -> set[int]:
    """Who is in a segment."""
    return set(SegmentEntry.objects.filter(segment=segment).values_list("contact_id", flat=True))


def named(name: str) -> Any:
    """The condition that a person is called so."""
    return tree_of({"field": "t.name", "op": "is", "value": name})


def built(name: str, tree: Any) -> Segment:
    """A segment after its first full build."""
    segment = segments.save_segment(None, name=name, tree=tree, by=SYSTEM)
    segments.build_segment(segment)
    segment.refresh_from_db()
    return segment


def enabled(tree: Any, actions: list[dict[str, Any]], name: str = "规则", **options: Any) -> Rule:
    """A rule that is on."""
    rule = rules.save_rule(None, name=name, tree=tree, rule_actions=actions, by=SYSTEM)
    return rules.enable_rule(rule, by=SYSTEM, **options)


def tag_action(tag: Tag, **more: Any) -> list[dict[str, Any]]:
    """A rule's one action: put the tag, as the owner does."""
    return [{"kind": "tag", "add": [tag.pk], "whose": "owner", **more}]


def happened(
    person: Contact,
    kind: str = "consent.given",
    key: str = "k1",
    source: str = "callback",
    at: datetime = NOW,
    **more: Any,
) -> set[str]:
    """Something happened to a person, and is noted now."""
    return record_events([NewEvent(kind, at, source, key, contact_id=person.pk, **more)])


def listening(
    trigger: dict[str, Any], actions: list[dict[str, Any]], name: str = "规则", tree: Any = EVERYONE, **more: Any
) -> Rule:
    """A rule with a trigger that is on."""
    rule = rules.save_rule(None, name=name, tree=tree, rule_actions=actions, trigger=trigger, by=SYSTEM, **more)
    return rules.enable_rule(rule, by=SYSTEM)
