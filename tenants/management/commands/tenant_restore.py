from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from scrm.lib.errors import UserError
from tenants.audit import SYSTEM
from tenants.pgtools import ToolFailed
from tenants.services.dumps import restore_tenant
from tenants.services.lifecycle import resume


class Command(BaseCommand):
    help = "Brings back a merchant written by tenant_dump, suspended, after checking the number of rows of every table."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("archive", type=Path)
        parser.add_argument("--slug", help="another slug than the one in the archive")
        parser.add_argument("--resume", action="store_true", help="open it at once")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            tenant = restore_tenant(options["archive"], slug=options["slug"])
            if options["resume"]:
                tenant = resume(tenant.pk, by=SYSTEM)
        except (UserError, ToolFailed) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(
            f"{tenant.slug}: {tenant.state}, run `manage.py upgrade` if the archive is of an older release"
        )
