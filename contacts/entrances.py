"""How people come in: permissions, navigation, and what the audit calls their deeds."""

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts import audit_words, navigation
from accounts.navigation import NavEntry
from accounts.permissions import Permission
from accounts.permissions import register as register_permissions

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
    "bulk.started": _("批量操作"),
    "bulk.undo_asked": _("撤销批量操作"),
    "contact.details_unmasked": _("查看完整客户资料"),
    "custom_field.added": _("新增自定义字段"),
    "custom_field.changed": _("修改自定义字段"),
    "custom_field.shifted": _("调整自定义字段顺序"),
    "custom_field.archived": _("停用自定义字段"),
    "custom_field.restored": _("恢复自定义字段"),
    "custom_field.retyped": _("更改自定义字段类型"),
    "contacts.exported": _("导出客户"),
    "contacts.ended_exported": _("导出已删除与回流"),
    "contacts.export_refused": _("导出超过每日上限被拒"),
    "contacts.export_limit_changed": _("调整每日导出上限"),
    "contacts.export_downloaded": _("下载客户导出文件"),
    "view.created": _("保存客户列表视图"),
    "view.changed": _("修改客户列表视图"),
    "view.deleted": _("删除客户列表视图"),
    "import.started": _("开始导入"),
    "import.finished": _("导入完成"),
    "import.undone": _("撤销导入"),
    "import.rejects_downloaded": _("下载未导入的行"),
    "note.written": _("写跟进记录"),
    "note.edited": _("修改跟进记录"),
    "note.withdrawn": _("撤回跟进记录"),
    "todo.created": _("新建待办"),
    "todo.postponed": _("待办改期"),
    "todo.given": _("待办转给别的导购"),
    "todo.done": _("完成待办"),
    "todo.reopened": _("重新打开待办"),
    "follow.remark_edited": _("修改客户备注"),
    "deletion_alarm.handled": _("处理导购异常删除提醒"),
    "account.frozen": _("冻结导购账号"),
    "account.unfrozen": _("解除导购账号的冻结"),
    "group.tagged": _("给客户群加标签"),
    "group.untagged": _("去掉客户群标签"),
    "stage.changed": _("变更阶段"),
    "stage.saved": _("设置客户阶段"),
    "stage.shifted": _("调整阶段顺序"),
    "stage.archived": _("停用阶段"),
    "stage.restored": _("恢复阶段"),
    "stage.rule_saved": _("设置阶段进入条件"),
    "stage.rule_applied": _("按进入条件移入客户"),
    "contact.erasure_requested": _("请求删除客户个人信息"),
    "contact.erasure_taken_back": _("撤回删除客户个人信息的请求"),
    "contact.erased": _("删除客户个人信息"),
    "consent.given": _("记录客户同意"),
    "consent.withdrawn": _("记录客户撤回同意"),
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
    "staff.placed": _("确定新成员的门店"),
    "staff.moved": _("确定成员调店"),
    "staff.kept": _("人员变动维持原样"),
    "staff.seen_off": _("处理成员离职"),
    "todos.reassigned": _("转交成员的待办"),
    "members.placed": _("按文件调店"),
    "handover.drafted": _("新建客户继承计划"),
    "handover.changed": _("修改客户继承计划"),
    "handover.started": _("开始客户继承"),
    "handover.stopped": _("停止客户继承"),
    "handover.asked_again": _("重新发起客户继承"),
    "handover.deleted": _("删除客户继承草稿"),
    "handover.unassigned_asked": _("核对离职待分配客户"),
    "member.linked": _("关联登录账号"),
    "member.unlinked": _("解除登录账号"),
    "wecom_login.changed": _("设置企业微信登录"),
}


def register() -> None:
    """Called once, by contacts.registry."""
    audit_words.register(AUDIT_WORDS)
    people, places = _("客户"), _("组织")
    register_permissions(
        Permission(
            "contacts.view", _("查看客户"), people, says=_("看范围内的客户名单、客户页、时间线和阶段看板,手机号隐藏")
        ),
        Permission(
            "contacts.edit",
            _("修改客户资料、阶段、归属与免打扰"),
            people,
            says=_("写跟进记录和待办,改备注、阶段、业绩归属和免打扰"),
        ),
        Permission(
            "contacts.unmask", _("查看完整手机号"), people, says=_("看完整手机号,每看一次都留操作记录"), freezes=True
        ),
        Permission(
            "contacts.export",
            _("导出客户"),
            people,
            says=_("把范围内的客户导出成文件,每次导出都留操作记录"),
            freezes=True,
        ),
        Permission(
            "contacts.export_many",
            _("导出不受每日上限"),
            people,
            tenant_wide=True,
            freezes=True,
            says=_("一天导出的客户可以超过每人每天的上限,并且可以调整这个上限"),
        ),
        Permission(
            "stages.edit",
            _("设置客户阶段与进入条件"),
            people,
            tenant_wide=True,
            says=_("新增、改名、排序、停用阶段,设进入条件,影响全部客户"),
        ),
        Permission("groups.view", _("查看客户群"), people, says=_("看范围内客户群的人数、成员和进退群记录")),
        Permission(
            "handover.manage",
            _("转移客户与客户群(在职/离职继承)"),
            people,
            says=_("做继承计划,把范围内成员的客户和客户群转给别人,客户会收到企业微信的通知"),
            freezes=True,
        ),
        Permission("org.view", _("查看组织"), places, says=_("看范围内的门店、成员和人员变动")),
        Permission(
            "org.edit",
            _("维护门店、大区、经销商与成员"),
            places,
            tenant_wide=True,
            says=_("建门店、大区、经销商,对应部门,给成员调店,关联登录账号"),
        ),
        Permission(
            "contacts.erase",
            _("按请求删除客户的个人信息"),
            people,
            tenant_wide=True,
            says=_("按客户的请求删除她的全部个人信息,删除后不能恢复"),
        ),
        Permission(
            "fields.edit",
            _("设置客户自定义字段"),
            people,
            tenant_wide=True,
            says=_("新增、修改、排序、停用客户资料里的自定义字段,决定谁能看、谁能改"),
        ),
        Permission(
            "contacts.import",
            _("导入客户资料、门店与调店"),
            people,
            says=_("用文件批量写入范围内的客户资料,24 小时内可以撤销"),
            freezes=True,
        ),
        Permission(
            "contacts.merge",
            _("合并重复客户与撤销合并"),
            people,
            says=_("看待合并名单,把同一个人的几位客户合并,30 天内可以撤销"),
        ),
        Permission(
            "ownership.edit",
            _("设置归属规则与撞单通知"),
            people,
            tenant_wide=True,
            says=_("决定业绩归属按先添加、后添加还是按门店,按新规则重算,开关撞单提醒"),
        ),
        Permission(
            "freezes.lift",
            _("解除导购账号的冻结"),
            people,
            says=_("范围内的导购因异常删除客户被冻结后,核实情况并解除冻结,原因留操作记录;不能解除自己的"),
        ),
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
        NavEntry("imports", _("导入"), "people", "contacts:import_list", "file-up", "contacts.import", order=98),
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
        NavEntry(
            "erasures", _("删除个人信息"), "admin", "contacts:erasure_list", "trash-2", "contacts.erase", order=850
        ),
        NavEntry("stages", _("客户阶段"), "people", "contacts:stage_list", "route", "stages.edit", order=165),
        NavEntry("fields", _("自定义字段"), "people", "contacts:field_list", "list-filter", "fields.edit", order=166),
        NavEntry(
            "owner_rule", _("归属规则"), "people", "contacts:owner_rule", "user-check", "ownership.edit", order=166
        ),
        NavEntry("org", _("组织"), "admin", "contacts:store_list", "network", "org.view", order=800),
        NavEntry(
            "wecom-login",
            _("企业微信登录"),
            "admin",
            "contacts:wecom_settings",
            "message-circle",
            "users.manage",
            order=815,
        ),
    )
