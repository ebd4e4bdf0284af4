"""Makers every app's tests use: users with a role and a scope, browsers, threads with their own connection."""

import threading
from collections.abc import Callable
from itertools import count
from typing import Any, TypeVar
from urllib.parse import quote

from django.contrib.auth.hashers import make_password
from django.db import connection, connections, models
from django.test import Client

from accounts.models import Role, RoleGrant, User
from scrm.lib import clock
from tenants.audit import Actor
from tenants.context import current_tenant, tenant_scope
from tenants.models import Tenant

PASSWORD = "correct-horse-42"
_numbers = count(1)
T = TypeVar("T")


def make_user(
    role: str | None = "hq", scope: Any = None, *, permissions: list[str] | None = None, **overrides: Any
) -> User:
    """A user of the tenant in scope who may log in with PASSWORD.

    role: key of a preset (hq operator content service growth region store guide approver it), None for none.
    permissions: instead of a preset, a role made of exactly these codes.
    scope: "all", "self", or a Region, Dealer or Store row; by default what the preset usually has.
    """
    number = next(_numbers)
    fields = {
        "username": f"user{number}",
        "display_name": f"用户{number}",
        "password": make_password(PASSWORD),
        "created_at": clock.wall(),
        **overrides,
    }
    user = User.objects.create(**fields)
    if permissions is not None:
        granted = Role.objects.create(name=f"角色{number}", permissions=permissions)
        grant(user, granted, scope or "all")
    elif role is not None:
        grant(user, Role.objects.get(key=role), scope or ("self" if role == "guide" else "all"))
    return user


def grant(user: User, role: Role, scope: Any) -> RoleGrant:
    """Give a role over "all", "self", or an organisation row."""
    kind = scope if isinstance(scope, str) else type(scope).__name__.lower()
    scope_id = scope.pk if isinstance(scope, models.Model) else 0
    return RoleGrant.objects.create(user=user, role=role, scope_kind=kind, scope_id=scope_id)


def actor_of(user: User) -> Actor:
    """The user as services take her."""
    return Actor("user", user.pk, user.display_name)


class LoggedIn(Client):
    """A browser with a session; user: whose."""

    user: User


def log_in(who: User | str = "hq", *, tenant: Tenant | None = None, scope: Any = None, **extra: Any) -> LoggedIn:
    """A browser with a session on the tenant's host (default: the tenant in scope). `client.user` is who logged in.

    who: a user, or the key of a preset role, for which a user is made. extra: WSGI environment, e.g. HTTP_HX_REQUEST="true".
    """
    row = tenant or current_tenant()
    with tenant_scope(row):
        user = make_user(who, scope) if isinstance(who, str) else who
        client = LoggedIn(HTTP_HOST=f"{row.slug}.testserver", **extra)
        client.force_login(user)
    client.user = user
    return client


def database_url() -> str:
    """DATABASE_URL of the test database, for child processes."""
    row = connection.settings_dict
    login = quote(row["USER"]) + (f":{quote(row['PASSWORD'])}" if row["PASSWORD"] else "")
    options = {**row["OPTIONS"], **({"host": row["HOST"]} if row["HOST"].startswith("/") else {})}
    host = "" if row["HOST"].startswith("/") else row["HOST"]
    port = f":{row['PORT']}" if row["PORT"] else ""
    options.pop("isolation_level", None)
    query = "&".join(f"{key}={quote(str(value), safe='')}" for key, value in options.items())
    return f"postgres://{login}@{host}{port}/{row['NAME']}" + (f"?{query}" if query else "")


def in_thread(work: Callable[[], T], *, tenant: Tenant | None = None) -> "Running[T]":
    """Start `work` inside the tenant on a connection of its own; `.result()` waits for it. For committing tests only."""
    return Running(work, tenant or current_tenant())


class Running(threading.Thread):
    """A thread with its own database connection, which it closes."""

    def __init__(self, work: Callable[[], Any], tenant: Tenant) -> None:
        super().__init__(daemon=True)
        self._work, self._tenant = work, tenant
        self._value: Any = None
        self._error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            with tenant_scope(self._tenant):
                self._value = self._work()
        except BaseException as error:  # handed to whoever waits
            self._error = error
        finally:
            connections.close_all()

    def result(self, timeout: float = 30) -> Any:
        """What `work` returned. Raises what it raised, or TimeoutError."""
        self.join(timeout)
        if self.is_alive():
            raise TimeoutError("the thread is still at work")
        if self._error is not None:
            raise self._error
        return self._value
