"""`manage.py connect_corp <tenant> --corp-id … --agent-id … --secret-file …`: connect a corp from the terminal."""

import json
import os
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from scrm.lib.env import env_str
from scrm.lib.errors import UserError
from tenants.audit import Actor
from tenants.context import public_scope, tenant_scope
from tenants.models import Tenant
from wecom_bridge.services.corps import connect_corp


class Command(BaseCommand):
    """Secrets come from the environment, where no process list shows them."""

    help = "Connect a WeCom corp to a tenant. WECOM_SECRET (or WECOM_SECRET_FILE) holds the app's secret."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("tenant", help="slug of the tenant")
        parser.add_argument("--corp-id", required=True)
        parser.add_argument("--name", required=True)
        parser.add_argument("--agent-id", required=True)
        parser.add_argument("--open-account", default="")

    def handle(self, *args: Any, **options: Any) -> None:
        with public_scope():
            tenant = Tenant.objects.filter(slug=options["tenant"]).first()
        if tenant is None:
            raise CommandError(f"no tenant {options['tenant']}")
        with tenant_scope(tenant):
            try:
                made = connect_corp(
                    corp_id=options["corp_id"],
                    name=options["name"],
                    agent_id=options["agent_id"],
                    secret=env_str("WECOM_SECRET", ""),
                    token=env_str("WECOM_TOKEN", ""),
                    encoding_aes_key=env_str("WECOM_ENCODING_AES_KEY", ""),
                    open_account=options["open_account"],
                    by=Actor("system", name=os.environ.get("USER", "")),
                )
            except UserError as error:
                raise CommandError(str(error.message)) from None
        shown = {"callback_url": made.callback_url, "token": made.token, "encoding_aes_key": made.encoding_aes_key}
        self.stdout.write(json.dumps(shown, indent=2))
