"""Whatever stands in an answer, it is read into its shape or refused: absent, null, of another type, as text or number."""

from dataclasses import fields, is_dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.answers import odd
from tests.support.fuzzing import often
from wecom_bridge.gateway import album, apps, conversions, ids, intercepts, logins, served, strategies, uploads
from wecom_bridge.shapes.pieces import Malformed

WITH_ID = [strategies.read_strategy, strategies.read_group, album.read_product, intercepts.read_rule]
READERS = [
    served.read_page,
    strategies.read_range,
    strategies.read_groups,
    strategies.read_page,
    album.read_page,
    intercepts.read_rules,
    conversions.pairs("items", "userid", "open_userid", "invalid_userid_list"),
    conversions.read_customer,
    conversions.read_known,
    conversions.read_temporary,
    ids.read_seats,
    ids.read_departments,
    ids.read_names,
    ids.read_addresses,
    logins.read_info,
    logins.read_detail,
    lambda answer: apps.read_agent(answer, 7),
    apps.read_sent,
    apps.read_updated,
    uploads.read_result,
]
WORDS = [
    "info_list",
    "is_customer",
    "tmp_openid",
    "external_userid",
    "add_time",
    "next_cursor",
    "strategy_id",
    "strategy_name",
    "admin_list",
    "privilege",
    "create_time",
    "range",
    "userid",
    "partyid",
    "tag_group",
    "tag",
    "id",
    "name",
    "order",
    "group_id",
    "product_id",
    "price",
    "attachments",
    "image",
    "media_id",
    "pic_url",
    "rule_id",
    "word_list",
    "extra_rule",
    "semantics_list",
    "applicable_range",
    "user_list",
    "department_list",
    "items",
    "open_userid",
    "results",
    "invalid_userid_list",
    "dept_user",
    "department",
    "userlist",
    "department_id",
    "ip_list",
    "user_ticket",
    "openid",
    "agentid",
    "allow_userinfos",
    "user",
    "allow_partys",
    "allow_tags",
    "tagid",
    "msgid",
    "invaliduser",
    "response_code",
    "status",
    "detail",
    "created_at",
    "errcode",
]
ANSWERS = st.dictionaries(st.sampled_from(WORDS), odd(WORDS), max_size=10)


def whole(value):
    """Whether a value holds only what its shape promises: no None, nothing mutable but mappings."""
    if is_dataclass(value):
        return all(whole(getattr(value, row.name)) for row in fields(value))
    if isinstance(value, tuple):
        return all(whole(item) for item in value)
    if isinstance(value, dict):
        return all(isinstance(key, str) and whole(item) for key, item in value.items())
    return isinstance(value, (str, int, bool))


@pytest.mark.parametrize("read", [*READERS, *WITH_ID])
@given(answer=ANSWERS)
@settings(max_examples=often(25), deadline=None)
def test_any_answer_is_read_into_its_shape_or_refused(read, answer):
    try:
        found = read(answer)
    except Malformed:
        return
    assert whole(found)


@pytest.mark.parametrize("read", READERS)
def test_an_answer_without_any_part_is_read_as_empty(read):
    assert whole(read({})) and whole(read(dict.fromkeys(WORDS)))


@pytest.mark.parametrize("read", WITH_ID)
def test_a_thing_without_its_id_is_refused(read):
    for answer in ({}, dict.fromkeys(WORDS), dict.fromkeys(WORDS, "")):
        with pytest.raises(Malformed):
            read(answer)


def test_pictures_of_a_product_come_as_media_or_as_addresses():
    pictures = [
        {"type": "image", "image": {"media_id": "m"}},
        {"type": "image", "image": {"pic_url": "u"}},
        {"type": "x"},
    ]
    assert album.read_product({"product_id": "p", "attachments": pictures}).images == ("m", "u")


def test_semantics_are_found_at_the_top_or_inside():
    assert intercepts.read_rule({"rule_id": "r", "semantics_list": [1]}).semantics_list == (1,)
    assert intercepts.read_rule({"rule_id": "r", "extra_rule": {"semantics_list": ["2"]}}).semantics_list == (2,)


def test_the_old_names_of_a_log_in_are_understood():
    assert logins.read_info({"UserId": "u1"}).userid == "u1"
    assert logins.read_info({"OpenId": "o1"}).openid == "o1"


def test_a_ticket_that_is_not_there_is_no_ticket():
    with pytest.raises(Malformed):
        logins.read_ticket({"errcode": 0})


def test_a_provider_sees_members_by_their_other_id():
    seats = ids.read_seats({"dept_user": [{"open_userid": "wo1", "department": "2"}]}).dept_user
    assert [(seat.userid, seat.department) for seat in seats] == [("wo1", 2)]
