"""The simulator's control door, as the demo uses it."""

import json
import time
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from scrm.lib.env import env_str


class SimulatorRefused(RuntimeError):
    """The simulator said no; its words are the message."""


def base_url() -> str:
    """Where the simulator answers (SIMULATOR_URL)."""
    return env_str("SIMULATOR_URL").rstrip("/")


def call(method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """One control call; the decoded answer. Raises SimulatorRefused."""
    data = json.dumps(body, ensure_ascii=False).encode() if body is not None else None
    request = Request(base_url() + path, data=data, method=method, headers={"Content-Type": "application/json"})  # noqa: S310
    try:
        with urlopen(request, timeout=60) as answer:  # noqa: S310  # an address of the operator, not of a tenant
            return json.loads(answer.read() or b"{}")
    except HTTPError as error:
        raise SimulatorRefused(f"{method} {path}: {error.code} {error.read().decode()[:500]}") from error


def corps() -> dict[str, dict[str, Any]]:
    """Scenario name → the corp's credentials."""
    return {corp["scenario"]: corp for corp in call("GET", "/control/corps")["corps"]}


def hand(act: str, /, **body: Any) -> dict[str, Any]:
    """Let somebody in the simulated world do something: hand("scan", …)."""
    return call("POST", f"/control/hands/{act}", body)


def wait_quiet(seconds: float = 60) -> None:
    """Until the simulator has no callback under way. Raises TimeoutError."""
    until = time.monotonic() + seconds
    while not call("GET", "/control/quiet").get("quiet"):
        if time.monotonic() > until:
            raise TimeoutError("the simulator still has callbacks under way")
        time.sleep(0.1)
