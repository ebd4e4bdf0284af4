from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tenants import jobs, lanes


@pytest.fixture
def make_lane() -> Iterator[Callable[..., lanes.Lane]]:
    """make_lane(drain, **options): a lane of the test's own, forgotten afterwards."""
    made: list[str] = []

    def make(drain: Callable[..., bool], name: str = "probe", **options: Any) -> lanes.Lane:
        lane = lanes.Lane(name, queue="bulk", drain=drain, **options)
        lanes.register(lane)
        made.append(name)
        return lane

    yield make
    for name in made:
        del lanes._lanes[name]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str]]:
    """The drains asked for, as (tenant_id, lane), instead of messages to a broker."""
    asked: list[tuple[int, str]] = []
    monkeypatch.setattr(
        jobs, "send", lambda name, *, queue, kwargs: asked.append((kwargs["tenant_id"], kwargs["lane"])) or True
    )
    monkeypatch.setattr(jobs, "_claim_wake", lambda tenant_id, lane: True)
    return asked
