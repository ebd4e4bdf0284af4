"""Starts the table of services in order, watches them, restarts a crashed one a few times, stops exactly what it started."""

import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from scrm.runtime import probes
from scrm.runtime.backing import Backing
from scrm.runtime.errors import RuntimeProblem
from scrm.runtime.output import Console
from scrm.runtime.process import GRACE_SECONDS, Program, describe_exit
from scrm.runtime.services import Check, Service

START_SECONDS = 60.0
RESTARTS, RESTART_WINDOW_SECONDS = 3, 60.0
NAME = "supervisor"
# Celery's sermon to root, once per pool: we say once ourselves that the demo runs as root.
MUTED = (
    "SecurityWarning: You're running the worker",
    "absolutely not recommended!",
    "specify a different user using the --uid",
    "User information: uid=0",
    "_warn_or_raise_security_error",
)


class Interrupted(Exception):
    """Ctrl-C, or a polite request to end."""


class Supervisor:
    """Runs services in the working folder `root`. Not thread-safe: one thread drives it, others only copy output."""

    def __init__(
        self, root: Path, env: Mapping[str, str], values: Mapping[str, object], console: Console, interrupt: "Interrupt"
    ) -> None:
        self.root, self.env, self.values, self.console = root, dict(env), dict(values), console
        self.interrupt = interrupt
        self.on_change: Callable[[list[Program]], None] = lambda programs: None
        self.backing: Backing | None = None
        self.programs: dict[str, Program] = {}
        self.services: dict[str, Service] = {}
        self._ends: dict[str, deque[float]] = {}

    def say(self, text: str) -> None:
        """A line of the supervisor's own."""
        self.console.line(NAME, text)

    # --- start

    def start(self, services: Sequence[Service]) -> None:
        """Start all, then wait for each to work. Raises RuntimeProblem naming the one that does not, or Interrupted."""
        for service in services:
            self.interrupt.check()
            self.services[service.name] = service
            self._spawn(service)
        for service in services:
            self._wait_until_working(service)

    def note_change(self) -> None:
        """Tell whoever keeps the record what runs now."""
        servers = [server.program for server in self.backing.servers if server.program] if self.backing else []
        self.on_change([*servers, *self.programs.values()])

    def run_step(self, title: str, command: Sequence[str], extra_env: Mapping[str, str] | None = None) -> int:
        """Run a one-shot program to its end, watching the services meanwhile. Returns its exit code."""
        program = Program(title, command, console=self.console, env={**self.env, **(extra_env or {})}, cwd=self.root)
        self.programs[title] = program
        self.note_change()
        try:
            while (code := program.poll()) is None:
                self.check_once()
                time.sleep(0.1)
            program.finish(time.monotonic())
        finally:
            if program.poll() is not None:
                self.programs.pop(title, None)
        return code

    def _spawn(self, service: Service) -> None:
        command = service.command_line(self.values)
        try:
            self.programs[service.name] = Program(
                service.name, command, console=self.console, env=self.env, cwd=self.root, mute=MUTED
            )
        except OSError as error:
            raise RuntimeProblem(f"{service.name} cannot be started ({command[0]}): {error.strerror}") from error
        self.note_change()

    def _wait_until_working(self, service: Service) -> None:
        def alive() -> bool:
            return self.programs[service.name].poll() is None and not self.interrupt.asked

        if service.check is Check.PROCESS:
            time.sleep(0.5)
            working = alive()
        else:
            working = probes.wait_for(lambda: probes.probe(service, self.values, self.env), alive, START_SECONDS)
        self.interrupt.check()
        if not working:
            code = self.programs[service.name].poll()
            end = (
                f"it ended: {describe_exit(code)}"
                if code is not None
                else f"no answer within {START_SECONDS:.0f} seconds"
            )
            raise RuntimeProblem(f"{service.name} does not work ({end}). Its own words are above.")

    # --- watch

    def watch(self) -> None:
        """Watch until interrupted. Raises RuntimeProblem when a service ends too often."""
        while True:
            self.check_once()
            time.sleep(0.25)

    def check_once(self) -> None:
        """Restart what ended, and say so. Raises RuntimeProblem when that was once too often, or Interrupted."""
        self.interrupt.check()
        if self.backing is not None:
            for server in self.backing.servers:
                if server.program is not None and (code := server.program.poll()) is not None:
                    self._count_end(server.program.name, code)
            if self.backing.revive():
                self.note_change()
        for name, service in self.services.items():
            code = self.programs[name].poll()
            if code is None:
                continue
            self.programs[name].finish(time.monotonic())
            self._count_end(name, code)
            self._spawn(service)

    def _count_end(self, name: str, code: int) -> None:
        ends = self._ends.setdefault(name, deque())
        now = time.monotonic()
        while ends and now - ends[0] > RESTART_WINDOW_SECONDS:
            ends.popleft()
        ends.append(now)
        if len(ends) > RESTARTS:
            raise RuntimeProblem(
                f"{name} ended {len(ends)} times within {RESTART_WINDOW_SECONDS:.0f} seconds "
                f"(last: {describe_exit(code)}). Its own words are above."
            )
        self.say(f"{name} ended: {describe_exit(code)}; restarting it ({len(ends)} of {RESTARTS})")
        time.sleep(0.2 * 2 ** len(ends))

    # --- stop

    def stop(self) -> None:
        """Stop the programs together, then the data servers; kill what has not ended after the grace period."""
        programs = list(self.programs.values())
        self.services.clear()
        self.programs.clear()
        for program in programs:
            program.ask_to_stop()
        deadline = time.monotonic() + GRACE_SECONDS
        for program in programs:
            if not program.finish(deadline):
                self.say(f"{program.name} did not stop within {GRACE_SECONDS:.0f} seconds and was killed")
        if self.backing is not None:
            self.backing.stop()


class Interrupt:
    """Whether someone asked us to end. A flag that loops look at, since an exception could strike between start and record."""

    SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self) -> None:
        self.asked = False

    def check(self) -> None:
        """Raises Interrupted once someone has asked."""
        if self.asked:
            raise Interrupted

    @contextmanager
    def listening(self) -> Iterator["Interrupt"]:
        """Catch Ctrl-C, SIGTERM and SIGHUP meanwhile; asking again while we stop changes nothing."""
        before = {number: signal.signal(number, self._ask) for number in self.SIGNALS}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        self.asked = True


def run_in_foreground(command: Sequence[str], env: Mapping[str, str], root: Path, interrupt: Interrupt) -> int:
    """Run a command on our own terminal until it ends or we are asked to. Returns its exit code."""
    process = subprocess.Popen(list(command), env=dict(env), cwd=root)
    while not interrupt.asked:
        try:
            return process.wait(0.2)
        except subprocess.TimeoutExpired:
            continue
    process.terminate()  # at a terminal it has had the same Ctrl-C; from a script it has not
    try:
        process.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    return 130
