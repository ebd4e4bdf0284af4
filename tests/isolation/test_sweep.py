"""Every route × {nobody, another merchant's person, another merchant's cookie, no permission}."""

from collections.abc import Iterator
from copy import copy, deepcopy
from dataclasses import dataclass
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import ApiToken
from accounts.permissions import all_permissions
from accounts.services.tokens import create_token
from tenants.audit import SYSTEM
from tenants.context import public_scope, tenant_scope
from tests.isolation.expectations import MAKERS, PLATFORM_ROUTES, TENANT_ROUTES, Expect
from tests.isolation.routes import PLATFORM, TENANT, Route, all_routes
from tests.support.core import log_in, make_user
from tests.support.world import rolled_back, tenant

ROUTES = all_routes(TENANT)
PLATFORM_ONLY = all_routes(PLATFORM)
EXPECTED = {TENANT: TENANT_ROUTES, PLATFORM: PLATFORM_ROUTES}
HOSTS = {TENANT: "acme.testserver", PLATFORM: "admin.testserver"}
# What a person of the merchant herself may get: the page, a redirect, or a refusal of her input.
OWN = {200, 201, 204, 302, 400, 409, 410, 415, 422, 429}


def expectation(route: Route) -> Expect:
    return EXPECTED[route.host].get(route.name) or pytest.skip("no expectation; reported by its own test")


def each(routes: list[Route], **only: Any) -> Any:
    chosen = [route for route in routes if all(getattr(route, key) == value for key, value in only.items())]
    return pytest.mark.parametrize("route", chosen, ids=[f"{route.host[5:]}:{route.name}" for route in chosen])


def address(route: Route, expected: Expect, rows: dict[str, Any]) -> str:
    """The route's path with the ids of these rows, by the label of their model."""
    named = {"pk": expected.pk, **expected.ids}
    kwargs = dict(expected.args)
    kwargs |= {name: rows[named[name]].pk if named.get(name) else 77 for name in route.arguments - set(kwargs)}
    return reverse(route.name, urlconf=route.host, kwargs=kwargs)


def answers(client: Client, route: Route, path: str, body: Any) -> Iterator[tuple[str, Any]]:
    """(method, response) for each method the route takes."""
    for method in route.methods:
        data = (
            {"data": dict(body), "content_type": "application/json"}
            if route.is_api and method != "get"
            else {"data": dict(body)}
        )
        response = getattr(client, method)(path, **(data if method != "get" else {}))
        if response.status_code != 405:
            yield method, response


def everything() -> list[str]:
    return [permission.code for permission in all_permissions()]


@dataclass(frozen=True)
class Cast:
    """What every test of this file asks about and with; they take it from `made`, and leave nothing behind.

    rows: one of every model, by label. clients: see `browser`.
    """

    rows: dict[str, Any]
    clients: dict[str, Client]

    def browser(self, who: str) -> Client:
        """As new: "acme" and "globex" are logged in there with every permission, "acme:x" with every one but x;
        "acme token" and "globex token" may do everything, "idle token" nothing; "" and "platform" are nobody, on acme's
        host and the platform's."""
        client = copy(self.clients[who])
        client.cookies = deepcopy(client.cookies)
        client.defaults = dict(client.defaults)
        return client


@pytest.fixture(scope="module")
def made(django_db_setup: None, django_db_blocker: Any) -> Iterator[Cast]:
    """Made once, in a transaction around those of the tests."""
    with django_db_blocker.unblock(), rolled_back():
        yield Cast({label: make() for label, make in MAKERS.items()}, _clients())


def _clients() -> dict[str, Client]:
    codes = everything()
    clients = {
        "": Client(HTTP_HOST=HOSTS[TENANT]),
        "platform": Client(HTTP_HOST=HOSTS[PLATFORM]),
        "acme": log_in(make_user(permissions=codes)),
        "acme token": token_client("acme", "*"),
        "globex token": token_client("globex", "*"),
        "idle token": token_client("acme", "nothing:read"),
    }
    with tenant_scope(tenant("globex")):
        clients["globex"] = log_in(make_user(permissions=codes))
    for missing in {route.permission for route in ROUTES if route.permission}:
        clients[f"acme:{missing}"] = log_in(make_user(permissions=[code for code in codes if code != missing]))
    with public_scope():
        for missing in {route.permission for route in PLATFORM_ONLY if route.permission}:
            person = make_user(permissions=[code for code in codes if code != missing])
            clients[f"platform:{missing}"] = Client(HTTP_HOST=HOSTS[PLATFORM])
            clients[f"platform:{missing}"].force_login(person)
    return clients


def token_client(slug: str, *scopes: str) -> Client:
    with tenant_scope(tenant(slug)):
        row, text = create_token("sweep", ["*"], by=SYSTEM)
        ApiToken.objects.filter(pk=row.pk).update(scopes=list(scopes))
    return Client(HTTP_HOST=f"{slug}.testserver", HTTP_AUTHORIZATION=f"Bearer {text}")


@pytest.mark.parametrize("host", [TENANT, PLATFORM])
def test_every_route_has_an_expectation_and_every_expectation_a_route(host):
    routes = all_routes(host)
    assert not [route.pattern for route in routes if not route.name], "a route without a name cannot be expected"
    names = {route.name for route in routes}
    assert not names - set(EXPECTED[host]), "new routes: add them to tests/isolation/expectations.py"
    assert not set(EXPECTED[host]) - names, "expectations of routes that are gone"


@each(ROUTES + PLATFORM_ONLY)
def test_the_view_says_who_may_come_in(route):
    expected = expectation(route)
    assert route.says_who or expected.public, f"{route.pattern}: neither @requires, @public nor required_scope"
    assert {label for label in (expected.pk, *expected.ids.values()) if label} <= set(MAKERS)


@each(ROUTES)
def test_ids_have_a_maker(route):
    expected = expectation(route)
    known = {*expected.args, *expected.ids, *(["pk"] if expected.pk else [])}
    assert not route.arguments - known, f"{route.pattern}: say which models its ids name"


@pytest.mark.django_db
@each(ROUTES + PLATFORM_ONLY)
def test_nobody_is_sent_to_the_log_in(made, route):
    expected = expectation(route)
    if route.public_reason or expected.public:
        pytest.skip("public: " + (route.public_reason or expected.public))
    client = made.browser("platform" if route.host == PLATFORM else "")
    for method, response in answers(client, route, address(route, expected, made.rows), expected.body):
        if route.is_api:
            assert response.status_code == 401, method
        else:
            assert response.status_code == 302 and response["Location"].startswith("/login/"), method


@pytest.mark.django_db
@each(ROUTES)
def test_another_merchants_row_is_not_found(made, route):
    expected = expectation(route)
    if not expected.pk:
        pytest.skip("no ids")
    client = made.browser("globex token" if route.is_api else "globex")
    asked = list(answers(client, route, address(route, expected, made.rows), expected.body))
    assert asked
    for method, response in asked:
        assert response.status_code == 404, f"{method}: {response.status_code}"


@pytest.mark.django_db
@each(ROUTES)
def test_its_own_people_are_served(made, route):
    """The other half of the proof: the 404 above is the merchant's border, not a broken route."""
    expected = expectation(route)
    if expected.calls_out:
        pytest.skip("asks WeCom")
    client = made.browser("acme token" if route.is_api else "acme")
    for method, response in answers(client, route, address(route, expected, made.rows), expected.body):
        assert response.status_code in OWN | expected.own, f"{method}: {response.status_code}"


@pytest.mark.django_db
@each(ROUTES + PLATFORM_ONLY)
def test_another_merchants_cookie_is_no_log_in(made, route):
    expected = expectation(route)
    if route.public_reason or expected.public:
        pytest.skip("public")
    client = made.browser("globex token" if route.is_api else "globex")
    client.defaults["HTTP_HOST"] = HOSTS[route.host]
    for method, response in answers(client, route, address(route, expected, made.rows), expected.body):
        if route.is_api:
            assert response.status_code == 401, method
        else:
            assert response.status_code == 302 and response["Location"].startswith("/login/"), method


@pytest.mark.django_db
@each(ROUTES + PLATFORM_ONLY)
def test_without_the_permission_it_is_forbidden(made, route):
    expected = expectation(route)
    if route.public_reason or expected.public or (route.permission is None and not route.scope):
        pytest.skip("open to every log-in")
    host = "platform" if route.host == PLATFORM else "acme"
    client = made.browser("idle token" if route.is_api else f"{host}:{route.permission}")
    for method, response in answers(client, route, address(route, expected, made.rows), expected.body):
        assert response.status_code == 403, f"{method}: {response.status_code}"
