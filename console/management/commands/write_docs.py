from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from console.reference import documents


class Command(BaseCommand):
    help = "Write docs/data-model.md and docs/metrics.md from the code; --check only says whether they are current."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--check", action="store_true")

    def handle(self, *args: Any, check: bool = False, **options: Any) -> None:
        stale = []
        for name, text in documents().items():
            path = Path(settings.BASE_DIR) / "docs" / name
            if check and (not path.exists() or path.read_text(encoding="utf-8") != text):
                stale.append(name)
            elif not check:
                path.write_text(text, encoding="utf-8")
        if stale:
            raise CommandError(f"docs/{', docs/'.join(stale)} are not what the code says: run manage.py write_docs")
