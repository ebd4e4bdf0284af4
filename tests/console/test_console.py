"""The platform operator's pages, through real provisioning and a real dump."""

from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from accounts.models import User
from console import registry
from console.queries import health_of
from scrm.lib import clock
from tenants import scheduler, tasks
from tenants.context import public_scope, tenant_scope
from tenants.models import (
    Domain,
    DueHint,
    LaneLease,
    PlatformAudit,
    SchemaUpgrade,
    Tenant,
    TenantState,
    new_schema_name,
)
from tenants.provision.snapshot import head_digest
from tests.support.core import make_user


@pytest.fixture
def operator(db):
    """A browser of a platform operator."""
    with public_scope():
        user = make_user(permissions=list(registry.OPERATOR_PERMISSIONS))
        client = Client(HTTP_HOST="admin.testserver")
        client.force_login(user)
    return client


@pytest.fixture
def orders(monkeypatch):
    """Tasks asked for by name, instead of messages to a broker."""
    asked = []
    record = lambda name, *, queue, kwargs: asked.append((name, kwargs)) or True  # noqa: E731
    monkeypatch.setattr("console.services.opening.send", record)
    monkeypatch.setattr("tenants.scheduler.send", record)
    return asked


@pytest.mark.django_db
def test_the_list_shows_how_each_merchant_is(operator, acme, globex):
    SchemaUpgrade.objects.update_or_create(tenant_id=acme.pk, target=head_digest(), defaults={"state": "done"})
    SchemaUpgrade.objects.update_or_create(
        tenant_id=globex.pk, target=head_digest(), defaults={"state": "failed", "last_error": "no space left"}
    )
    DueHint.objects.create(tenant_id=acme.pk, lane="sync", due_at=clock.wall() - timedelta(minutes=5))
    LaneLease.objects.update_or_create(tenant_id=acme.pk, lane="sync", defaults={"visited_at": clock.wall()})

    first, second = health_of([acme, globex])
    page = operator.get("/").content.decode()

    assert (first.backlog, first.is_late, first.is_at_head) == (1, True, True)
    assert (second.backlog, second.is_late, second.is_at_head, second.upgrade_error) == (
        0,
        False,
        False,
        "no space left",
    )
    assert first.synced_at and not second.synced_at
    assert "acme.testserver" in page and "升级失败" in page


@pytest.mark.django_db
def test_health_costs_the_same_for_one_and_for_many(acme, globex, django_assert_num_queries):
    with public_scope():
        Tenant.objects.exists()
        with django_assert_num_queries(4):
            health_of([acme])
        with django_assert_num_queries(4):
            health_of([acme, globex])


@pytest.mark.django_db(transaction=True)
def test_a_merchant_is_opened_used_closed_and_deleted(operator, orders, settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path
    made = operator.post("/tenants/new/", {"slug": "initech", "name": "伊尼泰", "time_zone": "Asia/Shanghai"})
    tenant = Tenant.objects.get(slug="initech")
    assert made["Location"] == f"/tenants/{tenant.pk}/"
    assert orders == [("tenants.provision", {"tenant_id": tenant.pk})]
    assert "开通中" in operator.get(f"/tenants/{tenant.pk}/").content.decode()

    tasks.provision_tenant(tenant_id=tenant.pk)
    link = operator.post(f"/tenants/{tenant.pk}/admin-link/").content.decode()
    path = "/welcome/" + link.split("/welcome/")[1].split("/")[0] + "/"
    admin = Client(HTTP_HOST="initech.testserver")
    assert admin.post(path, {"password": "quiet-harbour-9", "again": "quiet-harbour-9"}).status_code == 302
    assert admin.get("/settings/users/").status_code == 200

    operator.post(f"/tenants/{tenant.pk}/suspend/")
    assert admin.get("/settings/users/").status_code == 503
    operator.post(f"/tenants/{tenant.pk}/resume/")
    assert admin.get("/settings/users/").status_code == 200

    operator.post(f"/tenants/{tenant.pk}/suspend/")
    orders.clear()
    assert operator.post(f"/tenants/{tenant.pk}/drop/", {"typed": "initec"}).status_code == 422
    assert orders == []
    operator.post(f"/tenants/{tenant.pk}/drop/", {"typed": "initech"})
    ((name, kwargs),) = orders
    assert name == "tenants.drop"
    tasks.drop_tenant(**kwargs)

    assert not Tenant.objects.filter(slug="initech").exists()
    actions = list(PlatformAudit.objects.filter(tenant_id=tenant.pk).order_by("pk").values_list("action", flat=True))
    assert actions == [
        "tenant.created", "tenant.admin_link", "tenant.suspended", "tenant.resumed", "tenant.suspended", "tenant.dropped",
    ]  # fmt: skip
    assert all(row.operator_name for row in PlatformAudit.objects.filter(tenant_id=tenant.pk))
    assert "删除商户" in operator.get("/audit/").content.decode()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("field", "value"), [("slug", "acme"), ("slug", "admin"), ("slug", "A B"), ("time_zone", "Mars/Base")]
)
def test_a_refused_opening_says_why(operator, orders, acme, field, value):
    body = {"slug": "initech", "name": "x", "time_zone": "Asia/Shanghai", field: value}
    response = operator.post("/tenants/new/", body)
    assert response.status_code == 422
    assert "field-error" in response.content.decode()
    assert orders == []


@pytest.mark.django_db
def test_a_merchant_gets_hosts_of_its_own(operator, acme, globex):
    operator.post(f"/tenants/{acme.pk}/hosts/", {"host": "CRM.Example.com."})
    row = Domain.objects.get(domain="crm.example.com")
    assert row.tenant_id == acme.pk
    assert operator.post(f"/tenants/{globex.pk}/hosts/", {"host": "crm.example.com"}).status_code == 409
    for host in ("admin.testserver", "x.testserver", "not a host", "localhost"):
        assert operator.post(f"/tenants/{acme.pk}/hosts/", {"host": host}).status_code == 422, host
    assert operator.post(f"/tenants/{globex.pk}/hosts/{row.pk}/remove/").status_code == 404
    operator.post(f"/tenants/{acme.pk}/hosts/{row.pk}/remove/")
    assert not Domain.objects.filter(pk=row.pk).exists()


@pytest.mark.django_db
def test_an_opening_lost_with_its_worker_is_asked_for_again(acme, orders):
    with public_scope():
        for slug, age, error in (("lost", 10, ""), ("fresh", 0, ""), ("broken", 10, "OSError: no space left")):
            Tenant.objects.create(
                slug=slug, name=slug, schema_name=new_schema_name(), created_at=clock.wall() - timedelta(minutes=age),
                last_error=error,
            )  # fmt: skip
    assert scheduler.resume_openings() == 1
    assert orders == [("tenants.provision", {"tenant_id": Tenant.objects.get(slug="lost").pk})]


@pytest.mark.django_db(transaction=True)
def test_the_commands_print_links_that_work(acme, capsys):
    call_command("create_tenant", "initech", "伊尼泰", "--admin", "milton")
    link = capsys.readouterr().out.strip()
    tenant = Tenant.objects.get(slug="initech")
    assert tenant.state == TenantState.ACTIVE and "://initech.testserver" in link
    assert Client(HTTP_HOST="initech.testserver").get("/welcome/" + link.split("/welcome/")[1]).status_code == 200
    with tenant_scope(tenant):
        assert User.objects.get().username == "milton"
    with pytest.raises(CommandError, match="initech"):
        call_command("create_tenant", "initech", "x")

    call_command("create_operator", "op", "--name", "平台")
    link = capsys.readouterr().out.strip()
    platform = Client(HTTP_HOST="admin.testserver")
    platform.post("/welcome/" + link.split("/welcome/")[1], {"password": "quiet-harbour-9", "again": "quiet-harbour-9"})
    assert platform.get("/").status_code == 200
    assert platform.get("/settings/users/").status_code == 200
