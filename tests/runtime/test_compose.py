"""docker-compose.yml against the supervisor's table, service by service."""

import re
from pathlib import Path

import pytest
import yaml

from scrm.runtime.postgres import LIMITS
from scrm.runtime.probes import default_values
from scrm.runtime.services import BACKING, MIGRATE, SERVICES

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
OURS = [service for service in SERVICES if service.name not in BACKING]
EXTRA = {"proxy", "upgrade"}  # TLS in front, and the one-shot step that a demo runs by itself


def resolved(word: str) -> str:
    """A word of the file with ${NAME:-default} replaced by the default."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", word)


def test_both_run_the_same_services():
    assert set(COMPOSE["services"]) - EXTRA == {service.name for service in SERVICES}


@pytest.mark.parametrize("service", OURS, ids=lambda service: service.name)
def test_a_service_runs_the_same_command(service):
    command = [resolved(word) for word in COMPOSE["services"][service.name]["command"]]

    assert command == service.command_line(default_values({}))


@pytest.mark.parametrize("service", [s for s in OURS if s.queues], ids=lambda service: service.name)
def test_a_pool_serves_the_same_queues(service):
    command = COMPOSE["services"][service.name]["command"]

    assert tuple(command[command.index("--queues") + 1].split(",")) == service.queues


@pytest.mark.parametrize("service", OURS, ids=lambda service: service.name)
def test_a_service_waits_for_what_it_needs(service):
    waits = COMPOSE["services"][service.name].get("depends_on", {})

    for name in service.needs:
        assert waits[name] == {"condition": "service_healthy"}
    assert ("upgrade" in waits) == bool(service.needs)


@pytest.mark.parametrize("name", sorted(set(COMPOSE["services"]) - {"upgrade"}))
def test_every_service_has_a_health_check(name):
    assert COMPOSE["services"][name]["healthcheck"]["test"]


@pytest.mark.parametrize("service", [s for s in OURS if s.check in ("http", "worker")], ids=lambda s: s.name)
def test_health_is_asked_the_same_way(service):
    test = COMPOSE["services"][service.name]["healthcheck"]["test"]

    assert test == ["CMD", "python", "-m", "scrm.runtime", "probe", service.name]


def test_the_upgrade_is_the_same_step():
    assert COMPOSE["services"]["upgrade"]["command"] == [word.format(python="python") for word in MIGRATE]
    assert COMPOSE["services"]["upgrade"]["restart"] == "no"


def test_the_simulator_starts_only_when_asked_for():
    assert COMPOSE["services"]["simulator"]["profiles"] == ["simulator"]
    assert not any("profiles" in body for name, body in COMPOSE["services"].items() if name != "simulator")


def test_both_postgres_have_the_same_limits_and_a_utf8_ctype():
    postgres = COMPOSE["services"]["postgres"]
    pairs = dict(word.split("=") for word in postgres["command"] if "=" in word)

    assert pairs == LIMITS
    assert "--lc-ctype=C.UTF-8" in postgres["environment"]["POSTGRES_INITDB_ARGS"]


def test_data_and_media_are_in_volumes():
    assert set(COMPOSE["volumes"]) == {"postgres", "media", "proxy-data", "simulator"}
    assert "postgres:/var/lib/postgresql/data" in COMPOSE["services"]["postgres"]["volumes"]
    for service in OURS:
        if service.needs:
            assert "media:/srv/media" in COMPOSE["services"][service.name]["volumes"]


def test_the_image_runs_as_an_ordinary_user_and_collects_static_files():
    stages = (ROOT / "Dockerfile").read_text(encoding="utf-8").split("\nFROM ")
    for name in ("site", "simulator"):
        stage = next(text for text in stages if text.split("\n", 1)[0].endswith(f" AS {name}"))
        assert re.findall(r"^USER (\S+)", stage, flags=re.M) == ["scrm"]
    assert "collectstatic" in "".join(stages)


def test_only_the_proxy_is_open_to_the_network():
    for name, body in COMPOSE["services"].items():
        if name != "proxy":
            assert all(port.startswith("127.0.0.1:") for port in body.get("ports", []))
