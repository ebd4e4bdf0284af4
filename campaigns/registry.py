"""What campaigns add to the shared registries; called once, when the apps are ready."""

from django.utils.translation import gettext_lazy as _

from accounts import navigation, permissions
from campaigns import customer_figures, tasks, welcome_figures
from campaigns.handlers import groupmsg, ledger, welcome
from campaigns.queries import audience
from campaigns.services import enrolling, sop_running
from conditions import consumers
from contacts import timeline
from contacts.services import custom_fields, merging, stage_editing
from tagging import segments
from tenants import lanes, quiet

HEADING = _("触达")


def register() -> None:
    """Lanes, permissions, navigation, commands, timeline kinds."""
    permissions.register(
        permissions.Permission("broadcasts.view", _("查看群发"), HEADING),
        permissions.Permission("broadcasts.edit", _("创建和提交群发"), HEADING),
        permissions.Permission("broadcasts.approve", _("审批群发和 SOP"), HEADING),
        permissions.Permission("sops.view", _("查看 SOP"), HEADING),
        permissions.Permission("sops.edit", _("编辑 SOP"), HEADING),
        permissions.Permission("welcomes.edit", _("编辑欢迎语"), HEADING, tenant_wide=True),
        permissions.Permission("today.use", _("使用今日(导购)"), HEADING),
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
    segments.register_uses("campaigns", audience.uses_of_segment)
    stage_editing.register_uses("campaigns", audience.uses_of_stage)
    custom_fields.register_uses("campaigns", audience.uses_of_field)
    merging.on_merged(sop_running.on_merged)
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
    timeline.register_kind("push.sent", _("群发发送成功"), "send")
    timeline.register_kind("push.failed", _("群发没有发成"), "circle-alert")
