"""Suspend, resume, drop after a dump, restore; each deed with its row in the platform's audit."""

import tarfile

import pytest
from django.db import connection
from django.test import Client

from accounts.models import User
from scrm.lib import clock
from scrm.lib.errors import Conflict, UserError
from tenants.audit import Actor
from tenants.context import TenantUnavailable, public_scope, tenant_scope
from tenants.models import Domain, DueHint, LaneLease, PlatformAudit, Tenant, TenantState
from tenants.provision import steps
from tenants.services import dumps, lifecycle
from tests.support.catalogue import catalogue
from tests.support.core import make_user
from tests.support.wecom import make_connection
from wecom_bridge.models import Corp

OPERATOR = Actor("platform", 1, "平台")


@pytest.fixture
def initech(transactional_db):
    with public_scope():
        tenant = steps.provision(lifecycle.create_tenant("initech", "Initech", by=OPERATOR).pk)
    with tenant_scope(tenant):
        make_user(username="bill", display_name="比尔 t_ \\. \t 制表符")
    return tenant


@pytest.mark.django_db
@pytest.mark.parametrize("slug", ["admin", "api", "Ünicode", "a", "-x-", "x_y", "x" * 41])
def test_a_slug_must_be_a_free_host_name(acme, slug):
    with pytest.raises(UserError):
        lifecycle.create_tenant(slug, "x", by=OPERATOR)


@pytest.mark.django_db
def test_a_taken_slug_is_refused(acme):
    with pytest.raises(Conflict, match="acme"):
        lifecycle.create_tenant("acme", "x", by=OPERATOR)


@pytest.mark.django_db
def test_a_suspended_merchants_pages_and_tasks_stop_and_come_back(acme, anonymous):
    lifecycle.suspend(acme.pk, by=OPERATOR, reason="欠费")
    lifecycle.suspend(acme.pk, by=OPERATOR)

    assert anonymous.get("/").status_code == 503
    with pytest.raises(TenantUnavailable), tenant_scope(acme.pk):
        pass

    lifecycle.resume(acme.pk, by=OPERATOR)
    assert anonymous.get("/").status_code != 503
    actions = list(PlatformAudit.objects.order_by("pk").values_list("action", flat=True))
    assert actions == ["tenant.suspended", "tenant.resumed"]


@pytest.mark.django_db(transaction=True)
def test_resuming_looks_at_every_lane(acme):
    lifecycle.suspend(acme.pk, by=OPERATOR)
    lifecycle.resume(acme.pk, by=OPERATOR)
    assert {"retention", "backfills"} <= set(DueHint.objects.filter(tenant_id=acme.pk).values_list("lane", flat=True))


def test_dropping_takes_the_typed_name_a_suspension_and_a_dump(initech, tmp_path):
    with pytest.raises(UserError, match="不一致"):
        lifecycle.drop(initech.pk, "initec", folder=tmp_path, by=OPERATOR)
    with pytest.raises(Conflict):
        lifecycle.drop(initech.pk, "initech", folder=tmp_path, by=OPERATOR)
    lifecycle.suspend(initech.pk, by=OPERATOR)

    dump = lifecycle.drop(initech.pk, "initech", folder=tmp_path, by=OPERATOR)

    assert not Tenant.objects.filter(slug="initech").exists()
    assert not Domain.objects.filter(domain="initech.testserver").exists()
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_namespace WHERE nspname = %s", [initech.schema_name])
        assert cursor.fetchone() == (0,)
    assert dump.stat().st_mode & 0o077 == 0
    assert PlatformAudit.objects.filter(action="tenant.dropped", data__dump=dump.name).exists()


def test_nobody_opens_a_merchant_while_its_last_dump_is_made(initech, tmp_path, monkeypatch):
    """And a dump that fails leaves it suspended, as it was."""
    lifecycle.suspend(initech.pk, by=OPERATOR)
    seen = []

    def fails(tenant, folder):
        with pytest.raises(Conflict):
            lifecycle.resume(tenant.pk, by=OPERATOR)
        seen.append(Tenant.objects.get(pk=tenant.pk).state)
        raise OSError("disk full")

    monkeypatch.setattr(lifecycle, "dump_tenant", fails)
    with pytest.raises(OSError, match="disk full"):
        lifecycle.drop(initech.pk, "initech", folder=tmp_path, by=OPERATOR)

    assert seen == [TenantState.DROPPING]
    assert Tenant.objects.get(pk=initech.pk).state == TenantState.SUSPENDED


def test_a_merchant_still_at_work_is_not_dropped(initech, tmp_path):
    lifecycle.suspend(initech.pk, by=OPERATOR)
    LaneLease.objects.create(
        tenant_id=initech.pk,
        lane="sync",
        holder="x",
        leased_until=clock.wall().replace(year=2999),
        visited_at=clock.wall(),
    )
    with pytest.raises(Conflict, match="收尾"):
        lifecycle.drop(initech.pk, "initech", folder=tmp_path, by=OPERATOR)


def test_a_dropped_merchant_comes_back_as_it_was(initech, tmp_path, settings):
    settings.MEDIA_ROOT = tmp_path / "media"
    picture = settings.MEDIA_ROOT / initech.schema_name / "pictures" / "a.txt"
    picture.parent.mkdir(parents=True)
    picture.write_text("图")
    before = catalogue(initech.schema_name)
    lifecycle.suspend(initech.pk, by=OPERATOR)
    dump = lifecycle.drop(initech.pk, "initech", folder=tmp_path, by=OPERATOR)
    assert not picture.exists()

    back = dumps.restore_tenant(dump)

    assert (back.slug, back.state) == ("initech", TenantState.SUSPENDED)
    after = catalogue(back.schema_name)
    for kind in ("columns", "sequences", "others", "functions"):
        assert after[kind] == before[kind]
    for kind in ("constraints", "indexes"):  # PostgreSQL spells an expression differently once it has been dumped
        assert [row[:2] for row in after[kind]] == [row[:2] for row in before[kind]]
    assert (settings.MEDIA_ROOT / back.schema_name / "pictures" / "a.txt").read_text() == "图"
    back = lifecycle.resume(back.pk, by=OPERATOR)
    with tenant_scope(back):
        assert User.objects.get(username="bill").display_name == "比尔 t_ \\. \t 制表符"
        make_user()  # identity columns go on behind the last row
    assert Client(HTTP_HOST="initech.testserver").get("/").status_code != 404


def test_a_dump_restores_beside_the_living_under_another_slug(initech, tmp_path):
    with tenant_scope(initech):
        make_connection()
    with public_scope():
        dump = dumps.dump_tenant(initech, tmp_path)
        with pytest.raises(Conflict):
            dumps.restore_tenant(dump)

        twin = dumps.restore_tenant(dump, slug="initech-2")

    assert twin.schema_name != initech.schema_name
    assert Domain.objects.get(tenant=twin).domain == "initech-2.testserver"
    with tenant_scope(lifecycle.resume(twin.pk, by=OPERATOR)):
        assert not Corp.objects.get().is_active  # or both would send what waits
    with tenant_scope(initech):
        assert Corp.objects.get().is_active


def test_a_dump_that_lost_rows_is_refused_and_leaves_nothing(initech, tmp_path):
    with public_scope():
        dump = dumps.dump_tenant(initech, tmp_path)
        lie = tmp_path / "lie.tar.gz"
        with tarfile.open(dump) as packed:
            packed.extractall(tmp_path / "open", filter="data")
        manifest = tmp_path / "open" / "manifest.json"
        manifest.write_text(manifest.read_text().replace('"accounts_user": 1', '"accounts_user": 2'))
        with tarfile.open(lie, "w:gz") as packed:
            for name in ("manifest.json", "schema.sql"):
                packed.add(tmp_path / "open" / name, name)

        with pytest.raises(UserError, match="accounts_user 1/2"):
            dumps.restore_tenant(lie, slug="twin")

    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 't\\_%'")
        assert cursor.fetchone() == (3,)


@pytest.mark.django_db
def test_a_file_that_is_no_dump_says_so(acme, tmp_path):
    other = tmp_path / "notes.tar.gz"
    other.write_text("hello")
    with pytest.raises(UserError, match="不是商户备份"):
        dumps.restore_tenant(other)
