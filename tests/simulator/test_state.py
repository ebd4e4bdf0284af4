import pytest
import requests

from simulator.simulator import Simulator
from simulator.state import StateFile
from simulator.threaded import ThreadedSimulator

START = 1774000000
IDENTITY = (("shop",), 7, "x")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "world.pickle"


def hand(running, act, **body):
    return requests.post(f"{running.url}/control/hands/{act}", json=body).json()


def run_once(path):
    """A process lives, a customer is added, renamed and moved on in time; then it ends."""
    with ThreadedSimulator(["shop"], start=START, state=StateFile(path, IDENTITY)) as running:
        new = hand(running, "add", userid="wutong", name="留下来")["external_userid"]
        hand(running, "edit_notes", userid="wutong", external_userid=new, remark="记住我")
        requests.post(f"{running.url}/control/clock", json={"advance": 86_400})
        return new


def test_what_happened_survives_a_restart(path):
    new = run_once(path)
    with ThreadedSimulator(["shop"], start=START, state=StateFile(path, IDENTITY)) as again:
        seen = requests.get(f"{again.url}/control/customers/{new}").json()
        assert (seen["name"], seen["follows"][0]["remark"]) == ("留下来", "记住我")
        assert requests.get(f"{again.url}/control/clock").json()["now"] >= START + 86_400
        assert hand(again, "customers", userid="wutong", limit=200)["customers"][-1]["external_userid"] == new


def test_a_snapshot_of_another_start_or_a_broken_one_is_left_aside(path):
    run_once(path)
    sim = Simulator(["shop"], 7, START)
    assert "another" in sim.keep_in(StateFile(path, (("shop",), 8, "x")))
    path.write_bytes(b"not a snapshot")
    assert "unreadable" in sim.keep_in(StateFile(path, IDENTITY))
    assert sim.corps[next(iter(sim.corps))].customers.ever == 668
