"""The largest corp: read to its end once, it fits into a gigabyte. The whole of it is a gate, a share of it a test."""

from dataclasses import asdict

import pytest

from simulator.corp import Corp
from simulator.scenarios import load
from simulator.world import customers as book_module
from tests.simulator.reading import read_all

START = 1774000000
GIGABYTE = 1024


@pytest.mark.gate
def test_a_share_of_the_largest_chain_is_read_once_in_bounded_memory():
    seen = read_all("chain1500:customers=24000")
    print(asdict(seen))
    assert (seen.guides, seen.customers, seen.relations) == (24_000, 24_000, 26_400)
    assert seen.departments == 1 + 6 + 60 + 1_500
    assert seen.started < 20
    assert seen.after < 300
    assert seen.again - seen.after < 20


@pytest.mark.gate
def test_the_largest_chain_is_read_once_within_a_gigabyte():
    seen = read_all("chain1500")
    print(asdict(seen))
    assert (seen.guides, seen.customers, seen.relations) == (24_000, 1_000_000, 1_100_000)
    assert seen.started < 20
    assert seen.after < GIGABYTE
    assert seen.again - seen.after < 50


@pytest.mark.gate
def test_the_largest_chain_is_the_same_for_the_same_seed():
    one, same, other = (Corp(load("chain1500"), seed, 0, START) for seed in (7, 7, 8))

    def sample(world):
        guides = world.base.guides[::4_001]
        return [
            world.customers.fragment(guide.userid, number)
            for guide in guides
            for number in world.customers.numbers(guide.userid, 0, 5)[0]
        ]

    assert sample(one) == sample(same) != sample(other)
    assert one.groups.get(2_999) == same.groups.get(2_999)


def test_remembered_pages_are_limited_by_their_bytes(monkeypatch):
    monkeypatch.setattr(book_module, "CACHE_BYTES", 20_000)
    world = Corp(load("shop"), 7, 0, START)
    book = world.customers
    for guide in world.base.guides:
        for number in book.numbers(guide.userid)[0]:
            book.fragment(guide.userid, number)
            assert sum(map(len, book._fragments.values())) == book._fragment_bytes <= 20_000
    userid, number = next(reversed(book._fragments))
    book.edit(userid, number).remark = "新"
    assert sum(map(len, book._fragments.values())) == book._fragment_bytes
    assert "新" in book.fragment(userid, number).decode()


def test_codes_files_and_messages_go_when_their_time_is_over(monkeypatch):
    world = Corp(load("shop"), 7, 0, START)
    monkeypatch.setattr("simulator.world.welcomes.KEEP", 10)
    first = world.welcomes.issue("wutong", 1, wall=0)
    assert len({world.welcomes.issue("wutong", 1, wall=5_000 * n) for n in range(50)}) == 50
    assert len(world.welcomes._codes) <= 11
    assert world.welcomes.find(first) is None
    names = {world.media.add("file", "message", "a", "x/y", b"abcdef", wall=86_400 * n).media_id for n in range(50)}
    assert len(names) == 50
    assert len(world.media._rows) == 3
    member = world.directory.find("wutong")
    member.app_messages.extend({"n": n} for n in range(5_000))
    assert len(member.app_messages) == 300
