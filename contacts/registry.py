"""What this app tells the others at start."""

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts import api_scopes, audit_words, navigation
from accounts.navigation import NavEntry
from accounts.permissions import Permission
from accounts.permissions import register as register_permissions
from accounts.scope import register_places
from conditions import consumers
from contacts import (
    arrivals,
    board,
    comparing,
    fields,
    filters,
    handlers,
    home_panel,
    inventory,
    kinds,
    listing,
    longjobs,
    panels,
    timeline,
    today,
    transfers,
)
from contacts.models import Clash, DeletionAlarm, HandoverPlan, Note, RemarkEdit, TimelineEvent, Todo
from contacts.queries import list_dealers, list_regions, list_stores
from contacts.seeds import seed_stages
from contacts.services import (
    clashes,
    duplicates,
    exports,
    groups,
    merging,
    owner_rules,
    reminders,
    stage_editing,
    stage_rules,
)
from contacts.services.alarms import watch_deletions
from contacts.services.handover import planning, running
from contacts.services.newcomers import enter_first_stage
from contacts.services.remarks import REMARK_COMMAND
from contacts.services.reminders import REMIND_COMMAND
from contacts.views import clashes as clash_pages
from contacts.views import notes
from contacts.views import stages as stage_pages
from tenants import lanes, provision, quiet, retention
from wecom_bridge.contracts import register_command

# Facts are what every later question is asked of: kept long, never shorter than the reports' comparison with last year.
FILES = retention.Kind("export_files", _("导出与拒收文件"), 7, longjobs.prune_files)
ALARMS = retention.Kind("deletion_alarms", _("导购异常删除提醒"), 1095, retention.older(DeletionAlarm, "raised_at"))
TIMELINE = retention.Kind("timeline", _("客户时间线"), 1095, retention.older(TimelineEvent, "occurred_at"))
# What colleagues wrote goes with the facts around it; an edit of a remark is of use until it is settled and looked into.
KEPT = (
    TIMELINE,
    FILES,
    ALARMS,
    retention.Kind("notes", _("跟进记录"), 1095, retention.older(Note, "written_at")),
    retention.Kind("todos", _("已完成的待办"), 1095, retention.older(Todo, "done_at")),
    retention.Kind("remark_edits", _("备注修改记录"), 90, retention.older(RemarkEdit, "settled_at")),
    retention.Kind("clashes", _("撞单记录"), 1095, retention.older(Clash, "added_at")),
    # The rule of two hand-overs in 90 days is counted from them.
    retention.Kind("handovers", _("客户继承计划"), 1095, retention.older(HandoverPlan, "ended_at")),
)

AUDIT_WORDS: dict[str, str | Promise] = {
    "contact.unmasked": _("查看完整手机号"),
    "contact.owner_changed": _("更改业绩归属"),
    "contact.merged": _("合并客户"),
    "contact.merge_undone": _("撤销客户合并"),
    "duplicate.refused": _("标为不是同一人"),
    "duplicate.reopened": _("恢复待合并"),
    "duplicates.searched": _("查找重复客户"),
    "clash.handled": _("处理撞单"),
    "owner_rule.saved": _("设置归属规则"),
    "owner_rule.applied": _("按规则整理归属"),
    "contact.details_changed": _("修改客户资料"),
    "contacts.exported": _("导出客户"),
    "contacts.export_downloaded": _("下载客户导出文件"),
    "note.written": _("写跟进记录"),
    "note.edited": _("修改跟进记录"),
    "note.withdrawn": _("撤回跟进记录"),
    "todo.created": _("新建待办"),
    "todo.postponed": _("待办改期"),
    "todo.done": _("完成待办"),
    "todo.reopened": _("重新打开待办"),
    "follow.remark_edited": _("修改客户备注"),
    "deletion_alarm.handled": _("处理导购异常删除提醒"),
    "group.tagged": _("给客户群加标签"),
    "group.untagged": _("去掉客户群标签"),
    "stage.changed": _("变更阶段"),
    "stage.saved": _("设置客户阶段"),
    "stage.shifted": _("调整阶段顺序"),
    "stage.archived": _("停用阶段"),
    "stage.restored": _("恢复阶段"),
    "stage.rule_saved": _("设置阶段进入条件"),
    "stage.rule_applied": _("按进入条件移入客户"),
    "opt_out.set": _("设置免打扰"),
    "opt_out.ended": _("取消免打扰"),
    "store.created": _("新增门店"),
    "store.changed": _("修改门店"),
    "store.archived": _("归档门店"),
    "store.restored": _("恢复门店"),
    "region.archived": _("归档大区"),
    "region.restored": _("恢复大区"),
    "dealer.archived": _("归档经销商"),
    "dealer.restored": _("恢复经销商"),
    "member.archived": _("归档成员"),
    "member.restored": _("恢复成员"),
    "region.created": _("新增大区"),
    "region.changed": _("修改大区"),
    "dealer.created": _("新增经销商"),
    "dealer.changed": _("修改经销商"),
    "departments.mapped": _("设置部门对应门店"),
    "member.moved": _("成员调店"),
    "handover.drafted": _("新建客户继承计划"),
    "handover.changed": _("修改客户继承计划"),
    "handover.started": _("开始客户继承"),
    "handover.stopped": _("停止客户继承"),
    "handover.asked_again": _("重新发起客户继承"),
    "handover.deleted": _("删除客户继承草稿"),
    "handover.unassigned_asked": _("核对离职待分配客户"),
    "member.linked": _("关联登录账号"),
    "member.unlinked": _("解除登录账号"),
}


def register() -> None:
    """Called once by ContactsConfig.ready()."""
    people, places = _("客户"), _("组织")
    register_permissions(
        Permission("contacts.view", _("查看客户"), people),
        Permission("contacts.edit", _("修改客户资料、阶段、归属与免打扰"), people),
        Permission("contacts.unmask", _("查看完整手机号"), people),
        Permission("contacts.export", _("导出客户"), people),
        Permission("contacts.merge", _("合并重复客户与撤销合并"), people),
        Permission("ownership.edit", _("设置归属规则与撞单通知"), people, tenant_wide=True),
        Permission("stages.edit", _("设置客户阶段与进入条件"), people, tenant_wide=True),
        Permission("groups.view", _("查看客户群"), people),
        Permission("handover.manage", _("转移客户与客户群(在职/离职继承)"), people),
        Permission("org.view", _("查看组织"), places),
        Permission("org.edit", _("维护门店、大区、经销商与成员"), places, tenant_wide=True),
    )
    navigation.register(
        NavEntry("contacts", _("客户"), "people", "contacts:contact_list", "users-round", "contacts.view", order=90),
        NavEntry("board", _("阶段看板"), "people", "contacts:board", "columns-3", "contacts.view", order=92),
        NavEntry("ended", _("已删除与回流"), "people", "contacts:ended_list", "user-minus", "contacts.view", order=94),
        NavEntry("clashes", _("撞单"), "people", "contacts:clash_list", "users", "contacts.view", order=96),
        NavEntry(
            "duplicates", _("待合并"), "people", "contacts:duplicate_list", "git-merge", "contacts.merge", order=96
        ),
        NavEntry("groups", _("客户群"), "people", "contacts:group_list", "messages-square", "groups.view", order=95),
        NavEntry(
            "handover",
            _("客户继承"),
            "people",
            "contacts:handover_list",
            "arrow-right-left",
            "handover.manage",
            order=97,
        ),
        NavEntry(
            "m-customers", _("客户"), "home", "contacts:phone_list", "users-round", "today.use", order=20, phone=True
        ),
        NavEntry("stages", _("客户阶段"), "people", "contacts:stage_list", "route", "stages.edit", order=165),
        NavEntry(
            "owner_rule", _("归属规则"), "people", "contacts:owner_rule", "user-check", "ownership.edit", order=166
        ),
        NavEntry("org", _("组织"), "admin", "contacts:store_list", "network", "org.view", order=800),
    )
    api_scopes.register("contacts", _("客户"))
    api_scopes.register("groups", _("客户群"))
    api_scopes.register("events", _("时间线事件"))
    audit_words.register(AUDIT_WORDS)
    register_places("region", list_regions)
    register_places("dealer", list_dealers)
    register_places("store", list_stores)
    kinds.register()
    filters.register()
    board.register()
    listing.register_bulk_action(stage_pages.BULK)
    fields.fill()
    handlers.register()
    transfers.register()
    arrivals.on_new_keys(groups.on_new_keys)
    inventory.register()
    comparing.register()
    timeline.on_recorded(enter_first_stage)
    timeline.on_recorded(watch_deletions)
    timeline.on_restated(watch_deletions)
    home_panel.register()
    lanes.register(lanes.Lane(longjobs.LANE, queue="bulk", drain=longjobs.drain))
    longjobs.register(exports.KIND, exports.export_step)
    longjobs.register(stage_editing.EMPTY, stage_editing.empty_step)
    consumers.register(stage_rules.CONSUMER)
    quiet.register("long_jobs", longjobs.count_open)
    lanes.register(lanes.Lane(planning.LANE, queue="bulk", drain=running.drain, next_due=running.next_due))
    quiet.register("handover", running.count_due)
    provision.register_seed("contacts.stages", seed_stages)
    for kind in KEPT:
        retention.register(kind)
    _notes()
    _one_person()


def _notes() -> None:
    """跟进记录, 待办 and edits of remarks."""
    for command in (REMIND_COMMAND, REMARK_COMMAND):
        register_command(command)
    panels.register(panels.Panel("todos", _("待办"), 10, "contacts/_todos_panel.html", notes.todos_panel))
    panels.register(panels.Panel("notes", _("跟进记录"), 15, "contacts/_notes_panel.html", notes.notes_panel))
    panels.register_figure(panels.Figure("next", _("下一步"), 10, notes.next_step))
    today.register_card(today.TodayCard("todos", _("我的待办"), 10, "contacts/_today_todos.html", notes.todos_card))
    lanes.register(lanes.Lane(reminders.LANE, queue="outbound", drain=reminders.drain, next_due=reminders.next_due))
    quiet.register("todo_reminders", reminders.count_due)


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
    register_command(clashes.TELL_COMMAND)
    lanes.register(lanes.Lane(clashes.LANE, queue="outbound", drain=clashes.drain, next_due=clashes.next_due))
    quiet.register("clashes", clashes.count_due)
    today.register_card(today.TodayCard("clashes", _("撞单"), 20, "contacts/_today_clashes.html", clash_pages.card))
