"""Which hosts are served, with what headers, and in whose scope the last byte is made."""

import pytest
from django.http import StreamingHttpResponse
from django.test import Client, RequestFactory

from accounts.models import Role
from scrm.lib import clock
from scrm.middleware import _local_path
from tenants.context import current_scope, current_tenant, public_scope
from tenants.middleware import TenantHostMiddleware
from tenants.models import Domain, Tenant, TenantState
from tests.support.core import make_user

pytestmark = pytest.mark.django_db
OWN = "scrm.acme-cars.example"


@pytest.fixture
def own_host(acme):
    return Domain.objects.create(tenant=acme, domain=OWN, is_primary=False, verified_at=clock.wall())


def test_a_merchants_own_host_is_served_once_it_is_verified(own_host):
    assert Client(HTTP_HOST=OWN).get("/login/").status_code == 200
    Domain.objects.filter(pk=own_host.pk).update(verified_at=None)
    assert Client(HTTP_HOST=OWN).get("/login/").status_code == 404
    assert Client(HTTP_HOST="unknown.example").get("/login/").status_code == 404
    assert Client(HTTP_HOST="bad host").get("/login/").status_code == 400


def test_a_host_that_is_not_ours_is_not_bound_with_what_hangs_below_it(own_host, settings):
    settings.SECURE_HSTS_SECONDS, settings.SECURE_HSTS_PRELOAD, settings.SECURE_HSTS_INCLUDE_SUBDOMAINS = 60, True, True
    header = "Strict-Transport-Security"

    assert Client(HTTP_HOST=OWN).get("/login/", secure=True)[header] == "max-age=60"
    assert "preload" in Client(HTTP_HOST="acme.testserver").get("/login/", secure=True)[header]
    assert header not in Client(HTTP_HOST=OWN).get("/login/").headers


def test_refusals_carry_the_content_policy_too(acme, anonymous):
    policy = anonymous.get("/login/")["Content-Security-Policy"]
    assert "script-src 'self'" in policy
    unknown = Client(HTTP_HOST="unknown.testserver").get("/")
    Tenant.objects.filter(pk=acme.pk).update(state=TenantState.SUSPENDED)
    closed = anonymous.get("/")

    for response, status in ((unknown, 404), (closed, 503)):
        assert response.status_code == status
        assert "script-src 'self'" in response["Content-Security-Policy"]


def test_a_stream_is_made_in_the_merchants_scope(acme, globex):
    def body():
        for role in Role.objects.order_by("pk")[:2]:
            yield f"{current_tenant().slug} {role.pk};"

    request = RequestFactory().get("/", HTTP_HOST="globex.testserver")
    with public_scope():
        response = TenantHostMiddleware(lambda request: StreamingHttpResponse(body()))(request)
        sent = []
        for chunk in response:
            sent.append(chunk.decode())
            assert current_scope().tenant is None, "the scope leaked between two chunks"

    assert [text.split()[0] for text in sent] == ["globex", "globex"]


@pytest.mark.parametrize(
    ("referer", "path"),
    [
        ("http://acme.testserver/contacts/?page=2", "/contacts/?page=2"),
        ("http://acme.testserver//evil.example/", "/evil.example/"),
        ("http://acme.testserver/\\evil.example/", "/evil.example/"),
        ("http://acme.testserver.evil.example/", "/here/"),
        ("https://evil.example/", "/here/"),
    ],
)
def test_an_error_leads_back_to_a_page_of_this_host_only(referer, path):
    request = RequestFactory().post("/here/", HTTP_HOST="acme.testserver", HTTP_REFERER=referer)
    assert _local_path(request) == path


def test_the_log_in_leads_back_to_a_page_of_this_host_only(acme, anonymous):
    make_user(username="lin")
    asked = anonymous.get(
        "/settings/users/", HTTP_HX_REQUEST="true", HTTP_HX_CURRENT_URL="http://acme.testserver//evil.example/"
    )
    assert "//evil" not in asked["HX-Redirect"] and "%2F%2F" not in asked["HX-Redirect"]
