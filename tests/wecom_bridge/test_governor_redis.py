"""What is left of the governor without Redis or after a flush, and how all processes share it."""

import socket
import time

import pytest
from django.db import connection

from tests.support.core import in_thread
from tests.support.governor import (
    API,
    NO_REDIS,
    PATH,
    calls_until_refused,
    hold,
    look,
    pace_of,
    refuse,
    set_limit,
    width_of,
)
from tests.support.processes import Processes
from wecom_bridge.gateway import CallError, gateway_for, rates
from wecom_bridge.governor import pace, shared
from wecom_bridge.governor.pace import Refused

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def corp(wecom):
    return wecom.connect().corp


def flush():
    rates._redis().flushdb()


def test_a_flush_does_not_open_a_closed_window(wecom, corp):
    refuse(wecom, corp)
    flush()
    with pytest.raises(CallError) as raised:
        gateway_for(corp).get_follow_users()
    assert 50 < raised.value.retry_after <= 60
    assert len(wecom.calls(PATH)) == 1


def test_a_refusal_while_redis_is_flushed_still_closes_the_window(corp):
    mine = pace_of(corp)
    turn = mine.take(API)
    flush()
    assert mine.left(turn, "frequent") == pytest.approx(60, abs=1)
    with pytest.raises(Refused) as raised:
        mine.take(API)
    assert raised.value.word == "closed" and 50 < raised.value.wait <= 60


def test_a_refusal_that_redis_was_not_told_of_is_told_when_it_is_back(corp, redis_at):
    mine = pace_of(corp)
    turn = mine.take(API)
    redis_at(NO_REDIS)
    mine.left(turn, "frequent")
    redis_at()
    with pytest.raises(Refused) as raised:
        mine.take(API)
    assert raised.value.word == "closed" and 50 < raised.value.wait <= 60


def test_of_many_callers_one_waits_for_a_redis_that_does_not_answer(corp, redis_at, monkeypatch):
    """Eight threads, a Redis that takes connections and says nothing, and a pause that is over again and again."""
    monkeypatch.setattr(shared, "AWAY_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        redis_at(f"redis://127.0.0.1:{mute.getsockname()[1]}/0")
        shared.ask(lambda: shared.connection().ping())
        time.sleep(0.6)
        began = time.monotonic()
        asking = [
            in_thread(lambda: (shared.ask(lambda: shared.connection().ping()), time.monotonic())) for _n in range(8)
        ]
        ends = sorted(one.result(10)[1] - began for one in asking)
    assert ends[-2] < 0.5 and ends[-1] < 2.5, ends


def test_a_flush_does_not_forget_the_learned_width(corp):
    mine = pace_of(corp, "welcome")
    mine.left(mine.take(API), "crowded")
    flush()
    pace.forget()
    pace_of(corp, "welcome").take(API)
    assert width_of(corp) == 8


def test_a_flush_does_not_give_the_minute_anew(corp):
    """What this process called before is counted again; one call slips through before that is known."""
    set_limit(every_api__minute=20, use__frequency=100)
    mine = pace_of(corp, "welcome")
    for _n in range(15):
        mine.left(mine.take(API), "ok")
    flush()
    assert calls_until_refused(corp, "welcome")[0] == 5
    assert look(corp)["minute"] == 20


def test_without_redis_a_process_keeps_a_part_of_the_limit_by_itself(corp, no_redis):
    set_limit(every_api__minute=160, use__frequency=100)
    count, no = calls_until_refused(corp, "welcome")
    assert count == 160 // 8 and no.word == "full"


def test_without_redis_there_are_few_places(corp, no_redis, impatient):
    assert len(hold(corp, "welcome", API)[0]) == 2
    assert len(hold(corp, "welcome", "mark_tag")[0]) == 1


def test_without_redis_a_closed_window_stays_closed_and_is_told_to_redis_when_it_is_back(wecom, corp, redis_at):
    gateway_for(corp).get_follow_users()
    redis_at(NO_REDIS)
    refuse(wecom, corp)
    with pytest.raises(CallError):
        gateway_for(corp).get_follow_users()
    redis_at()
    with pytest.raises(CallError) as raised:
        gateway_for(corp).get_follow_users()
    assert 50 < raised.value.retry_after <= 60
    assert len(wecom.calls(PATH)) == 2


def test_a_redis_that_forgot_its_scripts_is_told_them_again(corp):
    mine = pace_of(corp, "welcome")
    mine.left(mine.take(API), "ok")
    rates._redis().script_flush()
    mine.left(mine.take(API), "ok")
    assert look(corp)["minute"] == 2


# --- All processes together


TAKERS = """
from wecom_bridge.governor import limits
from wecom_bridge.governor.pace import Pace, Refused

def taken(corp):
    mine, count = Pace(corp.pk, corp.corp_id, limits.in_force(), "commands"), 0
    for _n in range(300):
        try:
            mine.left(mine.take("get"), "ok")
            count += 1
        except Refused:
            pass
    return count
"""


def test_processes_share_one_count(corp):
    set_limit(every_api__minute=200, use__frequency=100)
    with Processes(3, corp, "taken(corp)", imports=TAKERS) as processes:
        counts = [int(count) for count in processes.go()]
    assert sum(counts) == 160, counts


def test_a_turn_costs_one_question_to_redis_and_no_query(corp, django_assert_num_queries):
    mine = pace_of(corp, "commands")
    mine.left(mine.take(API), "ok")
    asked, ask = [], shared.lines.ask
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shared.lines, "ask", lambda command: asked.append(command.split(b"\r\n")[2]) or ask(command))
        with django_assert_num_queries(0):
            mine.left(mine.take(API), "ok")
    assert asked == [b"EVALSHA"]
    assert connection.in_atomic_block is False


def test_a_connection_that_redis_closed_is_replaced(corp):
    mine = pace_of(corp)
    mine.left(mine.take(API), "ok")
    shared.done.settle()
    rates._redis().client_kill_filter(_type="normal")
    for _n in range(3):
        mine.left(mine.take(API), "ok")
    shared.done.settle()
    assert not shared._away_until, "nobody took that for a redis that is away"
    assert look(corp)["minute"] == 4


def test_nothing_is_said_on_a_connection_that_redis_closed(corp):
    mine = pace_of(corp)
    mine.left(mine.take(API), "ok")
    said_on = shared.done._line
    rates._redis().client_kill_filter(_type="normal")
    shared.done.settle()
    assert shared.done._line is None, "what was said on it is done or lost: there is nothing to wait for"
    mine.left(mine.take(API), "ok")
    assert shared.done._line not in (None, said_on), "a first write to the old one would have been lost in silence"
    shared.done.settle()


def test_a_process_may_connect_to_redis_as_often_as_it_must(corp):
    mine = pace_of(corp)
    for _n in range(120):
        shared.lines.forget()
        shared.done.forget()
        mine.left(mine.take(API), "ok")
        assert not shared._away_until
    assert look(corp)["minute"] == 120


def test_words_are_packed_as_redis_reads_them():
    words = ("ECHO", "导购", 12, 1.5, b"raw")
    assert shared.packed(*words) == rates._redis().connection_pool.make_connection().pack_command(*words)[0]
