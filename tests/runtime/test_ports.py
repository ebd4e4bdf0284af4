import socket

import pytest

from scrm.runtime import ports
from scrm.runtime.errors import RuntimeProblem


@pytest.fixture
def taken():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_the_next_port_is_used_when_the_preferred_one_is_taken(taken):
    assert not ports.is_free(taken)
    assert ports.next_free(taken) > taken


def test_a_taken_port_that_was_asked_for_is_refused_with_what_to_do(taken, monkeypatch):
    monkeypatch.setenv("PORT", str(taken))

    with pytest.raises(RuntimeProblem, match=f"Port {taken} is taken.*PORT="):
        ports.from_environment("PORT", 8000)


@pytest.mark.parametrize("word", ["web", "0", "65536", "-1", "80 80"])
def test_nonsense_is_no_port(word, monkeypatch):
    monkeypatch.setenv("PORT", word)

    with pytest.raises(RuntimeProblem, match="PORT="):
        ports.from_environment("PORT", 8000)
