"""One stack and one browser for all end-to-end tests; what the stack's programs said is shown with a failure."""

import secrets
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.e2e.desks import DESK, WITH_PICTURES, Desk, chromium
from tests.e2e.stack import Stack, running_stack


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The product, running, with 小满面包房 after her first sync; for pictures with her past."""
    with running_stack(tmp_path_factory.mktemp("stack"), with_past=WITH_PICTURES) as running:
        yield running


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="package")
def cast(stack: Stack) -> dict[str, tuple[str, str]]:
    """Who works here: role → (user name, password). hq and guide are the merchant's own; two more write and approve."""
    found = {role: (row["username"], row["password"]) for role, row in stack.merchant["users"].items()}
    for key, name, role in (("author", "苏打", "operator"), ("approver", "何佳", "approver")):
        found[key] = (key, secrets.token_urlsafe(9))
        stack.inside("make_user", username=key, name=name, role=role, password=found[key][1])
    return found


@pytest.fixture
def desk(stack: Stack, browser: Browser, cast: dict[str, tuple[str, str]]) -> Iterator[Callable[..., Desk]]:
    """desk("approver", PHONE): somebody of the cast, logged in."""
    opened: list[Desk] = []

    def sit(who: str, size: tuple[int, int] = DESK) -> Desk:
        made = Desk(browser, stack.base_url, size)
        opened.append(made)
        made.log_in(*cast[who])
        return made

    yield sit
    for one in opened:
        one.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: Any, call: Any) -> Generator[None, Any, Any]:
    report = yield
    running = getattr(item, "funcargs", {}).get("stack")
    if report.failed and running is not None:
        report.sections.append(("what the stack said", running.tail()))
    return report
