"""WeCom cannot be reached for a while: afterwards everything is caught up, in order, once, within the limits.

The product calls through a relay that can be shut: every connection is refused then, as by a server that is down, while the
customers and guides of the simulated world go on and their callbacks arrive.
"""

import os
import socket
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from scrm.runtime import ports
from scrm.runtime.environment import ROOT
from tests.e2e.stack import SLUG, Stack, wait_until
from tests.gates import burst

pytestmark = pytest.mark.gate

# A minute, so that all proofs together stay within an hour; OUTAGE_SECONDS=3600 shuts WeCom off for one.
OUTAGE_SECONDS = int(os.environ.get("OUTAGE_SECONDS", "60"))
PER_MINUTE = 90
NEWCOMERS, MARKED = 40, 30
TAGS = ["甲", "乙", "丙"]


class Relay:
    """Passes connections on to another port while it is open."""

    def __init__(self, to: int) -> None:
        self.to, self.port = to, ports.next_free(28000)
        self._door: socket.socket | None = None
        self._connections: set[socket.socket] = set()

    def open(self) -> None:
        self._door = socket.create_server(("127.0.0.1", self.port), backlog=128)
        threading.Thread(target=self._accept, args=[self._door], daemon=True).start()

    def shut(self) -> None:
        """Refuse from now on, and cut what is under way."""
        assert self._door is not None
        for one in [self._door, *self._connections]:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # its other end was faster
            one.close()

    def _accept(self, door: socket.socket) -> None:
        while True:
            try:
                near, _address = door.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self.to))
            self._connections |= {near, far}
            for source, target in ((near, far), (far, near)):
                threading.Thread(target=self._pass_on, args=[source, target], daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                target.sendall(data)
        except OSError:
            pass  # cut
        for one in (source, target):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            one.close()
            self._connections.discard(one)


class RelayedStack(Stack):
    """The product finds WeCom behind the relay; people reach the simulator directly."""

    relay: Relay

    def environment(self) -> dict[str, str]:
        if not hasattr(self, "relay"):
            self.relay = Relay(self.simulator_port)
            self.relay.open()
        return super().environment() | {"WECOM_API_BASE": f"http://127.0.0.1:{self.relay.port}"}


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[RelayedStack]:
    running = RelayedStack(tmp_path, own_valkey=True)
    try:
        running.start()
        yield running
    finally:
        running.stop()


def test_an_outage_is_caught_up_in_order_once_and_within_the_limits(stack):
    wecom = stack.wecom
    wecom.hand("console_tags", group="次序", names=TAGS)
    known = "SELECT count(*) FROM tagging_tag WHERE name = ANY(%s) AND wecom_tag_id IS NOT NULL"
    wait_until("the tags in our rows", lambda: stack.value(known, TAGS) == len(TAGS))
    stack.driver().settle()
    wecom.post("switches", {"per_api_minute": PER_MINUTE, "callback_retry_spacing": [3.0, 6.0, 12.0]})
    manage(stack, "wecom_limits", "--tenant", SLUG, "set", f"every_api.minute={PER_MINUTE}")
    time.sleep(11)  # every process has read it
    already = max(call["serial"] for call in calls(wecom))

    stack.relay.shut()
    down_at = time.monotonic()
    newcomers = the_world_goes_on(wecom)
    marked = stack.inside("mark_one_after_the_other", tags=TAGS, follows=MARKED)
    assert len(marked) == MARKED
    time.sleep(max(0.0, OUTAGE_SECONDS - (time.monotonic() - down_at)))
    assert backlog(stack) >= MARKED * len(TAGS), "nothing was given up and nothing came through"
    tries = "SELECT max(attempts) FROM wecom_bridge_{} WHERE settled_at IS NULL"
    assert stack.value(tries.format("outboundcommand")) <= 2
    assert stack.value(tries.format("inboundevent")) <= 2
    stack.relay.open()
    back_at = time.monotonic()

    wait_until("everything to be caught up", lambda: not backlog(stack), 240)
    took = time.monotonic() - back_at
    stack.driver().settle(120)

    after = [call for call in calls(wecom) if call["serial"] > already]
    assert_in_order(after, marked)
    per_minute = assert_within_limits(after)
    looked = SimpleNamespace(stack=stack, wecom=wecom)
    relations, events = burst._relations(looked), burst._callbacks(looked)
    assert_each_once(stack, newcomers)
    print({"caught up in": round(took, 1), "relations": relations, "callbacks": events, "most in a minute": per_minute})


def the_world_goes_on(wecom: Any) -> list[str]:
    """People come, are renamed, and some go; who came and stayed."""
    guides = [row["userid"] for row in wecom.ask("members")["members"] if row["contact"]]
    came = []
    for number in range(NEWCOMERS):
        userid = guides[number % len(guides)]
        added = wecom.hand("add", userid=userid, name=f"停机{number}")
        external = added["external_userid"]
        wecom.hand("edit_notes", userid=userid, external_userid=external, remark=f"备注{number}")
        if number % 5 == 0:
            wecom.hand("guide_deletes", userid=userid, external_userid=external)
        else:
            came.append(external)
    return came


def manage(stack: Stack, *words: str) -> None:
    subprocess.run(
        [sys.executable, "manage.py", *words], cwd=ROOT, env=stack.environment(), check=True, capture_output=True
    )


def backlog(stack: Stack) -> int:
    """Events and commands that wait."""
    return sum(
        stack.value(f"SELECT count(*) FROM wecom_bridge_{table} WHERE settled_at IS NULL")
        for table in ("inboundevent", "outboundcommand")
    )


def calls(wecom: Any) -> list[dict[str, Any]]:
    return list(wecom.get("calls?limit=100000")["calls"])


def assert_in_order(after: list[dict[str, Any]], marked: list[dict[str, Any]]) -> None:
    """Each follow was given its three tags one after the other, each by one call that took effect."""
    given = defaultdict(list)
    for call in after:
        if call["path"].endswith("mark_tag") and call["errcode"] == 0:
            given[call["args"]["external_userid"], call["args"]["userid"]] += call["args"]["add_tag"]
    wanted = {(row["external_userid"], row["userid"]): row["tags"] for row in marked}
    assert {key: given[key] for key in wanted} == wanted


def assert_within_limits(after: list[dict[str, Any]]) -> dict[str, int]:
    """Never more than allowed in any stretch of a minute, and never told so by WeCom. The most of each API."""
    assert [call for call in after if call["errcode"] in (45009, 45033)] == []
    by_api = defaultdict(list)
    for call in after:
        by_api[call["path"]].append(call["at"])
    most = {}
    for api, instants in by_api.items():
        most[api] = max(sum(1 for at in instants if end - 60 < at <= end) for end in instants)
    assert max(most.values()) <= PER_MINUTE, most
    assert max(most.values()) > PER_MINUTE / 2, "the limit was in play"
    return most


def assert_each_once(stack: Stack, newcomers: list[str]) -> None:
    """One person, one adding, one fact of it."""
    ours = stack.rows(
        "SELECT i.value, count(DISTINCT c.id) people, count(DISTINCT p.id) periods,"
        " count(DISTINCT e.id) FILTER (WHERE e.kind = 'follow.added') added"
        " FROM contacts_identity i JOIN contacts_contact c ON c.id = i.contact_id"
        " JOIN contacts_follow f ON f.identity_id = i.id JOIN contacts_followperiod p ON p.follow_id = f.id"
        " LEFT JOIN contacts_timelineevent e ON e.contact_id = c.id"
        " WHERE i.value = ANY(%s) GROUP BY i.value",
        newcomers,
    )
    assert len(ours) == len(newcomers)
    assert [row for row in ours if (row["people"], row["periods"], row["added"]) != (1, 1, 1)] == []
