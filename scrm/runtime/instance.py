"""One demo per checkout: the lock that says it runs, and the record of what to clear away if it was killed."""

import fcntl
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from scrm.runtime.environment import write_private
from scrm.runtime.errors import RuntimeProblem
from scrm.runtime.output import Console
from scrm.runtime.process import Program


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold the folder's lock. The system frees it when we end, however we end, so it is never stale.

    Raises RuntimeProblem when another run holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise RuntimeProblem(
                f"It is already running from this checkout (process {holder}; {_where(folder)}). Stop that one first with Ctrl-C."
            ) from None
        file.seek(0)
        file.truncate()
        file.write(f"{os.getpid()}\n")
        file.flush()
        try:
            yield
        finally:
            file.seek(0)
            file.truncate()


def _where(folder: Path) -> str:
    try:
        return str(json.loads((folder / "info.json").read_text())["public_url"])
    except (OSError, ValueError, KeyError):
        return "still starting"


def record(folder: Path, programs: list[Program]) -> None:
    """Write down what runs, so that the next start can clear it away should we be killed."""
    rows = [
        {"name": program.name, "pid": program.pid, "started": _started(program.pid), "signal": program.stop_signal}
        for program in programs
    ]
    write_private(folder / "processes.json", json.dumps(rows))


def clear_leftovers(folder: Path, console: Console) -> None:
    """Stop what a killed run left behind: only processes with the recorded number and starting time."""
    path = folder / "processes.json"
    try:
        rows = json.loads(path.read_text())
    except (OSError, ValueError):
        rows = []
    left = [row for row in rows if row["started"] and _started(row["pid"]) == row["started"]]
    for row in left:
        console.line("supervisor", f"stopping {row['name']} that an interrupted run left behind (process {row['pid']})")
        _signal(os.kill, row["pid"], row["signal"])
    deadline = time.monotonic() + 10
    while left and time.monotonic() < deadline:
        left = [row for row in left if _started(row["pid"]) == row["started"]]
        time.sleep(0.05)
    for row in left:  # the program itself was asked; now whatever is left of its group has to go
        _signal(os.killpg, row["pid"], signal.SIGKILL)
    path.unlink(missing_ok=True)


def _started(pid: int) -> float | None:
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else float(process.create_time())
    except psutil.Error:
        return None


def _signal(send: Callable[[int, int], None], pid: int, number: int) -> None:
    try:
        send(pid, number)
    except (ProcessLookupError, PermissionError):
        pass
