from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import User
from accounts.services.links import issue_link, link_url
from console.services.opening import make_operator
from scrm.lib.errors import UserError
from tenants.audit import SYSTEM
from tenants.context import public_scope


class Command(BaseCommand):
    help = "Makes a platform operator (or renews the link of an existing one) and prints the one-time link."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--name", default="", help="display name")

    def handle(self, *args: Any, **options: Any) -> None:
        name = options["username"].lower()
        try:
            with public_scope():
                user = User.objects.filter(username=name).first()
                if user is None:
                    _user, token = make_operator(name, options["name"] or name, by=SYSTEM)
                else:
                    token = issue_link(user, by=SYSTEM)
        except UserError as error:
            raise CommandError(str(error.message)) from error
        self.stdout.write(link_url(token, settings.PUBLIC_HOST))
