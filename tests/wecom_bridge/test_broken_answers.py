"""Answers that are JSON and yet none of WeCom's: said to be broken, never taken for a success and never a crash."""

import pytest

from wecom_bridge.gateway import CallError, tokens
from wecom_bridge.models import CorpCredential
from wecom_bridge.shapes.pieces import Malformed

pytestmark = pytest.mark.django_db(transaction=True)
REMARK = "externalcontact/remark"


def ask(gateway):
    return gateway.remark(userid="wutong", external_userid="wm1", remark="老客")


@pytest.mark.parametrize("code", [None, [0], {"errcode": 0}])
def test_a_code_that_is_no_number_is_a_broken_answer(wecom, gateway, code):
    wecom.script(REMARK, body={"errcode": code, "errmsg": "ok"})
    with pytest.raises(CallError) as raised:
        ask(gateway)
    assert raised.value.errcode is None and raised.value.executed_maybe and raised.value.retryable


@pytest.mark.parametrize("odd", [{"errcode": 0}, 5, None])
def test_only_the_code_of_the_answer_itself_counts(wecom, gateway, odd):
    wecom.script(REMARK, body={"errcode": 40096, "errmsg": "invalid external userid", "base_resp": odd})
    with pytest.raises(CallError) as raised:
        ask(gateway)
    assert raised.value.errcode == 40096


@pytest.mark.parametrize("answer", [{}, {"access_token": None}, {"access_token": ""}, {"access_token": ["a"]}])
def test_a_gettoken_without_a_token_is_tried_again_and_nothing_of_it_is_kept(wecom, gateway, answer):
    wecom.script("gettoken", body={"errcode": 0, "errmsg": "ok", "expires_in": 7200, **answer})
    with pytest.raises(CallError) as raised:
        gateway.get_follow_users()
    assert raised.value.retryable and not raised.value.executed_maybe
    assert CorpCredential.objects.get().access_token == ""
    assert len(gateway.get_follow_users()) == 4


@pytest.mark.parametrize("told", [{}, {"expires_in": None}, {"expires_in": "soon"}, {"expires_in": 10**30}])
def test_a_token_without_a_usable_time_lives_as_long_as_documented(told):
    assert tokens.read_answer({"access_token": "a", **told}) == ("a", 7200)
    assert tokens.read_answer({"access_token": "a", "expires_in": "240"}).seconds == 240
    with pytest.raises(Malformed):
        tokens.read_answer(told)


@pytest.mark.parametrize(
    ("endpoint", "body", "asked"),
    [
        ("get_intercept_rule", {}, lambda gateway: gateway.get_intercept_rule(rule_id="r")),
        (
            "get_intercept_rule",
            {"rule": {"rule_name": "折扣"}},
            lambda gateway: gateway.get_intercept_rule(rule_id="r"),
        ),
        ("get_product_album", {"product": {"price": 100}}, lambda gateway: gateway.get_product_album(product_id="p")),
        ("customer_strategy/list", {"strategy": [{}]}, lambda gateway: gateway.list_strategies()),
        ("customer_strategy/get", {"strategy": {}}, lambda gateway: gateway.get_strategy(strategy_id=1)),
        (
            "get_strategy_tag_list",
            {"tag_group": [{"group_name": "等级"}]},
            lambda gateway: gateway.get_strategy_tag_list(),
        ),
        (
            "get_strategy_tag_list",
            {"tag_group": [{"group_id": "g", "tag": [{"name": "高"}]}]},
            lambda gateway: gateway.get_strategy_tag_list(),
        ),
        ("convert_to_openid", {}, lambda gateway: gateway.convert_to_openid(external_userid="wm1")),
    ],
)
def test_what_misses_its_id_is_a_broken_answer(wecom, gateway, endpoint, body, asked):
    wecom.script(f"externalcontact/{endpoint}", body={"errcode": 0, "errmsg": "ok", **body})
    with pytest.raises(CallError) as raised:
        asked(gateway)
    assert str(raised.value).startswith("broken answer: ") and raised.value.executed_maybe
