"""The table itself, and the settings that an operator may write."""

import re
from pathlib import Path

import pytest

from scrm.celery import QUEUES
from scrm.runtime.errors import RuntimeProblem
from scrm.runtime.probes import default_values
from scrm.runtime.services import SERVICES

ROOT = Path(__file__).resolve().parents[2]


def test_every_queue_is_served_by_exactly_one_pool():
    served = [queue for service in SERVICES for queue in service.queues]

    assert sorted(served) == sorted(QUEUES)


def test_what_a_service_needs_comes_before_it():
    names = [service.name for service in SERVICES]
    for position, service in enumerate(SERVICES):
        assert set(service.needs) <= set(names[:position])


@pytest.mark.parametrize("name", ["WEB_WORKERS", "WEB_THREADS", "WORKER_PROCESSES"])
@pytest.mark.parametrize("word", ["0", "many", "-1"])
def test_a_bad_number_is_named(name, word):
    with pytest.raises(RuntimeProblem, match=f"{name}='{word}'"):
        default_values({name: word})


def test_every_setting_is_documented_and_every_documented_setting_is_read():
    read = set()
    for path in [ROOT / "scrm/settings.py", *(ROOT / "scrm/runtime").glob("*.py")]:
        source = path.read_text(encoding="utf-8")
        read |= set(re.findall(r'env_\w+\(\s*"([A-Z_]+)"', source))
        read |= set(re.findall(r'(?:_count\(environment, |environment\.get\(|from_environment\()"([A-Z_]+)"', source))
    read |= set(re.findall(r"\$\{([A-Z_]+)[:}]", (ROOT / "docker-compose.yml").read_text(encoding="utf-8")))
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    documented = set(re.findall(r"^#?([A-Z_]+)=", example, flags=re.M))

    assert documented == read
