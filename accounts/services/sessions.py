"""Opening, showing and ending a user's sessions."""

from typing import Any

from django.conf import settings
from django.contrib.auth import login
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.db import transaction
from django.http import HttpRequest

from accounts import journal
from accounts.models import LoginSession, User
from accounts.sessions import stored_key
from scrm.lib import clock
from scrm.lib.address import client_address
from tenants.audit import Actor

_SEEN_EVERY = 300
Way = LoginSession.Way
BACKEND = "django.contrib.auth.backends.ModelBackend"


@transaction.atomic
def open_session(request: HttpRequest, user: User, *, way: LoginSession.Way = Way.PASSWORD) -> LoginSession:
    """Log the user in on this browser: a new session key, a row she can see and end, an audit row."""
    before = request.session.session_key
    login(request, user, backend=BACKEND)
    request.session.save()
    if before and before != request.session.session_key:
        forget(before)  # of somebody else, or of nobody: its key is gone
    now, ip = clock.wall(), client_address(request)
    agent = request.headers.get("User-Agent", "")[:200]
    row, _made = LoginSession.objects.update_or_create(  # Django keeps the key of somebody who logs in a second time
        session_digest=stored_key(request.session.session_key or ""),
        defaults={"user": user, "ip": ip, "user_agent": agent, "way": way, "created_at": now, "seen_at": now},
    )
    journal.record("login.succeeded", user, by=Actor("user", user.pk, user.display_name, ip), way=way.value)
    return row


def touch(session_key: str) -> None:
    """Note that the session is in use; at most one write in five minutes."""
    digest = stored_key(session_key)
    if cache.add(f"seen:{digest}", 1, _SEEN_EVERY):
        LoginSession.objects.filter(session_digest=digest).update(seen_at=clock.wall())


@transaction.atomic
def end_sessions(user: User, *, by: Actor, only: int | None = None, keep: str = "") -> int:
    """End the user's sessions: all, one by id, or all but the session key `keep`. Returns how many."""
    rows = LoginSession.objects.filter(user=user).exclude(session_digest=stored_key(keep))
    if only is not None:
        rows = rows.filter(pk=only)
    keys = list(rows.values_list("session_digest", flat=True))
    Session.objects.filter(session_key__in=keys).delete()
    rows.delete()
    if keys:
        journal.record("login.ended", user, by=by, sessions=len(keys))
    return len(keys)


def forget(session_key: str) -> None:
    """The browser logged out: its row goes with its session."""
    LoginSession.objects.filter(session_digest=stored_key(session_key)).delete()


def prune(before: Any, limit: int) -> int:
    """Retention: sessions that nobody used since."""
    keys = list(LoginSession.objects.filter(seen_at__lt=before).values_list("session_digest", flat=True)[:limit])
    Session.objects.filter(session_key__in=keys).delete()
    LoginSession.objects.filter(session_digest__in=keys).delete()
    return len(keys)


KEEP_DAYS = settings.SESSION_COOKIE_AGE // 86400
