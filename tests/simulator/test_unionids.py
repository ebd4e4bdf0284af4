"""Whose unionid, or whose id at a provider: read from the id itself, also among a million customers."""

import time

import pytest

from simulator.corp import Corp
from simulator.scenarios import load
from simulator.threaded import ThreadedSimulator
from simulator.world.profiles import Profiles
from tests.simulator.conftest import START, Client

EC = "externalcontact"


@pytest.fixture(scope="module")
def huge():
    """A client of the largest chain."""
    with ThreadedSimulator(["chain1500"], seed=7, start=START) as running:
        corp = next(iter(running.sim.corps.values()))
        yield Client(running.url, corp.shown())


@pytest.fixture
def looked_at(monkeypatch):
    """The numbers of everybody who was drawn."""
    numbers, draw = [], Profiles.customer

    def customer(self, number, *given):
        numbers.append(number)
        return draw(self, number, *given)

    monkeypatch.setattr(Profiles, "customer", customer)
    return numbers


def test_in_the_largest_chain_a_unionid_is_found_without_a_look_at_anybody_else(huge, looked_at):
    last = next(row for row in huge.control("customers", offset=999_000, limit=50)["customers"] if row["type"] == 1)
    one, unionid = last["external_userid"], last["unionid"]
    openid = huge.post(f"{EC}/convert_to_openid", {"external_userid": one})["openid"]
    service = huge.post(f"{EC}/to_service_external_userid", {"external_userid": one})["external_userid"]
    strange = "o" + unionid[:0:-1]
    looked_at.clear()
    began = time.monotonic()

    both = {"unionid": unionid, "openid": openid}
    assert huge.post(f"{EC}/unionid_to_external_userid", both)["external_userid"] == one
    assert huge.post("idconvert/unionid_to_external_userid", both)["external_userid"] == one
    assert huge.post(f"{EC}/unionid_to_external_userid", {"unionid": strange})["errcode"] == 610014
    assert huge.post("idconvert/unionid_to_external_userid", both | {"unionid": strange})["errcode"] == 610014
    body = {"external_userid": service, "source_agentid": huge.corp["agent_id"]}
    assert huge.post(f"{EC}/from_service_external_userid", body)["external_userid"] == one
    assert huge.post(f"{EC}/from_service_external_userid", body | {"source_agentid": 5})["errcode"] == 40096

    assert len(set(looked_at)) <= 1 and time.monotonic() - began < 3


def test_everybody_is_found_by_a_unionid_of_her_own_and_nobody_by_another():
    book = Corp(load("chain"), 7, 0, START).customers
    people = {number: book.customer(number) for number in range(book.ever)}
    assert all(len(row.unionid) == 28 for row in people.values() if row.type == 1)
    assert all(book.number_of_unionid(row.unionid) == number for number, row in people.items() if row.type == 1)

    known = next(row.unionid for row in people.values() if row.unionid)
    strange = ["", "o", known[:-1], known + "A", "x" + known[1:], "o" + "A" * 27, "o" + "\u738b" * 27, "o" + "!" * 27]
    assert [book.number_of_unionid(unionid) for unionid in strange] == [None] * len(strange)
    other = Corp(load("chain"), 8, 0, START).customers
    assert book.number_of_unionid(other.customer(1).unionid) is None


def test_somebody_new_is_found_once_she_is_there_and_a_wecom_user_never():
    book = Corp(load("chain"), 7, 0, START).customers
    twin = Corp(load("chain"), 7, 0, START).customers
    unionid = twin.customer(twin.new_customer("新人")).unionid

    assert book.number_of_unionid(unionid) is None
    number = book.new_customer("新人")
    assert book.number_of_unionid(unionid) == number and book.customer(number).unionid == unionid

    colleague, somebody = twin.new_customer("同行", 2), book.new_customer("某人")
    assert colleague == somebody and twin.customer(colleague).unionid == ""
    assert twin.number_of_unionid(book.customer(somebody).unionid) is None


def test_without_a_bound_account_no_unionid_is_looked_up(shop):
    assert shop.post(f"{EC}/unionid_to_external_userid", {"unionid": "oX"})["errcode"] == 41057


def test_the_other_ids_of_a_customer_are_what_they_were():
    book = Corp(load("chain1500"), 7, 0, START).customers
    assert book.external_userid(5) == "wmFZ2fgRWdn4SgvtwG51ibC82mSrdVeQ"
