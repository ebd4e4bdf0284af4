import subprocess
import sys
import time

import pytest

from simulator.clock import local, parse_instant
from simulator.corp import Corp
from simulator.scenarios import load

START = int(parse_instant("2026-03-20T10:20:00+08:00"))
DAY = 86_400


def corp(spec, seed=7):
    return Corp(load(spec), seed, 0, START)


@pytest.fixture(scope="module")
def chain():
    return corp("chain")


def relations(world):
    return [(g.userid, n) for g in world.base.guides for n in world.customers.numbers(g.userid)[0]]


def test_chain_has_the_counts_of_its_story(chain):
    pairs = relations(chain)
    assert len(pairs) == len(set(pairs)) == 13_942
    assert len({number for _, number in pairs}) == 11_704
    assert chain.customers.ever == 12_860
    assert len(chain.directory.servants()) == 118
    stores = [d for d in chain.directory.departments.values() if d.parent in (2, 3, 4)]
    assert len(stores) == 24
    assert [len(chain.directory.in_departments({d.id for d in stores if d.parent == r})) for r in (2, 3, 4)] == [
        54,
        40,
        24,
    ]


def test_named_people_have_their_customers_and_groups(chain):
    assert {u: chain.customers.count(u) for u in ("linxiaoya", "wangyue")} == {"linxiaoya": 428, "wangyue": 412}
    names = {u: chain.directory.find(u).name for u in ("limin", "hejia", "zhouting", "chenjing", "gaoyuan")}
    assert names == {"limin": "李敏", "hejia": "何佳", "zhouting": "周婷", "chenjing": "陈婧", "gaoyuan": "高远"}
    owners = [chain.groups.owner(n) for n in chain.groups.living()]
    assert len(owners) == 96
    assert len(set(owners)) == 31
    assert owners.count("chenjing") == 4


def test_every_scenario_tag_marks_exactly_as_many_people_as_it_says(chain):
    counts = {}
    for userid, number in relations(chain):
        for tag_id in chain.customers.follow(userid, number).tags:
            counts[tag_id] = counts.get(tag_id, 0) + 1
    for group in chain.scenario.tag_groups:
        for tag in group.tags:
            assert counts[chain.tags.base_ids[group.name, tag.name]] == tag.customers, tag.name


def test_an_exclusive_group_gives_a_customer_one_tag_at_most(chain):
    skin = {chain.tags.base_ids["肤质", name] for name in ("油皮", "干皮", "敏感肌")}
    assert all(len(skin.intersection(chain.customers.follow(u, n).tags)) <= 1 for u, n in relations(chain))


def test_the_last_thirty_days_brought_the_adds_of_each_channel(chain):
    states = {}
    for userid, number in relations(chain):
        follow = chain.customers.follow(userid, number)
        if follow.createtime >= START - 30 * DAY:
            states[follow.state] = states.get(follow.state, 0) + 1
    assert states == {
        "store_counter": 338, "tester_card": 121, "parcel_card": 96, "oa_menu": 58, "xiaohongshu": 47,
        "cobrand_yingjian": 44, "referral": 31, "": 7,
    }  # fmt: skip


def test_relations_began_within_thirteen_months_and_mostly_in_opening_hours(chain):
    times = [chain.customers.follow(u, n).createtime for u, n in relations(chain)]
    assert min(times) >= START - 396 * DAY
    assert max(times) <= START
    assert sum(1 for t in times if 10 <= local(t).hour < 22) > 0.8 * len(times)
    assert (
        abs(sum(1 for u, n in relations(chain) if chain.customers.follow(u, n).createtime < START - 365 * DAY) - 6318)
        < 400
    )


def test_six_names_in_ten_are_nicknames_and_ids_are_unique(chain):
    people = [chain.customers.customer(n) for n in range(11_704)]
    assert len({p.external_userid for p in people}) == 11_704
    assert all(len(p.external_userid) == 32 for p in people)
    assert len({p.unionid for p in people if p.unionid}) == sum(1 for p in people if p.type == 1)


@pytest.mark.parametrize("spec", ["shop", "chain", "scale:members=7,customers=900,groups=5"])
def test_the_same_seed_gives_the_same_world_and_another_one_another(spec):
    one, same, other = corp(spec), corp(spec), corp(spec, seed=8)

    def sample(world):
        return [world.customers.fragment(u, n) for u, n in relations(world)[::37]]

    assert sample(one) == sample(same)
    assert sample(one) != sample(other)
    assert one.shown() == same.shown()
    assert one.corp_id != other.corp_id


def test_two_corps_of_one_scenario_share_no_ids():
    one, two = Corp(load("shop"), 7, 0, START), Corp(load("shop"), 7, 1, START)
    assert one.corp_id != two.corp_id
    assert two.customers.number(one.customers.external_userid(3)) is None
    assert not set(one.tags.tags) & set(two.tags.tags)


def test_shop_is_small():
    shop = corp("shop")
    assert len(shop.directory.servants()) == 4
    assert len({n for _, n in relations(shop)}) == 620
    assert len(shop.groups.living()) == 3


def test_an_empty_corp_has_one_member_and_nobody_else():
    empty = corp("empty")
    assert len(empty.directory.present()) == 1
    assert relations(empty) == []


def test_an_id_leads_back_to_its_customer_and_a_forged_one_nowhere(chain):
    book = chain.customers
    assert all(book.number(book.external_userid(n)) == n for n in (0, 1, 11_703, 12_859))
    real = book.external_userid(5)
    assert book.number(real[:-2] + ("A" if real[-2] != "A" else "B") + real[-1]) is None
    assert book.number(corp("shop").customers.external_userid(5)) is None
    assert book.number("wm") is None


def test_a_million_customers_start_in_seconds_within_a_gigabyte():
    program = (
        "import resource,sys\n"
        "from simulator.corp import Corp\nfrom simulator.scenarios import load\n"
        "c=Corp(load('scale:members=2000,customers=1000000,groups=5000'),7,0,1774000000)\n"
        "u=c.base.guides[-1].userid\n"
        "print(c.customers.count(u), len(c.customers.fragment(u,c.customers.numbers(u,0,1)[0][0])))\n"
        "kb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "print(kb if sys.platform!='darwin' else kb//1024)\n"
    )
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert time.monotonic() - began < 20
    assert int(done.stdout.split()[-1]) < 1_000_000
