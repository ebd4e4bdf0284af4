"""Stacks to be hurt: each proof has its own, with a Valkey of its own that it may empty."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import pytest_runtest_makereport  # noqa: F401  # a hook: the stack's words beside a failure
from tests.e2e.stack import Stack, running_stack


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """The product, running, with 小满面包房 after her first sync."""
    with running_stack(tmp_path, own_valkey=True) as running:
        yield running


@pytest.fixture
def fragile_stack(tmp_path: Path) -> Iterator[Stack]:
    """The same with a PostgreSQL of its own."""
    with running_stack(tmp_path, own_valkey=True, own_postgres=True) as running:
        yield running
