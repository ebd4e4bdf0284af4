"""Turns of the governor as tests take them: until refused, held at once, looked at."""

import pytest

from scrm.lib import clock
from wecom_bridge.gateway import CallError, gateway_for
from wecom_bridge.governor import limits, pace, reach, shared
from wecom_bridge.governor.pace import Pace, Refused
from wecom_bridge.models import LimitOverride

API = "get_follow_user_list"
PATH = "externalcontact/get_follow_user_list"
NO_REDIS = "redis://127.0.0.1:1/0"


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


def width_of(corp, api=API):
    return look(corp, api)["width"]


def look(corp, api=API):
    shared.done.settle()
    found = shared.look(pace.keys_of(corp.corp_id, api), [clock.wall().timestamp(), pace.today()])
    names = ("minute", "hour", "today", "width", "running", "closed", "refusals")
    return dict(zip(names, found, strict=True))


def refuse(wecom, corp, **script):
    """WeCom answers 45009 once; the seconds for which we leave it alone."""
    wecom.script(PATH, errcode=45009, **script)
    with pytest.raises(CallError) as raised:
        gateway_for(corp).get_follow_users()
    assert raised.value.errcode == 45009 and raised.value.held
    return raised.value.retry_after
