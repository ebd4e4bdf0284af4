"""Pieces of an answer: one meaning each, and nothing but Malformed for what cannot be meant."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.answers import odd
from wecom_bridge.gateway.errors import from_failure
from wecom_bridge.shapes import pieces
from wecom_bridge.shapes.pieces import Malformed

ALL = [pieces.text, pieces.needed, pieces.identifier, pieces.texts, pieces.ids, pieces.barred, pieces.decimal, pieces.integer,
       pieces.needed_integer, pieces.integers, pieces.flag, pieces.told_flag, pieces.seconds, pieces.instant,
       pieces.needed_instant, pieces.part, pieces.needed_part, pieces.items, pieces.needed_items, pieces.rows,
       pieces.needed_rows]  # fmt: skip
NEEDED = [pieces.needed, pieces.identifier, pieces.needed_integer, pieces.needed_instant, pieces.needed_part, pieces.needed_items,
          pieces.needed_rows]  # fmt: skip


@pytest.mark.parametrize("piece", ALL)
@settings(max_examples=150, deadline=None)
@given(value=odd())
def test_whatever_stands_there_is_read_or_malformed(piece, value):
    try:
        piece({"v": value}, "v")
    except Malformed as error:
        assert str(error) == "broken answer: v"


@pytest.mark.parametrize("piece", ALL)
def test_absent_and_null_are_alike_and_refused_where_needed(piece):
    for row in ({}, {"v": None}):
        if piece in NEEDED:
            with pytest.raises(Malformed):
                piece(row, "v")
        else:
            assert not piece(row, "v")


@given(seconds=st.integers(0, 2**33))
def test_a_number_is_the_same_as_text(seconds):
    row = {"as_number": seconds, "as_text": str(seconds)}
    assert pieces.integer(row, "as_number", most=2**33) == pieces.integer(row, "as_text", most=2**33) == seconds


@given(names=st.lists(st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1), max_size=5))
def test_names_are_the_same_as_a_list_or_with_bars_between(names):
    assert pieces.barred({"v": names}, "v") == pieces.barred({"v": "|".join(names)}, "v") == tuple(names)


@pytest.mark.parametrize("value", [None, "", "x", [], {}, float("inf"), "1e3"])
def test_what_is_no_number_is_the_default(value):
    assert pieces.integer({"v": value}, "v", 5) == 5


@pytest.mark.parametrize(
    ("value", "expected"), [(1, True), ("1", True), ("true", True), (0, False), ("0", False), (None, False)]
)
def test_a_truth_may_come_as_a_number_or_text(value, expected):
    assert pieces.flag({"v": value}, "v") is expected


@pytest.mark.parametrize("value", ["maybe", [1], {"a": 1}])
def test_what_is_neither_yes_nor_no_is_refused(value):
    with pytest.raises(Malformed):
        pieces.flag({"v": value}, "v")


def test_a_flag_that_is_not_told_is_the_default_and_a_told_no_is_not():
    assert pieces.flag({}, "v", True) is True and pieces.told_flag({}, "v") is None
    assert pieces.flag({"v": 0}, "v", True) is False and pieces.told_flag({"v": "false"}, "v") is False


def test_zero_is_a_number_and_not_the_default():
    assert pieces.integer({"v": 0}, "v", 1) == pieces.integer({"v": "0"}, "v", 1) == 0


def test_a_number_no_column_holds_is_the_default_and_a_needed_one_is_refused():
    assert pieces.integer({"v": 2**31}, "v") == 0 and pieces.integer({"v": 2**31}, "v", most=2**40) == 2**31
    with pytest.raises(Malformed):
        pieces.needed_integer({"v": 2**60}, "v")


def test_an_empty_text_is_left_out_and_an_empty_id_is_refused():
    assert pieces.texts({"v": ["a", "", None]}, "v") == ("a",)
    for wrong in (["a", ""], ["a", None], ["\x00"]):
        with pytest.raises(Malformed):
            pieces.ids({"v": wrong}, "v")


def test_a_broken_answer_may_have_been_a_deed_and_names_the_field_alone():
    error = from_failure(Malformed("remark_mobiles"))
    assert (str(error), error.retryable, error.executed_maybe) == ("broken answer: remark_mobiles", True, True)
