"""The tests' world: two merchants with a schema each, built once per worker; every database test starts inside acme.

- A test that asks for the database (`pytest.mark.django_db`, the `db` fixture, or any fixture below) runs inside
  tenant_scope(acme), in a transaction that is rolled back.
- `django_db(transaction=True)`, `transactional_db` and `live_server` commit for real, for tests with workers, threads or a
  second connection; afterwards the rows of both merchants are cleared and their seed rows laid again.
- acme's ids start at 1,000,000, globex' at 1: an id of one never names a row of the other.
- The database is kept with --reuse-db, and made anew by itself when a migration or a seed has changed.
- Sockets reach this machine only.
"""

import ipaddress
import socket
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client

from simulator.threaded import ThreadedSimulator
from tests.support import core, database, world
from tests.support.wecom import Wecom, forget_process

collect_ignore_glob = ["support/*"]


def pytest_configure(config: pytest.Config) -> None:
    from django.conf import settings

    settings.BASE_DOMAIN = "testserver"
    settings.PUBLIC_HOST = "admin.testserver"
    settings.ALLOWED_HOSTS = ["*"]
    settings.ALLOW_SANDBOX = True
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    # A client makes its middleware anew: this one would list every static file each time, a third of what a page costs.
    settings.WHITENOISE_AUTOREFRESH = True


# --- The network ------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True, scope="session")
def _no_internet() -> Iterator[None]:
    """Connecting to anywhere but this machine raises, with the address in the message."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family != socket.AF_UNIX and not _is_loopback(address[0]):
            raise RuntimeError(f"a test tried to reach {address!r}")
        return connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded)
        yield


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@pytest.fixture(autouse=True)
def _own_cache_keys() -> Iterator[None]:
    """Each test has its own names in the cache, so that counters and locks of another never show."""
    from django.core.cache import caches

    cache = caches["default"]
    before, cache.key_prefix = cache.key_prefix, uuid.uuid4().hex
    yield
    cache.key_prefix = before


# --- The database -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def django_db_setup(
    django_test_environment: None,
    django_db_modify_db_settings: None,
    django_db_keepdb: bool,
    django_db_createdb: bool,
    django_db_blocker: Any,
) -> Iterator[None]:
    """The database, with acme and globex in it; pytest-django's own would have Django migrate it."""
    from django.db import connection

    before = connection.settings_dict["NAME"]
    with django_db_blocker.unblock():
        database.make(keep=django_db_keepdb and not django_db_createdb)
    yield
    if not django_db_keepdb:
        with django_db_blocker.unblock():
            database.destroy(before)


@pytest.fixture
def _django_db_helper(request: pytest.FixtureRequest, django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """pytest-django's one door to the database; its own would flush the merchants themselves away."""
    marker = request.node.get_closest_marker("django_db")
    commits = bool(marker and marker.kwargs.get("transaction")) or bool(
        {"transactional_db", "live_server"} & set(request.fixturenames)
    )
    with django_db_blocker.unblock():
        with world.committed() if commits else world.rolled_back():
            yield


# --- WeCom --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def _shop() -> Iterator[Wecom]:
    with ThreadedSimulator(["shop"], seed=7) as running:
        yield Wecom(running.url)


@pytest.fixture
def wecom(_shop: Wecom, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Wecom]:
    """The simulator of a small shop, as new, for calls and for people's browsers; the bridge remembers nothing of earlier tests."""
    from wecom_bridge.callbacks import nudges

    settings.WECOM_API_BASE = settings.WECOM_PAGES_BASE = _shop.url
    monkeypatch.setattr(nudges, "IDLE_SECONDS", 0.05)  # the end of that thread is waited for
    _shop.reset()
    forget_process()
    yield _shop
    nudges.wait_until_idle()


# --- The cast ---------------------------------------------------------------------------------------------------


@pytest.fixture
def acme(db: None) -> Any:
    """The merchant the test is inside of."""
    return world.tenant("acme")


@pytest.fixture
def globex(db: None) -> Any:
    """The merchant that must see nothing of acme."""
    return world.tenant("globex")


@pytest.fixture
def make_user(db: None) -> Callable[..., Any]:
    """make_user(role="guide", scope=store): see tests.support.core.make_user."""
    return core.make_user


@pytest.fixture
def actor(db: None) -> Any:
    """A 总部 user of acme, as services take her."""
    return core.actor_of(core.make_user(role="hq"))


@pytest.fixture
def log_in(db: None) -> Callable[..., core.LoggedIn]:
    """log_in("store", scope=store) or log_in(user): a browser with a session on acme's host."""
    return core.log_in


@pytest.fixture
def acme_client(db: None) -> core.LoggedIn:
    """A browser of a 总部 user on acme's host; `acme_client.user` is she."""
    return core.log_in("hq")


@pytest.fixture
def globex_client(globex: Any) -> core.LoggedIn:
    """A browser of a 总部 user on globex' host."""
    return core.log_in("hq", tenant=globex)


@pytest.fixture
def anonymous(db: None) -> Client:
    """A browser on acme's host without a session."""
    return Client(HTTP_HOST="acme.testserver")
