"""Whose address a request has, with and without a proxy of ours in front."""

import pytest
from django.test import RequestFactory

from accounts.models import LoginSession
from scrm.lib.address import client_address
from tenants.ledger.models import AuditEntry
from tests.support.core import PASSWORD, make_user


@pytest.mark.parametrize(
    ("hops", "forwarded", "expected"),
    [
        (0, "203.0.113.9", "10.0.0.1"),
        (1, "203.0.113.9", "203.0.113.9"),
        (1, "1.2.3.4, 203.0.113.9", "203.0.113.9"),
        (2, "1.2.3.4, 203.0.113.9, 10.0.0.7", "203.0.113.9"),
        (2, "203.0.113.9", "10.0.0.1"),
        (1, "", "10.0.0.1"),
        (1, "unknown", "10.0.0.1"),
        (1, "2001:db8::1%eth0", "2001:db8::1"),
    ],
)
def test_only_what_our_own_proxy_wrote_counts(settings, hops, forwarded, expected):
    settings.PROXY_HOPS = hops
    request = RequestFactory().get("/", REMOTE_ADDR="10.0.0.1", HTTP_X_FORWARDED_FOR=forwarded)
    assert client_address(request) == expected


def test_a_server_on_a_socket_file_has_no_address(settings):
    settings.PROXY_HOPS = 0
    assert client_address(RequestFactory().get("/", REMOTE_ADDR="")) is None


@pytest.mark.django_db
def test_sessions_audit_and_the_lock_of_an_address_see_the_client(acme, anonymous, settings):
    settings.PROXY_HOPS = 1
    make_user(username="lin")

    def attempt(ip, password=PASSWORD, name="lin"):
        form = {"username": name, "password": password}
        return anonymous.post("/login/", form, HTTP_X_FORWARDED_FOR=f"6.6.6.6, {ip}").status_code

    for guess in range(20):
        attempt("203.0.113.66", "wrong", f"name{guess}")
    assert attempt("203.0.113.66") == 429
    assert attempt("203.0.113.9") == 302, "everybody behind the proxy was locked out"

    assert LoginSession.objects.get().ip == "203.0.113.9"
    assert AuditEntry.objects.get(action="login.succeeded").ip == "203.0.113.9"
