"""A 45009 of a chaos rule blocks the minute that follows, where the switch says so."""

import pytest
import requests

from simulator.api import dispatch
from simulator.clock import wall

LIST = "externalcontact/get_follow_user_list"
TAGS = "externalcontact/get_corp_tag_list"


def refuse_once(world):
    """One 45009 by a rule, which is then taken away."""
    assert world.control("chaos", {"target": LIST, "kind": 45009})["ok"]
    assert world.get(LIST)["errcode"] == 45009
    requests.delete(f"{world.url}/control/chaos", timeout=5)


def test_a_refused_api_stays_refused_for_a_minute_and_the_others_go_on(shop, monkeypatch):
    shop.control("switches", {"chaos_45009_blocks": True})
    refuse_once(shop)
    assert shop.get(LIST)["errcode"] == 45009
    assert shop.post(TAGS, {})["errcode"] == 0

    monkeypatch.setattr(dispatch, "wall", lambda: wall() + 59)
    assert shop.get(LIST)["errcode"] == 45009
    monkeypatch.setattr(dispatch, "wall", lambda: wall() + 61)
    assert shop.get(LIST)["errcode"] == 0


@pytest.mark.parametrize("switches", [{}, {"chaos_45009_blocks": True, "rate_limits": False}])
def test_without_the_switch_or_without_limits_a_refusal_stays_alone(shop, switches):
    shop.control("switches", switches)
    refuse_once(shop)
    assert shop.get(LIST)["errcode"] == 0
