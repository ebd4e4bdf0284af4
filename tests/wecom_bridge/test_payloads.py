"""WeCom's answers in every shape they could take: understood, or refused cleanly; never half understood, never a crash."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.answers import changed, odd, places
from tests.support.fuzzing import often
from wecom_bridge.gateway import CallError, parse
from wecom_bridge.shapes.pieces import Malformed

PERSON = {
    "external_userid": "wm1",
    "name": "王小雨",
    "avatar": "https://a",
    "type": 1,
    "gender": 2,
    "unionid": "o1",
    "corp_name": "",
}
FOLLOW = {"userid": "lin", "createtime": 1718000000, "remark": "老王", "description": "", "remark_corp_name": "某公司",
          "remark_mobiles": ["13800000001"], "tags": [{"tag_id": "et1", "type": 1}, {"tag_name": "我的", "type": 2}],
          "add_way": 1, "state": "till", "oper_userid": "lin"}  # fmt: skip
BATCH = {"external_contact": PERSON, "follow_info": {**FOLLOW, "tags": None, "tag_id": ["et1"]}}
GROUP = {"chat_id": "wr1", "name": "福利群", "owner": "lin", "create_time": 1718000000, "notice": "欢迎", "member_version": "a" * 32,
         "member_list": [{"userid": "wm1", "type": 2, "join_time": 1718000001, "join_scene": 3, "invitor": {"userid": "lin"},
                          "name": "小圆", "group_nickname": "", "unionid": "o1", "state": "s"}],
         "admin_list": [{"userid": "lin"}]}  # fmt: skip
TAGS = {"group_id": "et0", "group_name": "等级", "order": 2**32 - 1, "create_time": 1718000000,
        "tag": [{"id": "et1", "name": "重要", "order": 1, "create_time": 1718000000, "deleted": False}]}  # fmt: skip
MEMBER = {
    "userid": "lin",
    "name": "林小雅",
    "department": [1, 2],
    "status": 1,
    "alias": "",
    "position": "导购",
    "mobile": "",
    "avatar": "",
}
DEPARTMENT = {"id": 1, "name": "总部", "parentid": 0, "order": 100000000}

SHAPES: dict[str, tuple[dict[str, Any], Callable[[Any], Any]]] = {
    "person": (PERSON, parse.external_contact),
    "follow": (FOLLOW, parse.follow),
    "batch": (BATCH, parse.batch_entry),
    "group": (GROUP, parse.group_chat),
    "tags": (TAGS, parse.tag_group),
    "member": (MEMBER, lambda row: parse.member(row, serves=True)),
    "department": (DEPARTMENT, parse.department),
}

ODD = odd()


def fits(value: Any) -> bool:
    """Whether PostgreSQL takes every text and number of a value."""
    if isinstance(value, str):
        return "\x00" not in value and value == value.encode("utf-8", "ignore").decode()
    if isinstance(value, int):
        return abs(value) < 2**63
    if isinstance(value, tuple | list):
        return all(fits(one) for one in value)
    if hasattr(value, "__dataclass_fields__"):
        return all(fits(getattr(value, name)) for name in value.__dataclass_fields__)
    return True


@pytest.mark.parametrize("shape", SHAPES)
def test_what_the_reference_shows_is_understood(shape):
    payload, read = SHAPES[shape]
    assert fits(read(payload))


@settings(max_examples=often(60), deadline=None)
@given(data=st.data(), shape=st.sampled_from(sorted(SHAPES)), put=st.just(...) | ODD)
def test_any_place_absent_null_of_another_type_or_huge_is_understood_or_refused(data, shape, put):
    payload, read = SHAPES[shape]
    given_ = changed(payload, data.draw(st.sampled_from(places(payload))), put)
    try:
        found = parse.kept(lambda: read(given_))
    except CallError as error:
        assert error.retryable and str(error).startswith("broken answer: ")
    else:
        assert fits(found)


@settings(max_examples=often(60), deadline=None)
@given(shape=st.sampled_from(sorted(SHAPES)), payload=st.dictionaries(
    st.sampled_from(sorted({key for one, _read in SHAPES.values() for key in one})), ODD, max_size=8))  # fmt: skip
def test_any_object_is_understood_or_refused(shape, payload):
    try:
        found = SHAPES[shape][1](payload)
    except Malformed:
        return
    assert fits(found)


def test_a_refusal_names_the_field_and_not_what_stood_in_it():
    with pytest.raises(CallError) as caught:
        parse.kept(lambda: parse.follow({**FOLLOW, "remark_mobiles": "13812345678"}))
    assert str(caught.value) == "broken answer: remark_mobiles"


@pytest.mark.parametrize("broken", [{"userid": ""}, {"userid": None}, {"userid": "x" * 65}, {"userid": "a\x00"}, {"createtime": 0},
                                    {"createtime": "soon"}, {"createtime": 2**40}, {"tags": [None]}, {"tags": {"a": 1}}])  # fmt: skip
def test_half_a_row_is_refused(broken):
    with pytest.raises(Malformed):
        parse.follow({**FOLLOW, **broken})


def test_numbers_come_as_text_too_and_absent_fields_are_empty():
    found = parse.follow({"userid": "lin", "createtime": "1718000000", "add_way": "16"})
    assert (found.created_at, found.add_way, found.state) == (datetime.fromtimestamp(1718000000, UTC), 16, "")
    assert found.personal_tags is None and found.tag_ids == ()
