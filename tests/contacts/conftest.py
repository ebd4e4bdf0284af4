"""A shop of the simulator and three of its guides, for the hand-overs."""

from collections.abc import Iterator
from typing import Any

import pytest

from contacts.models import Member
from simulator.threaded import ThreadedSimulator
from tests.support import handover as make
from tests.support.wecom import Wecom, forget_process


@pytest.fixture(scope="session")
def _simulator() -> Iterator[Wecom]:
    with ThreadedSimulator(["shop"], seed=5) as running:
        yield Wecom(running.url)


@pytest.fixture
def wecom(_simulator: Wecom, settings: Any) -> Iterator[Wecom]:
    settings.WECOM_API_BASE = _simulator.url
    _simulator.reset()
    forget_process()
    yield _simulator
    forget_process()


@pytest.fixture
def shop(wecom: Wecom) -> Any:
    return wecom.connect()


@pytest.fixture
def leaver(shop: Any, wecom: Wecom) -> Member:
    """wutong, who will have left."""
    return make.guide(shop.corp, "wutong")


@pytest.fixture
def taker(shop: Any) -> Member:
    return make.guide(shop.corp, "hechen")


@pytest.fixture
def other(shop: Any) -> Member:
    return make.guide(shop.corp, "songjiayi")
