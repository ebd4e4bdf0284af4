"""What campaigns add to the shared registries; called once, when the apps are ready."""

from django.utils.translation import gettext_lazy as _

from accounts import navigation, permissions
from campaigns import customer_figures, erasers, fields, tasks, welcome_figures
from campaigns.handlers import groupmsg, ledger, welcome
from campaigns.queries import audience
from campaigns.services import enrolling, sop_running, succeeding
from campaigns.services.rule_action import SOP
from conditions import consumers
from contacts import successions, timeline
from contacts.services import custom_fields, merging, stage_editing
from tagging import actions, segments, tag_readers
from tenants import lanes, quiet

HEADING = _("触达")


def register() -> None:
    """Lanes, permissions, navigation, commands, timeline kinds."""
    permissions.register(
        permissions.Permission("broadcasts.view", _("查看群发"), HEADING, says=_("看群发的内容、人群和每位导购的结果")),
        permissions.Permission(
            "broadcasts.edit", _("创建和提交群发"), HEADING, says=_("写群发、选人群、体检、提交审批")
        ),
        permissions.Permission(
            "broadcasts.approve", _("审批群发和 SOP"), HEADING, says=_("放行或驳回别人提交的群发和 SOP")
        ),
        permissions.Permission("sops.view", _("查看 SOP"), HEADING, says=_("看 SOP 的步骤和在跑客户")),
        permissions.Permission("sops.edit", _("编辑 SOP"), HEADING, says=_("建 SOP、改步骤、提交审批、暂停")),
        permissions.Permission(
            "welcomes.edit", _("编辑欢迎语"), HEADING, tenant_wide=True, says=_("改客户加好友后自动发出的欢迎语")
        ),
        permissions.Permission(
            "today.use",
            _("使用今日(导购)"),
            HEADING,
            says=_("在手机上看自己的任务和客户,同意或不发自己的群发"),
            own_work=True,
        ),
    )
    navigation.register(
        navigation.NavEntry(
            "broadcasts", _("群发"), "reach", "campaigns:broadcast_list", "send", "broadcasts.view", 10
        ),
        navigation.NavEntry(
            "approvals", _("审批"), "reach", "campaigns:approval_list", "clipboard-check", "broadcasts.approve", 5
        ),
        navigation.NavEntry("sops", _("SOP"), "reach", "campaigns:sop_list", "workflow", "sops.view", 20),
        navigation.NavEntry("welcomes", _("欢迎语"), "reach", "campaigns:welcome_list", "hand", "welcomes.edit", 30),
        navigation.NavEntry("today", _("今日"), "home", "campaigns:today", "list-checks", "today.use", 5),
        navigation.NavEntry("m-today", _("今日"), "home", "campaigns:today", "list-checks", "today.use", 5, phone=True),
    )
    lanes.register(lanes.Lane("campaigns", queue="campaigns", drain=tasks.drain, next_due=tasks.next_due))
    quiet.register("campaigns", tasks.count_due)
    timeline.on_recorded(enrolling.on_facts)
    actions.register(SOP)
    segments.register_uses("campaigns", audience.uses_of_segment)
    tag_readers.register("campaigns", audience.tag_readers)
    stage_editing.register_uses("campaigns", audience.uses_of_stage)
    custom_fields.register_uses("campaigns", audience.uses_of_field)
    successions.on_taken_over(succeeding.take_over)
    merging.on_merged(sop_running.on_merged)
    merging.on_asked(sop_running.foretell_merge)
    consumers.register(
        consumers.Consumer(
            "campaigns.sop_exits", reads=sop_running.exit_keys, consume=sop_running.consume_exits, order=300
        )
    )
    groupmsg.register()
    ledger.register()
    welcome.register()
    welcome_figures.register()
    customer_figures.register()
    erasers.register()
    fields.fill()
    timeline.register_kind("push.sent", _("群发发送成功"), "send")
    timeline.register_kind("push.failed", _("群发没有发成"), "circle-alert")
