"""A WeCom that cannot be reached."""

import time

import pytest

from tests.support.governor import API, pace_of, width_of
from wecom_bridge.gateway import CallError, gateway_for
from wecom_bridge.governor import reach
from wecom_bridge.governor.pace import Refused

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def corp(wecom):
    return wecom.connect().corp


def test_a_wecom_out_of_reach_costs_no_tries_and_is_soon_left_alone(wecom, corp, settings):
    gateway_for(corp).get_follow_users()
    from wecom_bridge.gateway import core

    core._clients.clear()
    settings.WECOM_API_BASE = "http://127.0.0.1:1"
    waits = []
    for _n in range(6):
        with pytest.raises(CallError) as raised:
            gateway_for(corp).get_follow_users()
        assert raised.value.held and not raised.value.executed_maybe
        waits.append(raised.value.retry_after)
    assert all(0 < wait <= 5 for wait in waits)
    assert reach.of("http://127.0.0.1:1")._failures == 3, "the last three were not tried"
    assert width_of(corp) == 16, "that says nothing about how many may call at once"


def test_a_welcome_finds_out_sooner_that_wecom_is_back(corp, monkeypatch):
    monkeypatch.setattr(reach, "HASTY_EVERY", 0.3)
    mine, welcome = pace_of(corp), pace_of(corp, "welcome")
    turns = [mine.take(API) for _n in range(8)]
    waits = [mine.left(turn, "none") for turn in turns]
    assert waits[-1] == 60
    with pytest.raises(Refused) as raised:
        welcome.take(API)
    assert raised.value.word == "away" and raised.value.wait <= 0.3, "not at once: somebody has just tried"
    time.sleep(0.35)
    turn = welcome.take(API)
    with pytest.raises(Refused) as raised:
        welcome.take(API)
    assert raised.value.wait <= 0.3, "one tries for all"
    with pytest.raises(Refused) as raised:
        mine.take(API)
    assert raised.value.wait > 50, "the others wait on"
    assert welcome.left(turn, "none") <= 0.3
    time.sleep(0.35)
    welcome.left(welcome.take(API), "ok")
    mine.left(mine.take(API), "ok")
