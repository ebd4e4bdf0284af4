"""The terminal: one line at a time, each with the name of who says it."""

import os
import sys
import threading
from collections.abc import Sequence
from typing import IO, TextIO

COLOURS = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)
WIDTH = 14


class Console:
    """Writes prefixed lines from several threads without mixing them; coloured on a terminal unless NO_COLOR is set."""

    def __init__(self, stream: TextIO | None = None, *, colour: bool | None = None) -> None:
        self.stream = stream or sys.stdout
        self.colour = self.stream.isatty() and "NO_COLOR" not in os.environ if colour is None else colour
        self._lock = threading.Lock()
        self._names: dict[str, int] = {}

    def line(self, name: str, text: str) -> None:
        """Write one line said by `name`."""
        prefix = f"{name:<{WIDTH}} | "
        with self._lock:
            if self.colour:
                number = COLOURS[self._names.setdefault(name, len(self._names)) % len(COLOURS)]
                prefix = f"\033[{number}m{prefix}\033[0m"
            self._write(prefix + text + "\n")

    def plain(self, text: str = "") -> None:
        """Write text without a prefix."""
        with self._lock:
            self._write(text + "\n")

    def pump(self, name: str, source: IO[bytes], mute: Sequence[str] = ()) -> None:
        """Copy a program's output line by line until it closes, without empty lines and those that hold a muted phrase."""
        for raw in iter(source.readline, b""):
            text = raw.decode("utf-8", "replace").rstrip("\r\n")
            if text.strip() and not any(phrase in text for phrase in mute):
                self.line(name, text)
        source.close()

    def _write(self, text: str) -> None:
        try:
            self.stream.write(text)
            self.stream.flush()
        except (BrokenPipeError, ValueError):
            pass  # whoever read us is gone; the programs must still be stopped in order
