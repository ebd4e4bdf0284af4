"""A console that remembers its lines, and servers that are gone after the test."""

import io
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from scrm.runtime.output import Console
from scrm.runtime.postgres import Postgres
from scrm.runtime.privileges import server_account, throwaway_folder


class Recorder(Console):
    """A console whose lines can be read back."""

    def __init__(self) -> None:
        super().__init__(io.StringIO(), colour=False)

    @property
    def text(self) -> str:
        assert isinstance(self.stream, io.StringIO)
        return self.stream.getvalue()


@pytest.fixture
def console() -> Recorder:
    return Recorder()


@pytest.fixture
def postgres_place() -> Iterator[Path]:
    place = throwaway_folder(server_account(Path(__file__)))
    yield place
    shutil.rmtree(place)


@pytest.fixture(scope="module")
def running() -> Iterator[Postgres]:
    """A server for the tests that only look."""
    account = server_account(Path(__file__))
    place = throwaway_folder(account)
    server = Postgres(place, account, Recorder(), durable=False)
    server.start()
    yield server
    server.stop()
    shutil.rmtree(place)


@pytest.fixture
def postgres(postgres_place: Path, console: Recorder) -> Iterator[Postgres]:
    server = Postgres(postgres_place, server_account(Path(__file__)), console, durable=False)
    yield server
    server.stop()
