"""Reads a simulated corp to its end over HTTP, as a first sync does, and weighs the process that answers."""

import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import requests

READERS = 2


@dataclass
class Reading:
    """What one full read met: counts, seconds, and resident megabytes of the simulator."""

    guides: int
    relations: int
    customers: int
    departments: int
    started: float
    directory: float
    pages: float
    at_start: int
    after: int
    again: int


class Process:
    """`python -m simulator` with one scenario, until closed."""

    def __init__(self, spec: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = [sys.executable, "-m", "simulator", "--port", str(port), "--scenario", spec]
        began = time.monotonic()
        self.process = subprocess.Popen([*command, "--switch", "rate_limits=false"], stdout=subprocess.DEVNULL)
        self.url = f"http://127.0.0.1:{port}"
        while not self._answers():
            assert self.process.poll() is None, "the simulator did not start"
            assert time.monotonic() - began < 60
            time.sleep(0.05)
        self.started = time.monotonic() - began

    def _answers(self) -> bool:
        try:
            return requests.get(f"{self.url}/control/health", timeout=5).ok
        except requests.ConnectionError:
            return False

    def megabytes(self) -> int:
        """Resident memory now."""
        shown = subprocess.run(["ps", "-o", "rss=", "-p", str(self.process.pid)], capture_output=True, text=True)
        return int(shown.stdout) // 1024

    def close(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait(20)


class Reader:
    """Calls the only corp of a running simulator."""

    def __init__(self, url: str) -> None:
        self.url, self.http = url, requests.Session()
        corp = self.http.get(f"{url}/control/corps").json()["corps"][0]
        login = {"corpid": corp["corp_id"], "corpsecret": corp["secret"]}
        self.query = {"access_token": self.http.get(f"{url}/cgi-bin/gettoken", params=login).json()["access_token"]}

    def ask(self, path: str, body: dict | None = None, **params: object) -> dict:
        """The answer, which must be a success."""
        url, params = f"{self.url}/cgi-bin/{path}", self.query | params
        answer = self.http.get(url, params=params) if body is None else self.http.post(url, json=body, params=params)
        found = answer.json()
        assert found["errcode"] == 0, found
        return found

    def pages(self, userids: list[str]) -> tuple[int, set[str]]:
        """(relations, customers) of these guides."""
        relations, seen, cursor = 0, set(), ""
        while True:
            body = {"userid_list": userids, "cursor": cursor, "limit": 100}
            page = self.ask("externalcontact/batch/get_by_user", body)
            relations += len(page["external_contact_list"])
            seen |= {row["external_contact"]["external_userid"] for row in page["external_contact_list"]}
            cursor = page["next_cursor"]
            if not cursor:
                return relations, seen


def read_all(spec: str) -> Reading:
    """Start `spec`, read its directory and every guide's pages once, then a tenth of them again."""
    world = Process(spec)
    try:
        at_start, began = world.megabytes(), time.monotonic()
        reader = Reader(world.url)
        departments = reader.ask("department/list")["department"]
        reader.ask("user/list", department_id=1, fetch_child=1)
        guides = reader.ask("externalcontact/get_follow_user_list")["follow_user"]
        directory, began = time.monotonic() - began, time.monotonic()
        batches = [guides[n : n + 100] for n in range(0, len(guides), 100)]
        with ThreadPoolExecutor(READERS) as pool:
            read = list(pool.map(lambda batch: Reader(world.url).pages(batch), batches))
        pages, after = time.monotonic() - began, world.megabytes()
        for batch in batches[::10]:
            reader.pages(batch)
        customers = len(set().union(*(seen for _count, seen in read)))
        relations = sum(count for count, _seen in read)
        return Reading(
            len(guides), relations, customers, len(departments), world.started, directory, pages, at_start, after,
            world.megabytes(),
        )  # fmt: skip
    finally:
        world.close()
