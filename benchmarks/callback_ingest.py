"""Callbacks per second: verified, decrypted, committed and acknowledged by the real server."""

import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any, ClassVar, Literal

from benchmarks.harness import Benchmark, Unfair, cpu_of, require_durable_server

CONNECTIONS = 32
ROOT = Path(__file__).resolve().parents[1]


class CallbackIngest(Benchmark):
    """Both sides run the whole middleware chain and the same view under gunicorn; the baseline skips the store and the nudge."""

    name: ClassVar[str] = "callback_ingest"
    goal: ClassVar[float] = 0.6
    better: ClassVar[Literal["lower", "higher"]] = "higher"
    baseline: ClassVar[str] = "the same view with the row built and no SQL, same server, same connections"
    scale: ClassVar[int] = 20_000
    quick_scale: ClassVar[int] = 2_000

    def prepare(self) -> None:
        from benchmarks.tenant import make_tenant
        from scrm.runtime.services import service
        from tenants.audit import SYSTEM
        from tenants.context import tenant_scope
        from wecom_bridge.services.corps import connect_corp

        self.detail |= {"server": require_durable_server(), "connections": CONNECTIONS}
        self.folder = tempfile.TemporaryDirectory()
        self.tenant = make_tenant("bench-callbacks")
        with tenant_scope(self.tenant):
            self.connection = connect_corp(
                corp_id="ww" + secrets.token_hex(8), name="bench", agent_id="1", secret="s" * 43, by=SYSTEM
            )
        self.web = service("web")
        self.file = Path(self.folder.name) / "requests"
        self._seal_all()
        self.servers = {side: self._serve(side) for side in ("subject", "baseline")}
        self.detail["command"] = " ".join(self.web.command)

    def _seal_all(self) -> None:
        from django.conf import settings

        from tests.support.wecom import event_xml, seal

        path = "/" + self.connection.callback_url.split("/", 3)[3]
        with self.file.open("wb") as file:
            for number in range(self.size):
                xml = event_xml(self.connection.corp.corp_id, "change_external_contact", "edit_external_contact",
                                UserID=f"guide{number % 200}", ExternalUserID=f"wm{number:030d}")  # fmt: skip
                sealed = seal(self.connection, xml)
                query = "&".join(f"{name}={value}" for name, value in sealed.query.items())
                head = f"POST {path}?{query} HTTP/1.1\r\nHost: {settings.PUBLIC_HOST}\r\nContent-Type: text/xml\r\n"
                request = f"{head}Content-Length: {len(sealed.body)}\r\n\r\n".encode() + sealed.body
                file.write(len(request).to_bytes(4, "big") + request)

    def _serve(self, side: str) -> tuple[subprocess.Popen[bytes], int]:
        port = _free_port()
        values = {"python": sys.executable, "bind": "127.0.0.1", "web_port": port, "web_workers": 2, "web_threads": 8}
        command = [word.replace("scrm.wsgi", "benchmarks.callback_wsgi") for word in self.web.command_line(values)]
        environment = {**os.environ, "BENCH_NO_SQL": str(int(side == "baseline")), "LOG_LEVEL": "WARNING"}
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
        for _try in range(300):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=2).close()
                return process, port
            except OSError:
                time.sleep(0.1)
        raise Unfair("gunicorn did not start")

    def measure_subject(self, round_number: int) -> float:
        self._empty()
        return self._measure("subject")

    def measure_baseline(self, round_number: int) -> float:
        return self._measure("baseline")

    def _measure(self, side: str) -> float:
        process, port = self.servers[side]
        load = [
            sys.executable,
            "-m",
            "benchmarks.callback_load",
            "127.0.0.1",
            str(port),
            str(CONNECTIONS),
            str(self.file),
        ]
        spent: dict[str, Any] = {}
        with cpu_of({f"{side}_web": process.pid}, spent):
            seen = json.loads(subprocess.run(load, cwd=ROOT, check=True, capture_output=True).stdout)
        spent["cpu_seconds"][0] |= {"load": round(seen["cpu"], 3), "seconds": round(seen["seconds"], 2)}
        self.detail.setdefault("cpu_seconds", []).extend(spent["cpu_seconds"])
        if seen["statuses"] != {"200 success": self.size}:
            raise Unfair(f"{side} answered {seen['statuses']}")
        return float(self.size / seen["seconds"])

    def compare(self) -> None:
        """Every acknowledged event is a row."""
        from tenants.context import tenant_scope
        from wecom_bridge.models import InboundEvent

        with tenant_scope(self.tenant):
            count = InboundEvent.objects.values("entity_key").distinct().count()
        if count != self.size:
            raise Unfair(f"{self.size} events were acknowledged and {count} are there")

    def _empty(self) -> None:
        from django.db import connection

        from tenants.context import public_scope, tenant_scope

        with tenant_scope(self.tenant), connection.cursor() as cursor:
            cursor.execute("TRUNCATE wecom_bridge_inboundevent")
        with public_scope(), connection.cursor() as cursor:
            cursor.execute("DELETE FROM tenants_duehint WHERE tenant_id = %s", [self.tenant.pk])
        with tenant_scope(self.tenant), connection.cursor() as cursor:
            cursor.execute("CHECKPOINT")

    def close(self) -> None:
        from benchmarks.tenant import drop_tenant

        for process, _port in getattr(self, "servers", {}).values():
            process.terminate()
            process.wait(30)
        if hasattr(self, "tenant"):
            drop_tenant(self.tenant)
        if hasattr(self, "folder"):
            self.folder.cleanup()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
