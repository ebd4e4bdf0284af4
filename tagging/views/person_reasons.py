"""人群与规则 of the customer page: the segments she is in and the rules that acted on her, each with its 为什么."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from contacts.custom import asker_of
from contacts.models import Contact
from tagging.models import Rule, RuleEvent, RuleMatch, SegmentEntry
from tagging.rule_sight import closed_parts

SEGMENTS, RULES, RUNS = 8, 5, 30  # shown, shown, and the runs looked through for them
DID = {"outcome__has_key": "actions"}


def person_reasons(request: Any, contact: Contact) -> dict[str, Any] | None:
    """What the panel shows of a root, by what the viewer may see; None when that is nothing. A constant number of queries."""
    entries: list[SegmentEntry] = []
    if "segments.view" in request.permissions:
        rows = SegmentEntry.objects.filter(contact=contact, segment__archived_at__isnull=True)
        entries = list(rows.select_related("segment").order_by("-entered_at", "-pk")[: SEGMENTS + 1])
    acted = _acted(request, contact) if "rules.view" in request.permissions else []
    if not entries and not acted:
        return None
    return {"entries": entries[:SEGMENTS], "has_more": len(entries) > SEGMENTS, "acted": acted}


def _acted(request: Any, contact: Contact) -> list[tuple[Rule, datetime]]:
    """The rules that last did something about her, each once, with when; none of which something is closed to the viewer."""
    of_hers = {"contact__in": contact.family_ids, **DID}
    matches = RuleMatch.objects.filter(**of_hers).order_by("-entered_at", "-pk").select_related("rule")[:RUNS]
    events = RuleEvent.objects.filter(**of_hers).order_by("-happened_at", "-pk").select_related("rule")[:RUNS]
    runs: Iterable[tuple[Rule, datetime]] = [
        *((run.rule, run.entered_at) for run in matches),
        *((run.rule, run.happened_at) for run in events),
    ]
    last: dict[int, tuple[Rule, datetime]] = {}
    for rule, at in sorted(runs, key=lambda run: run[1], reverse=True):
        last.setdefault(rule.pk, (rule, at))
    if not last:
        return []
    asker = asker_of(request)
    return [(rule, at) for rule, at in last.values() if not closed_parts(rule, asker)][:RULES]
