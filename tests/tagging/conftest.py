"""The simulator, for tests that speak to WeCom."""

from collections.abc import Iterator
from typing import Any

import pytest

from simulator.threaded import ThreadedSimulator
from tests.support.wecom import Wecom, forget_process


@pytest.fixture(scope="session")
def _running() -> Iterator[Wecom]:
    with ThreadedSimulator(["shop"], seed=7) as running:
        yield Wecom(running.url)


@pytest.fixture
def wecom(_running: Wecom, settings: Any) -> Iterator[Wecom]:
    """The simulator of a small shop, as new; the bridge calls it, and remembers nothing of earlier tests."""
    from wecom_bridge.callbacks import nudges

    settings.WECOM_API_BASE = _running.url
    _running.reset()
    forget_process()
    yield _running
    nudges.wait_until_idle()
