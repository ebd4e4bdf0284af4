"""`manage.py doctor [--tenant slug] [--json]`: what is wrong with the connection to WeCom, and what to do where."""

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import translation

from tenants.context import public_scope, tenant_scope
from tenants.models import Tenant, TenantState
from wecom_bridge.models import Corp
from wecom_bridge.services import doctor
from wecom_bridge.services.doctor.finding import Row, State

MARKS = {State.OK: "✓", State.WARN: "!", State.BAD: "✗", State.UNKNOWN: "?"}


class Command(BaseCommand):
    """Ends with 1 when something is bad. A Secret that was refused before is not tried again."""

    help = "Examine the connection of the corps of all active tenants, or of one, to WeCom."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--tenant", default="", help="slug of the one tenant to look at")
        parser.add_argument("--json", action="store_true", help="findings as JSON, for machines")
        parser.add_argument("--language", default="zh-hans", help="zh-hans or en")

    def handle(self, *args: Any, **options: Any) -> None:
        with public_scope():
            rows = Tenant.objects.filter(state=TenantState.ACTIVE).order_by("slug")
            tenants = list(rows.filter(slug=options["tenant"]) if options["tenant"] else rows)
        if options["tenant"] and not tenants:
            raise CommandError(f"no active tenant {options['tenant']}")
        with translation.override(options["language"]):
            found = [one for tenant in tenants for one in self._examine(tenant, is_json=options["json"])]
        if not found and not options["json"]:
            self.stdout.write("No corp is connected.")
        if options["json"]:
            self.stdout.write(json.dumps(found, ensure_ascii=False, indent=2))
        if any(row["state"] == State.BAD for one in found for row in one["findings"]):
            raise SystemExit(1)

    def _examine(self, tenant: Tenant, *, is_json: bool) -> list[dict[str, Any]]:
        shown = []
        with tenant_scope(tenant):
            for corp in Corp.objects.filter(is_active=True).order_by("id"):
                rows = doctor.examine(corp)
                if not is_json:
                    self._print(tenant, corp, rows)
                findings = [{"key": row.key, "label": row.label, **asdict(row.finding)} for row in rows]
                shown.append({"tenant": tenant.slug, "corp": corp.corp_id, "findings": findings})
        return shown

    def _print(self, tenant: Tenant, corp: Corp, rows: list[Row]) -> None:
        self.stdout.write(f"{tenant.slug} · {corp.name} ({corp.corp_id})")
        for row in rows:
            found = row.finding
            self.stdout.write(f"  {MARKS[State(found.state)]} {row.label}: {found.saw}")
            for line in (found.why, found.fix):
                if line:
                    self.stdout.write(f"      {line}")
