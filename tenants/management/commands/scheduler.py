import signal
from typing import Any

from django.core.management.base import BaseCommand

from tenants.scheduler import Scheduler


class Command(BaseCommand):
    help = "Keeps due work moving: sends what is due and sweeps every lane of every tenant. Ends on SIGTERM or Ctrl-C."

    def handle(self, *args: Any, **options: Any) -> None:
        scheduler = Scheduler()
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, lambda *_: scheduler.stop())
        self.stdout.write("scheduler: running")
        scheduler.run()
        self.stdout.write("scheduler: stopped")
