"""A first sync of 100,000 contacts, against downloading the same pages and copying the same rows."""

import io
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

from benchmarks.harness import Benchmark, Stopwatch, Unfair, cpu_of, require_durable_server

ROOT = Path(__file__).resolve().parents[1]
MEMBERS = 100
CURSOR = re.compile(rb'"next_cursor": ?"([^"]*)"')
Tables = dict[str, tuple[str, bytes, int]]  # table → (columns, COPY text, rows)


class FullSync(Benchmark):
    """One worker process; the simulator is another and answers from memory."""

    name: ClassVar[str] = "full_sync"
    goal: ClassVar[float] = 1.6
    baseline: ClassVar[str] = (
        "(downloading the same pre-rendered pages with the same concurrency) + (COPY of the same rows into the same tables)"
    )
    scale: ClassVar[int] = 100_000
    quick_scale: ClassVar[int] = 2_000

    def prepare(self) -> None:
        from django.conf import settings

        self.detail["server"] = require_durable_server()
        port = _free_port()
        scenario = f"scale:members={MEMBERS},customers={self.size},groups=0"
        command = [sys.executable, "-m", "simulator", "--port", str(port), "--scenario", scenario, "--prerender"]
        self.simulator = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
        self.url = f"http://127.0.0.1:{port}"
        settings.WECOM_API_BASE = self.url
        self.corp = _wait_for(f"{self.url}/control/corps")["corps"][0]
        self.tenants: dict[str, Any] = {}

    def measure_subject(self, round_number: int) -> float:
        """From the click to `done`, by the lane's own drain in slices."""
        from scrm.lib import clock
        from tenants.audit import SYSTEM
        from tenants.context import tenant_scope
        from wecom_bridge.models import SyncRun
        from wecom_bridge.services.sync import drive, start_sync

        corp = self._fresh_tenant("subject")
        with tenant_scope(self.tenants["subject"]), cpu_of(self._pids(), self.detail), Stopwatch() as watch:
            run = start_sync(corp, by=SYSTEM)
            while SyncRun.objects.get(pk=run.pk).state == SyncRun.State.RUNNING:
                drive.drain(clock.wall() + timedelta(seconds=25))
        return watch.seconds

    def measure_baseline(self, round_number: int) -> float:
        """Download, then COPY what the subject left (of this round, or of the one before)."""
        if "subject" not in self.tenants:
            self.measure_subject(round_number)
        self._fresh_tenant("twin")
        rows = self.copied = _dump(self.tenants["subject"])
        written = _written(self.tenants["twin"], rows)
        with Stopwatch() as download:
            pages = self._download()
        copy = _load(self.tenants["twin"], rows, written)
        self.detail |= {"pages": pages, "tables": {table: rows[table][2] for table in written}}
        self.detail.setdefault("yardstick_parts", []).append([round(download.seconds, 2), round(copy, 2)])
        return download.seconds + copy

    def compare(self) -> None:
        """The same rows in every table that the sync filled, as it left them when they were copied; all customers among them."""
        ours, theirs = self.copied, _dump(self.tenants["twin"])
        differing = [
            table for table in self.detail["tables"] if sorted_lines(ours[table]) != sorted_lines(theirs[table])
        ]
        if differing:
            raise Unfair(f"rows differ in {differing}")
        if ours["contacts_contact"][2] != self.size:
            raise Unfair(f"{ours['contacts_contact'][2]} contacts arrived")

    def _pids(self) -> dict[str, int]:
        return {"worker": os.getpid(), "simulator": self.simulator.pid}

    def _fresh_tenant(self, side: str) -> Any:
        """A new schema, with the corp connected."""
        from benchmarks.tenant import make_tenant
        from tenants.audit import SYSTEM
        from tenants.context import tenant_scope
        from wecom_bridge.services.corps import connect_corp

        tenant = self.tenants[side] = make_tenant(f"bench-sync-{side}")
        with tenant_scope(tenant):
            corp, agent, secret = self.corp["corp_id"], str(self.corp["agent_id"]), self.corp["secret"]
            made = connect_corp(
                corp_id=corp, name="bench", agent_id=agent, secret=secret, open_account="open", by=SYSTEM
            )
            return made.corp

    def _download(self) -> int:
        """Every page of every guide, as many at once as the sync reads; the number of pages."""
        import requests

        from wecom_bridge.services.sync.customers import WIDTH

        session = requests.Session()
        session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=WIDTH))
        login = {"corpid": self.corp["corp_id"], "corpsecret": self.corp["secret"]}
        query = {"access_token": session.get(f"{self.url}/cgi-bin/gettoken", params=login).json()["access_token"]}
        guides = session.get(f"{self.url}/cgi-bin/externalcontact/get_follow_user_list", params=query).json()[
            "follow_user"
        ]

        def read(userid: str) -> int:
            cursor, count = "", 0
            while True:
                body = f'{{"userid_list":["{userid}"],"cursor":"{cursor}","limit":100}}'.encode()
                page = session.post(
                    f"{self.url}/cgi-bin/externalcontact/batch/get_by_user", params=query, data=body
                ).content
                count += 1
                found = CURSOR.search(page, max(0, len(page) - 400))
                cursor = found.group(1).decode() if found else ""
                if not cursor:
                    return count

        with ThreadPoolExecutor(WIDTH) as pool:
            return sum(pool.map(read, guides))

    def close(self) -> None:
        from benchmarks.tenant import drop_tenant

        for tenant in getattr(self, "tenants", {}).values():
            drop_tenant(tenant)
        if hasattr(self, "simulator"):
            self.simulator.terminate()
            self.simulator.wait(20)


def sorted_lines(table: tuple[str, bytes, int]) -> list[bytes]:
    return sorted(table[1].splitlines())


def _dump(tenant: Any) -> Tables:
    """Every table of the schema with rows, as COPY writes it, in an order that foreign keys allow."""
    from django.db import connection

    from tenants.context import tenant_scope

    found: Tables = {}
    with tenant_scope(tenant), connection.cursor() as cursor:
        for table in _in_order(cursor, tenant.schema_name):
            buffer = io.BytesIO()
            cursor.execute(
                "SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute "
                "WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped",
                [f'"{tenant.schema_name}"."{table}"'],
            )
            columns = cursor.fetchone()[0]
            cursor.copy_expert(f'COPY "{table}" ({columns}) TO STDOUT', buffer)
            text = buffer.getvalue()
            if text:
                found[table] = (columns, text, text.count(b"\n"))
    return found


def _in_order(cursor: Any, schema: str) -> Iterator[str]:
    """Tables of a schema, referenced ones first."""
    cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s ORDER BY 1", [schema])
    left = [name for (name,) in cursor.fetchall()]
    cursor.execute(
        "SELECT c.relname, r.relname FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid "
        "JOIN pg_class r ON r.oid = k.confrelid JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE k.contype = 'f' AND n.nspname = %s AND c.oid <> r.oid",
        [schema],
    )
    needs: dict[str, set[str]] = {}
    for table, other in cursor.fetchall():
        needs.setdefault(table, set()).add(other)
    done: set[str] = set()
    while left:
        ready = [table for table in left if needs.get(table, set()) <= done]
        if not ready:
            raise Unfair(f"foreign keys in a circle among {left}")
        yield from ready
        done.update(ready)
        left = [table for table in left if table not in done]


def _written(twin: Any, rows: Tables) -> list[str]:
    """The tables that a fresh tenant has empty and the sync filled."""
    fresh = _dump(twin)
    return [table for table in rows if table not in fresh]


def _load(twin: Any, rows: Tables, written: list[str]) -> float:
    """Seconds to COPY the written tables. What a fresh tenant has is first made equal, unmeasured."""
    from django.db import connection

    from tenants.context import tenant_scope

    seconds = 0.0
    with tenant_scope(twin), connection.cursor() as cursor:
        cursor.execute(
            "SELECT string_agg(quote_ident(tablename), ', ') FROM pg_tables WHERE schemaname = %s", [twin.schema_name]
        )
        cursor.execute(f"TRUNCATE {cursor.fetchone()[0]}")
        for table, (columns, text, _count) in rows.items():
            began = time.perf_counter()
            cursor.copy_expert(f'COPY "{table}" ({columns}) FROM STDIN', io.BytesIO(text))
            if table in written:
                seconds += time.perf_counter() - began
    return seconds


def _wait_for(url: str) -> Any:
    import json

    for _try in range(600):
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return json.load(answer)
        except OSError:
            time.sleep(0.1)
    raise Unfair("the simulator did not start")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
