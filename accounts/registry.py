"""What accounts puts into the registries of lower layers."""

from django.utils.translation import gettext_lazy as _

from accounts import api_scopes, audit_words, navigation, permissions
from accounts.models import OneTimeLink
from accounts.navigation import NavEntry
from accounts.permissions import Permission
from accounts.presets import seed_roles
from accounts.services import sessions
from tenants import erasure, provision, retention

_GROUP = _("用户与安全")
PERMISSIONS = (
    Permission("users.manage", _("管理用户"), _GROUP, tenant_wide=True),
    Permission("roles.manage", _("管理角色"), _GROUP, tenant_wide=True),
    Permission("tokens.manage", _("管理 API 令牌"), _GROUP, tenant_wide=True),
    Permission("audit.view", _("查看操作记录"), _GROUP, tenant_wide=True),
    Permission("retention.edit", _("设置数据保留期"), _GROUP, tenant_wide=True),
    Permission("jobs.view", _("查看后台任务"), _GROUP),
)
NAVIGATION = (
    NavEntry("users", _("用户"), "admin", "users", "users", "users.manage", order=810),
    NavEntry("roles", _("角色"), "admin", "roles", "shield", "roles.manage", order=820),
    NavEntry("tokens", _("API 令牌"), "admin", "tokens", "key-round", "tokens.manage", order=830),
    NavEntry("retention", _("数据保留期"), "admin", "retention", "calendar-clock", "retention.edit", order=845),
    NavEntry("audit", _("操作记录"), "admin", "audit", "history", "audit.view", order=840),
)
WORDS = {
    "login.succeeded": _("登录"),
    "login.locked": _("密码错误过多,账号锁定"),
    "login.ended": _("退出其他设备"),
    "user.created": _("新建用户"),
    "user.edited": _("修改用户"),
    "user.closed": _("停用用户"),
    "user.reopened": _("恢复用户"),
    "user.link_issued": _("发出一次性登录链接"),
    "user.password_set": _("设置密码"),
    "role.created": _("新建角色"),
    "role.edited": _("修改角色"),
    "role.deleted": _("删除角色"),
    "retention.changed": _("修改数据保留期"),
    "token.created": _("新建 API 令牌"),
    "token.revoked": _("撤销 API 令牌"),
}


def fill() -> None:
    """Called once, from AppConfig.ready()."""
    permissions.register(*PERMISSIONS)
    navigation.register(*NAVIGATION)
    audit_words.register(WORDS)
    api_scopes.register("sandbox", _("沙箱时钟"))
    provision.register_seed("accounts.roles", seed_roles)
    retention.register(retention.Kind("sessions", _("登录设备"), sessions.KEEP_DAYS, sessions.prune))
    retention.register(retention.Kind("links", _("一次性登录链接"), 30, retention.older(OneTimeLink, "expires_at")))
    for label in ("accounts.User", "accounts.LoginSession"):
        erasure.holds_nothing(label, _("只有登录人自己的资料"))
