"""Log-ins: users, roles that group named permissions, data scope, sessions, one-time links, API tokens.

These tables exist in the public schema (the platform's operators) and in every tenant (the merchant's people).
"""

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _


def as_username(text: str) -> str:
    """A name as it is stored and looked up: people type it in any case."""
    return text.strip().lower()


class UserManager(BaseUserManager["User"]):
    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(username=as_username(username or ""))


class User(AbstractBaseUser):
    """A person who logs in. Which WeCom members she is, is told by contacts.MemberAccount (0..n)."""

    username = models.CharField(max_length=64, unique=True)
    display_name = models.CharField(max_length=40)
    phone = models.CharField(max_length=20, default="", blank=True)
    email = models.EmailField(default="", blank=True)
    language = models.CharField(max_length=8, choices=[("zh-hans", "简体中文"), ("en", "English")], default="zh-hans")
    is_active = models.BooleanField(default=True)
    must_change_password = models.BooleanField(default=False)
    failed_logins = models.SmallIntegerField(default=0)
    locked_until = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()

    PERSONAL = ("username", "display_name", "phone", "email")
    CREDENTIAL = ("password",)  # a salted hash of the framework's

    objects = UserManager()
    USERNAME_FIELD = "username"
    REQUIRED_FIELDS = []

    class Meta:
        # With the unique column: no two names differ by case alone, and the plain index finds a name typed in any case.
        constraints = [
            models.CheckConstraint(condition=models.Q(username=Lower("username")), name="username_is_lower_case")
        ]

    def __str__(self) -> str:
        return self.display_name


class Role(models.Model):
    """A named bundle of permissions. The presets are rows too (key set) and may be edited, never deleted."""

    key = models.CharField(max_length=24, unique=True, null=True, blank=True)
    name = models.CharField(max_length=40)
    permissions = ArrayField(models.CharField(max_length=48), default=list, blank=True)
    order = models.SmallIntegerField(default=0)

    NOT_PERSONAL = ("key", "name", "permissions")

    def __str__(self) -> str:
        return self.name


class RoleGrant(models.Model):
    """A user holds a role, over part of the organisation.

    scope_kind `all` sees the whole tenant; the others name an organisation row by id (contacts.Region, Dealer, Store);
    `self` is the guide: her own customers, through her members.
    """

    class Scope(models.TextChoices):
        ALL = "all", _("全部")
        REGION = "region", _("大区")
        DEALER = "dealer", _("经销商")
        STORE = "store", _("门店")
        SELF = "self", _("本人")

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="grants")
    role = models.ForeignKey(Role, on_delete=models.CASCADE, related_name="grants")
    scope_kind = models.CharField(max_length=8, choices=Scope.choices, default=Scope.SELF)
    scope_id = models.BigIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "role", "scope_kind", "scope_id"], name="one_grant_each"),
            models.CheckConstraint(
                condition=models.Q(scope_kind__in=["all", "self"], scope_id=0)
                | models.Q(scope_kind__in=["region", "dealer", "store"], scope_id__gt=0),
                name="grant_scope_names_a_row",
            ),
        ]


class LoginSession(models.Model):
    """What a user sees of her sessions, and can end."""

    class Way(models.TextChoices):
        PASSWORD = "password", _("密码")
        WECOM = "wecom", _("企业微信")

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="login_sessions")
    session_digest = models.CharField(max_length=40, unique=True)  # see accounts.sessions.stored_key
    ip = models.GenericIPAddressField(null=True, blank=True)
    user_agent = models.CharField(max_length=200, default="", blank=True)
    way = models.CharField(max_length=8, choices=Way.choices, default=Way.PASSWORD, db_default="password")
    created_at = models.DateTimeField()
    seen_at = models.DateTimeField()

    PERSONAL = ("ip", "user_agent")
    CREDENTIAL = ("session_digest",)


class OneTimeLink(models.Model):
    """First log-in or a forgotten password: a link that works once. Only its digest is stored."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="one_time_links")
    token_digest = models.CharField(max_length=64, unique=True)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()

    CREDENTIAL = ("token_digest",)


class ApiToken(models.Model):
    """A key for /api/v1/: `<prefix>.<secret>`; the secret's digest only. It acts for the tenant with its scopes."""

    name = models.CharField(max_length=60)
    prefix = models.CharField(max_length=12, unique=True)
    token_digest = models.CharField(max_length=64)
    scopes = ArrayField(models.CharField(max_length=48), default=list)
    created_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    NOT_PERSONAL = ("name", "prefix", "scopes")
    CREDENTIAL = ("token_digest",)
