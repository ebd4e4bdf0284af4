"""Loopback ports: is one taken, and which is the next free one."""

import errno
import os
import socket

from scrm.runtime.errors import RuntimeProblem

HOST = "127.0.0.1"
ATTEMPTS = 50


def is_free(port: int, host: str = HOST) -> bool:
    """True when nothing listens on the port and we may listen there."""
    with socket.socket() as probe:
        probe.settimeout(0.2)
        if probe.connect_ex((host, port)) == 0:  # macOS lets a second socket bind beside a wildcard listener
            return False
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a closed server's TIME_WAIT is not "taken"
        try:
            listener.bind((host, port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
    return True


def next_free(preferred: int) -> int:
    """The preferred port, or the first free one after it.

    Raises RuntimeProblem when none of the next fifty is free.
    """
    for port in range(preferred, min(preferred + ATTEMPTS, 65536)):
        if is_free(port):
            return port
    raise RuntimeProblem(f"No free port between {preferred} and {preferred + ATTEMPTS - 1}.")


def from_environment(name: str, default: int) -> int:
    """The port the user asked for by variable, which must be free, or else the next free one from the default.

    Raises RuntimeProblem when the variable is no port number, or its port is taken.
    """
    raw = os.environ.get(name, "")
    if not raw:
        return next_free(default)
    if not raw.isdigit() or not 1 <= int(raw) <= 65535:
        raise RuntimeProblem(f"{name}={raw!r} is not a port number (1 to 65535).")
    if not is_free(int(raw)):
        raise RuntimeProblem(
            f"Port {raw} is taken by another program. Stop that program, choose another port with {name}=…, "
            f"or leave {name} unset to get the next free one."
        )
    return int(raw)
