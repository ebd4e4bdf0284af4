"""Log-in with WeCom: the member whom WeCom names is let in as the log-in she is.

Who has none is told whom to ask; where the merchant wants it, a guide's first log-in makes her account.
"""

from dataclasses import dataclass

from django.db import transaction
from django.utils.translation import gettext as _

from accounts import journal
from accounts.models import Role, RoleGrant, User, as_username
from accounts.queries import keeper_names
from accounts.services import login
from accounts.services.users import Grant, add_user
from contacts.models import Member, MemberAccount, WecomLoginRule
from contacts.services.organisation import link_member
from scrm.lib.errors import UserError
from tenants import audit
from tenants.audit import SYSTEM, Actor
from wecom_bridge.models import Corp
from wecom_bridge.services.logins import CodeRefused, who_is
from wecom_bridge.shapes.logins import UserInfo

GUIDE = "guide"


class Refused(UserError):
    """WeCom says who it is, and she may not come in. `reason` is for the audit."""

    status = 403

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message, code=f"login_{reason}")
        self.reason = reason


@dataclass(frozen=True)
class Arrival:
    """Who came in: the log-in, and which of its members."""

    user: User
    member: Member


def come_in(corp: Corp, code: str, *, ip: str | None) -> Arrival:
    """Spend the code, find the log-in. Not inside a transaction.

    Raises Refused, or login's Closed and Locked, or what `who_is` raises. A code that is none counts as a failure of the address.
    """
    login.check_address(ip)
    try:
        info = who_is(corp, code)
    except CodeRefused:
        login.note_failure(ip)
        raise
    try:
        return _find(corp, info, ip)
    except (Refused, login.Closed) as error:
        reason = error.reason if isinstance(error, Refused) else "closed"
        journal.record("login.refused", corp, by=Actor("anonymous", ip=ip), reason=reason, userid=info.userid)
        raise


@transaction.atomic
def _find(corp: Corp, info: UserInfo, ip: str | None) -> Arrival:
    if not info.userid:
        raise Refused(_("只有企业成员能登录这里。"), "stranger")
    members = Member.objects.select_for_update(of=("self",)).filter(corp=corp, id_space=corp.id_space)
    member = members.filter(userid=info.userid).first()
    if member is None:
        raise Refused(_ask_for_account(), "unknown")
    if member.status in (Member.Status.LEFT, Member.Status.DISABLED):
        raise Refused(_("通讯录里您已离职或被禁用,不能登录。"), "left")
    account = MemberAccount.objects.filter(member=member).first()
    user_id = account.user_id if account else _open_account(corp, member).pk
    return Arrival(login.admit(user_id, ip=ip), member)


def _open_account(corp: Corp, member: Member) -> User:
    """The account of a guide's first log-in, where the merchant wants it made. Raises Refused."""
    role = Role.objects.filter(key=GUIDE).first()
    wanted = WecomLoginRule.objects.filter(corp=corp, makes_accounts=True).exists()
    if not (wanted and role and member.has_customer_contact and member.status == Member.Status.ACTIVE):
        raise Refused(_ask_for_account(), "no_account")
    grants = [Grant(role.pk, RoleGrant.Scope.SELF)]
    user = add_user(username=_free_name(member), display_name=str(member)[:40], grants=grants, by=SYSTEM)
    link_member(user, member, by=SYSTEM)
    return user


def _free_name(member: Member) -> str:
    """Her userid, with a number behind it when somebody else has that name."""
    name = as_username(member.userid)[:56]
    return f"{name}-{member.pk}" if User.objects.filter(username=name).exists() else name


def _ask_for_account() -> str:
    names = "、".join(keeper_names())
    if not names:
        return _("您还没有账号。请联系管理员开通。")
    return _("您还没有账号。请联系 %(names)s 开通,并在「组织 › 成员」里关联到您。") % {"names": names}


@transaction.atomic
def set_rule(corp: Corp, *, makes_accounts: bool, by: Actor) -> None:
    """Whether a guide's first log-in makes her account."""
    Corp.objects.select_for_update().get(pk=corp.pk)
    rule = WecomLoginRule.objects.filter(corp=corp).first() or WecomLoginRule(corp=corp)
    if rule.makes_accounts == makes_accounts:
        return
    rule.makes_accounts = makes_accounts
    rule.save(update_fields=None if rule.pk is None else ["makes_accounts"])
    audit.record("wecom_login.changed", corp, by=by, makes_accounts=makes_accounts)
