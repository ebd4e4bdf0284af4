"""What this app tells the others at start."""

from django.utils.translation import gettext_lazy as _

from accounts import api_scopes, ways
from accounts.freezing import register as register_freezer
from accounts.scope import register_cover, register_places
from conditions import consumers
from contacts import (
    advanced,
    arrivals,
    board,
    bulk,
    comparing,
    entrances,
    erasers,
    export_columns,
    fields,
    filters,
    handlers,
    home_panel,
    inventory,
    kinds,
    listing,
    longjobs,
    panels,
    scopes,
    successions,
    timeline,
    today,
    transfers,
)
from contacts.models import (
    BulkChange,
    Clash,
    DeletionAlarm,
    DetailChange,
    ErasureRequest,
    HandoverPlan,
    Note,
    RemarkEdit,
    StaffChange,
    TimelineEvent,
    Todo,
)
from contacts.queries import list_dealers, list_regions, list_stores
from contacts.seeds import seed_stages
from contacts.services import bulk as bulk_changes
from contacts.services import (
    bulk_kinds,
    clashes,
    consents,
    duplicates,
    ended_exports,
    erasing,
    exports,
    forgotten,
    freezing,
    groups,
    merging,
    owner_rules,
    reminders,
    search,
    stage_answers,
    stage_editing,
    stage_rules,
    todos,
)
from contacts.services.alarms import watch_deletions
from contacts.services.handover import planning, running
from contacts.services.imports import files as import_files
from contacts.services.imports import people as import_people
from contacts.services.imports import running as imports
from contacts.services.imports import staffing as import_staffing
from contacts.services.imports import stores as import_stores
from contacts.services.imports.registry import register_import_kind
from contacts.services.newcomers import enter_first_stage
from contacts.services.remarks import REMARK_COMMAND
from contacts.services.telling import Notice
from contacts.views import bulk as bulk_pages
from contacts.views import clashes as clash_pages
from contacts.views import details, notes, privacy, wecom_login
from contacts.views import exports as export_pages
from contacts.views import stages as stage_pages
from tenants import backfills, lanes, provision, quiet, retention
from wecom_bridge import answers
from wecom_bridge.contracts import register_command

# Facts are what every later question is asked of: kept long, never shorter than the reports' comparison with last year.
FILES = retention.Kind(exports.FILES, _("导出与拒收文件"), 7, longjobs.prune_files, most=90)
ALARMS = retention.Kind(
    "deletion_alarms", _("导购异常删除提醒"), 1095, retention.older(DeletionAlarm, "raised_at"), least=30
)
TIMELINE = retention.Kind(
    "timeline", _("客户时间线"), 1095, retention.older(TimelineEvent, "occurred_at"), least=400,
    why_least=_("报表要和去年同期比较。"),
)  # fmt: skip
# What colleagues wrote goes with the facts around it; an edit of a remark is of use until it is settled and looked into.
KEPT = (
    TIMELINE,
    FILES,
    ALARMS,
    retention.Kind("notes", _("跟进记录"), 1095, retention.older(Note, "written_at"), least=30),
    retention.Kind("todos", _("已完成的待办"), 1095, retention.older(Todo, "done_at"), least=30),
    retention.Kind("remark_edits", _("备注修改记录"), 90, retention.older(RemarkEdit, "settled_at"), least=7),
    retention.Kind("bulk_changes", _("批量操作记录"), 180, retention.older(BulkChange, "created_at")),
    retention.Kind("staff_changes", _("人员变动记录"), 1095, retention.older(StaffChange, "settled_at")),
    retention.Kind("detail_changes", _("客户资料修改记录"), 1095, retention.older(DetailChange, "changed_at")),
    retention.Kind("imports", _("导入文件与逐行记录"), 7, import_files.prune),
    retention.Kind("clashes", _("撞单记录"), 1095, retention.older(Clash, "added_at")),
    # The rule of two hand-overs in 90 days is counted from them.
    retention.Kind(
        "handovers", _("客户继承计划"), 1095, retention.older(HandoverPlan, "ended_at"), least=120,
        why_least=_("90 天内两次转移的规则按它算。"),
    ),
    retention.Kind("consents", _("已被取代的同意记录"), 1825, consents.prune_superseded, least=365),
    retention.Kind("erasures", _("删除证明"), 1825, retention.older(ErasureRequest, "finished_at"), least=365),
)  # fmt: skip


def register() -> None:
    """Called once by ContactsConfig.ready()."""
    entrances.register()
    api_scopes.register("contacts", _("客户"))
    api_scopes.register("groups", _("客户群"))
    api_scopes.register("events", _("时间线事件"))
    ways.register(wecom_login.ways)
    register_places("region", list_regions)
    register_places("dealer", list_dealers)
    register_places("store", list_stores)
    register_cover(scopes.cover)
    kinds.register()
    _lists()
    fields.fill()
    handlers.register()
    transfers.register()
    arrivals.on_new_keys(groups.on_new_keys)
    inventory.register()
    comparing.register()
    timeline.on_recorded(enter_first_stage)
    timeline.on_recorded(watch_deletions)
    timeline.on_restated(watch_deletions)
    register_freezer(freezing.FREEZER)
    _notice("deletion_alarms", freezing.NOTICE)
    home_panel.register()
    lanes.register(lanes.Lane(longjobs.LANE, queue="bulk", drain=longjobs.drain))
    longjobs.register(stage_editing.EMPTY, stage_editing.empty_step)
    longjobs.register(stage_answers.KIND, stage_answers.note_step)
    longjobs.register(bulk_changes.RUN, bulk_changes.run_step)
    longjobs.register(bulk_changes.UNDO, bulk_changes.undo_step)
    consumers.register(stage_rules.CONSUMER)
    quiet.register("long_jobs", longjobs.count_open)
    lanes.register(lanes.Lane(planning.LANE, queue="bulk", drain=running.drain, next_due=running.next_due))
    quiet.register("handover", running.count_due)
    erasers.register()
    answers.on_keep(forgotten.redact_answer)
    lanes.register(lanes.Lane(erasing.LANE, queue="bulk", drain=erasing.drain, next_due=erasing.next_due))
    quiet.register("erasures", erasing.count_due)
    provision.register_seed("contacts.stages", seed_stages)
    backfills.register(backfills.Backfill(search.BACKFILL, search.refill))
    for kind in KEPT:
        retention.register(kind)
    _imports()
    _notes()
    _one_person()


def _lists() -> None:
    """What the customer list is made of, what is done with many, and what of it goes into files."""
    filters.register()
    advanced.register()
    board.register()
    listing.register_bulk_action(stage_pages.BULK)
    listing.register_bulk_action(bulk_pages.OWNER)
    listing.register_bulk_action(export_pages.BULK)
    for change in (bulk_kinds.STAGE, bulk_kinds.OWNER):
        bulk.register(change)
    export_columns.register_own()
    exports.register(exports.KIND, exports.CUSTOMERS)
    exports.register(ended_exports.KIND, ended_exports.ENDED)


def _imports() -> None:
    """What can be brought in from files, and the steps of bringing it in."""
    for kind in (import_people.KIND, import_stores.KIND, import_staffing.KIND):
        register_import_kind(kind)
    longjobs.register(imports.CHECK, imports.check_step)
    longjobs.register(imports.RUN, imports.run_step)
    longjobs.register(imports.UNDO, imports.undo_step)


def _notes() -> None:
    """跟进记录, 待办 and edits of remarks."""
    successions.on_taken_over(todos.take_over)
    register_command(REMARK_COMMAND)
    panels.register(panels.Panel("todos", _("待办"), 10, "contacts/_todos_panel.html", notes.todos_panel))
    panels.register(panels.Panel("details", _("客户资料"), 12, "contacts/_details_panel.html", details.details_panel))
    panels.register(panels.Panel("notes", _("跟进记录"), 15, "contacts/_notes_panel.html", notes.notes_panel))
    panels.register(
        panels.Panel("consents", _("同意记录"), 60, "contacts/_consents_panel.html", privacy.consents_panel)
    )
    panels.register_figure(panels.Figure("next", _("下一步"), 10, notes.next_step))
    today.register_card(today.TodayCard("todos", _("我的待办"), 10, "contacts/_today_todos.html", notes.todos_card))
    _notice("todo_reminders", reminders.NOTICE)


def _one_person() -> None:
    """待合并, the rule of 业绩归属 and 撞单."""
    arrivals.on_new_keys(duplicates.on_new_keys)
    arrivals.on_lost_phones(duplicates.on_lost_phones)
    merging.on_merged(duplicates.on_merged)
    merging.on_undone(duplicates.on_undone)
    longjobs.register(duplicates.FIND, duplicates.find_step)
    lanes.register(lanes.Lane(duplicates.LANE, queue="bulk", drain=duplicates.drain, next_due=duplicates.next_due))
    for kind in (owner_rules.COUNT, owner_rules.APPLY):
        longjobs.register(kind, owner_rules.step)
    consumers.register(owner_rules.CONSUMER)
    timeline.on_recorded(clashes.watch_addings)
    _notice("clashes", clashes.NOTICE)
    today.register_card(today.TodayCard("clashes", _("撞单"), 20, "contacts/_today_clashes.html", clash_pages.card))


def _notice(name: str, notice: Notice) -> None:
    """The command, the lane and the counter of a kind of app message."""
    register_command(notice.kind())
    lanes.register(lanes.Lane(notice.lane, queue="outbound", drain=notice.drain, next_due=notice.next_due))
    quiet.register(name, notice.count_due)
