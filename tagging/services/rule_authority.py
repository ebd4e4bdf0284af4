"""What somebody may let a rule do: what she may do by hand to every customer herself. A rule acts without a person and on everybody, so
whoever saves, enables or backfills it answers for each of its actions.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.utils.translation import gettext as _

from accounts.models import RoleGrant, User
from accounts.permissions import label_of
from accounts.scope import data_scope, grants_of, permissions_of
from scrm.lib.errors import NotAllowed
from tagging import actions
from tenants.audit import Actor

WhyNot = Callable[[actions.Kind], str]


def why_not(user: User, grants: list[RoleGrant]) -> WhyNot:
    """kind → why she may not let a rule do it, "" where she may. No query."""
    held = permissions_of(user, grants=grants)

    def ask(kind: actions.Kind) -> str:
        code = kind.permission
        words = {"permission": label_of(code), "action": kind.label}
        if code not in held:
            return _("您没有「%(permission)s」的权限,不能让规则替您「%(action)s」") % words
        if not data_scope(user, code, grants=grants).sees_all:
            return _("您只在部分门店有「%(permission)s」的权限,规则对全部客户生效,不能替您「%(action)s」") % words
        return ""

    return ask


def refuse_beyond(wanted: Sequence[Mapping[str, Any]], by: Actor) -> None:
    """Raises NotAllowed, naming action and permission, where a user lets a rule do what she may not do herself. Two queries."""
    if by.kind != "user":
        return
    user = User.objects.filter(pk=by.id or 0).first()
    kinds = [kind for action in wanted if (kind := actions.find(action.get("kind", "")))]
    ask = why_not(user, grants_of(user)) if user else None
    reasons = [reason for kind in kinds if (reason := ask(kind) if ask else _("账号已不存在"))]
    if reasons:
        text = _("%(reasons)s。请去掉这些动作,或请有权限的同事来操作。")
        raise NotAllowed(text % {"reasons": ";".join(dict.fromkeys(reasons))})
