"""Who goes to whom, as a property of the pure function."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from contacts.models import HandoverSplit
from contacts.services.handover.splitting import Person, Successor, split

STORES = st.one_of(st.none(), st.integers(1, 3))
TAKERS = st.lists(
    st.builds(Successor, st.integers(1, 6), STORES, st.integers(0, 30)), max_size=6, unique_by=lambda one: one.pk
)
PEOPLE = st.lists(
    st.builds(Person, st.integers(1, 500), STORES, st.frozensets(st.integers(1, 6), max_size=3)),
    max_size=60, unique_by=lambda one: one.key,
)  # fmt: skip
HOW = st.sampled_from(HandoverSplit.values)


def strangers(people, given_):
    friends = {one.key: one.friends for one in people}
    return Counter(pk for key, pk in given_.items() if pk is not None and pk not in friends[key])


@given(PEOPLE, TAKERS, HOW)
def test_everybody_is_decided_and_nobody_gets_more_strangers_than_she_has_room_for(people, takers, how):
    given_ = split(people, takers, how)
    assert set(given_) == {one.key for one in people}
    load = strangers(people, given_)
    assert all(load[one.pk] <= one.room for one in takers)
    assert set(given_.values()) <= {None} | {one.pk for one in takers}


@given(PEOPLE, TAKERS, HOW)
def test_somebody_is_left_only_when_nobody_has_room(people, takers, how):
    given_ = split(people, takers, how)
    left = [one for one in people if given_[one.key] is None]
    load = strangers(people, given_)
    if left:
        assert all(load[one.pk] == one.room for one in takers)
        assert not any(one.friends & {taker.pk for taker in takers} for one in left)


@given(PEOPLE, st.lists(st.tuples(st.integers(1, 6), STORES), min_size=1, max_size=6, unique_by=lambda one: one[0]))
def test_an_even_split_differs_by_one_at_most(people, takers):
    able = [Successor(pk, store, 1_000) for pk, store in takers]
    load = Counter(split(people, able, HandoverSplit.EVEN).values())
    counts = [load[one.pk] for one in able]
    assert max(counts) - min(counts) <= 1


@given(PEOPLE, st.lists(st.tuples(st.integers(1, 6), STORES), min_size=1, max_size=6, unique_by=lambda one: one[0]))
def test_with_room_a_customer_stays_in_her_store_or_with_her_friend(people, takers):
    able = [Successor(pk, store, 1_000) for pk, store in takers]
    stores = {one.pk: one.store_id for one in able}
    by_store, by_friend = split(people, able, HandoverSplit.STORE), split(people, able, HandoverSplit.KNOWN)
    for one in people:
        if one.store_id is not None and one.store_id in stores.values():
            assert stores[by_store[one.key]] == one.store_id
        if one.friends & set(stores):
            assert by_friend[one.key] in one.friends


@given(PEOPLE, TAKERS, HOW)
def test_the_same_people_in_any_order_go_to_the_same_successors(people, takers, how):
    assert split(people, takers, how) == split(list(reversed(people)), takers, how)
