"""A shop of the simulator and three of its guides, for the hand-overs."""

from typing import Any

import pytest

from contacts.models import Member
from tests.support import handover as make
from tests.support.browsing import chromium, site  # noqa: F401  # pytest finds fixtures by the names of this module
from tests.support.wecom import Wecom


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
