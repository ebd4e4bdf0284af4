"""The door while Redis is away, silent or full of rubbish: what it answers is the same, and WeCom does not wait."""

import socket
import time
import urllib.request
from urllib.parse import urlencode

import pytest
from django.conf import settings as configured
from django.core.cache import caches
from django.test import Client

from tests.support.wecom import event_xml, make_connection, seal
from wecom_bridge.callbacks import knocks
from wecom_bridge.models import InboundEvent

pytestmark = pytest.mark.django_db(transaction=True)
AWAY = "redis://127.0.0.1:1/0"


@pytest.fixture
def connection():
    return make_connection()


@pytest.fixture
def silent():
    """A Redis that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as server:
        yield f"redis://127.0.0.1:{server.getsockname()[1]}/0"


@pytest.fixture
def cache_at(settings):
    """cache_at(url) → where the cache is looked for, in every thread, and for how long."""

    def move(url, seconds=1):
        patience = {"socket_timeout": seconds, "socket_connect_timeout": seconds}
        settings.CACHES = {"default": {**configured.CACHES["default"], "LOCATION": url, "OPTIONS": patience}}

    return move


def verification(connection):
    """(path, query) as WeCom verifies the address."""
    sealed = seal(connection, "4242424242")
    encrypted = sealed.body.decode().split("<Encrypt><![CDATA[")[1].split("]]>")[0]
    return "/" + connection.callback_url.split("/", 3)[3], sealed.query | {"echostr": encrypted}


def answers(connection):
    """(verification, event, a refused event) → their statuses."""
    path, query = verification(connection)
    door = Client(HTTP_HOST="admin.testserver", raise_request_exception=False)
    sealed = seal(connection, event_xml(connection.corp.corp_id, "change_external_contact", "add_external_contact",
                                        UserID="lin", ExternalUserID="wm1"))  # fmt: skip
    wrong = sealed.query | {"msg_signature": "0" * 40}
    return [
        door.get(path, query).status_code,
        door.post(f"{path}?{urlencode(sealed.query)}", sealed.body, content_type="text/xml").status_code,
        door.post(f"{path}?{urlencode(wrong)}", sealed.body, content_type="text/xml").status_code,
    ]


def test_nothing_is_lost_or_answered_otherwise_while_redis_is_away(connection, cache_at):
    cache_at(AWAY)
    assert answers(connection) == [200, 200, 403]
    assert InboundEvent.objects.count() == 1


def test_a_silent_redis_changes_no_answer(connection, cache_at, silent):
    cache_at(silent)
    assert answers(connection) == [200, 200, 403]


def test_what_cannot_be_read_back_changes_no_answer(connection, monkeypatch):
    """As after a downgrade, or when something else writes to the same Redis."""
    opaque = connection.callback_url.rsplit("/", 1)[1]
    cache = caches["default"]
    client = cache._cache.get_client(None, write=True)
    for what in ("refused", "verified"):
        client.set(cache.make_and_validate_key(knocks._key(opaque, what)), b"no pickle")
    assert answers(connection) == [200, 200, 403]


def test_wecom_has_its_echo_before_a_silent_redis_is_asked(live_server, settings, cache_at, silent):
    """It waits one second for it, as long as the cache waits for Redis (here three, so that a slow machine proves nothing)."""
    settings.PUBLIC_HOST, settings.SITE_SCHEME = "localhost", "http"
    settings.SITE_PORT = live_server.thread.port
    path, query = verification(make_connection())
    cache_at(silent, seconds=3)
    address = f"http://localhost:{live_server.thread.port}{path}?{urlencode(query)}"
    began = time.monotonic()
    with urllib.request.urlopen(address, timeout=10) as answer:
        assert (answer.status, answer.read()) == (200, b"4242424242")
    assert time.monotonic() - began < 2.5
