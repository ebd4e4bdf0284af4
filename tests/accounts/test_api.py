"""Conventions of /api/v1/: tokens, scopes, errors, cursors, throttle, Idempotency-Key, the sandbox's clock."""

import json
from datetime import datetime, timedelta

import pytest
import time_machine
from django.test import Client, override_settings
from django.urls import include, path
from rest_framework import serializers
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter

from accounts.api_base import ReadViewSet
from accounts.models import ApiToken, Role
from accounts.services import idempotency, tokens
from scrm.lib import clock
from scrm.lib.errors import UserError
from tenants.audit import SYSTEM
from tenants.context import public_scope, tenant_scope
from tenants.ledger.models import IdempotentRequest
from tenants.models import DueHint, Tenant
from tests.support.core import in_thread

pytestmark = pytest.mark.django_db


class RoleSerializer(serializers.ModelSerializer):
    class Meta:
        model = Role
        fields = ("id", "name")


class ProbeViewSet(ReadViewSet):
    required_scope = "sandbox"
    serializer_class = RoleSerializer

    def get_queryset(self):
        return Role.objects.all()

    def create(self, request):
        if request.data.get("breaks"):
            raise UserError("太多了", fields={"name": "太多了"})
        if request.data.get("crashes"):
            raise ZeroDivisionError
        form = RoleSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        return Response(RoleSerializer(form.save()).data, status=201)


router = SimpleRouter()
router.register("probes", ProbeViewSet, basename="probe")
urlpatterns = [path("api/v1/", include(router.urls)), path("", include("scrm.urls"))]


@pytest.fixture(autouse=True)
def _probe_routes():
    with override_settings(ROOT_URLCONF=__name__):
        yield


@pytest.fixture
def call(acme):
    return make_caller("*")


def make_caller(*scopes, host="acme", expires_at=None):
    _token, text = tokens.create_token("probe", scopes, by=SYSTEM, expires_at=expires_at)
    client = Client(HTTP_HOST=f"{host}.testserver", raise_request_exception=False)

    def call(method, where, body=None, **headers):
        names = {f"HTTP_{name.upper()}": value for name, value in headers.items()}
        send = getattr(client, method)
        return send(
            f"/api/v1/{where}", json.dumps(body) if body is not None else "", content_type="application/json",
            HTTP_AUTHORIZATION=f"Bearer {text}", **names,
        ) if method != "get" else send(f"/api/v1/{where}", HTTP_AUTHORIZATION=f"Bearer {text}", **names)  # fmt: skip

    call.text = text
    return call


def test_without_a_token_it_is_401(acme):
    response = Client(HTTP_HOST="acme.testserver").get("/api/v1/probes/")
    assert response.status_code == 401
    assert set(response.json()["error"]) == {"code", "message", "fields"}


@pytest.mark.parametrize("header", ["Bearer nonsense", "Basic abc", "Bearer a.b", "Bearer ."])
def test_a_bad_token_is_401(acme, header):
    client = Client(HTTP_HOST="acme.testserver", HTTP_AUTHORIZATION=header)
    assert client.get("/api/v1/probes/").status_code == 401


def test_a_revoked_or_expired_token_is_401(acme):
    gone = make_caller("*")
    tokens.revoke_token(ApiToken.objects.get().pk, by=SYSTEM)
    assert gone("get", "probes/").status_code == 401
    late = make_caller("*", expires_at=clock.wall() + timedelta(days=1))
    assert late("get", "probes/").status_code == 200
    with time_machine.travel(clock.wall() + timedelta(days=2)):
        assert late("get", "probes/").status_code == 401


def test_a_token_of_one_merchant_is_unknown_to_another(acme, globex):
    call = make_caller("*")
    client = Client(HTTP_HOST="globex.testserver", HTTP_AUTHORIZATION=f"Bearer {call.text}")
    assert client.get("/api/v1/probes/").status_code == 401
    with tenant_scope(globex):
        theirs = make_caller("*", host="globex")
    ours = Role.objects.first()
    assert theirs("get", f"probes/{ours.pk}/").status_code == 404


def test_scopes_are_kept(acme):
    reader = make_caller("sandbox:read")
    assert reader("get", "probes/").status_code == 200
    assert reader("post", "probes/", {"name": "x"}).status_code == 403


def test_lists_page_by_cursor(call):
    first = call("get", "probes/?limit=4").json()
    second = call("get", first["next"].split("/api/v1/")[1]).json()
    ids = [row["id"] for row in first["results"] + second["results"]]
    assert ids == sorted(ids, reverse=True) and len(set(ids)) == 8
    assert first["previous"] is None


def test_every_refusal_has_the_same_shape(call):
    invalid = call("post", "probes/", {}).json()["error"]
    refused = call("post", "probes/", {"breaks": 1})
    missing = call("get", "probes/77/")
    assert invalid["code"] == "invalid" and "name" in invalid["fields"]
    assert (refused.status_code, refused.json()["error"]["message"]) == (422, "太多了")
    assert (missing.status_code, set(missing.json()["error"])) == (404, {"code", "message", "fields"})
    assert call("put", "probes/").status_code == 405


def test_a_rate_per_token(call, monkeypatch):
    from accounts.api_auth import TokenThrottle

    monkeypatch.setattr(TokenThrottle, "THROTTLE_RATES", {"token": "3/min"})
    other = make_caller("*")
    codes = [call("get", "probes/").status_code for _try in range(4)]
    assert codes == [200, 200, 200, 429]
    assert other("get", "probes/").status_code == 200


def test_the_same_key_and_body_get_the_same_answer(call):
    first = call("post", "probes/", {"name": "夜班"}, idempotency_key="k1")
    again = call("post", "probes/", {"name": "夜班"}, idempotency_key="k1")
    assert (again.status_code, again.json()) == (201, first.json())
    assert again["Idempotent-Replay"] == "true"
    assert Role.objects.filter(name="夜班").count() == 1


def test_the_same_key_with_another_body_is_refused(call):
    call("post", "probes/", {"name": "夜班"}, idempotency_key="k1")
    other = call("post", "probes/", {"name": "早班"}, idempotency_key="k1")
    assert (other.status_code, other.json()["error"]["code"]) == (422, "idempotency_key_reused")
    assert not Role.objects.filter(name="早班").exists()


def test_keys_belong_to_tokens(call):
    call("post", "probes/", {"name": "夜班"}, idempotency_key="k1")
    assert make_caller("*")("post", "probes/", {"name": "早班"}, idempotency_key="k1").status_code == 201


def test_a_request_still_at_work_is_409_and_an_abandoned_one_is_taken_over(call):
    token = ApiToken.objects.get()
    first = idempotency.claim(token.pk, "k", method="POST", path="/x", body=b"{}")
    with pytest.raises(UserError) as refused:
        idempotency.claim(token.pk, "k", method="POST", path="/x", body=b"{}")
    assert refused.value.status == 409
    with time_machine.travel(clock.wall() + idempotency.ABANDONED + timedelta(seconds=1)):
        assert idempotency.claim(token.pk, "k", method="POST", path="/x", body=b"{}") == first


def test_a_crash_keeps_the_key_free_and_a_refusal_is_an_answer(call):
    assert call("post", "probes/", {"crashes": 1}, idempotency_key="k1").status_code == 500
    assert not IdempotentRequest.objects.exists()
    assert call("post", "probes/", {"breaks": 1}, idempotency_key="k2").status_code == 422
    assert call("post", "probes/", {"breaks": 1}, idempotency_key="k2")["Idempotent-Replay"] == "true"
    assert call("post", "probes/", {"name": "x"}, idempotency_key="k" * 81).status_code == 422


@pytest.mark.django_db(transaction=True)
def test_two_at_once_do_the_work_once(acme):
    call = make_caller("*")
    running = [
        in_thread(lambda: call("post", "probes/", {"name": "夜班"}, idempotency_key="k").status_code) for _n in range(4)
    ]
    codes = sorted(thread.result() for thread in running)
    assert 201 in codes and set(codes) <= {201, 409}
    assert Role.objects.filter(name="夜班").count() == 1


def test_the_description_lists_the_routes(acme):
    text = Client(HTTP_HOST="acme.testserver").get("/api/v1/schema/").content.decode()
    assert "/api/v1/probes/" in text and "/api/v1/sandbox/clock" in text and "bearer" in text


def test_a_sandbox_says_whether_it_is_quiet(call, acme):
    DueHint.objects.all().delete()
    DueHint.objects.create(tenant_id=acme.pk, lane="retention", due_at=clock.wall() + timedelta(hours=5))
    body = call("get", "sandbox/quiet").json()
    assert body["quiet"] is True and body["pending"]["due_hints"] == 0 and body["next_due_at"]

    DueHint.objects.create(tenant_id=acme.pk, lane="retention", due_at=clock.wall())
    body = call("get", "sandbox/quiet").json()
    assert body["quiet"] is False and body["pending"]["due_hints"] == 1


def test_a_sandboxs_clock_moves(call, acme):
    moved = call("put", "sandbox/clock", {"offset_seconds": 86400}).json()
    assert moved["offset_seconds"] == 86400
    assert Tenant.objects.get(pk=acme.pk).clock_offset_seconds == 86400
    shown = call("get", "sandbox/clock").json()
    ahead = datetime.fromisoformat(shown["now"]) - clock.wall()
    assert abs(ahead - timedelta(days=1)) < timedelta(minutes=1)


def test_a_real_merchant_has_no_sandbox_routes(call, acme):
    with public_scope():
        Tenant.objects.filter(pk=acme.pk).update(is_sandbox=False)
    assert call("get", "sandbox/quiet").status_code == 404
    assert call("put", "sandbox/clock", {"offset_seconds": 1}).status_code == 404
