"""`make demo`: the whole product on this machine, from nothing to log-ins that work; `--check` runs the main job and ends."""

import json
import os
import shutil
import sys
from pathlib import Path

from scrm.runtime import instance, ports
from scrm.runtime.backing import Backing
from scrm.runtime.environment import ROOT, STATE, check_disk, lasting_secrets, site_environment, world_start
from scrm.runtime.errors import RuntimeProblem
from scrm.runtime.output import Console
from scrm.runtime.privileges import lasting_folder, server_account
from scrm.runtime.probes import default_values
from scrm.runtime.services import BACKING, MIGRATE, SERVICES
from scrm.runtime.supervisor import Interrupt, Interrupted, Supervisor

WEB_PORT, SIMULATOR_PORT = 8000, 8100
CHECK_WEB_PORT, CHECK_SIMULATOR_PORT = 18000, 18100


def run(*, check: bool) -> int:
    """Start everything, prepare the demo, then wait for Ctrl-C or run the check. Returns the exit code."""
    console = Console()
    folder = STATE / "check" if check else STATE
    with Interrupt().listening() as interrupt:
        try:
            check_disk(ROOT)
            with instance.only_one(folder):
                instance.clear_leftovers(folder, console)
                if check:
                    reset(folder)
                return _run_locked(folder, console, interrupt, check=check)
        except Interrupted:
            return 0 if not check else 130
        except RuntimeProblem as problem:
            console.line("supervisor", f"stopped: {problem}")
            return 1


def _run_locked(folder: Path, console: Console, interrupt: Interrupt, *, check: bool) -> int:
    supervisor = _supervisor(folder, console, interrupt, check=check)
    try:
        backing = supervisor.backing = Backing(console)
        account = server_account(ROOT)
        backing.start(None if os.environ.get("DATABASE_URL") else lasting_folder(folder, account))
        supervisor.env.update(backing.env)
        supervisor.note_change()
        _step(supervisor, "upgrade", MIGRATE)
        supervisor.start([service for service in SERVICES if service.name not in BACKING])
        _step(supervisor, "prepare", ("{python}", "manage.py", "demo_prepare"))
        if check:
            return supervisor.run_step("check", [sys.executable, "manage.py", "demo_check"])
        announce(folder / "info.json", console)
        supervisor.watch()
        return 0
    finally:
        supervisor.say("stopping")
        supervisor.stop()
        instance.record(folder, [])
        supervisor.say("everything this started is stopped; the data are kept" if not check else "stopped")


def _supervisor(folder: Path, console: Console, interrupt: Interrupt, *, check: bool) -> Supervisor:
    """Settings and ports of this run. A check takes ports of its own, so that a demo may run beside it."""
    web = ports.from_environment("PORT", CHECK_WEB_PORT if check else WEB_PORT)
    simulator = ports.from_environment("SIMULATOR_PORT", CHECK_SIMULATOR_PORT if check else SIMULATOR_PORT)
    env = {
        **os.environ,
        **site_environment(web, simulator),
        **lasting_secrets(folder),
        "DEMO_DIR": str(folder),
        "SIMULATOR_START": os.environ.get("SIMULATOR_START") or world_start(folder),
        "MEDIA_ROOT": os.environ.get("MEDIA_ROOT") or str(folder / "media"),
    }
    values = default_values() | {
        "python": sys.executable,
        "bind": ports.HOST,
        "web_port": web,
        "simulator_port": simulator,
        "simulator_start": env["SIMULATOR_START"],
        "simulator_state": folder / "simulator.state",
    }
    supervisor = Supervisor(ROOT, env, values, console, interrupt)
    supervisor.on_change = lambda programs: instance.record(folder, programs)
    if os.geteuid() == 0:
        supervisor.say("running as root; an ordinary user is enough")
    if not check and "PORT" not in os.environ and web != WEB_PORT:
        supervisor.say(f"port {WEB_PORT} is taken by another program, using {web}")
    return supervisor


def _step(supervisor: Supervisor, title: str, command: tuple[str, ...]) -> None:
    words = [word.format_map(supervisor.values) for word in command]
    code = supervisor.run_step(title, words)
    if code:
        raise RuntimeProblem(f"the step {title} failed (exit code {code}); its own words are above.")


def announce(info: Path, console: Console) -> None:
    """Print addresses and one log-in per role from info.json, which demo_prepare has written."""
    facts = json.loads(info.read_text())
    rows = [("platform", facts["public_url"], facts["platform"]["username"], facts["platform"]["password"])]
    for tenant in facts["tenants"]:
        rows += [
            (f"{tenant['slug']} {role}", tenant["base_url"], user["username"], user["password"])
            for role, user in tenant["users"].items()
        ]
    console.plain()
    for row in rows:
        console.plain("  {:<20} {:<44} {:<14} {}".format(*row))
    console.plain(f"  {'simulated WeCom':<20} {facts['simulator_url']}")
    console.plain()
    console.plain(f"  The same as data: {info}.  Ctrl-C stops everything; `make demo-reset` starts over.")
    console.plain()


def reset(folder: Path = STATE) -> None:
    """Forget a demo: its data servers' files, secrets, media and info.json. The caller holds the folder's lock."""
    place = lasting_folder(folder, server_account(ROOT)) if folder.exists() else folder
    if place != folder:
        shutil.rmtree(place, ignore_errors=True)
    for path in folder.iterdir() if folder.exists() else ():
        if path.name in {"lock", "check"}:
            continue
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def run_reset() -> int:
    """`make demo-reset`. Returns the exit code."""
    try:
        with instance.only_one(STATE):
            instance.clear_leftovers(STATE, Console())
            reset()
    except RuntimeProblem as problem:
        print(problem, file=sys.stderr)
        return 1
    if os.environ.get("DATABASE_URL"):
        print("DATABASE_URL is set: its database is yours and was left alone. Drop and create it to start over.")
    print("The demo is reset; `make demo` starts a new one.")
    return 0
