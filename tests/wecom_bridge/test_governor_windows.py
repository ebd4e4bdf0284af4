"""Shares of the windows of WeCom, and windows that it closed."""

from datetime import timedelta

import pytest
import time_machine

from scrm.lib import clock
from tests.support.governor import API, PATH, calls_until_refused, pace_of, refuse, set_limit
from wecom_bridge.gateway import CallError, gateway_for, rates
from wecom_bridge.governor import limits, pace, shared
from wecom_bridge.governor.pace import Refused
from wecom_bridge.models import CallPace

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def corp(wecom):
    return wecom.connect().corp


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


# --- Closed windows


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
