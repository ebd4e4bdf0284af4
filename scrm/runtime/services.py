"""The one table of services: what runs, in which order, how it is asked whether it works.

The supervisor starts this table; docker-compose.yml is tested against it, service by service.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Check(StrEnum):
    """How a service shows that it works (see `probes`)."""

    POSTGRES = "postgres"
    VALKEY = "valkey"
    HTTP = "http"
    WORKER = "worker"
    PROCESS = "process"


@dataclass(frozen=True)
class Service:
    """One program. Words in `command` may hold {placeholders}, filled by `command_line`."""

    name: str
    command: tuple[str, ...]
    check: Check
    needs: tuple[str, ...] = ()
    queues: tuple[str, ...] = ()
    path: str = ""  # asked by an HTTP check
    demo_only: bool = False

    def command_line(self, values: Mapping[str, object]) -> list[str]:
        """The command with its placeholders filled. Raises KeyError when a value is missing."""
        return [word.format_map(values) for word in self.command]


BACKING = ("postgres", "valkey")
MIGRATE = ("{python}", "manage.py", "upgrade")
POOLS: dict[str, tuple[str, ...]] = {
    "urgent": ("welcome", "inbound"),
    "normal": ("outbound", "campaigns", "segments"),
    "bulk": ("bulk", "analytics"),
}
SIMULATOR = (
    "{python} -m simulator --host {bind} --port {simulator_port} --scenario shop --scenario chain"
    " --start {simulator_start} --state {simulator_state} --switch own_sends_per_guide_month=2"
)
WEB = (
    "{python} -m gunicorn scrm.wsgi:application --bind {bind}:{web_port} --worker-class gthread"
    " --workers {web_workers} --threads {web_threads} --keep-alive 75 --graceful-timeout 20"
    " --no-control-socket"
)
WORKER = (
    "{{python}} -m celery -q -A scrm worker --queues {queues} --hostname {pool}@%h --concurrency {{worker_processes}}"
    " --without-gossip --without-mingle"
)


def _worker(pool: str) -> Service:
    queues = POOLS[pool]
    command = WORKER.format(queues=",".join(queues), pool=pool).split()
    return Service(f"worker-{pool}", tuple(command), Check.WORKER, needs=BACKING, queues=queues)


SERVICES: tuple[Service, ...] = (
    Service("postgres", (), Check.POSTGRES),
    Service("valkey", (), Check.VALKEY),
    Service("simulator", tuple(SIMULATOR.split()), Check.HTTP, path="/control/quiet", demo_only=True),
    Service("web", tuple(WEB.split()), Check.HTTP, needs=BACKING, path="/healthz"),
    _worker("urgent"),
    _worker("normal"),
    _worker("bulk"),
    Service("scheduler", ("{python}", "manage.py", "scheduler"), Check.PROCESS, needs=BACKING),
)


def service(name: str) -> Service:
    """The service of that name. Raises KeyError."""
    return {item.name: item for item in SERVICES}[name]
