"""Whom a broadcast means: an audience as the ids of people or of groups, within the author's scope."""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db.models import QuerySet
from django.urls import reverse
from django.utils.translation import gettext as _

from accounts.scope import DataScope
from campaigns.models import Broadcast, SopVersion
from conditions.compiler import compile_tree
from conditions.reading import reads_field, values_read
from conditions.render import in_words
from conditions.schema import is_sound
from contacts.models import Contact, GroupChat
from contacts.queries import visible_contacts, visible_groups
from scrm.lib.errors import UserError
from tagging.models import Segment
from tagging.queries import exactly
from tagging.segments import Use
from tagging.tag_readers import Reader, tags_named

NAMES_SHOWN = 10
Sql = tuple[str, tuple[Any, ...]]


def people(audience: dict[str, Any], *, within: DataScope, now: datetime) -> QuerySet[Contact]:
    """The people (roots) an audience means at an instant: a dynamic segment by its condition and pins, counted now, not by entries that
    may wait for a change. Raises UserError for one without a source, or whose segment is gone."""
    seen = visible_contacts(within)
    if audience.get("segment"):
        return seen.filter(exactly(get_segment(audience["segment"]), now))
    if audience.get("tree"):
        if not is_sound(audience["tree"]):
            return seen.none()
        return seen.filter(compile_tree(audience["tree"], now, sweep=True))
    if audience.get("contacts"):
        return seen.filter(pk__in=audience["contacts"])
    raise UserError(_("还没有选择发给谁。"), code="no_audience")


def groups(audience: dict[str, Any], *, within: DataScope) -> QuerySet[GroupChat]:
    """The chosen groups the scope sees. Raises UserError when none is chosen."""
    if not audience.get("groups"):
        raise UserError(_("还没有选择客户群。"), code="no_audience")
    return visible_groups(within).filter(pk__in=audience["groups"])


def get_segment(segment_id: int) -> Segment:
    """A living segment. Raises UserError when it is gone."""
    segment = Segment.objects.filter(pk=segment_id, archived_at__isnull=True).first()
    if segment is None:
        raise UserError(_("所选人群已不存在,请重新选择。"), code="no_segment")
    return segment


def unfinished_segment(audience: dict[str, Any]) -> Segment | None:
    """The audience's segment, while its stored members are not what its condition says: being computed, or broken."""
    return Segment.objects.filter(pk=audience.get("segment") or 0).exclude(state=Segment.State.FRESH).first()


def describe(audience: dict[str, Any]) -> str:
    """The audience in words."""
    if audience.get("segment"):
        segment = Segment.objects.filter(pk=audience["segment"]).first()
        return _("人群「%(name)s」") % {"name": segment.name if segment else "—"}
    if audience.get("tree"):
        return in_words(audience["tree"])
    if audience.get("contacts"):
        return _("选定的 %(n)d 位客户") % {"n": len(audience["contacts"])}
    if audience.get("groups"):
        names = list(
            GroupChat.objects.filter(pk__in=audience["groups"]).order_by("name").values_list("name", flat=True)
        )
        shown = "、".join(names[:NAMES_SHOWN]) + ("…" if len(names) > NAMES_SHOWN else "")
        return _("选定的 %(n)d 个客户群:%(names)s") % {"n": len(audience["groups"]), "names": shown}
    return _("还没有选择")


def ids_sql(queryset: QuerySet[Any]) -> Sql:
    """A queryset's ids as one SELECT with its parameters; a queryset that can match nothing too."""
    try:
        sql, params = queryset.order_by().values("pk").query.sql_with_params()
    except EmptyResultSet:
        return "SELECT NULL::bigint WHERE false", ()
    return sql, tuple(params)


def uses_of_segment(segment_id: int) -> Iterator[Use]:
    """SOPs not ended and broadcasts not released that read a segment."""
    for sop in _sops_reading("segment", segment_id):
        yield Use(sop, permission="sops.view", is_scoped=True)
    for broadcast in _unreleased().filter(audience__segment=segment_id):
        words = _("群发「%(name)s」") % {"name": broadcast.name}
        yield Use(words, reverse("campaigns:broadcast_detail", args=[broadcast.pk]), "broadcasts.view", is_scoped=True)


def uses_of_stage(stage_id: int) -> Iterator[str]:
    """The same for a lifecycle stage."""
    yield from _sops_reading("contact.stage", stage_id)
    for broadcast in _unreleased().filter(audience__has_key="tree"):
        if stage_id in values_read(broadcast.audience["tree"], "contact.stage"):
            yield _("群发「%(name)s」") % {"name": broadcast.name}


def uses_of_field(key: str) -> Iterator[str]:
    """The same for a condition field."""
    yield from _sops_whose(lambda tree: reads_field(tree, key))
    for broadcast in _unreleased().filter(audience__has_key="tree"):
        if reads_field(broadcast.audience["tree"], key):
            yield _("群发「%(name)s」") % {"name": broadcast.name}


def tag_readers() -> Iterator[Reader]:
    """SOPs not ended and broadcasts not released, with the tags they name."""
    for version in _latest_versions():
        url = reverse("campaigns:sop_detail", args=[version.sop_id])
        tags = tags_named(version.entry_tree) | tags_named(version.exit_tree)
        yield Reader("sop", _("SOP「%(name)s」") % {"name": version.sop.name}, url, tags)
    for broadcast in _unreleased().filter(audience__has_key="tree"):
        url = reverse("campaigns:broadcast_detail", args=[broadcast.pk])
        yield Reader(
            "broadcast", _("群发「%(name)s」") % {"name": broadcast.name}, url, tags_named(broadcast.audience["tree"])
        )


def _sops_reading(field: str, value: int) -> Iterator[str]:
    return _sops_whose(lambda tree: value in values_read(tree, field))


def _sops_whose(holds: Callable[[dict[str, Any]], bool]) -> Iterator[str]:
    for version in _latest_versions():
        trees = [tree for tree in (version.entry_tree, version.exit_tree) if tree]
        if any(holds(tree) for tree in trees):
            yield _("SOP「%(name)s」") % {"name": version.sop.name}


def _latest_versions() -> QuerySet[SopVersion]:
    versions = SopVersion.objects.exclude(sop__state="off").select_related("sop").order_by("sop_id", "-number")
    return versions.distinct("sop_id")


def _unreleased() -> QuerySet[Broadcast]:
    return Broadcast.objects.filter(state__in=(Broadcast.State.DRAFT, Broadcast.State.SUBMITTED))
