"""Processes of the product beside the test: one loads it and forks, as a web server with preloading does."""

import os
import subprocess
import sys
from typing import Any

from django.conf import settings

from tenants.context import current_tenant
from tests.support.core import database_url
from wecom_bridge.models import Corp

# Nothing is connected before the fork: two processes on one connection would take each other's answers.
_HEAD = """
import os, sys
from django.core.wsgi import get_wsgi_application
get_wsgi_application()
from tenants.context import public_scope, tenant_scope
from tenants.models import Tenant
from wecom_bridge.models import Corp
{imports}
for _n in range(int(sys.argv[1]) - 1):
    if not os.fork():
        break
with public_scope():
    tenant = Tenant.objects.get(pk=int(sys.argv[2]))
with tenant_scope(tenant):
    corp = Corp.objects.get(pk=int(sys.argv[3]))
{before}
    os.write(1, b"ready\\n")
    if os.read(0, 3) != b"go\\n":
        os._exit(1)
    answer = str({work})
os.write(1, answer.encode() + b"\\n")
os._exit(0)
"""


class Processes:
    """`number` of them, each ready to do its work for the merchant in scope and a corp; `go()` lets all of them at once."""

    def __init__(self, number: int, corp: Corp, work: str, *, imports: str = "", before: str = "", **env: str) -> None:
        lines = "\n".join(f"    {line}" for line in before.splitlines())
        script = _HEAD.format(imports=imports, before=lines, work=work)
        self._number = number
        self._loaded = subprocess.Popen(
            [sys.executable, "-c", script, str(number), str(current_tenant().pk), str(corp.pk)],
            env={**os.environ, "DATABASE_URL": database_url(), "DJANGO_SETTINGS_MODULE": "scrm.settings", **env},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=settings.BASE_DIR,
        )

    def __enter__(self) -> "Processes":
        assert self._loaded.stdout
        assert [self._loaded.stdout.readline() for _n in range(self._number)] == [b"ready\n"] * self._number
        return self

    def go(self) -> list[str]:
        """What each of them answered."""
        answers, _errors = self._loaded.communicate(b"go\n" * self._number, timeout=60)
        return answers.decode().split()

    def __exit__(self, *_raised: Any) -> None:
        if self._loaded.poll() is None:
            self._loaded.communicate(timeout=60)  # at the end of what they are told, they end
