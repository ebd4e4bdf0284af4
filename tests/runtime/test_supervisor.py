"""The supervisor with small programs of the test's own, and once as a real process that gets a real Ctrl-C."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from scrm.runtime import process, supervisor
from scrm.runtime.errors import RuntimeProblem
from scrm.runtime.services import Check, Service
from scrm.runtime.supervisor import Interrupt, Interrupted, Supervisor

ROOT = Path(__file__).resolve().parents[2]


def program(name: str, code: str) -> Service:
    return Service(name, ("{python}", "-u", "-c", textwrap.dedent(code)), Check.PROCESS)


@pytest.fixture
def boss(tmp_path, console):
    result = Supervisor(tmp_path, dict(os.environ), {"python": sys.executable}, console, Interrupt())
    yield result
    result.stop()


def wait_until(condition, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_every_line_says_who_wrote_it(boss, console):
    boss.start([program("alpha", "print('one'); print('two'); import time; time.sleep(60)")])

    wait_until(lambda: "two" in console.text)
    assert "alpha          | one\nalpha          | two\n" in console.text


def test_stopping_reaches_grandchildren_and_nobody_else(boss, console):
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    boss.start(
        [
            program(
                "parent",
                """
                import subprocess, sys, time
                child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
                print("child", child.pid)
                time.sleep(60)
                """,
            )
        ]
    )
    wait_until(lambda: "child " in console.text)
    child = int(console.text.split("child ")[1].split()[0])
    parent = boss.programs["parent"].pid

    boss.stop()

    wait_until(lambda: is_gone(child) and is_gone(parent))
    assert bystander.poll() is None
    bystander.kill()
    bystander.wait()


def test_a_program_that_ignores_the_request_is_killed_and_named(boss, console, monkeypatch):
    monkeypatch.setattr(supervisor, "GRACE_SECONDS", 0.3)
    boss.start(
        [
            program(
                "stubborn",
                "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up'); time.sleep(60)",
            )
        ]
    )
    wait_until(lambda: "up" in console.text)

    boss.stop()

    assert "stubborn did not stop within" in console.text


def test_a_killed_service_is_restarted_and_it_is_said(boss, console):
    boss.start([program("worker", "import os, time; print('pid', os.getpid()); time.sleep(60)")])
    first = boss.programs["worker"].pid
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: boss.programs["worker"].poll() is not None)

    boss.check_once()

    assert boss.programs["worker"].pid != first
    assert "worker ended: killed by SIGKILL; restarting it (1 of 3)" in console.text


def test_a_service_that_keeps_ending_stops_everything(boss, monkeypatch):
    monkeypatch.setattr(supervisor.time, "sleep", lambda seconds, sleep=time.sleep: sleep(min(seconds, 0.01)))
    broken = program("broken", "raise SystemExit(3)")
    boss.services["broken"] = broken
    boss._spawn(broken)

    with pytest.raises(RuntimeProblem, match=r"broken ended 4 times .*exit code 3"):
        boss.watch()


def test_a_service_that_does_not_come_up_is_named(boss):
    with pytest.raises(RuntimeProblem, match=r"broken does not work .*exit code 3"):
        boss.start([program("broken", "raise SystemExit(3)")])


def test_a_program_that_is_not_there_is_named(boss):
    with pytest.raises(RuntimeProblem, match="ghost cannot be started"):
        boss.start([Service("ghost", ("/nowhere/ghost",), Check.PROCESS)])


def test_a_request_to_end_is_heard_between_two_starts(boss):
    boss.interrupt.asked = True

    with pytest.raises(Interrupted):
        boss.start([program("never", "pass")])
    assert boss.programs == {}


def test_a_step_gives_its_exit_code_and_its_words(boss, console):
    assert boss.run_step("step", [sys.executable, "-c", "print('did it'); raise SystemExit(4)"]) == 4
    assert "step           | did it" in console.text


SCRIPT = """
import os, sys
from pathlib import Path
from scrm.runtime.output import Console
from scrm.runtime.services import Check, Service
from scrm.runtime.supervisor import Interrupt, Interrupted, Supervisor

with Interrupt().listening() as interrupt:
    boss = Supervisor(Path("."), dict(os.environ), {"python": sys.executable}, Console(), interrupt)
    try:
        code = "import os, time; print('pid', os.getpid(), flush=True); time.sleep(60)"
        boss.start([Service("child", ("{python}", "-c", code), Check.PROCESS)])
        boss.watch()
    except Interrupted:
        pass
    finally:
        boss.stop()
print("ended in order")
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_stops_what_was_started(number):
    boss = subprocess.Popen(
        [sys.executable, "-u", "-c", SCRIPT], cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    line = boss.stdout.readline()
    child = int(line.rsplit(None, 1)[1])
    time.sleep(0.7)

    os.killpg(boss.pid, number)  # as a terminal does: to the whole foreground group

    rest, _ = boss.communicate(timeout=20)
    assert boss.returncode == 0, rest
    assert "ended in order" in rest
    assert is_gone(child)


@pytest.mark.parametrize(
    ("code", "words"),
    [(0, "exit code 0"), (3, "exit code 3"), (-9, "killed by SIGKILL"), (-250, "killed by signal 250")],
)
def test_an_exit_is_described_in_words(code, words):
    assert process.describe_exit(code) == words
