"""The simulator for the tests that go all the way; a bridge that remembers nothing of the test before; a push and its unit."""

from collections.abc import Iterator
from typing import Any

import pytest

from campaigns.models import Dispatch, Push
from simulator.threaded import ThreadedSimulator
from tests.support import campaigns as make
from tests.support.wecom import Wecom, forget_process


@pytest.fixture(scope="session")
def _simulator() -> Iterator[Wecom]:
    with ThreadedSimulator(["shop"], seed=11) as running:
        yield Wecom(running.url)


@pytest.fixture
def wecom(_simulator: Wecom, settings: Any) -> Iterator[Wecom]:
    """The simulator of a small shop, as new; the bridge calls it."""
    settings.WECOM_API_BASE = _simulator.url
    _simulator.reset()
    forget_process()
    yield _simulator


@pytest.fixture
def morning() -> Iterator[None]:
    """Domain time stands on the morning of the day, before 通知时间."""
    with make.at_time(make.MORNING):
        yield


@pytest.fixture
def push(morning: None) -> Push:
    """A released push to three customers of one guide."""
    return make.released(make.make_customers(3))


@pytest.fixture
def unit(push: Push) -> Dispatch:
    """Its only unit."""
    return make.units(push)[0]
