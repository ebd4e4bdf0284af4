"""Whether a file of customers is made at a fair part of the speed at which PostgreSQL hands the rows out, and in flat memory."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

from benchmarks import merchants, people
from benchmarks.harness import Benchmark, Stopwatch, Unfair, require_durable_server
from benchmarks.tenant import drop_tenant

ROOT = Path(__file__).resolve().parents[1]
_FEW = 5_000
_PHONES = """
INSERT INTO contacts_contactphone (contact_id, phone, source, created_at)
SELECT id, '+861' || lpad((id % 1000000)::text, 10, '38'), 'remark:' || id, created_at FROM contacts_contact WHERE id % 2 = 0
"""
# The columns of the file as they stand in the tables: no masking, no words, no time zone.
_COPY = """
COPY (
    SELECT c.id, c.name, r.remarks, p.phones, c.gender, s.name, c.stage_since, m.name, t.name, c.first_added_at, c.last_added_at,
        c.active_follows,
        CASE WHEN c.active_follows > 0 THEN 'active' ELSE (
            SELECT f.relation FROM contacts_follow AS f WHERE f.contact_id = c.id ORDER BY f.relation_since DESC LIMIT 1) END,
        c.opt_out_since IS NOT NULL AND (c.opt_out_until IS NULL OR c.opt_out_until > now())
    FROM contacts_contact AS c
    LEFT JOIN contacts_stage AS s ON s.id = c.stage_id
    LEFT JOIN contacts_member AS m ON m.id = c.owner_id
    LEFT JOIN contacts_store AS t ON t.id = c.store_id
    LEFT JOIN (
        SELECT coalesce(k.root_id, k.id) AS root, string_agg(f.remark, ';') AS remarks
        FROM contacts_follow AS f JOIN contacts_contact AS k ON k.id = f.contact_id WHERE f.remark <> '' GROUP BY 1
    ) AS r ON r.root = c.id
    LEFT JOIN (
        SELECT coalesce(k.root_id, k.id) AS root, string_agg(f.phone, ';') AS phones
        FROM contacts_contactphone AS f JOIN contacts_contact AS k ON k.id = f.contact_id GROUP BY 1
    ) AS p ON p.root = c.id
    WHERE c.root_id IS NULL AND c.last_added_at IS NOT NULL ORDER BY c.id
) TO STDOUT WITH (FORMAT csv, HEADER)
"""


def make_merchant(slug: str, size: int) -> Any:
    """As for the lists, half of the people with a phone."""
    from django.db import connection

    from tenants.context import tenant_scope

    tenant = people.make_merchant(slug, size)
    with tenant_scope(tenant), connection.cursor() as cursor:
        cursor.execute(_PHONES)
        cursor.execute("VACUUM (ANALYZE) contacts_contactphone")
    return tenant


def export_everybody() -> Path:
    """Everybody of the merchant in scope, masked, as the lane makes it, in its slices; the file."""
    from datetime import timedelta

    from django.conf import settings

    from accounts.scope import EVERYTHING
    from contacts import longjobs
    from contacts.services.exports import request_export
    from scrm.lib import clock
    from tenants.audit import SYSTEM
    from tenants.lanes import SLICE_SECONDS

    job = request_export("", EVERYTHING, by=SYSTEM, permissions=frozenset({"contacts.view", "contacts.export_many"}))
    while longjobs.drain(clock.wall() + timedelta(seconds=SLICE_SECONDS)):
        pass
    job.refresh_from_db()
    if job.state != job.State.DONE:
        raise Unfair(job.last_error)
    return Path(settings.MEDIA_ROOT) / job.file_path


def peak_of_export(slug: str) -> dict[str, int]:
    """In a process of its own: rows written, and the most memory (KB) the process ever had."""
    from tenants.context import tenant_scope
    from tenants.models import Tenant

    with tenant_scope(Tenant.objects.get(slug=slug)):
        path = export_everybody()
    with path.open("rb") as file:
        rows = sum(1 for _line in file) - 2
    path.unlink()
    return {"rows": rows, "peak_kb": _peak_kb()}


def _peak_kb() -> int:
    """Since this program began. Linux counts in ru_maxrss what the parent had at the fork, which would hide the child's own."""
    import resource

    status = Path("/proc/self/status")
    if status.is_file():
        return int(status.read_text().split("VmHWM:")[1].split()[0])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // 1024 if sys.platform == "darwin" else peak


class _Files(Benchmark):
    def close(self) -> None:
        from django.conf import settings

        for tenant in getattr(self, "tenants", {}).values():
            shutil.rmtree(Path(settings.MEDIA_ROOT) / tenant.schema_name, ignore_errors=True)
            drop_tenant(tenant)


class ExportRows(_Files):
    """Rows a second, both written to a file on the same disk."""

    name: ClassVar[str] = "export_rows"
    goal: ClassVar[float] = 0.15
    better: ClassVar = "higher"
    baseline: ClassVar[str] = "COPY (SELECT …) TO of the same columns, unmasked, by a hand-written statement"
    scale: ClassVar[int] = 200_000
    quick_scale: ClassVar[int] = 5_000

    def prepare(self) -> None:
        merchants.migrate_public()
        self.detail["server"] = require_durable_server()
        self.tenants = {"all": make_merchant("bench-export", self.size)}
        self.lines: dict[str, int] = {}

    def measure_subject(self, round_number: int) -> float:
        from tenants.context import tenant_scope

        with tenant_scope(self.tenants["all"]), Stopwatch() as watch:
            path = export_everybody()
        with path.open("rb") as file:
            self.lines["subject"] = sum(1 for _line in file) - 1  # the watermark
        if b"*" not in path.read_bytes()[:100_000]:
            raise Unfair("phones are not masked")
        path.unlink()
        return self.size / watch.seconds

    def measure_baseline(self, round_number: int) -> float:
        from django.conf import settings
        from django.db import connection

        from tenants.context import tenant_scope

        path = Path(settings.MEDIA_ROOT) / "bench-copy.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        with (
            tenant_scope(self.tenants["all"]),
            path.open("wb") as file,
            connection.cursor() as cursor,
            Stopwatch() as watch,
        ):
            cursor.copy_expert(_COPY, file)
        with path.open("rb") as file:
            self.lines["copy"] = sum(1 for _line in file)
        path.unlink()
        return self.size / watch.seconds

    def compare(self) -> None:
        if set(self.lines.values()) != {self.size + 1}:
            raise Unfair(f"not as many rows: {self.lines}")


class ExportMemory(_Files):
    """The most memory a worker process has, from its start to the finished file."""

    name: ClassVar[str] = "export_memory"
    goal: ClassVar[float] = 1.3
    baseline: ClassVar[str] = "the same process exporting 5,000 customers"
    scale: ClassVar[int] = 500_000
    quick_scale: ClassVar[int] = 10_000

    def prepare(self) -> None:
        merchants.migrate_public()
        self.sizes = {"many": self.size, "few": _FEW}
        self.tenants = {side: make_merchant(f"bench-export-{side}", size) for side, size in self.sizes.items()}

    def measure_subject(self, round_number: int) -> float:
        return self._peak("many")

    def measure_baseline(self, round_number: int) -> float:
        return self._peak("few")

    def _peak(self, side: str) -> float:
        given = json.dumps({"slug": self.tenants[side].slug})
        command = [sys.executable, "-m", "benchmarks.inside", "export_peak", given]
        answer = subprocess.run(command, cwd=ROOT, env=os.environ, check=True, stdout=subprocess.PIPE).stdout
        found = json.loads(answer.splitlines()[-1])
        if found["rows"] != self.sizes[side]:
            raise Unfair(f"{found['rows']} rows of {self.sizes[side]}")
        return found["peak_kb"] / 1024
