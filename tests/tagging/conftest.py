"""The simulator, for tests that speak to WeCom; a corp with a guide, and a clock that stands, for those that do not."""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest

from contacts.models import Member
from scrm.lib import clock
from simulator.threaded import ThreadedSimulator
from tests.support import tagging
from tests.support.wecom import Wecom, forget_process
from wecom_bridge.models import Corp


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


@pytest.fixture
def own_fields() -> None:
    """The condition fields of the tests' own are known."""
    tagging.register_test_fields()


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[datetime], None]:
    """at(instant): the domain clock stands there."""

    def stand(instant: datetime) -> None:
        monkeypatch.setattr(clock, "now", lambda: instant)

    stand(tagging.NOW)
    return stand


@pytest.fixture
def corp(acme: Any) -> Corp:
    return tagging.make_corp()


@pytest.fixture
def guide(corp: Corp) -> Member:
    return tagging.make_member(corp)
