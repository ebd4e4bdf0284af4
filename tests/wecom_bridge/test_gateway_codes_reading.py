"""Answers about codes and links with a part absent, null, of a wrong kind, huge or in another tongue: read, or Malformed."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.answers import changed, odd, places
from tests.support.fuzzing import often
from wecom_bridge.gateway import acquisition, contact_ways, join_ways
from wecom_bridge.shapes.pieces import Malformed

GOOD = {
    contact_ways._added: {"config_id": "c", "qr_code": "https://a.example"},
    contact_ways._way: {
        "config_id": "c", "type": 1, "scene": 2, "style": 1, "remark": "r", "skip_verify": True, "state": "s", "qr_code": "q",
        "user": ["u"], "party": [1], "is_temp": True, "expires_in": 1, "chat_expires_in": 1, "unionid": "o",
        "mark_source": True, "conclusions": {"text": {"content": "x"}},
    },
    contact_ways._page: {"contact_way": [{"config_id": "c"}], "next_cursor": "n"},
    join_ways._way: {
        "config_id": "c", "scene": 2, "remark": "r", "auto_create_room": 1, "room_base_name": "b", "room_base_id": 1,
        "chat_id_list": ["wr"], "qr_code": "q", "state": "s", "mark_source": True,
    },
    acquisition._links: {"link_id_list": ["l"], "next_cursor": "n"},
    acquisition._created: {"link": {"link_id": "l", "link_name": "n", "url": "u", "create_time": 1}},
    acquisition._customers: {
        "customer_list": [{"external_userid": "wm", "userid": "u", "chat_status": 1, "state": "s"}], "next_cursor": "n",
    },
    acquisition._statistic: {"click_link_customer_cnt": 1, "new_customer_cnt": 1},
    acquisition._chat: {
        "userid": "u", "external_userid": "wm", "chat_info": {"recv_msg_cnt": 1, "link_id": "l", "state": "s"},
    },
    acquisition._quota: {"total": 1, "balance": 1, "quota_list": [{"expire_date": 1, "balance": 1}]},
    acquisition._permit: {"user_list": ["u"], "department_list": [1], "tag_list": [1]},
}  # fmt: skip


CASES = [(parse, trail) for parse, answer in GOOD.items() for trail in places(answer)]


@pytest.mark.parametrize(("parse", "trail"), CASES, ids=lambda case: getattr(case, "__qualname__", None) or str(case))
@settings(max_examples=often(20), suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(put=st.just(...) | odd())
def test_no_answer_breaks_the_reading_otherwise_than_by_malformed(parse, trail, put):
    answer = changed(GOOD[parse], trail, put)
    try:
        parse(answer)
    except Malformed:
        pass


@pytest.mark.parametrize("parse", GOOD, ids=lambda parse: f"{parse.__module__}.{parse.__name__}")
def test_a_whole_answer_is_read(parse):
    parse(GOOD[parse])


def test_a_link_that_lost_parts_breaks_by_malformed_alone():
    good = {"link": {"url": "u"}, "range": {"user_list": ["u"]}, "priority_option": {"priority_type": 1}}
    for trail in places(good):
        for put in (..., None, 5, "x", [], [5], {}, True):
            try:
                acquisition._link("l", changed(good, trail, put))
            except Malformed:
                pass
