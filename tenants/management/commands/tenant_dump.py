from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from tenants.context import public_scope
from tenants.models import Tenant
from tenants.pgtools import ToolFailed
from tenants.services.dumps import dump_tenant


class Command(BaseCommand):
    help = "Writes one merchant (schema, files, row counts) into an archive that tenant_restore reads."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug")
        parser.add_argument(
            "--folder", type=Path, default=Path(settings.MEDIA_ROOT) / "dumps", help="where the archive goes"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        with public_scope():
            tenant = Tenant.objects.filter(slug=options["slug"]).first()
            if tenant is None:
                raise CommandError(f"no merchant is called {options['slug']}")
            try:
                path = dump_tenant(tenant, options["folder"])
            except ToolFailed as error:
                raise CommandError(str(error)) from error
        self.stdout.write(str(path))
