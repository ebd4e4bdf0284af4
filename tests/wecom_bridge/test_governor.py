"""How fast WeCom is called: shares of windows, calls at once, closed windows, and what is left of it all without Redis."""

import socket
import threading
import time
from datetime import timedelta

import pytest
import time_machine
from django.db import connection

from scrm.lib import clock
from tests.support.core import database_url, in_thread
from wecom_bridge.gateway import CallError, gateway_for, rates
from wecom_bridge.governor import limits, pace, reach, shared
from wecom_bridge.governor.pace import Pace, Refused
from wecom_bridge.models import CallPace, LimitOverride

pytestmark = pytest.mark.django_db(transaction=True)

API = "get_follow_user_list"
PATH = "externalcontact/get_follow_user_list"


@pytest.fixture
def corp(wecom):
    return wecom.connect().corp


def set_limit(**values):
    """set_limit(every_api__minute=5)"""
    for name, value in values.items():
        given = {"value": value, "changed_at": clock.wall()}
        LimitOverride.objects.update_or_create(name=name.replace("__", "."), defaults=given)
    limits.forget()


def pace_of(corp, level="person"):
    return Pace(corp.pk, corp.corp_id, limits.in_force(), level)


def calls_until_refused(corp, level, api=API, most=500):
    """How many turns a level gets one after the other, and the refusal."""
    mine = pace_of(corp, level)
    for count in range(most):
        try:
            mine.left(mine.take(api), "ok")
        except Refused as no:
            return count, no
    raise AssertionError("never refused")


def hold(corp, level, api, most=100):
    """Turns held at once until no place is left."""
    mine, taken = pace_of(corp, level), []
    for _n in range(most):
        try:
            taken.append((mine, mine.take(api)))
        except Refused as no:
            return taken, no
    raise AssertionError("never refused")


def give_back(taken):
    for mine, turn in taken:
        mine.left(turn, "none")
    reach.forget()


@pytest.fixture
def impatient(monkeypatch):
    """Nobody waits for a place."""
    monkeypatch.setattr(pace, "PATIENCE", dict.fromkeys(pace.PATIENCE, 0.0))


def width_of(corp, api=API):
    return look(corp, api)["width"]


def look(corp, api=API):
    shared.done.settle()
    found = shared.look(pace.keys_of(corp.corp_id, api), [clock.wall().timestamp(), pace.today()])
    names = ("minute", "hour", "today", "width", "running", "closed", "refusals")
    return dict(zip(names, found, strict=True))


# --- Windows


def test_more_urgent_work_still_finds_room_when_the_less_urgent_has_used_its_share(corp):
    set_limit(every_api__minute=100, use__frequency=100)
    used = {level: calls_until_refused(corp, level)[0] for level in ("sync", "commands", "person", "welcome")}
    assert used == {"sync": 60, "commands": 20, "person": 15, "welcome": 5}


def test_no_stretch_of_a_minute_holds_more_calls_than_the_limit(corp):
    set_limit(every_api__minute=12, use__frequency=100)
    mine, granted = pace_of(corp, "welcome"), []
    began = clock.wall().replace(second=50, microsecond=0)
    with time_machine.travel(began, tick=False) as traveller:
        for _second in range(200):
            for _try in range(3):
                try:
                    mine.left(mine.take(API), "ok")
                    granted.append(clock.wall())
                except Refused:
                    pass
            traveller.shift(timedelta(seconds=1))
    in_any_minute = [sum(1 for at in granted if end - timedelta(minutes=1) < at <= end) for end in granted]
    assert max(in_any_minute) == 12
    assert len(granted) >= 33, "and the limit is nearly used"


def test_a_refusal_says_when_there_is_room_again(corp):
    set_limit(every_api__minute=10, use__frequency=100)
    with time_machine.travel(clock.wall(), tick=False) as traveller:
        _count, no = calls_until_refused(corp, "welcome")
        assert no.word == "full" and 55 < no.wait <= 65
        traveller.shift(timedelta(seconds=no.wait + 0.01))
        pace_of(corp, "welcome").take(API)


def test_an_hour_is_counted_too(corp):
    set_limit(every_api__hour=20, use__frequency=100)
    count, no = calls_until_refused(corp, "welcome")
    assert count == 20 and 3200 < no.wait <= 3900


def test_another_api_has_windows_of_its_own(corp):
    set_limit(every_api__minute=10, use__frequency=100)
    calls_until_refused(corp, "welcome")
    assert calls_until_refused(corp, "welcome", "get")[0] == 10


def test_an_api_with_a_limit_of_its_own_keeps_that(corp):
    set_limit(use__frequency=100)
    assert calls_until_refused(corp, "welcome", "add_moment_task")[0] == 10


def test_the_address_is_shared_by_all_merchants_and_its_key_names_none(corp, monkeypatch, globex):
    from tenants.context import current_tenant, tenant_scope
    from tests.support.wecom import make_corp

    table = {**limits.documented(), "address.minute": 10}
    monkeypatch.setattr(limits, "documented", lambda: table)
    set_limit(use__frequency=100)
    assert calls_until_refused(corp, "welcome")[0] == 10
    key = pace.keys_of(corp.corp_id, API)[2]
    assert current_tenant().schema_name not in key and corp.corp_id not in key
    with tenant_scope(globex):
        set_limit(use__frequency=100)
        other = make_corp()
        assert calls_until_refused(other, "welcome")[0] == 0


# --- Calls at once


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
    wecom.script(PATH, delay=0.3, times=3)
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


# --- Closed windows


def refuse(wecom, corp, **script):
    """WeCom answers 45009 once; the seconds for which we leave it alone."""
    wecom.script(PATH, errcode=45009, **script)
    with pytest.raises(CallError) as raised:
        gateway_for(corp).get_follow_users()
    assert raised.value.errcode == 45009 and raised.value.held
    return raised.value.retry_after


def test_a_refused_frequency_closes_the_window_for_a_minute_for_everybody(wecom, corp):
    assert refuse(wecom, corp) == pytest.approx(60, abs=1)
    asked = len(wecom.calls(PATH))
    for level in ("sync", "welcome"):
        with pytest.raises(CallError) as raised:
            gateway_for(corp, level=level).get_follow_users()
        assert raised.value.held and raised.value.retry_after == pytest.approx(60, abs=2)
    assert len(wecom.calls(PATH)) == asked
    assert gateway_for(corp).get_tag_groups() is not None, "other APIs go on"


def test_the_window_that_is_fullest_by_our_count_is_taken_for_the_one_that_was_hit(wecom, corp):
    set_limit(every_api__hour=30)
    for _n in range(20):
        gateway_for(corp).get_follow_users()
    assert refuse(wecom, corp) == pytest.approx(3600, abs=1)


def test_a_day_limit_closes_until_midnight_in_china(corp):
    set_limit(every_api__day=10)
    with time_machine.travel("2026-03-10T20:00:00+08:00", tick=False):
        mine = pace_of(corp, "welcome")
        for _n in range(8):
            mine.left(mine.take(API), "ok")
        assert mine.left(mine.take(API), "frequent") == pytest.approx(4 * 3600, abs=1)
        with pytest.raises(Refused):
            mine.take(API)
    with time_machine.travel("2026-03-11T00:00:01+08:00", tick=False):
        assert mine.take(API)


def test_a_window_refused_again_after_it_opened_is_closed_for_longer(corp):
    waits = []
    with time_machine.travel("2026-03-10T09:00:00+08:00", tick=False) as traveller:
        mine = pace_of(corp, "welcome")
        for _n in range(4):
            waits.append(mine.left(mine.take(API), "frequent"))
            traveller.shift(timedelta(seconds=waits[-1] + 1))
        mine.left(mine.take(API), "ok")
        shared.done.settle()
        traveller.shift(timedelta(seconds=1))
        again = mine.left(mine.take(API), "frequent")
    assert [round(wait) for wait in waits[:3]] == [60, 300, 3600]
    assert waits[3] == pytest.approx((24 - 9) * 3600 - 60 - 300 - 3600 - 3, abs=2), "until midnight in China"
    assert again == pytest.approx(60, abs=1), "an answer in between forgives"


def test_calls_that_were_under_way_do_not_lengthen_the_closing(corp):
    mine = pace_of(corp, "welcome")
    turns = [mine.take(API) for _n in range(4)]
    assert [round(mine.left(turn, "frequent")) for turn in turns] == [60] * 4
    assert CallPace.objects.get().strikes == 1


def test_a_banned_gettoken_is_left_alone_for_an_hour(wecom, corp):
    wecom.script("gettoken", errcode=45009, times=5)
    for _n in range(3):
        with pytest.raises(CallError) as raised:
            gateway_for(corp).get_follow_users()
        assert raised.value.held and raised.value.retry_after > 3500
    assert len(wecom.calls("gettoken")) == 1


def test_a_fourth_reminder_of_a_message_is_refused_here(wecom, corp):
    for _n in range(3):
        with pytest.raises(CallError):
            gateway_for(corp).remind_groupmsg_send(msgid="msgUnknown")
    asked = len(wecom.calls("externalcontact/remind_groupmsg_send"))
    with pytest.raises(CallError) as raised:
        gateway_for(corp).remind_groupmsg_send(msgid="msgUnknown")
    assert raised.value.errcode == 41094 and not raised.value.retryable
    assert len(wecom.calls("externalcontact/remind_groupmsg_send")) == asked == 3


def test_a_reminder_that_never_reached_wecom_is_not_counted(corp):
    mine = pace_of(corp)
    for outcome in ("none", "crowded", "frequent"):
        mine.left(mine.take("remind_groupmsg_send", subject="msgOne"), outcome)
        pace.forget()
        CallPace.objects.all().delete()
        rates._redis().delete(*pace.keys_of(corp.corp_id, "remind_groupmsg_send"))
    for _n in range(3):
        mine.left(mine.take("remind_groupmsg_send", subject="msgOne"), "ok")
    with pytest.raises(Refused) as raised:
        mine.take("remind_groupmsg_send", subject="msgOne")
    assert raised.value.word == "each"


# --- Without Redis


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


NO_REDIS = "redis://127.0.0.1:1/0"


@pytest.fixture
def redis_at(settings):
    """redis_at(url): another server from now on."""
    usual = settings.REDIS_URL

    def turn_to(url=usual):
        settings.REDIS_URL = url
        shared.connection.cache_clear()
        shared.forget()

    yield turn_to
    turn_to()


@pytest.fixture
def no_redis(redis_at):
    """A Redis that does not answer."""
    redis_at(NO_REDIS)


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


# --- A WeCom that is not there


def test_a_wecom_out_of_reach_costs_no_tries_and_is_soon_left_alone(wecom, corp, settings):
    gateway_for(corp).get_follow_users()
    from wecom_bridge.gateway import core

    core._clients.clear()
    settings.WECOM_API_BASE = "http://127.0.0.1:1"
    waits = []
    for _n in range(6):
        with pytest.raises(CallError) as raised:
            gateway_for(corp).get_follow_users()
        assert raised.value.held and not raised.value.executed_maybe
        waits.append(raised.value.retry_after)
    assert all(0 < wait <= 5 for wait in waits)
    assert reach.of("http://127.0.0.1:1")._failures == 3, "the last three were not tried"
    assert width_of(corp) == 16, "that says nothing about how many may call at once"


def test_a_welcome_finds_out_sooner_that_wecom_is_back(corp, monkeypatch):
    monkeypatch.setattr(reach, "HASTY_EVERY", 0.3)
    mine, welcome = pace_of(corp), pace_of(corp, "welcome")
    turns = [mine.take(API) for _n in range(8)]
    waits = [mine.left(turn, "none") for turn in turns]
    assert waits[-1] == 60
    with pytest.raises(Refused) as raised:
        welcome.take(API)
    assert raised.value.word == "away" and raised.value.wait <= 0.3, "not at once: somebody has just tried"
    time.sleep(0.35)
    turn = welcome.take(API)
    with pytest.raises(Refused) as raised:
        welcome.take(API)
    assert raised.value.wait <= 0.3, "one tries for all"
    with pytest.raises(Refused) as raised:
        mine.take(API)
    assert raised.value.wait > 50, "the others wait on"
    assert welcome.left(turn, "none") <= 0.3
    time.sleep(0.35)
    welcome.left(welcome.take(API), "ok")
    mine.left(mine.take(API), "ok")


# --- All processes together


WORKER = """
import sys
from django.core.wsgi import get_wsgi_application
get_wsgi_application()
from django.db import connection
from tenants.context import tenant_scope
from tenants.models import Tenant
from tenants.context import public_scope
from wecom_bridge.governor import limits
from wecom_bridge.governor.pace import Pace, Refused
from wecom_bridge.models import Corp
with public_scope():
    tenant = Tenant.objects.get(pk=int(sys.argv[1]))
with tenant_scope(tenant):
    corp = Corp.objects.get(pk=int(sys.argv[2]))
    mine, count = Pace(corp.pk, corp.corp_id, limits.in_force(), "commands"), 0
    for _n in range(300):
        try:
            mine.left(mine.take("get"), "ok")
            count += 1
        except Refused:
            pass
print(count)
"""


def test_processes_share_one_count(corp, settings):
    import os
    import subprocess
    import sys

    from tenants.context import current_tenant

    set_limit(every_api__minute=200, use__frequency=100)
    environment = {**os.environ, "DATABASE_URL": database_url(), "REDIS_URL": settings.REDIS_URL}
    environment["DJANGO_SETTINGS_MODULE"] = "scrm.settings"
    command = [sys.executable, "-c", WORKER, str(current_tenant().pk), str(corp.pk)]
    running = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, cwd=settings.BASE_DIR)
        for _n in range(3)
    ]
    counts = [int(one.communicate(timeout=60)[0].splitlines()[-1]) for one in running]
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
