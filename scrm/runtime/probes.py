"""Asking a service whether it works, the same way from the supervisor and from a container's health check."""

import os
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping

from scrm.runtime.errors import RuntimeProblem
from scrm.runtime.services import Check, Service

TIMEOUT_SECONDS = 5.0


def http_answers(url: str, host: str = "") -> bool:
    """True when the address answers 200. `host` is the Host header to send."""
    request = urllib.request.Request(url, headers={"Host": host} if host else {})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy of the machine's is not on loopback
    try:
        with opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError, ValueError):
        return False


def worker_answers(pool: str, redis_url: str, queue_prefix: str = "scrm:") -> bool:
    """True when the pool's worker on this machine answers a ping through the broker."""
    from celery import Celery
    from kombu.exceptions import OperationalError

    app = Celery("probe", broker=redis_url, set_as_current=False)
    app.conf.broker_transport_options = {"global_keyprefix": queue_prefix}
    app.conf.broker_connection_retry = False
    node = f"{pool}@{socket.gethostname()}"
    try:
        return bool(app.control.ping(destination=[node], timeout=1.0, limit=1))
    except (OSError, OperationalError):
        return False
    finally:
        app.close()


def probe(service: Service, values: Mapping[str, object], env: Mapping[str, str]) -> bool:
    """Ask one service once. `values` are those of its command line, `env` its environment."""
    if service.check is Check.HTTP:
        port = values["simulator_port"] if service.name == "simulator" else values["web_port"]
        host = "" if service.name == "simulator" else env.get("PUBLIC_HOST", "")
        return http_answers(f"http://127.0.0.1:{port}{service.path}", host)
    if service.check is Check.WORKER:
        pool = service.name.removeprefix("worker-")
        return worker_answers(pool, env["REDIS_URL"], env.get("QUEUE_PREFIX", "scrm:"))
    return True


def wait_for(answers: Callable[[], bool], alive: Callable[[], bool], seconds: float, pause: float = 0.2) -> bool:
    """Ask until it answers (True), or it is no longer alive or the seconds are over (False)."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and alive():
        if answers():
            return True
        time.sleep(pause)
    return False


def default_values(environment: Mapping[str, str] = os.environ) -> dict[str, object]:
    """The placeholders of a command line in a container, from its environment. Raises RuntimeProblem on a bad number."""
    return {
        "python": "python",
        "bind": "0.0.0.0",
        "web_port": _count(environment, "PORT", 8000),
        "simulator_port": _count(environment, "SIMULATOR_PORT", 8100),
        "web_workers": _count(environment, "WEB_WORKERS", 2),
        "web_threads": _count(environment, "WEB_THREADS", 8),
        "simulator_start": environment.get("SIMULATOR_START", "2026-01-05T09:00:00+08:00"),
        "simulator_state": environment.get("SIMULATOR_STATE", "/data/simulator.state"),
        "worker_processes": _count(environment, "WORKER_PROCESSES", 2),
    }


def _count(environment: Mapping[str, str], name: str, default: int) -> int:
    raw = environment.get(name) or str(default)
    if not raw.isdigit() or int(raw) < 1:
        raise RuntimeProblem(f"{name}={raw!r} is not a whole number of at least 1.")
    return int(raw)
