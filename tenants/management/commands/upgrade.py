import os
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from tenants.upgrade import upgrade


class Command(BaseCommand):
    help = (
        "Brings the database to this release: the shared schema, one merchant first, then the others in parallel. "
        "Can be repeated at any time; merchants already there are skipped."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--parallel", type=int, default=min(4, os.cpu_count() or 1), help="processes (default: cores, up to 4)"
        )
        parser.add_argument("--tenant", help="only this merchant (slug)")

    def handle(self, *args: Any, **options: Any) -> None:
        report = upgrade(parallel=options["parallel"], slug=options["tenant"])
        self.stdout.write(f"upgrade: {len(report.done)} merchants brought to this release")
        for slug, error in report.failed.items():
            self.stderr.write(f"upgrade: {slug} failed: {error}")
        if report.stopped_at_canary:
            raise CommandError("the first merchant failed, so the others were left as they are")
        if report.failed:
            raise CommandError(
                f"{len(report.failed)} merchants failed; repeat `manage.py upgrade` once the cause is gone"
            )
