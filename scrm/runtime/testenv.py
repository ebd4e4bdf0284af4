"""A throw-away PostgreSQL and Valkey around one command, for tests, gates and benchmarks."""

import os
import shutil
import sys
from collections.abc import Sequence

from scrm.runtime.backing import Backing
from scrm.runtime.environment import ROOT, check_disk, placeholder_settings
from scrm.runtime.errors import RuntimeProblem
from scrm.runtime.output import Console
from scrm.runtime.privileges import server_account, throwaway_folder
from scrm.runtime.supervisor import Interrupt, run_in_foreground


def run(command: Sequence[str], *, durable: bool) -> int:
    """Run the command with DATABASE_URL, REDIS_URL and test secrets set. Returns its exit code.

    `durable` keeps fsync and synchronous_commit on, as in production: measurements and crash proofs need that.
    """
    console = Console(sys.stderr)
    backing = Backing(console)
    place = None
    with Interrupt().listening() as interrupt:
        try:
            if not os.environ.get("DATABASE_URL"):
                place = throwaway_folder(server_account(ROOT))
                check_disk(place)
            backing.start(place, durable=durable)
            env = {
                **os.environ,
                **placeholder_settings(),
                **backing.env,
                "LOG_FORMAT": os.environ.get("LOG_FORMAT", "text"),
            }
            env.setdefault("SITE_SCHEME", "http")
            env.setdefault("ALLOW_SANDBOX", "1")
            # Dozens of processes load the same modules: without files of what Python compiled, each compiles all of them.
            env.pop("PYTHONDONTWRITEBYTECODE", None)
            return run_in_foreground(command, env, ROOT, interrupt)
        except RuntimeProblem as problem:
            console.line("test-env", str(problem))
            return 1
        finally:
            backing.stop()
            if place is not None:
                shutil.rmtree(place, ignore_errors=True)
