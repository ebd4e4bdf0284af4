"""What accounts puts into the registries of lower layers."""

from django.utils.translation import gettext_lazy as _

from accounts import api_scopes, audit_words, navigation, permissions
from accounts.models import OneTimeLink
from accounts.navigation import NavEntry
from accounts.permissions import Permission
from accounts.presets import register_later, seed_roles
from accounts.services import sessions
from tenants import erasure, provision, retention

_GROUP = _("用户与安全")
PERMISSIONS = (
    Permission(
        "users.manage",
        _("管理用户"),
        _GROUP,
        tenant_wide=True,
        says=_("新建、停用账号,发登录链接,给账号分配角色和范围"),
    ),
    Permission("roles.manage", _("管理角色"), _GROUP, tenant_wide=True, says=_("新建角色,决定每个角色能做什么")),
    Permission(
        "tokens.manage",
        _("管理 API 令牌"),
        _GROUP,
        tenant_wide=True,
        says=_("给外部系统发接口令牌,令牌能读写全部门店的数据"),
        freezes=True,
    ),
    Permission(
        "audit.view", _("查看操作记录"), _GROUP, tenant_wide=True, says=_("查谁在什么时候做了什么,包括查看手机号和导出")
    ),
    Permission("jobs.view", _("查看后台任务"), _GROUP, says=_("看导入、导出等后台任务的进度和结果")),
    Permission(
        "retention.edit", _("设置数据保留期"), _GROUP, tenant_wide=True, says=_("决定各类记录保留多少天,到期自动删除")
    ),
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
    "login.refused": _("企业微信登录被拒"),
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
    "role.extended": _("预设角色增加新功能的权限"),
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
    register_later()
    retention.register(retention.Kind("sessions", _("登录设备"), sessions.KEEP_DAYS, sessions.prune))
    retention.register(retention.Kind("links", _("一次性登录链接"), 30, retention.older(OneTimeLink, "expires_at")))
    for label in ("accounts.User", "accounts.LoginSession"):
        erasure.holds_nothing(label, _("只有登录人自己的资料"))
