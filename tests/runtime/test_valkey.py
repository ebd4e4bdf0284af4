import socket

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from scrm.runtime.valkey import Valkey


@pytest.fixture
def valkey(console):
    server = Valkey(console)
    yield server
    server.stop()


def test_it_answers_at_its_url_and_is_gone_after_the_stop(valkey):
    valkey.start()
    client = redis.Redis.from_url(valkey.url)
    client.set("key", "value")
    assert client.get("key") == b"value"
    client.close()

    valkey.stop()

    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", valkey.port), timeout=1)


def test_the_password_is_asked_for_and_not_shown_on_the_command_line(valkey):
    import psutil

    valkey.start()

    with pytest.raises(redis.exceptions.AuthenticationError):
        redis.Redis(port=valkey.port, retry=Retry(NoBackoff(), 0)).ping()
    assert valkey.password not in " ".join(psutil.Process(valkey.program.pid).cmdline())


def test_a_taken_port_is_passed_over(valkey, monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setattr("scrm.runtime.valkey.PREFERRED_PORT", taken.getsockname()[1])
        valkey.start()

        assert valkey.port != taken.getsockname()[1]
