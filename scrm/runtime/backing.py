"""PostgreSQL and Valkey for a run: the user's own where DATABASE_URL and REDIS_URL say so, else embedded ones."""

import os
from pathlib import Path

from scrm.runtime.environment import ROOT
from scrm.runtime.output import Console
from scrm.runtime.postgres import Postgres, programs_folder
from scrm.runtime.privileges import server_account
from scrm.runtime.valkey import Valkey


class Backing:
    """The data servers of one run. `servers` are those we started, and only those are ever stopped."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.servers: list[Postgres | Valkey] = []
        self.env: dict[str, str] = {}

    def start(self, place: Path | None, *, durable: bool = True) -> None:
        """Start what the environment does not name. `place` is where PostgreSQL keeps its data. Raises RuntimeProblem."""
        if not os.environ.get("DATABASE_URL"):
            assert place is not None
            postgres = Postgres(place, server_account(ROOT), self.console, durable=durable)
            self.servers.append(postgres)
            postgres.start()
            self.env["DATABASE_URL"] = postgres.url
            # pg_dump and psql of the very version that runs
            self.env["PATH"] = f"{programs_folder() / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        if not os.environ.get("REDIS_URL"):
            valkey = Valkey(self.console)
            self.servers.append(valkey)
            valkey.start()
            self.env["REDIS_URL"] = valkey.url

    def revive(self) -> list[str]:
        """Start again, on the same ports and data, the servers that ended. Returns the names of those."""
        revived = []
        for server in self.servers:
            if server.program is not None and server.program.poll() is not None:
                revived.append(server.program.name)
                server.start()
        return revived

    def stop(self) -> None:
        """Stop the servers in the reverse order."""
        while self.servers:
            self.servers.pop().stop()
