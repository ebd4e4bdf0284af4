"""Coming in: password, lock-out, one-time link, sessions, language."""

from datetime import timedelta

import pytest
import time_machine
from django.contrib.sessions.models import Session
from django.test import Client

from accounts.models import LoginSession, OneTimeLink, User
from accounts.services import links
from accounts.sessions import stored_key
from scrm.lib import clock
from scrm.lib.errors import UserError
from tenants.audit import SYSTEM, Actor
from tenants.context import public_scope, tenant_scope
from tenants.ledger.models import AuditEntry
from tests.support.core import PASSWORD, make_user

pytestmark = pytest.mark.django_db


def attempt(client, username, password=PASSWORD, **extra):
    return client.post("/login/", {"username": username, "password": password, **extra})


def test_the_right_password_opens_a_session_that_can_be_seen(acme, anonymous):
    user = make_user(username="lin")

    response = attempt(anonymous, " LIN ", next="/account/sessions/")

    assert (response.status_code, response["Location"]) == (302, "/account/sessions/")
    row = LoginSession.objects.get(user=user)
    assert row.session_digest == stored_key(anonymous.session.session_key)
    assert AuditEntry.objects.filter(action="login.succeeded", actor_id=user.pk).exists()


def test_a_log_in_never_leads_to_another_site(acme, anonymous):
    make_user(username="lin")
    assert attempt(anonymous, "lin", next="https://evil.example/")["Location"] == "/"
    assert attempt(anonymous, "lin", next="//evil.example/")["Location"] == "/"


def test_five_failures_close_the_name_for_a_quarter_of_an_hour(acme, anonymous):
    user = make_user(username="lin")
    for _guess in range(5):
        assert attempt(anonymous, "lin", "wrong").status_code == 422

    assert attempt(anonymous, "lin").status_code == 429, "the right password opened a locked name"
    with time_machine.travel(clock.wall() + timedelta(minutes=14)):
        assert attempt(anonymous, "lin").status_code == 429
    with time_machine.travel(clock.wall() + timedelta(minutes=16)):
        assert attempt(anonymous, "lin").status_code == 302
    user.refresh_from_db()
    assert (user.failed_logins, user.locked_until) == (0, None)


def test_a_name_that_does_not_exist_locks_the_same_way(acme, anonymous):
    first = attempt(anonymous, "nobody", "wrong")
    for _guess in range(4):
        attempt(anonymous, "nobody", "wrong")
    make_user(username="somebody")

    assert attempt(anonymous, "nobody", "wrong").status_code == 429
    assert first.status_code == attempt(anonymous, "somebody", "wrong").status_code == 422


def test_twenty_failures_close_the_address(acme, anonymous):
    make_user(username="lin")
    for guess in range(20):
        attempt(anonymous, f"name{guess}", "wrong")

    assert attempt(anonymous, "lin").status_code == 429
    other = Client(HTTP_HOST="acme.testserver", REMOTE_ADDR="10.0.0.9")
    assert attempt(other, "lin").status_code == 302


def test_a_closed_account_does_not_come_in_and_goes_out_at_once(acme, log_in):
    user = make_user(username="lin")
    client = log_in(user)
    assert client.get("/account/sessions/").status_code == 200

    User.objects.filter(pk=user.pk).update(is_active=False)

    assert client.get("/account/sessions/").status_code == 302
    assert attempt(client, "lin").status_code == 422


def test_a_session_of_one_merchant_means_nothing_to_another(acme, globex, anonymous):
    make_user(username="lin")
    attempt(anonymous, "lin")
    cookie = anonymous.cookies["session"].value

    elsewhere = Client(HTTP_HOST="globex.testserver")
    elsewhere.cookies["session"] = cookie
    platform = Client(HTTP_HOST="admin.testserver")
    platform.cookies["session"] = cookie

    assert anonymous.get("/account/sessions/").status_code == 200
    assert elsewhere.get("/account/sessions/")["Location"].startswith("/login/")
    assert platform.get("/account/sessions/")["Location"].startswith("/login/")


def test_a_name_of_one_merchant_is_unknown_to_another(acme, globex, anonymous):
    make_user(username="lin")
    elsewhere = Client(HTTP_HOST="globex.testserver")
    assert attempt(elsewhere, "lin").status_code == 422
    with tenant_scope(globex):
        assert not User.objects.exists()


def test_a_one_time_link_sets_a_password_once(acme, anonymous):
    user = make_user(username="lin", password="!")
    path = f"/welcome/{links.issue_link(user, by=SYSTEM)}/"

    assert anonymous.get(path).status_code == anonymous.get(path).status_code == 200, "opening it spent it"
    weak = anonymous.post(path, {"password": "12345678901", "again": "12345678901"})
    assert weak.status_code == 422
    good = anonymous.post(path, {"password": "quiet-harbour-9", "again": "quiet-harbour-9"})

    assert (good.status_code, good["Location"]) == (302, "/")
    assert anonymous.get("/account/sessions/").status_code == 200
    assert anonymous.get(path).status_code == 410
    with pytest.raises(links.LinkUnusable):
        links.use_link(path.split("/")[2], "another-quiet-harbour-9")


def test_a_newer_link_replaces_the_older_and_three_days_end_it(acme):
    user = make_user()
    first, second = (links.issue_link(user, by=SYSTEM) for _link in range(2))

    with pytest.raises(links.LinkUnusable):
        links.find_link(first)
    assert links.find_link(second).user == user
    with time_machine.travel(clock.wall() + links.VALID + timedelta(seconds=1)), pytest.raises(links.LinkUnusable):
        links.find_link(second)
    assert not OneTimeLink.objects.filter(token_digest__in=[first, second]).exists(), "a token is stored in the clear"


@pytest.mark.parametrize(
    "password", ["short-1", "1234567890123", "password1234567890"[:8], "qwertyuiop", "xiaoya.lin1"]
)
def test_weak_passwords_are_refused(acme, password):
    user = make_user(username="xiaoya.lin")
    with pytest.raises(UserError):
        links.set_password(user, password, by=SYSTEM)


def test_changing_the_password_needs_the_old_one_and_ends_other_sessions(acme):
    make_user(username="lin")
    here, there = (Client(HTTP_HOST="acme.testserver") for _browser in range(2))
    attempt(here, "lin")
    attempt(there, "lin")
    new = {"password": "quiet-harbour-9", "again": "quiet-harbour-9"}

    assert here.post("/account/password/", {"old": "wrong", **new}).status_code == 422
    assert here.post("/account/password/", {"old": PASSWORD, **new}).status_code == 302

    assert here.get("/account/sessions/").status_code == 200
    assert there.get("/account/sessions/").status_code == 302
    assert LoginSession.objects.get().session_digest == stored_key(here.session.session_key)


def test_who_must_change_her_password_is_led_there(acme, log_in):
    client = log_in(make_user(must_change_password=True))
    assert client.get("/settings/users/")["Location"] == "/account/password/"
    assert client.get("/account/password/").status_code == 200


def test_a_device_can_be_logged_out_from_another(acme):
    make_user(username="lin")
    here, there = (Client(HTTP_HOST="acme.testserver") for _browser in range(2))
    attempt(here, "lin")
    attempt(there, "lin")
    other = LoginSession.objects.exclude(session_digest=stored_key(here.session.session_key)).get()

    page = here.get("/account/sessions/").content.decode()
    assert "本设备" in page
    here.post(f"/account/sessions/{other.pk}/end/")

    assert there.get("/account/sessions/").status_code == 302
    assert here.get("/account/sessions/").status_code == 200


def test_nobody_ends_anothers_session(acme, anonymous, log_in):
    make_user(username="lin")
    attempt(anonymous, "lin")
    row = LoginSession.objects.get()
    assert log_in("hq").post(f"/account/sessions/{row.pk}/end/").status_code == 404


def test_who_has_not_logged_in_is_not_the_system(acme, anonymous):
    make_user(username="lin")
    for _guess in range(5):
        attempt(anonymous, "lin", "wrong")

    entry = AuditEntry.objects.get(action="login.locked")
    assert (entry.actor_kind, entry.ip) == ("anonymous", "127.0.0.1")
    assert anonymous.get("/login/").wsgi_request.actor == Actor("anonymous", ip="127.0.0.1")


def test_what_the_database_keeps_of_a_session_is_no_log_in(acme, anonymous):
    make_user(username="lin")
    attempt(anonymous, "lin")
    cookie = anonymous.cookies["session"].value
    kept = [*Session.objects.values_list("session_key", flat=True), LoginSession.objects.get().session_digest]

    assert cookie not in kept
    for key in kept:
        thief = Client(HTTP_HOST="acme.testserver")
        thief.cookies["session"] = key
        assert thief.get("/account/sessions/").status_code == 302
    assert anonymous.get("/account/sessions/").status_code == 200


def test_logging_out_ends_the_session(acme, anonymous):
    make_user(username="lin")
    attempt(anonymous, "lin")
    anonymous.post("/logout/")
    assert anonymous.get("/account/sessions/").status_code == 302
    assert not LoginSession.objects.exists()


def test_the_language_is_remembered(acme, anonymous):
    anonymous.post("/language/", {"language": "en", "next": "/login/"})
    assert '<html lang="en"' in anonymous.get("/login/").content.decode()
    user = make_user(username="lin")
    attempt(anonymous, "lin")
    anonymous.post("/language/", {"language": "en"})
    user.refresh_from_db()
    assert user.language == "en"
    anonymous.post("/language/", {"language": "tlh"})
    user.refresh_from_db()
    assert user.language == "en"


def test_an_operator_logs_in_on_the_platforms_host_only(acme):
    with public_scope():
        make_user(None, username="op")
    platform = Client(HTTP_HOST="admin.testserver")
    assert attempt(platform, "op").status_code == 302
    assert attempt(Client(HTTP_HOST="acme.testserver"), "op").status_code == 422
