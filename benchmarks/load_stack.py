"""The product as it runs in production, with merchants of any size: for what only real workers side by side can show."""

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.harness import Unfair
from scrm.runtime.environment import ROOT
from scrm.runtime.errors import RuntimeProblem
from scrm.runtime.services import BACKING, MIGRATE, SERVICES, Service
from scrm.runtime.supervisor import Supervisor
from tests.e2e.stack import Stack
from tests.support.wecom import Wecom

PROCESSES = 2  # of the web server and of each pool, as .env.example has them


class LoadStack(Stack):
    """Everything of the table of services; the simulator hosts the scenarios named. No merchant is prepared."""

    def __init__(self, folder: Path, scenarios: Sequence[str]) -> None:
        super().__init__(folder, own_valkey=True)
        self.scenarios = scenarios

    def start(self) -> None:
        """Database, queue, services. Raises RuntimeProblem."""
        try:
            self._create_database()
            assert self.valkey is not None
            self.valkey.start()
            self.supervisor = Supervisor(ROOT, self.environment(), self._values(), self.console, self.interrupt)
            self._step("upgrade", *MIGRATE)
            self.supervisor.start([self._fit(service) for service in SERVICES if service.name not in BACKING])
        except RuntimeProblem as problem:
            raise RuntimeProblem(f"{problem}\n{self.tail()}") from problem

    def _fit(self, service: Service) -> Service:
        if service.name != "simulator":
            return service
        words = [word for name in self.scenarios for word in ("--scenario", name)]
        command = ("{python}", "-m", "simulator", "--host", "{bind}", "--port", "{simulator_port}", *words)
        return replace(service, command=command)

    def _values(self) -> dict[str, object]:
        return super()._values() | {"web_workers": PROCESSES, "worker_processes": PROCESSES}

    def environment(self) -> dict[str, str]:
        return super().environment() | {"LOG_LEVEL": "WARNING"}

    @property
    def pids(self) -> dict[str, int]:
        """Process ids by service."""
        assert self.supervisor is not None
        return {name: program.pid for name, program in self.supervisor.programs.items()}

    @property
    def control(self) -> Wecom:
        return Wecom(f"http://127.0.0.1:{self.simulator_port}")

    def inside(self, function: str, **given: Any) -> Any:
        """Run a function of benchmarks.inside in a process with the stack's settings; its result."""
        words = [sys.executable, "-m", "benchmarks.inside", function, json.dumps(given)]
        done = subprocess.run(words, env=self.environment(), cwd=ROOT, capture_output=True, text=True, timeout=600)
        if done.returncode:
            raise Unfair(f"{function} failed:\n{done.stderr[-4000:]}")
        return json.loads(done.stdout.splitlines()[-1])

    def open_merchant(self, slug: str, corp: dict[str, Any]) -> dict[str, Any]:
        """A merchant connected to a simulated corp, whose callbacks reach the web server. Its schema and ids."""
        made = self.inside("open_merchant", slug=slug, corp=corp)
        connect = f"127.0.0.1:{self.web_port}"
        self.control.post(f"corps/{corp['corp_id']}/callback", made.pop("callback") | {"connect": connect})
        return {**made, "corp_id": corp["corp_id"]}


@contextmanager
def running(scenarios: Sequence[str]) -> Iterator[LoadStack]:
    """A stack that is gone afterwards."""
    with TemporaryDirectory() as folder:
        stack = LoadStack(Path(folder), scenarios)
        try:
            stack.start()
            yield stack
        finally:
            stack.stop()


def known_customers(stack: LoadStack, corp: dict[str, Any], limit: int) -> list[tuple[str, str]]:
    """(userid, external_userid) of customers of a simulated corp, each once, guide by guide."""
    base = f"{stack.control.url}/cgi-bin"
    token = _ask(f"{base}/gettoken?corpid={corp['corp_id']}&corpsecret={corp['secret']}")["access_token"]
    contact = f"{base}/externalcontact"
    found: dict[str, str] = {}
    for userid in _ask(f"{contact}/get_follow_user_list?access_token={token}")["follow_user"]:
        for external in _ask(f"{contact}/list?access_token={token}&userid={userid}").get("external_userid", []):
            found.setdefault(external, userid)
        if len(found) >= limit:
            break
    return [(userid, external) for external, userid in found.items()][:limit]


def _ask(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=60) as answer:
        return json.load(answer)


def wait_until(what: str, look: Callable[[], Any], seconds: float) -> Any:
    """Look until something truthy is there. Raises Unfair."""
    until = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > until:
            raise Unfair(f"waited {seconds:.0f} s for {what}")
        time.sleep(0.05)
    return found
