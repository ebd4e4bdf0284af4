"""A clean bridge for each test, and what stands in for its handlers, kinds and Redis."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.governor import NO_REDIS
from tests.support.wecom import Wecom, forget_process
from wecom_bridge import contracts
from wecom_bridge.callbacks import nudges
from wecom_bridge.figures import recorder
from wecom_bridge.gateway import Gateway, gateway_for
from wecom_bridge.governor import pace, shared


@pytest.fixture
def gateway(wecom: Wecom) -> Gateway:
    """The door of the shop, newly connected."""
    return gateway_for(wecom.connect().corp)


@pytest.fixture
def guides(gateway: Gateway) -> list[str]:
    """The userids of those who serve customers there."""
    return gateway.get_follow_users()


@pytest.fixture(autouse=True)
def _fresh_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(nudges, "IDLE_SECONDS", 0.05)  # each test waits for that thread's end
    forget_process()
    yield
    recorder._tallies.clear()  # or the nudging thread would commit them behind a test that is rolled back
    nudges.wait_until_idle()


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[Any]]:
    """heard("people") → the batches of that kind that reach the handlers from now on, instead of the apps'."""
    handlers: dict[str, Any] = {}
    monkeypatch.setattr(contracts, "_handlers", handlers)

    def listen(kind: str) -> list[Any]:
        batches: list[Any] = []
        contracts.on_batch(kind, order=1, name=f"test-{kind}", handler=batches.append)  # type: ignore[arg-type]
        return batches

    return listen


@pytest.fixture
def kinds(monkeypatch: pytest.MonkeyPatch) -> dict[str, contracts.CommandKind]:
    """The command kinds, empty for the test to fill by contracts.register_command."""
    fresh: dict[str, contracts.CommandKind] = {}
    monkeypatch.setattr(contracts, "_kinds", fresh)
    return fresh


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for a place."""
    monkeypatch.setattr(pace, "PATIENCE", dict.fromkeys(pace.PATIENCE, 0.0))


@pytest.fixture
def redis_at(settings: Any) -> Iterator[Callable[..., None]]:
    """redis_at(url): another server from now on."""
    usual = settings.REDIS_URL

    def turn_to(url: str = usual) -> None:
        settings.REDIS_URL = url
        shared.connection.cache_clear()
        shared.forget()

    yield turn_to
    turn_to()


@pytest.fixture
def no_redis(redis_at: Callable[..., None]) -> None:
    """A Redis that does not answer."""
    redis_at(NO_REDIS)
