"""How many calls run at once, and how that is learned."""

import threading
import time
from datetime import timedelta

import pytest
import time_machine

from scrm.lib import clock
from tests.support.core import in_thread
from tests.support.governor import API, PATH, give_back, hold, pace_of, set_limit, width_of
from wecom_bridge.gateway import CallError, gateway_for
from wecom_bridge.governor import pace, shared
from wecom_bridge.models import CallPace

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def corp(wecom):
    return wecom.connect().corp


def test_five_tags_are_marked_at_once_and_no_more(corp, impatient):
    taken, no = hold(corp, "welcome", "mark_tag")
    assert len(taken) == 5 and no.word == "busy"
    give_back(taken[:1])
    assert pace_of(corp, "welcome").take("mark_tag")


def test_places_are_kept_for_what_is_more_urgent(corp, impatient):
    by_sync, _no = hold(corp, "sync", "mark_tag")
    by_commands, _no = hold(corp, "commands", "mark_tag")
    by_welcome, _no = hold(corp, "welcome", "mark_tag")
    assert [len(by_sync), len(by_commands), len(by_welcome)] == [3, 1, 1]


def test_a_place_soon_free_is_waited_for(wecom, corp):
    set_limit(every_api__ceiling=1)
    wecom.script(PATH, delay=0.1, times=3)
    callers = [in_thread(lambda: gateway_for(corp).get_follow_users()) for _n in range(3)]
    assert all(caller.result() for caller in callers)
    assert len(wecom.calls(PATH)) == 3


def test_the_place_of_a_killed_caller_is_free_after_a_while(corp, impatient):
    with time_machine.travel(clock.wall(), tick=False) as traveller:
        hold(corp, "welcome", "mark_tag")
        traveller.shift(timedelta(seconds=pace.KEPT_SECONDS + 1))
        assert pace_of(corp, "welcome").take("mark_tag")


def test_success_widens_one_by_one_up_to_the_ceiling(corp):
    set_limit(every_api__width=2, every_api__ceiling=4)
    mine = pace_of(corp, "welcome")
    seen = []
    for _n in range(60):
        turns = [mine.take(API), mine.take(API)]
        for turn in turns:
            mine.left(turn, "ok")
            shared.done.settle()
        seen.append(width_of(corp))
    assert sorted(set(seen)) == [2, 3, 4]
    assert seen.index(3) == 9, "after ten successes for each place"
    assert CallPace.objects.get(api=API).width == 4


def test_a_width_that_nobody_uses_does_not_grow(corp):
    set_limit(every_api__width=8)
    mine = pace_of(corp, "welcome")
    for _n in range(200):
        mine.left(mine.take(API), "ok")
    assert width_of(corp) == 8


def test_a_refused_concurrency_halves_the_width_once_for_all_that_ran_together(corp):
    mine = pace_of(corp, "welcome")
    turns = [mine.take(API) for _n in range(8)]
    for turn in turns:
        mine.left(turn, "crowded")
    assert width_of(corp) == 8
    assert CallPace.objects.get(api=API).width == 8


@pytest.mark.parametrize(("outcomes", "width"), [(["slow"], 8), (["busy"] * 2, 16), (["busy"] * 3, 8)])
def test_a_time_out_halves_at_once_and_a_busy_wecom_after_three_in_a_row(corp, outcomes, width):
    mine = pace_of(corp, "welcome")
    for outcome in outcomes:
        mine.left(mine.take(API), outcome)
    assert width_of(corp) == width


def test_the_width_never_falls_below_one(corp):
    mine = pace_of(corp, "welcome")
    for _n in range(8):
        mine.left(mine.take(API), "slow")
    assert width_of(corp) == 1
    assert mine.take(API)


def test_wecom_refusing_concurrency_holds_the_call_for_a_moment_without_a_try(wecom, corp):
    wecom.script(PATH, errcode=45033)
    with pytest.raises(CallError) as raised:
        gateway_for(corp).get_follow_users()
    assert raised.value.held and raised.value.retry_after < 5
    began = time.monotonic()
    assert gateway_for(corp).get_follow_users(), "the next one waits for that moment and is let through"
    assert 0.3 < time.monotonic() - began < 2
    assert width_of(corp) == 8


def test_many_callers_of_a_wecom_with_few_places_all_come_through(wecom, corp):
    """The learned width settles where WeCom's own limit is: it begins at 16 and WeCom takes 5."""
    set_limit(mark_tag__width=16, mark_tag__ceiling=16)
    wecom.post("switches", {"latency_ms": [20, 40], "mark_tag_concurrency": 5})
    wanted = [(row["external_userid"], row["followers"][0]) for row in wecom.get("customers?limit=60")["customers"]
              if row["followers"]][:40]  # fmt: skip
    tag = wecom.hand("console_tags", group="口味", names=["微辣"])["tags"]["微辣"]
    todo, lock, done = list(wanted), threading.Lock(), []

    def work():
        gateway = gateway_for(corp, level="welcome")
        while True:
            with lock:
                if not todo:
                    return
                external, userid = todo.pop()
            while True:
                try:
                    gateway.mark_tag(userid=userid, external_userid=external, add_tag=[tag])
                    done.append(external)
                    break
                except CallError as error:
                    assert error.held, error
                    time.sleep(min(error.retry_after, 0.5))

    for worker in [in_thread(work) for _n in range(12)]:
        worker.result(60)
    results = [call["errcode"] for call in wecom.calls("externalcontact/mark_tag")]
    assert sorted(done) == sorted(external for external, _userid in wanted)
    assert results.count(0) == 40
    # Twelve at once: seven are refused; what follows the halving stays below WeCom's five, or just above it.
    assert 1 <= results.count(45033) <= 20
    assert width_of(corp, "mark_tag") <= 8
