"""客户继承 that does not go through: refusals, successors without room, people who leave, plans that are stopped."""

from datetime import timedelta

import pytest

from contacts.services.handover import planning
from contacts.services.handover.eligibility import preview
from scrm.lib import clock
from scrm.lib.errors import UserError
from tenants.audit import SYSTEM
from tests.support import handover as make
from tests.support.handover import customers_of, failing, leaves
from tests.support.wecom import arrive

pytestmark = pytest.mark.django_db(transaction=True)


RESIGNED, ONJOB = "externalcontact/resigned/transfer_customer", "externalcontact/transfer_customer"


def test_a_customer_who_refused_is_not_asked_again(shop, wecom, leaver, taker):
    follows = make.customers(wecom, leaver, 2)
    plan = make.start(leaver, taker)
    make.work()
    arrive(shop, "transfer_fail", **failing(wecom, follows[0], "customer_refused"))
    make.hear()
    assert make.states(plan) == {"sent": 1, "refused": 1}
    with pytest.raises(UserError):
        planning.ask_again(plan.pk, by=SYSTEM)
    assert make.states(plan) == {"sent": 1, "refused": 1}


def test_what_failed_may_be_asked_again_and_old_news_of_it_settles_nothing(shop, wecom, leaver, taker):
    follows = make.customers(wecom, leaver, 2)
    plan = make.start(leaver, taker)
    make.work()
    failed = failing(wecom, follows[0], "customer_limit_exceed")
    arrive(shop, "transfer_fail", **failed)
    make.hear()
    assert make.states(plan) == {"sent": 1, "full": 1}
    assert planning.ask_again(plan.pk, by=SYSTEM) == 1
    make.work()
    assert make.states(plan) == {"sent": 2}
    arrive(shop, "transfer_fail", created=int(clock.wall().timestamp()) - 3600, **failed)  # the old news once more
    make.hear()
    assert make.states(plan) == {"sent": 2}


def test_customers_of_a_successor_who_fills_up_go_to_the_fallback(wecom, leaver, taker, other):
    wecom.post("switches", {"transfer_customers_most": customers_of(wecom, "songjiayi") + 2})
    make.customers(wecom, leaver, 4)
    plan = make.start(leaver, other, fallback=taker)  # who has far fewer
    make.work()
    with make.later(wecom, hours=25):
        make.work()
        assert sorted(plan.rows.values_list("state", "successor__userid")) == [
            ("done", "songjiayi"), ("done", "songjiayi"), ("sent", "hechen"), ("sent", "hechen"),
        ]  # fmt: skip
        with make.later(wecom, hours=25):
            make.work()
            assert make.states(plan) == {"done": 4}


def test_of_two_successors_without_room_each_is_asked_once(wecom, leaver, taker, other):
    wecom.post("switches", {"transfer_customers_most": 1})
    make.customers(wecom, leaver, 2)
    plan = make.start(leaver, taker, fallback=other)
    make.work()
    plan.refresh_from_db()
    assert set(plan.rows.values_list("state", "successor__userid", "errcode")) == {("full", "songjiayi", 40099)}
    assert (len(wecom.calls(ONJOB)), plan.state) == (2, "done")


def test_a_call_that_is_refused_as_a_whole_fails_its_rows_with_the_code(wecom, leaver, taker):
    make.customers(wecom, leaver, 2)
    plan = make.start(leaver, taker)
    wecom.script(ONJOB, errcode=84074)
    make.work()
    plan.refresh_from_db()
    assert (make.states(plan), plan.state) == ({"failed": 2}, "done")
    assert set(plan.rows.values_list("errcode", flat=True)) == {84074}


def test_a_guide_who_leaves_before_the_call_ends_the_plan_with_that_reason(wecom, leaver, taker):
    make.customers(wecom, leaver, 2)
    plan = make.start(leaver, taker)
    leaves(wecom, leaver)
    make.work()
    plan.refresh_from_db()
    assert (plan.state, set(plan.rows.values_list("state", "reason"))) == ("done", {("failed", "giver_left")})
    assert not wecom.calls(ONJOB)
    again = make.start(leaver, taker)
    make.work()
    assert (again.kind, make.states(again)) == ("resigned", {"sent": 2})


def test_a_successor_who_leaves_before_the_call_is_replaced_by_the_fallback_or_said(wecom, leaver, taker, other):
    make.customers(wecom, leaver, 2)
    plan = make.start(leaver, taker, fallback=other)
    leaves(wecom, taker)
    make.work()
    assert set(plan.rows.values_list("state", "successor__userid")) == {("sent", "songjiayi")}
    planning.stop_plan(plan.pk, by=SYSTEM)


def test_what_has_begun_when_a_plan_is_stopped_is_still_followed(wecom, leaver, taker):
    make.customers(wecom, leaver, 2)
    plan = make.start(leaver, taker)
    make.work()
    planning.stop_plan(plan.pk, by=SYSTEM)
    with make.later(wecom, hours=25):
        make.work()
        plan.refresh_from_db()
        assert (make.states(plan), plan.state, plan.next_at) == ({"done": 2}, "stopped", None)


def test_a_stop_before_the_call_calls_nobody(wecom, leaver, taker):
    make.customers(wecom, leaver, 2)
    plan = make.start(leaver, taker)
    planning.stop_plan(plan.pk, by=SYSTEM)
    make.work()
    assert make.states(plan) == {"stopped": 2}
    assert not wecom.calls(ONJOB)


def test_wecoms_word_that_a_customer_moved_too_often_is_remembered(wecom, leaver, taker):
    make.customers(wecom, leaver, 1)
    plan = make.start(leaver, taker)
    external = plan.rows.get().follow.identity.value
    wecom.script(ONJOB, body={"errcode": 0, "customer": [{"external_userid": external, "errcode": 40128}]})
    make.work()
    assert plan.rows.get().errcode == 40128
    next_plan = make.draft(leaver, taker)
    assert [line.reason for line in preview(next_plan, clock.now()).people] == ["too_often"]
    with clock.shifted(timedelta(days=91)):
        assert [line.reason for line in preview(next_plan, clock.now()).people] == [""]


def test_a_successor_wecom_found_without_a_real_name_cannot_be_chosen_for_a_week(wecom, leaver, taker):
    make.customers(wecom, leaver, 1)
    wecom.hand("member_account", userid="hechen", verified=False)
    plan = make.start(leaver, taker)
    make.work()
    assert plan.rows.get().errcode == 40098
    with pytest.raises(UserError, match="未实名认证"):
        make.draft(leaver, taker)
    with clock.shifted(timedelta(days=8)):
        make.draft(leaver, taker)


def test_a_result_that_never_comes_is_no_record_after_three_days(wecom, leaver, taker):
    make.customers(wecom, leaver, 1)
    plan = make.start(leaver, taker)
    make.work()
    with clock.shifted(timedelta(hours=73)):  # WeCom's clock stands: it still shows her as waiting
        make.work()
        assert set(plan.rows.values_list("state", "reason")) == {("no_record", "overdue")}
