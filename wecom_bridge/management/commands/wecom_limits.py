"""`manage.py wecom_limits --tenant acme list | set mark_tag.ceiling=8 … | clear mark_tag.ceiling …`"""

import os
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from scrm.lib.errors import UserError
from tenants.audit import Actor
from tenants.context import public_scope, tenant_scope
from tenants.models import Tenant
from wecom_bridge.governor import limits
from wecom_bridge.models import LimitOverride
from wecom_bridge.services.limits import clear_limit, set_limit


class Command(BaseCommand):
    help = (
        "Shows or changes how fast a merchant's corps may be called. list: every limit with its value; set name=value …; clear name …. "
        "Names are those of wecom_bridge/limits.toml: every_api.minute, mark_tag.ceiling, share.sync."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--tenant", required=True, help="slug of the merchant")
        parser.add_argument("deed", choices=["list", "set", "clear"])
        parser.add_argument("words", nargs="*", help="name=value for set, name for clear")

    def handle(self, *args: Any, **options: Any) -> None:
        with public_scope():
            tenant = Tenant.objects.filter(slug=options["tenant"]).first()
        if tenant is None:
            raise CommandError(f"no merchant is called {options['tenant']}")
        by = Actor("system", name=os.environ.get("USER", ""))
        with tenant_scope(tenant):
            try:
                self._change(options["deed"], options["words"], by)
            except UserError as error:
                raise CommandError(str(error.message)) from None
            self._list()

    def _change(self, deed: str, words: list[str], by: Actor) -> None:
        if deed != "list" and not words:
            raise CommandError("name at least one limit")
        for word in words if deed == "set" else []:
            name, _equals, value = word.partition("=")
            if not value.isdigit():
                raise CommandError(f"{word}: write name=value, the value a whole number")
            set_limit(name, int(value), by=by)
        for name in words if deed == "clear" else []:
            if not clear_limit(name, by=by):
                raise CommandError(f"{name} is not changed for this merchant")

    def _list(self) -> None:
        own = dict(LimitOverride.objects.values_list("name", "value"))
        self.stdout.write(f"limits.toml version {limits.version()}")
        for name, value in {**limits.documented(), **own}.items():
            if name != "version":
                self.stdout.write(f"{name} = {value}" + (" (own)" if name in own else ""))
