"""Permissions and navigation of the platform's own host."""

from django.utils.translation import gettext_lazy as _

from accounts import audit_words, navigation, permissions
from accounts.navigation import NavEntry
from accounts.permissions import Permission

_GROUP = _("平台")
PERMISSIONS = (
    Permission("platform.view", _("查看商户"), _GROUP, says=_("看有哪些商户、各商户的状态")),
    Permission(
        "platform.manage", _("开通、停用和删除商户"), _GROUP, says=_("开通、停用、恢复和删除商户,发管理员登录链接")
    ),
)
NAVIGATION = (
    NavEntry("console", _("商户"), "home", "console_tenants", "building-2", "platform.view", order=10),
    NavEntry("console_audit", _("平台操作记录"), "admin", "console_audit", "history", "platform.view", order=20),
)
WORDS = {
    "tenant.created": _("新建商户"),
    "tenant.suspended": _("停用商户"),
    "tenant.resumed": _("恢复商户"),
    "tenant.dropped": _("删除商户"),
    "domain.added": _("添加域名"),
    "domain.removed": _("移除域名"),
    "tenant.admin_link": _("发出商户管理员的登录链接"),
}
# What a platform operator's one role holds.
OPERATOR_PERMISSIONS = ("platform.view", "platform.manage", "users.manage", "roles.manage")


def fill() -> None:
    """Called once, from AppConfig.ready()."""
    permissions.register(*PERMISSIONS)
    navigation.register(*NAVIGATION)
    audit_words.register(WORDS)
