"""Whatever a caller sends, these endpoints answer with an errcode and never break."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulator.api.registry import ENDPOINTS

MODULES = "agent cards conversions fetches intercepts login messages products served strategies strategy_tags"
OURS = sorted(
    path
    for path, spot in ENDPOINTS.items()
    if spot.handler.__module__.rpartition(".")[2] in MODULES.split() and not spot.upload
)
LEAVES = st.none() | st.booleans() | st.integers(-5, 2**33) | st.text(max_size=6) | st.floats(-9, 9)
KEYS = """type userid partyid user_list department_list semantics_list image media_id name order content title url description
articles appid content_item card_type task_id action_menu action_list key button_list text style checkbox question_key
option_list id submit_button select_list card_action replace_name card_image aspect_ratio"""
INNER = st.recursive(
    LEAVES | st.sampled_from(["wutong", "button_interaction", "vote_interaction", "news_notice", "image", 1, 2]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS.split()), inner, max_size=6),
    max_leaves=12,
)


SHAPED = {
    str: st.text(min_size=1, max_size=6),
    int: st.integers(1, 9),
    bool: st.booleans(),
    list: st.lists(st.dictionaries(st.sampled_from(KEYS.split()), INNER, max_size=6) | LEAVES, min_size=1, max_size=3),
    dict: st.dictionaries(st.sampled_from(KEYS.split()), INNER, min_size=1, max_size=8),
}


@pytest.mark.parametrize("path", OURS)
@given(data=st.data())
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_body_is_answered_with_an_errcode(shop, path, data):
    spot = ENDPOINTS[path]
    likely = {"agentid": shop.corp["agent_id"], "touser": "wutong", "strategy_id": 1, "source_agentid": 1}
    body = {}
    for field in spot.fields:
        choices = [st.none(), INNER, SHAPED[field.kind], SHAPED[field.kind]]
        choices += [st.just(likely[field.name])] * 3 if field.name in likely else []
        body[field.name] = data.draw(st.one_of(choices), label=field.name)
    if path == "message/send":
        kinds = [f.name for f in spot.fields if f.kind is dict]
        body["msgtype"] = data.draw(st.sampled_from(kinds))
    body = {name: value for name, value in body.items() if value is not None}
    params = {"access_token": shop.token()}
    url = f"{shop.url}/cgi-bin/{path}"
    if spot.method == "GET":
        answer = shop.http.get(url, params=params | {name: str(value) for name, value in body.items()})
    else:
        answer = shop.http.post(url, json=body, params=params)
    assert answer.status_code == 200, (body, answer.text)
    assert isinstance(answer.json()["errcode"], int)
