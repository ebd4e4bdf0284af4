"""What this app tells the others at start."""

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts import api_scopes, audit_words, navigation
from accounts.navigation import NavEntry
from accounts.permissions import Permission
from accounts.permissions import register as register_permissions
from accounts.scope import register_places
from contacts import arrivals, comparing, fields, filters, handlers, home_panel, inventory, kinds, longjobs, timeline
from contacts.models import DeletionAlarm, TimelineEvent
from contacts.queries import list_dealers, list_regions, list_stores
from contacts.seeds import seed_stages
from contacts.services import exports, groups
from contacts.services.alarms import watch_deletions
from contacts.services.newcomers import enter_first_stage
from tenants import lanes, provision, quiet, retention

# Facts are what every later question is asked of: kept long, never shorter than the reports' comparison with last year.
FILES = retention.Kind("export_files", _("导出与拒收文件"), 7, longjobs.prune_files)
ALARMS = retention.Kind("deletion_alarms", _("导购异常删除提醒"), 1095, retention.older(DeletionAlarm, "raised_at"))
TIMELINE = retention.Kind("timeline", _("客户时间线"), 1095, retention.older(TimelineEvent, "occurred_at"))

AUDIT_WORDS: dict[str, str | Promise] = {
    "contact.unmasked": _("查看完整手机号"),
    "contact.owner_changed": _("更改业绩归属"),
    "contact.merge_undone": _("撤销客户合并"),
    "contact.details_changed": _("修改客户资料"),
    "contacts.exported": _("导出客户"),
    "contacts.export_downloaded": _("下载客户导出文件"),
    "deletion_alarm.handled": _("处理导购异常删除提醒"),
    "group.tagged": _("给客户群加标签"),
    "group.untagged": _("去掉客户群标签"),
    "stage.changed": _("变更阶段"),
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
        Permission("groups.view", _("查看客户群"), people),
        Permission("org.view", _("查看组织"), places),
        Permission("org.edit", _("维护门店、大区、经销商与成员"), places, tenant_wide=True),
    )
    navigation.register(
        NavEntry("contacts", _("客户"), "people", "contacts:contact_list", "users-round", "contacts.view", order=90),
        NavEntry("ended", _("已删除与回流"), "people", "contacts:ended_list", "user-minus", "contacts.view", order=92),
        NavEntry("groups", _("客户群"), "people", "contacts:group_list", "messages-square", "groups.view", order=95),
        NavEntry(
            "m-customers", _("客户"), "home", "contacts:phone_list", "users-round", "today.use", order=20, phone=True
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
    fields.fill()
    handlers.register()
    arrivals.on_new_keys(groups.on_new_keys)
    inventory.register()
    comparing.register()
    timeline.on_recorded(enter_first_stage)
    timeline.on_recorded(watch_deletions)
    timeline.on_restated(watch_deletions)
    home_panel.register()
    lanes.register(lanes.Lane(longjobs.LANE, queue="bulk", drain=longjobs.drain))
    longjobs.register(exports.KIND, exports.export_step)
    quiet.register("long_jobs", longjobs.count_open)
    provision.register_seed("contacts.stages", seed_stages)
    retention.register(ALARMS)
    retention.register(TIMELINE)
    retention.register(FILES)
