"""Periods as a function of facts: properties over generated stories."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from contacts.services.periods import SAME_ADDING, End, Period, Start, fold

T0 = datetime(2026, 1, 1, tzinfo=UTC)


def at(minutes: int) -> datetime:
    return T0 + timedelta(minutes=minutes)


STARTS = st.lists(st.integers(0, 60).map(lambda n: Start(at(n))), max_size=5)
ENDS = st.lists(
    st.tuples(st.integers(0, 60), st.sampled_from(["customer", "guide", "transfer"])).map(
        lambda e: End(at(e[0]), e[1])
    ),
    max_size=6,
)


def facts_of(periods: list[Period]) -> tuple[list[Start], list[End]]:
    """What is stored of periods, as the next batch will find it."""
    return [one.start for one in periods], [End(one.ended_at, one.ended_by) for one in periods if one.ended_at]


@given(STARTS, ENDS, st.randoms(use_true_random=False))
def test_order_of_arrival_does_not_matter(starts: list[Start], ends: list[End], dice: object) -> None:
    shuffled_starts, shuffled_ends = list(starts), list(ends)
    dice.shuffle(shuffled_starts)  # type: ignore[attr-defined]
    dice.shuffle(shuffled_ends)  # type: ignore[attr-defined]
    assert fold(shuffled_starts, shuffled_ends) == fold(starts, ends)


@given(STARTS, STARTS, ENDS, ENDS)
def test_two_batches_give_what_one_gives(
    first: list[Start], second: list[Start], early: list[End], late: list[End]
) -> None:
    stored_starts, _stored_ends = facts_of(fold(first, early))
    # Every true end is kept, used or loose (contacts.services.follows); ends that a next start implied are not facts.
    assert fold([*stored_starts, *second], [*early, *late]) == fold([*first, *second], [*early, *late])


@given(STARTS, ENDS)
def test_folding_again_what_was_stored_changes_nothing(starts: list[Start], ends: list[End]) -> None:
    once = fold(starts, ends)
    again_starts, again_ends = facts_of(once)
    assert fold(again_starts, [*again_ends, *ends]) == once


@given(STARTS, ENDS)
def test_periods_are_in_order_and_only_the_last_is_open(starts: list[Start], ends: list[End]) -> None:
    periods = fold(starts, ends)
    assert {one.start.at for one in periods} == {start.at for start in starts}
    for before, after in pairwise(periods):
        assert before.ended_at is not None and before.start.at <= before.ended_at <= after.start.at
    assert all(one.ended_at is None or one.ended_at >= one.start.at for one in periods)


def test_a_weak_start_counts_only_after_an_ending_and_far_from_a_createtime() -> None:
    start, end = Start(at(0)), End(at(10), "customer")
    weak = Start(at(30), weak=True)
    assert len(fold([start, weak], [])) == 1
    assert len(fold([start, weak], [end])) == 2
    assert len(fold([weak], [end])) == 0
    near = Start(at(30) + SAME_ADDING)
    assert [one.start for one in fold([start, weak, near], [end])] == [start, near]


def test_an_ending_nobody_saw_is_revoked_by_a_later_sight_and_only_by_that() -> None:
    start, lost = Start(at(0)), End(at(20), "unknown")
    assert fold([start], [lost])[0].ended_at == at(20)
    assert fold([start], [lost], seen_at=at(10))[0].ended_at == at(20)
    assert fold([start], [lost], seen_at=at(30))[0].ended_at is None
    assert fold([start], [End(at(20), "customer")], seen_at=at(30))[0].ended_at == at(20)
