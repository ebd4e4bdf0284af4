"""How somebody came onto a fixed list, from what is recorded already: the bulk change, file, copy, rule or merge of that instant."""

from collections.abc import Callable, Collection
from datetime import timedelta
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext as _

from accounts.models import User
from contacts.custom import asker_of
from contacts.models import BulkChange, BulkPart, ImportRow, ImportRun
from contacts.services.bulk import visible_changes
from tagging.models import Rule, RuleEvent, RuleMatch, RuleVersion, Segment, SegmentChange, SegmentEntry
from tagging.rule_sight import closed_parts
from tagging.sources import Source
from tenants.ledger.models import AuditEntry

FILE_KIND, BULK_KIND = "segment_list", "list"
LONGEST = timedelta(days=7)  # from the asking for a bulk change to its last part
TURN = timedelta(minutes=10)  # from what a rule goes by to what it does, within one batch

Find = Callable[[SegmentEntry, Collection[int], Any], Source | None]


def how_listed(entry: SegmentEntry, family_ids: Collection[int], request: Any) -> Source | None:
    """What put her there, in words, with its page where the viewer may open it; None where nothing recorded tells. At most a dozen
    queries, each by an index or over a table of few rows."""
    for find in _FINDERS:
        if source := find(entry, family_ids, request):
            return source
    return None


def _copy(entry: SegmentEntry, family_ids: Collection[int], request: Any) -> Source | None:
    if entry.entered_at != entry.segment.created_at:
        return None
    made: Any = AuditEntry.objects.filter(
        subject_type=Segment._meta.label_lower, subject_id=str(entry.segment_id), action="segment.frozen"
    ).first()
    if made is None:
        return None
    source = Segment.objects.filter(pk=made.data.get("source") or 0).first()
    url = reverse("tagging:segment_detail", args=[source.pk]) if source else ""
    return Source(_("从人群「%(name)s」复制") % {"name": source.name if source else "—"} + _by(made.actor_id), url)


def _bulk(entry: SegmentEntry, family_ids: Collection[int], request: Any) -> Source | None:
    changes = BulkChange.objects.filter(
        kind=BULK_KIND, params__segment=entry.segment_id, params__how="add",
        created_at__range=(entry.entered_at - LONGEST, entry.entered_at),
    )  # fmt: skip
    parts = BulkPart.objects.filter(
        change__in=changes, done_at=entry.entered_at, before__has_any_keys=[str(pk) for pk in family_ids]
    )
    part = parts.select_related("change").first()
    if part is None:
        return None
    words = _("批量操作「%(title)s」") % {"title": part.change.title}
    may_open = visible_changes(request.scope, request.permissions).filter(pk=part.change_id).exists()
    url = reverse("contacts:bulk_change", args=[part.change_id]) if may_open else ""
    return Source(words + _by(part.change.created_by_id), url)


def _file(entry: SegmentEntry, family_ids: Collection[int], request: Any) -> Source | None:
    runs = ImportRun.objects.filter(
        kind=FILE_KIND, aim=entry.segment_id, undone_at__isnull=True, created_at__lte=entry.entered_at
    ).exclude(finished_at__lt=entry.entered_at)
    rows = ImportRow.objects.filter(run__in=runs, target_id__in=family_ids, changes__has_key="list")
    row = rows.select_related("run").order_by("-run_id").first()
    if row is None:
        return None
    is_hers = request.scope.sees_all or row.run.created_by_id == request.user.pk  # as the page of imports has it
    may_open = is_hers and "contacts.import" in request.permissions
    url = reverse("contacts:import", args=[row.run_id]) if may_open else ""
    return Source(_("用文件导入") + _by(row.run.created_by_id), url)


def _rule(entry: SegmentEntry, family_ids: Collection[int], request: Any) -> Source | None:
    """A run of hers, at most a batch before, of a version that puts people on this list."""
    span, adds = (
        (entry.entered_at - TURN, entry.entered_at),
        {"kind": "segment", "segment": entry.segment_id, "way": "add"},
    )
    ran: dict[str, Any] = {"contact__in": family_ids, "outcome__has_key": "actions"}
    events = RuleEvent.objects.filter(**ran, settled_at__range=span).values_list("rule_id", "rule_version")
    matches = RuleMatch.objects.filter(**ran, entered_at__range=span).values_list("rule_id", "rule_version")
    runs = {*events, *matches}
    versions = RuleVersion.objects.filter(rule__in={pk for pk, _version in runs}, actions__contains=[adds])
    found = [pair for pair in versions.values_list("rule_id", "number") if pair in runs]
    if not found:
        return None
    rule = Rule.objects.get(pk=found[0][0])
    if len(found) > 1 or "rules.view" not in request.permissions or closed_parts(rule, asker_of(request)):
        return Source(_("自动规则"))
    return Source(_("规则「%(name)s」") % {"name": rule.name}, reverse("tagging:rule_detail", args=[rule.pk]))


def _merge(entry: SegmentEntry, family_ids: Collection[int], request: Any) -> Source | None:
    others = [pk for pk in family_ids if pk != entry.contact_id]
    left = SegmentChange.objects.filter(
        contact__in=others, segment=entry.segment_id, kind=SegmentChange.Kind.LEAVE, changed_at=entry.entered_at
    )
    return Source(_("与她合并的另一位客户原来在名单里")) if others and left.exists() else None


def _by(user_id: int | None) -> str:
    name = User.objects.filter(pk=user_id).values_list("display_name", flat=True).first() if user_id else None
    return f" · {name}" if name else ""


_FINDERS: tuple[Find, ...] = (_copy, _bulk, _file, _rule, _merge)
