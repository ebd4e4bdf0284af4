from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from console.services.opening import issue_admin_link, open_now
from scrm.lib.errors import UserError
from tenants.audit import SYSTEM
from tenants.context import public_scope
from tenants.models import Tenant, TenantState
from tenants.provision.steps import provision


class Command(BaseCommand):
    help = "Opens a merchant and prints its administrator's one-time link. Run again, it goes on where it stopped."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug")
        parser.add_argument("name")
        parser.add_argument("--admin", default="admin", help="user name of the first user (default: admin)")
        parser.add_argument("--time-zone", default="Asia/Shanghai")
        parser.add_argument("--sandbox", action="store_true", help="its domain clock may be moved")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with public_scope():
                tenant = Tenant.objects.filter(slug=options["slug"], state=TenantState.PROVISIONING).first()
                if tenant is not None:
                    tenant = provision(tenant.pk)
                else:
                    tenant = open_now(
                        options["slug"],
                        options["name"],
                        by=SYSTEM,
                        time_zone=options["time_zone"],
                        is_sandbox=options["sandbox"],
                    )
                link = issue_admin_link(tenant, by=SYSTEM, username=options["admin"])
        except UserError as error:
            raise CommandError(str(error.message)) from error
        self.stdout.write(link)
