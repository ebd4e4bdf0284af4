"""One-time links: the first log-in, and the way back for who forgot the password."""

from datetime import timedelta

from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from accounts import journal
from accounts.models import OneTimeLink, User
from accounts.services import granting
from accounts.services.sessions import end_sessions
from scrm.lib import clock
from scrm.lib.crypto import random_token, token_digest
from scrm.lib.errors import UserError
from tenants.audit import Actor

VALID = timedelta(hours=72)


class LinkUnusable(UserError):
    """Used, expired, replaced or never ours."""

    code = "link_unusable"
    status = 410


@transaction.atomic
def issue_link(user: User, *, by: Actor) -> str:
    """A new token for the user's set-password page; earlier unused ones stop working. It is shown once and not kept.

    Raises NotAllowed for a user who holds more than the actor: with the link in hand she could log in as her.
    """
    now = clock.wall()
    granting.refuse_standing_for(by, user)
    OneTimeLink.objects.filter(user=user, used_at__isnull=True).update(used_at=now)
    token = random_token()
    OneTimeLink.objects.create(user=user, token_digest=token_digest(token), created_at=now, expires_at=now + VALID)
    journal.record("user.link_issued", user, by=by)
    return token


def link_url(token: str, host: str) -> str:
    """The address to hand over, for a host such as acme.scrm.localhost."""
    default = 443 if settings.SITE_SCHEME == "https" else 80
    port = "" if settings.SITE_PORT == default else f":{settings.SITE_PORT}"
    return f"{settings.SITE_SCHEME}://{host}{port}/welcome/{token}/"


def find_link(token: str) -> OneTimeLink:
    """The link, if it still works. Raises LinkUnusable."""
    return _usable(OneTimeLink.objects.select_related("user").filter(token_digest=token_digest(token)).first())


@transaction.atomic
def use_link(token: str, password: str) -> User:
    """Set the password, spend the link, end other sessions. Raises LinkUnusable, or UserError for a weak password."""
    rows = OneTimeLink.objects.select_for_update(of=("self",)).select_related("user")
    link = _usable(rows.filter(token_digest=token_digest(token)).first())
    user = set_password(link.user, password, by=Actor("user", link.user.pk, link.user.display_name))
    link.used_at = clock.wall()
    link.save(update_fields=["used_at"])
    return user


@transaction.atomic
def set_password(user: User, password: str, *, by: Actor, keep_session: str = "") -> User:
    """A new password after the rules said yes; the lock opens, other sessions end. Raises UserError with the reasons."""
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise UserError(" ".join(error.messages), fields={"password": " ".join(error.messages)}) from error
    user.set_password(password)
    user.must_change_password, user.failed_logins, user.locked_until = False, 0, None
    user.save(update_fields=["password", "must_change_password", "failed_logins", "locked_until"])
    end_sessions(user, by=by, keep=keep_session)
    journal.record("user.password_set", user, by=by)
    return user


def _usable(link: OneTimeLink | None) -> OneTimeLink:
    if link is None or link.used_at or link.expires_at <= clock.wall() or not link.user.is_active:
        raise LinkUnusable(_("这个登录链接已用过、已过期或已被新链接替代。请管理员重发一个。"))
    return link
