"""The whole product as programs of its own, from the table of services, for tests that drive it from outside.

A stack has its own database, queue prefix, secrets, ports and simulated world. Its rows are read by SQL, its people act
through pages, the API and the simulator; what only a person at a console could do is a function of `tests.e2e.inside`, run in a
process with the stack's settings.
"""

import json
import os
import secrets
import shutil
import signal
import sys
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psutil
import psycopg2
import redis
from psycopg2.extras import RealDictCursor

from demo.driver import Driver
from demo.visitor import Visitor
from scrm.runtime import ports
from scrm.runtime.environment import ROOT, site_environment
from scrm.runtime.errors import RuntimeProblem
from scrm.runtime.output import Console
from scrm.runtime.postgres import Postgres
from scrm.runtime.privileges import server_account, throwaway_folder
from scrm.runtime.probes import default_values
from scrm.runtime.services import BACKING, MIGRATE, SERVICES, Service
from scrm.runtime.supervisor import Interrupt, Interrupted, Supervisor
from scrm.runtime.valkey import Valkey
from tests.support.wecom import Wecom

SLUG = "xiaoman"
# A Tuesday in a month of 31 days, 9:20 in the shop: before the first send slot, far from both ends of the month.
WORLD_START = "2026-03-10T09:20:00+08:00"
WEB_PORT, SIMULATOR_PORT = 22000, 25000
# A developer's own settings must not decide what the stack does.
FOREIGN = (
    "DEBUG", "BASE_DOMAIN", "PUBLIC_HOST", "SITE_SCHEME", "SITE_PORT", "ALLOW_SANDBOX", "ALLOWED_HOSTS", "TRUST_PROXY", "LOG_LEVEL",
    "MEDIA_ROOT", "TEST_DATABASE_NAME", "SIMULATOR_START", "PORT",
)  # fmt: skip


class Stack:
    """A running stack with one merchant, 小满面包房. Made by `running_stack`."""

    def __init__(
        self, folder: Path, *, own_valkey: bool = False, own_postgres: bool = False, with_past: bool = False
    ) -> None:
        self.folder, self.name, self.with_past = folder, f"e2e_{secrets.token_hex(4)}", with_past
        self.log = folder / "stack.log"
        self._stream = self.log.open("w", encoding="utf-8")
        self.console = Console(self._stream, colour=False)
        self.valkey = Valkey(self.console) if own_valkey else None
        self.postgres = self._own_postgres() if own_postgres else None
        self.interrupt = Interrupt()
        # Two stacks that start side by side must not find the same port free.
        apart = 20 * secrets.randbelow(100)
        self.web_port, self.simulator_port = ports.next_free(WEB_PORT + apart), ports.next_free(SIMULATOR_PORT + apart)
        self.supervisor: Supervisor | None = None
        self.info: dict[str, Any] = {}
        self._schema = ""
        self._watcher: threading.Thread | None = None
        self.watch_error: BaseException | None = None

    def _own_postgres(self) -> Postgres:
        """A cluster that a test may kill."""
        account = server_account(ROOT)
        return Postgres(throwaway_folder(account), account, self.console, durable=True)

    # --- Its life

    def start(self) -> None:
        """Database, services, the merchant after the first sync. Raises RuntimeProblem, the end of the log in its words."""
        try:
            self._create_database()
            if self.valkey:
                self.valkey.start()
            self.supervisor = Supervisor(ROOT, self.environment(), self._values(), self.console, self.interrupt)
            self._step("upgrade", *MIGRATE)
            self.supervisor.start([service for service in SERVICES if service.name not in BACKING])
            past = () if self.with_past else ("--no-history",)
            self._step("prepare", "{python}", "manage.py", "demo_prepare", "--only", SLUG, *past)
            self.info = json.loads((self.folder / "info.json").read_text())
        except RuntimeProblem as problem:
            raise RuntimeProblem(f"{problem}\n{self.tail()}") from problem
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    def stop(self) -> None:
        """End every program, drop the database, forget the keys."""
        self.interrupt.asked = True
        if self._watcher:
            self._watcher.join(timeout=10)
        if self.supervisor:
            self.supervisor.stop()
        try:
            self._forget_keys()
            if self.valkey:
                self.valkey.stop()
        finally:
            self._drop_database()
            self._stream.close()

    def _create_database(self) -> None:
        if self.postgres:
            self.postgres.start()
            return
        with _admin() as cursor:
            cursor.execute(f'CREATE DATABASE "{self.name}"')

    def _drop_database(self) -> None:
        if self.postgres:
            self.postgres.stop()
            shutil.rmtree(self.postgres.place, ignore_errors=True)
            return
        with _admin() as cursor:
            cursor.execute(f'DROP DATABASE IF EXISTS "{self.name}" WITH (FORCE)')

    def _step(self, title: str, *command: str) -> None:
        assert self.supervisor is not None
        if code := self.supervisor.run_step(title, [word.format_map(self._values()) for word in command]):
            raise RuntimeProblem(f"the step {title} failed (exit code {code})")

    def _watch(self) -> None:
        assert self.supervisor is not None
        try:
            self.supervisor.watch()  # restarts what a test kills, as `make demo` does
        except Interrupted:
            pass
        except BaseException as error:
            self.watch_error = error
            self.console.line("stack", f"no longer watched: {error}")

    def environment(self) -> dict[str, str]:
        """The settings of every program of the stack."""
        inherited = {name: value for name, value in os.environ.items() if name not in FOREIGN}
        site = {**site_environment(self.web_port, self.simulator_port), "BASE_DOMAIN": "scrm.localhost"}
        if not hasattr(self, "_secrets"):
            self._secrets = {
                "SECRET_KEY": secrets.token_urlsafe(48),
                "FIELD_KEYS": urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            }
        return {
            **inherited,
            **site,
            **self._secrets,
            "PUBLIC_HOST": "admin.scrm.localhost",
            "SITE_SCHEME": "http",
            "DEBUG": "0",
            "ALLOW_SANDBOX": "1",
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self.redis_url,
            "QUEUE_PREFIX": f"{self.name}:",
            "DEMO_DIR": str(self.folder),
            "MEDIA_ROOT": str(self.folder / "media"),
            "SIMULATOR_START": WORLD_START,
            "UI_TEST_FONTS": "1",
        }

    def _values(self) -> dict[str, object]:
        return default_values({}) | {
            "python": sys.executable,
            "bind": ports.HOST,
            "web_port": self.web_port,
            "simulator_port": self.simulator_port,
            "simulator_start": WORLD_START,
            "simulator_state": self.folder / "simulator.state",
            "web_workers": 1,
            "worker_processes": 1,
        }

    @property
    def database_url(self) -> str:
        """DATABASE_URL of the environment with the stack's own database, or that of its own cluster."""
        if self.postgres:
            return self.postgres.url
        return urlunsplit(urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{self.name}"))

    @property
    def redis_url(self) -> str:
        return self.valkey.url if self.valkey else os.environ["REDIS_URL"]

    def _forget_keys(self) -> None:
        if self.valkey and self.valkey.program is None:
            return
        with redis.Redis.from_url(self.redis_url) as client:
            for key in client.scan_iter(f"{self.name}:*", count=1000):
                client.delete(key)

    # --- Looking

    def tail(self, lines: int = 80) -> str:
        """The end of what the programs said."""
        self._stream.flush()
        return "\n".join(self.log.read_text(encoding="utf-8").splitlines()[-lines:])

    def rows(self, sql: str, *params: Any) -> list[dict[str, Any]]:
        """Rows of a query over the merchant's tables (names without a schema) and the shared ones."""
        with (
            psycopg2.connect(self.database_url) as connection,
            connection.cursor(cursor_factory=RealDictCursor) as cursor,
        ):
            if not self._schema:
                cursor.execute("SELECT schema_name FROM public.tenants_tenant WHERE slug = %s", [SLUG])
                self._schema = cursor.fetchone()["schema_name"]
            cursor.execute(f'SET search_path TO "{self._schema}", public')
            cursor.execute(sql, params)
            found = [dict(row) for row in cursor.fetchall()]
        connection.close()
        return found

    def value(self, sql: str, *params: Any) -> Any:
        """The first column of the first row; None when there is none."""
        found = self.rows(sql, *params)
        return next(iter(found[0].values())) if found else None

    # --- Acting

    @property
    def merchant(self) -> dict[str, Any]:
        """The merchant's part of info.json."""
        return dict(self.info["tenants"][0])

    @property
    def base_url(self) -> str:
        return str(self.merchant["base_url"])

    @property
    def wecom(self) -> "CorpHands":
        """The simulator's control API, with the merchant's corp filled in."""
        return CorpHands(self.info["simulator_url"], self.merchant["corps"][0]["corp_id"])

    def visitor(self) -> Visitor:
        """An API client with the merchant's token."""
        return Visitor(self.info["connect"], self.merchant["host"], token=self.merchant["api_token"])

    def driver(self) -> Driver:
        """The driver of virtual time."""
        os.environ["SIMULATOR_URL"] = self.info["simulator_url"]
        return Driver([self.visitor()])

    def inside(self, function: str, **given: Any) -> Any:
        """Run a function of tests.e2e.inside in a process with the stack's settings, inside the merchant; its result."""
        import subprocess

        words = [sys.executable, "-m", "tests.e2e.inside", SLUG, function, json.dumps(given)]
        done = subprocess.run(words, env=self.environment(), cwd=ROOT, capture_output=True, text=True, timeout=120)
        if done.returncode:
            raise AssertionError(f"{function} failed:\n{done.stderr[-4000:]}")
        return json.loads(done.stdout.splitlines()[-1])

    # --- Hurting

    def crash_postgres(self, seconds_down: float = 1.0) -> None:
        """kill -9 of the own cluster with all its processes; it comes back on the same port and recovers."""
        assert self.postgres is not None and self.postgres.program is not None
        self.postgres.program.kill_group()
        self.postgres.stop()
        time.sleep(seconds_down)
        self.postgres.start()

    def flush_valkey(self) -> None:
        """Everything in the queue and the cache is gone."""
        with redis.Redis.from_url(self.redis_url) as client:
            client.flushall()

    def restart_valkey(self) -> None:
        """kill -9 of the own Valkey, and another on the same port."""
        assert self.valkey is not None and self.valkey.program is not None
        self.valkey.program.kill_group()
        self.valkey.stop()
        time.sleep(1)
        self.valkey.start()

    def kill(self, name: str) -> int:
        """kill -9 of a service with all its processes; the watcher starts it again. Returns the process id it had."""
        assert self.supervisor is not None
        program = self.supervisor.programs[name]
        os.killpg(program.pid, signal.SIGKILL)
        return int(program.pid)

    def kill_children(self, name: str) -> list[int]:
        """kill -9 of the processes a service forked; its master stays. Returns their ids."""
        assert self.supervisor is not None
        children = psutil.Process(self.supervisor.programs[name].pid).children(recursive=True)
        for child in children:
            child.kill()
        return [child.pid for child in children]


class CorpHands(Wecom):
    """The control API of the merchant's corp."""

    def __init__(self, url: str, corp_id: str) -> None:
        super().__init__(url)
        self.corp_id = corp_id

    def hand(self, act: str, **body: Any) -> Any:
        return super().hand(act, corp_id=self.corp_id, **body)

    def ask(self, path: str, **query: Any) -> Any:
        """GET /control/<path> of this corp."""
        from urllib.parse import urlencode

        return self.get(f"{path}?{urlencode({'corp_id': self.corp_id, **query})}")


def service_names(check: Callable[[Service], bool] = lambda service: True) -> Sequence[str]:
    """Services of the table that a stack runs."""
    return [service.name for service in SERVICES if service.name not in BACKING and check(service)]


def wait_until(what: str, look: Callable[[], Any], seconds: float = 30) -> Any:
    """Look until something truthy is there and return it. Raises AssertionError with what was last seen."""
    until = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < until, f"waited {seconds:.0f} s for {what}; last seen: {found!r}"
        time.sleep(0.2)
    return found


@contextmanager
def running_stack(folder: Path, **options: bool) -> Iterator[Stack]:
    """A stack that is gone afterwards, whatever happens. own_valkey, own_postgres: servers that a test may hurt; with_past: the
    merchant has her year of orders and messages."""
    stack = Stack(folder, **options)
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()


@contextmanager
def _admin() -> Iterator[Any]:
    """A cursor that may create and drop databases."""
    connection = psycopg2.connect(os.environ["DATABASE_URL"])
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()
