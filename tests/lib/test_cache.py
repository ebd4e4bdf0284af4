"""Redis away: pages, log-ins and API calls go on; locks that matter are rows."""

import pytest
from django.core.cache import caches
from django.test import Client

from accounts.services.tokens import create_token
from scrm.lib.cache import ForgivingRedisCache
from tenants.audit import SYSTEM
from tests.support.core import PASSWORD, make_user


@pytest.fixture
def redis_away(monkeypatch):
    """The cache points at a port nobody listens on."""
    away = ForgivingRedisCache("redis://127.0.0.1:1/0", {"OPTIONS": {"socket_connect_timeout": 1}})
    monkeypatch.setattr(caches["default"], "_servers", away._servers)
    monkeypatch.setattr(caches["default"], "_cache", away._cache)


def test_everything_is_a_miss(redis_away):
    cache = caches["default"]
    cache.set("a", 1)
    cache.set_many({"a": 1})
    assert cache.get("a", 7) == 7 and cache.get_many(["a"]) == {} and "a" not in cache
    assert cache.add("a", 1) and not cache.delete("a") and not cache.touch("a")
    with pytest.raises(ValueError, match="not found"):
        cache.incr("a")
    cache.delete_many(["a"])


@pytest.mark.django_db
def test_people_log_in_and_guesses_are_counted_in_the_row(acme, anonymous, redis_away):
    make_user(username="lin")
    make_user(username="mei")

    def attempt(name, password):
        return anonymous.post("/login/", {"username": name, "password": password}).status_code

    assert attempt("nobody", "wrong") == 422
    assert [attempt("lin", "wrong") for _guess in range(5)] == [422] * 5
    assert attempt("lin", PASSWORD) == 429
    assert attempt("mei", PASSWORD) == 302
    assert anonymous.get("/account/sessions/").status_code == 200


@pytest.mark.django_db
def test_the_api_answers(acme, redis_away):
    _row, text = create_token("x", ["sandbox:read"], by=SYSTEM)
    client = Client(HTTP_HOST="acme.testserver", HTTP_AUTHORIZATION=f"Bearer {text}")
    assert client.get("/api/v1/sandbox/quiet").status_code == 200
