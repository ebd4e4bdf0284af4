"""The simulator, for tests that speak to WeCom; a corp with a guide, and a clock that stands, for those that do not."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from contacts.models import Contact, Member
from scrm.lib import clock
from tagging.models import Tag
from tests.support import tagging
from tests.support.browsing import chromium, site  # noqa: F401  # pytest finds fixtures by the names of this module
from wecom_bridge.models import Corp


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


@pytest.fixture
def tag(corp: Corp) -> Tag:
    return tagging.make_tag("敏感肌", corp=corp)


@pytest.fixture
def person(guide: Member) -> Contact:
    person = tagging.make_person(
        "王姐", owner=guide, last_added_at=clock.now(), first_added_at=clock.now(), active_follows=1
    )
    tagging.make_relation(person, guide)
    return person


@pytest.fixture
def pair(at: Callable[[datetime], None], corp: Corp) -> tuple[Tag, Tag]:
    """敏感皮 is to become 敏感肌."""
    old = tagging.make_tag("敏感皮", corp=corp, is_ours=True)
    return old, tagging.make_tag("敏感肌", old.group, corp=corp, is_ours=True)
