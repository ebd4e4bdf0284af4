"""What this app tells the others at start."""

from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts import api_scopes, navigation
from accounts.permissions import Permission
from accounts.permissions import register as register_permissions
from conditions import consumers
from conditions.consumers import Consumer
from contacts import arrivals, bulk, longjobs, panels, successions, timeline
from contacts.services import custom_fields, stage_editing
from contacts.services.imports.registry import register_import_kind
from contacts.services.merging import on_merged
from tagging import actions, comparing, erasers, fields, handlers, listing, queries, sources, tag_readers
from tagging import segments as listeners
from tagging.models import PreTag, RuleEvent, RuleMatch, SegmentChange, SegmentSize, TagMergeMove
from tagging.services import (
    inheriting,
    list_imports,
    merging,
    pretags,
    rfm,
    rule_backfill,
    rule_dry_run,
    rule_events,
    rule_running,
    rule_schedule,
    rule_uses,
    rules,
    segment_building,
    segments,
    static_lists,
)
from tagging.services.acting import STAGE, TAG
from tagging.services.acting_people import FIELD, OWNER, SEGMENT, TODO
from tagging.services.bulk import TAGS, sources_of
from tagging.services.bulk_lists import LISTS
from tagging.services.marks import MARK_COMMAND
from tagging.services.pretag_imports import KIND
from tagging.services.tag_commands import COMMANDS
from tagging.views.person_reasons import person_reasons
from tagging.views.tags import person_panel
from tenants import lanes, quiet, retention
from wecom_bridge.contracts import register_command

HEADING = gettext_lazy("标签与人群")


def register() -> None:
    """Called once by TaggingConfig.ready()."""
    _permissions_and_navigation()
    fields.register_fields()
    handlers.register()
    comparing.register()
    listing.register()
    erasers.register()
    _tags()
    _segments()
    _rules()
    successions.on_taken_over(inheriting.take_over)
    for kind, label, days, rows in _KEPT:
        retention.register(retention.Kind(kind, label, days, rows))


_KEPT = (
    ("segment_changes", gettext_lazy("人群进出记录"), 400, retention.older(SegmentChange, "changed_at")),
    ("segment_sizes", gettext_lazy("人群人数记录"), 800, retention.older(SegmentSize, "counted_at")),
    ("pre_tags", gettext_lazy("过了有效期的预打标签"), 30, retention.older(PreTag, "expires_at")),
    ("tag_merge_moves", gettext_lazy("标签合并的明细"), 60, retention.older(TagMergeMove, "moved_at")),
    ("rule_matches", gettext_lazy("规则执行记录"), 400, retention.older(RuleMatch, "left_at")),
    ("rule_events", gettext_lazy("规则事件记录"), 400, retention.older(RuleEvent, "settled_at")),
)


def _tags() -> None:
    for command in (MARK_COMMAND, *COMMANDS):
        register_command(command)
    for kind, label, sentence in (
        ("tag.added", gettext_lazy("打标签"), gettext_lazy("打上标签「%(tag)s」")),
        ("tag.removed", gettext_lazy("去掉标签"), gettext_lazy("去掉标签「%(tag)s」")),
    ):
        timeline.register_kind(kind, label, "tag", _said(sentence), permission="tags.view")
    bulk.register(TAGS)
    sources.register("bulk", sources_of)
    sources.register("pretag", pretags.sources_of)
    sources.register("merge", merging.sources_of)
    sources.register("alias", merging.aliases_of)
    register_import_kind(KIND)
    arrivals.on_new_keys(pretags.on_new_keys)
    timeline.on_recorded(pretags.on_added)
    longjobs.register(pretags.AGAIN, pretags.again_step)
    longjobs.register(merging.JOB, merging.step)
    longjobs.register(merging.UNDO_JOB, merging.undo_step)
    tag_readers.register("tagging", queries.tag_readers)
    panels.register(
        panels.Panel(
            "tags", gettext_lazy("标签"), 4, "tagging/_person_panel.html", person_panel, permission="tags.view"
        )
    )


def _segments() -> None:
    panels.register(
        panels.Panel(
            "reasons", gettext_lazy("人群与规则"), 50, "tagging/_person_reasons.html", person_reasons, place="aside"
        )
    )
    bulk.register(LISTS)
    register_import_kind(list_imports.KIND)
    listeners.register_uses("segments", segments.uses_of_segment)
    consumers.register(Consumer("segments", segments.reads, segments.consume, absorb=segments.absorb, order=200))
    lanes.register(
        lanes.Lane(
            segments.LANE,
            queue="segments",
            drain=segments.drain_builds,
            next_due=segment_building.next_due,
            lease_seconds=300,
            is_slow=True,
        )
    )
    lanes.register(lanes.Lane(rfm.LANE, queue="segments", drain=rfm.drain, next_due=rfm.next_due, lease_seconds=300))
    quiet.register("segment_builds", _count_builds)
    quiet.register("rfm_grid", rfm.count_due)
    on_merged(static_lists.on_merged)


def _rules() -> None:
    for action in (TAG, STAGE, FIELD, OWNER, TODO, SEGMENT):
        actions.register(action)
    listeners.register_uses("rules", rule_uses.uses_of_segment)
    listeners.on_change("rules", rule_events.on_segment_changes)
    stage_editing.register_uses("tagging", rule_uses.uses_of_stage)
    stage_editing.register_movers("rules", rules.movers_back)
    custom_fields.register_uses("tagging", rule_uses.uses_of_field)
    timeline.on_recorded(rule_events.on_facts)
    consumers.register(
        Consumer(
            "rules",
            rule_running.reads,
            rule_running.consume,
            absorb=rule_running.absorb,
            order=300,
            again=rule_running.again,
        )
    )
    lanes.register(
        lanes.Lane(rule_schedule.LANE, queue="segments", drain=rule_schedule.drain, next_due=rule_schedule.next_due)
    )
    quiet.register("rules", rule_schedule.count_due)
    on_merged(rule_running.on_merged)
    longjobs.register(rule_dry_run.KIND, rule_dry_run.step)
    longjobs.register(rule_backfill.RUN, rule_backfill.step)
    longjobs.register(rule_backfill.UNDO, rule_backfill.undo_step)


def _permissions_and_navigation() -> None:
    api_scopes.register("tags", gettext_lazy("标签"))
    api_scopes.register("segments", gettext_lazy("人群"))
    register_permissions(
        Permission("tags.view", gettext_lazy("查看标签"), HEADING, says=gettext_lazy("看标签组、标签和用标签筛选")),
        Permission(
            "tags.edit",
            gettext_lazy("新建、改名与删除标签,批量打标签"),
            HEADING,
            says=gettext_lazy("管理标签,给范围内的客户打标签、去标签,企业标签会同步到企业微信"),
        ),
        Permission("segments.view", gettext_lazy("查看人群"), HEADING, says=gettext_lazy("看人群的条件和名单")),
        Permission(
            "segments.edit",
            gettext_lazy("新建与修改人群"),
            HEADING,
            says=gettext_lazy("建人群、改条件,人群可以被群发和 SOP 选用"),
        ),
        Permission(
            "rules.view", gettext_lazy("查看规则"), HEADING, says=gettext_lazy("看自动打标签的规则和每位客户命中的原因")
        ),
        Permission(
            "rules.edit",
            gettext_lazy("新建、修改与启用规则"),
            HEADING,
            tenant_wide=True,
            says=gettext_lazy("建规则、启用规则,启用后对全部客户自动生效"),
        ),
    )
    entry = navigation.NavEntry
    navigation.register(
        entry("tags", gettext_lazy("标签"), "people", "tagging:tag_list", "tags", "tags.view", order=140),
        entry(
            "segments",
            gettext_lazy("人群"),
            "people",
            "tagging:segment_list",
            "users-round",
            "segments.view",
            order=150,
        ),
        entry("rules", gettext_lazy("自动规则"), "people", "tagging:rule_list", "workflow", "rules.view", order=160),
    )


def _said(sentence: Any) -> Any:
    """A renderer: the sentence with the tag's name of then, and why."""

    def render(event: Any) -> str:
        return str(sentence) % {"tag": event.payload.get("tag") or _("已删除的标签")}

    return render


def _count_builds() -> int:
    return len(segments.buildable())
