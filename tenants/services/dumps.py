"""One merchant out of the database and back: its schema by pg_dump, its files, and a manifest with its row counts.

The archive is a tar: manifest.json, schema.sql, files/… . It restores into any plain PostgreSQL this product is set up on,
under the same slug or another; secrets in it open only with the FIELD_KEYS it was written with.
"""

import json
import re
import shutil
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.utils.translation import gettext as _

from scrm.lib import clock
from scrm.lib.errors import Conflict, UserError
from tenants import pgtools
from tenants.context import public_scope, tenant_scope
from tenants.models import Domain, SchemaUpgrade, Tenant, TenantState, new_schema_name
from tenants.provision.snapshot import head_digest
from tenants.services.counts import count_rows

FORMAT = 1
_CARRIED = ("slug", "name", "time_zone", "currency", "policy", "is_sandbox", "clock_offset_seconds")


def dump_tenant(tenant: Tenant, folder: Path) -> Path:
    """Write `<slug>-<instant>.tar.gz` into the folder, readable by its owner only, and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{tenant.slug}-{clock.wall():%Y%m%dT%H%M%S%f}Z.tar.gz"
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        sql = Path(scratch) / "schema.sql"
        rows = _dump_schema(tenant.schema_name, sql)
        manifest = Path(scratch) / "manifest.json"
        manifest.write_text(json.dumps(_manifest(tenant, rows), ensure_ascii=False, indent=1))
        draft = Path(scratch) / "archive"
        with tarfile.open(draft, "w:gz") as archive:
            archive.add(manifest, "manifest.json")
            archive.add(sql, "schema.sql")
            files = Path(settings.MEDIA_ROOT) / tenant.schema_name
            if files.is_dir():
                archive.add(files, "files")
        draft.chmod(0o600)
        draft.replace(target)
    return target


@transaction.atomic(durable=True)
def _dump_schema(schema: str, target: Path) -> dict[str, int]:
    """pg_dump and the row counts of one and the same snapshot, so that they agree while the merchant is at work."""
    with connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        cursor.execute("SELECT pg_export_snapshot()")
        moment = cursor.fetchone()[0]
    rows = count_rows(schema)
    pgtools.run("pg_dump", ["--schema", schema, "--snapshot", moment, "--no-owner", "--no-acl", "--file", str(target)])
    return rows


def _manifest(tenant: Tenant, rows: dict[str, int]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "schema_name": tenant.schema_name,
        "head": head_digest(),
        "written_at": clock.wall().isoformat(),
        "rows": rows,
        "tenant": {name: getattr(tenant, name) for name in _CARRIED},
        "hosts": list(Domain.objects.filter(tenant=tenant).values_list("domain", flat=True)),
    }


def restore_tenant(archive: Path, *, slug: str | None = None) -> Tenant:
    """Bring a dumped merchant back, suspended, under its own slug or a new one; `resume` opens it.

    Callback addresses are not carried and no call leaves until the corps are connected again. Raises Conflict when the slug
    or the schema exists, and UserError for an archive that is not ours or whose rows did not all arrive (then nothing of it
    stays).
    """
    with tempfile.TemporaryDirectory() as scratch:
        try:
            with tarfile.open(archive) as packed:
                packed.extractall(scratch, filter="data")
            manifest = json.loads((Path(scratch) / "manifest.json").read_text())
        except (tarfile.TarError, OSError, ValueError) as error:
            raise UserError(_("%(file)s 不是商户备份文件,或已损坏。") % {"file": archive.name}) from error
        if manifest.get("format") != FORMAT:
            raise UserError(_("备份文件的格式版本不认识:%(format)s") % {"format": manifest.get("format")})
        with public_scope():
            return _restore(Path(scratch), manifest, slug or manifest["tenant"]["slug"])


def _restore(scratch: Path, manifest: dict[str, Any], slug: str) -> Tenant:
    if Tenant.objects.filter(slug=slug).exists():
        raise Conflict(_("商户标识 %(slug)s 已存在,请用 --slug 另起一个。") % {"slug": slug})
    schema = new_schema_name()
    sql = scratch / "renamed.sql"
    _rename_schema(scratch / "schema.sql", sql, manifest["schema_name"], schema)
    try:
        pgtools.run("psql", ["--quiet", "--single-transaction", "--set", "ON_ERROR_STOP=1", "--file", str(sql)])
        arrived = count_rows(schema)
        if arrived != manifest["rows"]:
            raise UserError(
                _("恢复后的行数与备份不一致,已撤销:%(tables)s") % {"tables": _differences(arrived, manifest["rows"])}
            )
        tenant = _register(manifest, slug, schema)
    except BaseException:
        with connection.cursor() as cursor:
            cursor.execute(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE')
        raise
    if (scratch / "files").is_dir():
        shutil.copytree(scratch / "files", Path(settings.MEDIA_ROOT) / schema)
    return tenant


_restored: list[Callable[[], None]] = []


def on_restored(listener: Callable[[], None]) -> None:
    """Call `listener` inside each merchant that was restored, before anybody may resume it: what must not run twice beside the
    original is put to rest there."""
    if listener not in _restored:
        _restored.append(listener)


@transaction.atomic
def _register(manifest: dict[str, Any], slug: str, schema: str) -> Tenant:
    carried = {**manifest["tenant"], "slug": slug}
    now = clock.wall()
    tenant: Tenant = Tenant.objects.create(
        **carried,
        schema_name=schema,
        created_at=now,
        state=TenantState.SUSPENDED,
        suspended_at=now,
        provision_step="active",
    )
    taken = set(Domain.objects.filter(domain__in=manifest["hosts"]).values_list("domain", flat=True))
    own = f"{slug}.{settings.BASE_DOMAIN}"
    for host in dict.fromkeys([own, *manifest["hosts"]]):
        if host not in taken:
            Domain.objects.create(tenant=tenant, domain=host, is_primary=host == own, verified_at=now)
    with tenant_scope(tenant, states=tuple(TenantState)):
        for listener in _restored:
            listener()
    if manifest["head"] == head_digest():
        SchemaUpgrade.objects.create(
            tenant_id=tenant.pk, target=head_digest(), state="done", started_at=now, finished_at=now
        )
    return tenant


def _rename_schema(source: Path, target: Path, old: str, new: str) -> None:
    """The dump with the schema's name replaced where pg_dump writes it; rows between COPY and \\. are left alone.

    The name is random base32 of ours, so in SQL it can mean nothing else.
    """
    word = re.compile(rf"\b{re.escape(old)}\b")
    in_rows = False
    with source.open(encoding="utf-8", newline="\n") as lines, target.open("w", encoding="utf-8", newline="\n") as out:
        for line in lines:
            if in_rows:
                in_rows = line != "\\.\n"
                out.write(line)
                continue
            in_rows = line.startswith("COPY ") and line.endswith(" FROM stdin;\n")
            out.write(word.sub(new, line))


def _differences(arrived: dict[str, int], expected: dict[str, int]) -> str:
    names = sorted(set(arrived) | set(expected))
    wrong = [name for name in names if arrived.get(name) != expected.get(name)]
    return ", ".join(f"{name} {arrived.get(name)}/{expected.get(name)}" for name in wrong[:10])
