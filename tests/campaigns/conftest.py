"""The simulator for the tests that go all the way; a bridge that remembers nothing of the test before."""

from collections.abc import Iterator
from typing import Any

import pytest

from simulator.threaded import ThreadedSimulator
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
