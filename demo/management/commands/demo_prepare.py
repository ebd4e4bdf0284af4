import json
import os
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from demo.prepare import NotReady, prepare
from scrm.lib.env import env_str


class Command(BaseCommand):
    help = "Seed the demo merchants against a running stack and write info.json into DEMO_DIR."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--no-history", action="store_true", help="people only, without their past")
        parser.add_argument("--only", action="append", default=[], metavar="SLUG")

    def handle(self, *args: Any, no_history: bool = False, only: list[str] | None = None, **options: Any) -> None:
        path = Path(env_str("DEMO_DIR")) / "info.json"
        known = json.loads(path.read_text()) if path.is_file() else {}
        try:
            facts = prepare(known, say=self.stdout.write, with_history=not no_history, slugs=tuple(only or ()))
        except NotReady as error:
            raise CommandError(str(error)) from error
        write_private(path, json.dumps(facts, ensure_ascii=False, indent=2))


def write_private(path: Path, text: str) -> None:
    """Write a file only its owner may read, at no moment otherwise."""
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    draft.replace(path)
