import os
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from tenants.audit import Actor
from tenants.context import public_scope
from tenants.models import Tenant
from tenants.services.rotation import rotate_keys


class Command(BaseCommand):
    help = (
        "Puts every stored secret under the first key of FIELD_KEYS. Values stay readable meanwhile; can be stopped and repeated "
        "at any time. When it says that nothing is left under an older key, that key may be taken out of FIELD_KEYS."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--tenant", help="only this merchant (slug)")
        parser.add_argument("--check", action="store_true", help="count only; fails while an older key is still needed")

    def handle(self, *args: Any, **options: Any) -> None:
        only = None
        if options["tenant"]:
            with public_scope():
                only = Tenant.objects.filter(slug=options["tenant"]).first()
            if only is None:
                raise CommandError(f"no merchant is called {options['tenant']}")
        by = Actor("system", name=os.environ.get("USER", ""))
        report = rotate_keys(only=only, dry_run=options["check"], by=by)
        done = "under an older key" if options["check"] else "put under the newest key"
        self.stdout.write(f"secrets: {report.rotated} {done}, {report.newest} were there already")
        for place in report.unreadable:
            self.stderr.write(f"no key opens {place}")
        if report.unreadable:
            raise CommandError(
                f"{len(report.unreadable)} values cannot be read with FIELD_KEYS: keep looking for their key"
            )
        if options["check"] and report.rotated:
            raise CommandError("an older key is still needed: run manage.py rotate_keys")
