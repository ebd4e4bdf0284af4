"""One program of ours: started in its own process group, its output prefixed, stopped gently and then surely."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from scrm.runtime.output import Console
from scrm.runtime.privileges import Account

GRACE_SECONDS = 15.0


class Program:
    """A running program and the thread that copies its output.

    It leads its own session, so Ctrl-C at the terminal reaches only the supervisor, which then stops programs in order.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        console: Console,
        env: Mapping[str, str],
        cwd: Path | None = None,
        account: Account | None = None,
        stop_signal: int = signal.SIGTERM,
        stdin: bytes | None = None,
        mute: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.stop_signal = stop_signal
        options: dict[str, object] = {"cwd": cwd}
        options.update((account or Account()).popen_options())
        self.process = subprocess.Popen(
            list(command),
            env=dict(env),
            stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **options,  # type: ignore[call-overload]
        )
        self.pid: int = self.process.pid
        if stdin is not None:
            assert self.process.stdin is not None
            self.process.stdin.write(stdin)
            self.process.stdin.close()
        self._pump = threading.Thread(target=console.pump, args=(name, self.process.stdout, mute), daemon=True)
        self._pump.start()

    def poll(self) -> int | None:
        """The exit code, or None while it runs."""
        code: int | None = self.process.poll()
        return code

    def ask_to_stop(self) -> None:
        """Send the gentle signal to the program alone: it knows how to stop its own children."""
        if self.poll() is None:
            self.process.send_signal(self.stop_signal)

    def finish(self, deadline: float) -> bool:
        """Wait until the deadline (monotonic seconds), then kill what is left of its group. True if it ended by itself."""
        try:
            self.process.wait(max(0.0, deadline - time.monotonic()))
            gentle = True
        except subprocess.TimeoutExpired:
            gentle = False
        self.kill_group()
        self.process.wait()
        self._pump.join(timeout=2)
        return gentle

    def stop(self, grace: float = GRACE_SECONDS) -> bool:
        """Ask, wait up to `grace` seconds, kill. True if it ended by itself."""
        self.ask_to_stop()
        return self.finish(time.monotonic() + grace)

    def kill_group(self) -> None:
        """Kill whatever is left of the program and its children."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass  # nothing left; macOS answers EPERM for a group of zombies


def describe_exit(code: int) -> str:
    """An exit code in words."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
