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


def call(running, path, body):
    corp = requests.get(f"{running.url}/control/corps").json()["corps"][0]
    params = {"corpid": corp["corp_id"], "corpsecret": corp["secret"]}
    token = requests.get(f"{running.url}/cgi-bin/gettoken", params=params).json()["access_token"]
    answer = requests.post(
        f"{running.url}/cgi-bin/externalcontact/{path}", json=body, params={"access_token": token}
    ).json()
    assert answer["errcode"] == 0, answer
    return answer


def test_codes_and_links_lead_to_the_same_place_after_a_restart(path):
    with ThreadedSimulator(["shop"], start=START, state=StateFile(path, IDENTITY)) as running:
        way = call(running, "add_contact_way", {"type": 1, "scene": 2, "user": ["wutong"], "state": "counter"})
        group = hand(running, "group_create", owner="wutong", name="群")["chat_id"]
        join = call(running, "groupchat/add_join_way", {"scene": 2, "chat_id_list": [group], "state": "door"})
        made = call(
            running, "customer_acquisition/create_link", {"link_name": "官网", "range": {"user_list": ["wutong"]}}
        )
        first = hand(running, "scan", url=made["link"]["url"])
        hand(running, "chat", userid="wutong", external_userid=first["external_userid"])
    with ThreadedSimulator(["shop"], start=START, state=StateFile(path, IDENTITY)) as again:
        tail = way["qr_code"].rpartition("/")[2]
        assert hand(again, "scan", url=f"{again.url}/qr/{tail}")["userid"] == "wutong"
        assert hand(again, "scan", config_id=join["config_id"])["chat_id"] == group
        link_id = made["link"]["link_id"]
        rows = call(again, "customer_acquisition/customer", {"link_id": link_id})["customer_list"]
        assert [(row["external_userid"], row["chat_status"]) for row in rows] == [(first["external_userid"], 1)]
        assert call(again, "customer_acquisition_quota", {})["balance"] == 999
        requests.post(f"{again.url}/control/reset", json={})
        assert call(again, "list_contact_way", {})["contact_way"] == []
        assert call(again, "customer_acquisition/list_link", {})["link_id_list"] == []
        assert call(again, "customer_acquisition_quota", {})["balance"] == 1000
        assert "失效" in hand(again, "scan", config_id=join["config_id"])["error"]
