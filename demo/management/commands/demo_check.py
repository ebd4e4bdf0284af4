import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from demo.check import CheckFailed, run
from scrm.lib.env import env_str


class Command(BaseCommand):
    help = "Run the main job against the running demo in DEMO_DIR; exits 0 only if every step held."

    def handle(self, *args: Any, **options: Any) -> None:
        info = json.loads((Path(env_str("DEMO_DIR")) / "info.json").read_text())
        self.stdout.write("The main job, on the running stack:")
        try:
            run(info, self.stdout.write)
        except (CheckFailed, TimeoutError) as error:
            raise CommandError(f"the check stopped: {error}") from error
        self.stdout.write("All steps held.")
