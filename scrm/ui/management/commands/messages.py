"""`manage.py messages`: extract, missing, fill, check, compile."""

import sys
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from scrm.i18n import commands


class Command(BaseCommand):
    help = "Keep the English catalogue in step with the Chinese source strings."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        commands.add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        status = commands.run(settings.BASE_DIR, options["verb"], options["file"], options["check"], self.stdout.write)
        if status:
            sys.exit(status)
