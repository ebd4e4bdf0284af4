"""Forms of log-ins, users, roles and tokens."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts import api_scopes
from accounts.models import Role, RoleGrant, User
from accounts.permissions import Permission, all_permissions
from accounts.scope import places
from accounts.services.granting import Holding
from accounts.services.users import Grant
from scrm.lib import clock
from tenants import retention
from tenants.context import current_scope

Kind = RoleGrant.Scope


class LoginForm(forms.Form):
    username = forms.CharField(
        label=_("用户名"), max_length=64,
        widget=forms.TextInput(attrs={"autocomplete": "username", "autocapitalize": "none", "autofocus": True}),
    )  # fmt: skip
    password = forms.CharField(
        label=_("密码"),
        max_length=128,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )


class NewPasswordForm(forms.Form):
    """The rules themselves are the service's."""

    password = forms.CharField(
        label=_("新密码"), max_length=128, strip=False, help_text=_("至少 10 位,不能全是数字,不能是常见密码。"),
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )  # fmt: skip
    again = forms.CharField(
        label=_("再输一次"),
        max_length=128,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if data.get("password") and data.get("again") and data["password"] != data["again"]:
            self.add_error("again", _("两次输入的密码不一样。"))
        return data


class PasswordChangeForm(NewPasswordForm):
    old = forms.CharField(
        label=_("现在的密码"), max_length=128, strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )  # fmt: skip
    field_order = ("old", "password", "again")


class UserForm(forms.ModelForm):
    """A user and what she holds. The grants are checkboxes named by role, kind and place: `3:store:17`."""

    grants = forms.MultipleChoiceField(
        label=_("角色和范围"), required=False, widget=forms.CheckboxSelectMultiple,
        help_text=_("一个人可以有多个角色;范围决定她看得到哪些客户和门店。"),
    )  # fmt: skip

    class Meta:
        model = User
        fields = ("username", "display_name", "phone", "email")
        labels = {"username": _("用户名"), "display_name": _("姓名"), "phone": _("手机"), "email": _("邮箱")}
        help_texts = {"username": _("登录用,字母或数字,开通后不能改。")}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["grants"].choices = grant_choices()  # type: ignore[attr-defined]  # the stubs call every form field a plain Field
        self.fields["username"].disabled = self.instance.pk is not None
        if self.instance.pk:
            rows = RoleGrant.objects.filter(user=self.instance).values_list("role_id", "scope_kind", "scope_id")
            self.initial["grants"] = [f"{role}:{kind}:{place}" for role, kind, place in rows]

    def clean_grants(self) -> list[Grant]:
        """What the service takes."""
        parts = (value.split(":") for value in self.cleaned_data["grants"])
        return [Grant(int(role), kind, int(place)) for role, kind, place in parts]

    def _post_clean(self) -> None:
        """Uniqueness is the database's word, told by the service."""


def grant_choices() -> list[tuple[str, list[tuple[str, str]]]]:
    """Per role: everything, each place of the organisation, oneself."""
    spots = [(Kind.ALL, 0, str(Kind.ALL.label)), (Kind.SELF, 0, str(Kind.SELF.label))]
    for kind in (Kind.REGION, Kind.DEALER, Kind.STORE):
        spots += [(kind, pk, f"{kind.label} · {name}") for pk, name in places(kind)]
    return [
        (role.name, [(f"{role.pk}:{kind.value}:{place}", f"{role.name} · {label}") for kind, place, label in spots])
        for role in Role.objects.order_by("order", "pk")
    ]


def offered_permissions() -> list[Permission]:
    """What a role of this host may hold: the platform's own permissions mean nothing in a merchant."""
    scope = current_scope()
    in_tenant = scope is not None and scope.tenant is not None
    return [permission for permission in all_permissions() if permission.code.startswith("platform.") != in_tenant]


@dataclass(frozen=True)
class Choice:
    """A permission as the roles page shows it. is_locked: the person may not give it, since she does not hold it."""

    permission: Permission
    is_held: bool
    is_locked: bool


class RoleForm(forms.Form):
    name = forms.CharField(label=_("角色名称"), max_length=40)
    permissions = forms.MultipleChoiceField(label=_("权限"), required=False, widget=forms.CheckboxSelectMultiple)

    def __init__(self, *args: Any, holding: Holding, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.holding, self.offered = holding, offered_permissions()
        self.fields["permissions"].choices = [(one.code, str(one.label)) for one in self.offered]  # type: ignore[attr-defined]  # the stubs call every form field a plain Field

    def groups(self) -> list[tuple[str, list[Choice]]]:
        """Every permission with what it allows, under its heading."""
        held = set(self["permissions"].value() or [])
        locked = set(self.holding.lacks(one.code for one in self.offered)) - held
        found: dict[str, list[Choice]] = {}
        for one in self.offered:
            found.setdefault(str(one.group), []).append(Choice(one, one.code in held, one.code in locked))
        return list(found.items())


class TokenForm(forms.Form):
    LIFETIMES = (("90", _("90 天")), ("365", _("1 年")), ("", _("不过期")))

    name = forms.CharField(label=_("用途"), max_length=60, help_text=_("写清是哪个系统在用,撤销时才不会弄错。"))
    scopes = forms.MultipleChoiceField(label=_("能做什么"), widget=forms.CheckboxSelectMultiple)
    days = forms.ChoiceField(label=_("有效期"), choices=LIFETIMES, required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["scopes"].choices = api_scopes.choices()  # type: ignore[attr-defined]  # the stubs call every form field a plain Field

    def expires_at(self) -> Any:
        """The instant, or None for never."""
        days = self.cleaned_data["days"]
        return clock.wall() + timedelta(days=int(days)) if days else None


class AuditFilterForm(forms.Form):
    actor = forms.CharField(label=_("谁"), required=False, max_length=40)
    action = forms.CharField(label=_("做了什么"), required=False, max_length=64)
    since = forms.DateField(label=_("从"), required=False, widget=forms.DateInput(attrs={"type": "date"}))
    until = forms.DateField(label=_("到"), required=False, widget=forms.DateInput(attrs={"type": "date"}))


class RetentionForm(forms.Form):
    """Days for each kind of record: one field a kind, named by its key, within the kind's limits."""

    def __init__(self, *args: Any, kinds: Sequence[retention.Kind], days: Mapping[str, int], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for kind in kinds:
            outside = retention.said_limits(kind)
            self.fields[kind.key] = forms.IntegerField(
                label=str(kind.label), min_value=kind.least, max_value=kind.most, initial=days.get(kind.key, kind.keep_days),
                error_messages=dict.fromkeys(("min_value", "max_value", "invalid", "required"), outside),
            )  # fmt: skip
