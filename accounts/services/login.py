"""Who may come in. Checking a password: five failures close the name for a quarter of an hour, twenty an address.

A name that does not exist costs the same time and locks the same way, so that the page tells nobody which names exist.
"""

from datetime import timedelta

from django.contrib.auth.hashers import make_password
from django.core.cache import cache
from django.db import transaction
from django.utils.translation import gettext as _

from accounts import journal
from accounts.models import User, as_username
from scrm.lib import clock
from scrm.lib.errors import TryLater, UserError
from tenants.audit import Actor

NAME_FAILURES = 5
ADDRESS_FAILURES = 20
LOCK = timedelta(minutes=15)


class WrongPassword(UserError):
    """Name or password is wrong; which of the two is not told."""

    code = "wrong_password"


class Closed(UserError):
    """The account is put out of use."""

    code = "account_closed"
    status = 403


class Locked(TryLater):
    """Too many failures; even the right password is refused until the time is over."""

    code = "locked"


def check_password(username: str, password: str, *, ip: str | None) -> User:
    """The active user whose password this is. Raises WrongPassword or Locked."""
    name = as_username(username)
    check_address(ip)
    user = _try(name, password, ip)
    if user is None:
        note_failure(ip)
        raise WrongPassword(_("用户名或密码不对。连续错 %(n)d 次会锁定 15 分钟。") % {"n": NAME_FAILURES})
    return user


@transaction.atomic
def admit(user_id: int, *, ip: str | None) -> User:
    """The user whom another proof than the password names (her WeCom): what keeps a password out keeps her out too.
    Raises Closed or Locked."""
    check_address(ip)
    user = User.objects.select_for_update().get(pk=user_id)
    if not user.is_active:
        raise Closed(_("您的账号已停用,不能登录。需要恢复的话,请联系管理员。"))
    if user.locked_until and user.locked_until > clock.wall():
        raise _locked()
    return user


def check_address(ip: str | None) -> None:
    """Raises Locked when too much failed from this address."""
    if cache.get(_address_key(ip), 0) >= ADDRESS_FAILURES:
        raise _locked()


def note_failure(ip: str | None) -> None:
    """One more failure from this address."""
    _count(_address_key(ip))


@transaction.atomic
def _try(name: str, password: str, ip: str | None) -> User | None:
    """One attempt per name at a time: guesses in parallel wait for the row, so that five are five."""
    user = User.objects.select_for_update().filter(username=name).first()
    if user is None:
        _try_nobody(name, password)
        return None
    now = clock.wall()
    if user.locked_until and user.locked_until > now:
        raise _locked()
    if user.check_password(password) and user.is_active:
        if user.failed_logins or user.locked_until:
            user.failed_logins, user.locked_until = 0, None
            user.save(update_fields=["failed_logins", "locked_until"])
        return user
    user.failed_logins += 1
    if user.failed_logins >= NAME_FAILURES:
        user.failed_logins, user.locked_until = 0, now + LOCK
        journal.record("login.locked", user, by=Actor("anonymous", ip=ip))
    user.save(update_fields=["failed_logins", "locked_until"])
    return None


def _try_nobody(name: str, password: str) -> None:
    key = f"login-name:{name[:64]}"
    if cache.get(key, 0) >= NAME_FAILURES:
        raise _locked()
    make_password(password)  # as long as a real check takes
    _count(key)


def _count(key: str) -> None:
    cache.add(key, 0, LOCK.total_seconds())
    try:
        cache.incr(key)
    except ValueError:  # it expired in between
        cache.set(key, 1, LOCK.total_seconds())


def _address_key(ip: str | None) -> str:
    return f"login-ip:{ip or 'unknown'}"


def _locked() -> Locked:
    return Locked(_("密码错误次数过多,请 15 分钟后再试,或请管理员重发登录链接。"))
