"""Whatever stands in an answer, reading it never fails and never invents: absent, null, of another type, as text or number."""

from dataclasses import fields, is_dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wecom_bridge.gateway import album, apps, conversions, ids, intercepts, lenient, logins, served, strategies, uploads

READERS = [
    served.read_page,
    strategies.read_strategy,
    strategies.read_range,
    strategies.read_group,
    album.read_product,
    intercepts.read_rule,
    lambda answer: conversions.read_pairs(answer, "items", "userid", "open_userid", "invalid_userid_list"),
    conversions.read_temporary,
    ids.read_seats,
    logins.read_info,
    logins.read_detail,
    lambda answer: apps.read_agent(answer, 7),
    apps.read_sent,
    uploads.read_result,
]
WORDS = """info_list is_customer tmp_openid external_userid add_time next_cursor strategy_id strategy_name admin_list privilege
    create_time range userid partyid tag_group tag id name order group_id product_id price attachments image media_id pic_url
    rule_id word_list extra_rule semantics_list applicable_range user_list department_list items open_userid results
    invalid_userid_list dept_user department user_ticket openid agentid allow_userinfos user allow_partys allow_tags tagid
    msgid invaliduser response_code status detail created_at errcode"""
NAMES = st.sampled_from(WORDS.split())
LEAVES = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=8)
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=6))
ANSWERS = st.dictionaries(NAMES, VALUES, max_size=10)


def whole(value):
    """Whether a value holds only what its shape promises: no None, nothing mutable but mappings."""
    if is_dataclass(value):
        return all(whole(getattr(value, row.name)) for row in fields(value))
    if isinstance(value, tuple):
        return all(whole(item) for item in value)
    if isinstance(value, dict):
        return all(isinstance(key, str) and whole(item) for key, item in value.items())
    return isinstance(value, (str, int, bool))


@pytest.mark.parametrize("read", READERS)
@given(answer=ANSWERS)
@settings(max_examples=120, deadline=None)
def test_any_answer_is_read_into_its_shape(read, answer):
    assert whole(read(answer))


@given(seconds=st.integers(0, 2**33))
def test_a_number_is_the_same_as_text(seconds):
    row = {"as_number": seconds, "as_text": str(seconds)}
    assert lenient.number(row, "as_number") == lenient.number(row, "as_text") == seconds


@given(names=st.lists(st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1), max_size=5))
def test_names_are_the_same_as_a_list_or_with_bars_between(names):
    assert lenient.texts({"v": names}, "v") == lenient.texts({"v": "|".join(names)}, "v") == tuple(names)


@pytest.mark.parametrize("value", [None, "", "x", [], {}, float("inf"), "1e3"])
def test_what_is_no_number_is_the_default(value):
    assert lenient.number({"v": value}, "v", 5) == 5


@pytest.mark.parametrize(
    ("value", "expected"), [(1, True), ("1", True), ("true", True), (0, False), ("0", False), (None, False)]
)
def test_a_truth_may_come_as_a_number_or_text(value, expected):
    assert lenient.flag({"v": value}, "v") is expected


def test_pictures_of_a_product_come_as_media_or_as_addresses():
    pictures = [
        {"type": "image", "image": {"media_id": "m"}},
        {"type": "image", "image": {"pic_url": "u"}},
        {"type": "x"},
    ]
    assert album.read_product({"product_id": "p", "attachments": pictures}).images == ("m", "u")


def test_semantics_are_found_at_the_top_or_inside():
    assert intercepts.read_rule({"semantics_list": [1]}).semantics_list == (1,)
    assert intercepts.read_rule({"extra_rule": {"semantics_list": ["2"]}}).semantics_list == (2,)


def test_the_old_names_of_a_log_in_are_understood():
    assert logins.read_info({"UserId": "u1"}).userid == "u1"
    assert logins.read_info({"OpenId": "o1"}).openid == "o1"


def test_a_ticket_that_is_not_there_is_no_ticket():
    with pytest.raises(KeyError):
        logins.read_ticket({"errcode": 0})


def test_a_provider_sees_members_by_their_other_id():
    seats = ids.read_seats({"dept_user": [{"open_userid": "wo1", "department": "2"}]}).dept_user
    assert [(seat.userid, seat.department) for seat in seats] == [("wo1", 2)]
