"""Whatever people and WeCom do, in whatever order: the sum is the target, and nobody stands in two open units."""

import random
from collections import Counter

import pytest

from campaigns import tasks
from campaigns.models import Delivery, Dispatch, Push
from campaigns.services import agreeing, results, stopping
from campaigns.services.broadcasts import Draft, edit_broadcast
from campaigns.states import DELIVERY_NEXT, DISPATCH_NEXT
from scrm.lib import clock
from scrm.lib.errors import UserError
from tests.support import campaigns as make
from tests.support import contacts as people
from wecom_bridge.models import OutboundCommand

pytestmark = pytest.mark.django_db


class Play:
    """Three pushes to overlapping people of two guides, and a random hand."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.now = make.MORNING
        store = people.make_store()
        self.guides = [people.make_member(store=store) for _ in range(2)]
        make.cover(self.guides[0].corp)
        self.people = [people.make_contact() for _ in range(6)]
        for index, contact in enumerate(self.people):
            people.make_follow(contact, self.guides[index % 2])
        self.pushes = []
        for number in range(3):
            chosen = self.dice.sample(self.people, 4)
            # As if all three had been frozen at the same moment: then only the claim keeps them apart.
            earlier = list(Delivery.objects.filter(state="planned").values_list("pk", flat=True))
            Delivery.objects.filter(pk__in=earlier).update(state="skipped")
            try:
                self.pushes.append(
                    make.released(chosen, text=f"第{number % 2}份", holdout_percent=self.dice.choice((0, 20)))
                )
            except UserError:
                pass  # the holdout left nobody
            Delivery.objects.filter(pk__in=earlier).update(state="planned")
        self.seen: dict[str, dict[int, str]] = {"unit": {}, "delivery": {}}

    def act(self) -> None:
        act = self.dice.choice(
            (self.agree, self.agree, self.skip, self.leave_out, self.tick, self.tick, self.answer_create, self.answer_create,
             self.confirm, self.confirm, self.results, self.results, self.stop_answer, self.stop, self.lose_friend, self.edit)
        )  # fmt: skip
        try:
            with make.at_time(self.now):
                act()
        except UserError:
            pass  # refused with a sentence: nothing may have changed

    def unit(self, *states: str) -> Dispatch:
        rows = list(Dispatch.objects.filter(state__in=states).select_related("sender")) or list(Dispatch.objects.all())
        return self.dice.choice(rows)

    def agree(self) -> None:
        make.agree(self.unit("waiting"))

    def skip(self) -> None:
        unit = self.unit("waiting", "agreed")
        agreeing.skip(unit.pk, member_ids=[unit.sender_id], reason="on_leave", by=make.author())

    def leave_out(self) -> None:
        unit = self.unit("waiting")
        chosen = list(Delivery.objects.filter(dispatch=unit).values_list("pk", flat=True))
        agreeing.exclude(unit.pk, chosen[:1], member_ids=[unit.sender_id], reason="刚联系过", by=make.author())

    def tick(self) -> None:
        self.now += self.dice.choice((make.timedelta(minutes=10), make.timedelta(hours=1), make.timedelta(hours=4)))
        with make.at_time(self.now):
            tasks.drain(clock.wall() + make.timedelta(seconds=10))

    def answer_create(self) -> None:
        unit = self.unit("creating")
        if unit.state == "creating" and self.dice.random() < 0.8:
            listed = list(Delivery.objects.filter(dispatch=unit).values_list("external_userid", flat=True))
            make.give_task(unit, fail_list=listed[:1] if self.dice.random() < 0.3 else [])
        elif unit.state == "creating":
            results.record_refusal(unit.pk, message="41048")

    def confirm(self) -> None:
        unit = self.unit("tasked", "stopping")
        if unit.msgid:
            status = self.dice.choice((0, 2))
            row = {"userid": unit.sender.userid, "status": status, "send_time": int(self.now.timestamp())}
            results.record_task_state(unit.pk, [row], after_stop=self.dice.random() < 0.5)

    def results(self) -> None:
        unit = self.unit("confirmed", "done", "expired", "stopped")
        if unit.msgid:
            rows = [
                {
                    "external_userid": external,
                    "status": self.dice.choice((0, 1, 2, 3)),
                    "send_time": int(self.now.timestamp()),
                }
                for external in Delivery.objects.filter(dispatch=unit).values_list("external_userid", flat=True)
            ]
            results.record_results(unit.pk, rows, "")

    def stop_answer(self) -> None:
        results.record_stop(self.unit("stopping").pk)
        OutboundCommand.objects.filter(
            kind="groupmsg.create", state="waiting", subject_id=self.unit("creating").pk
        ).update(state="cancelled")

    def stop(self) -> None:
        if self.dice.random() < 0.3:
            stopping.stop_push(self.dice.choice(self.pushes).pk, by=make.author())

    def lose_friend(self) -> None:
        self.dice.choice(self.people).follows.update(relation="by_customer")

    def edit(self) -> None:
        push = self.dice.choice(self.pushes)
        edit_broadcast(push.broadcast.pk, Draft(text="改不了"), by=make.author())

    def check(self) -> None:
        for push in Push.objects.all():
            assert sum(make.states(push).values()) == push.audience_count
        open_units = Counter(Delivery.objects.filter(state="tasked").values_list("contact_id", flat=True)) + Counter(
            Delivery.objects.filter(state="planned", dispatch__state="creating").values_list("contact_id", flat=True)
        )
        assert all(number == 1 for number in open_units.values()), open_units
        assert not Delivery.objects.filter(state__in=["planned", "tasked"], dispatch__state__in=["done", "skipped", "expired", "stopped", "failed"]).exists()  # fmt: skip
        self._check_moves("unit", DISPATCH_NEXT, dict(Dispatch.objects.values_list("pk", "state")))
        self._check_moves("delivery", DELIVERY_NEXT, dict(Delivery.objects.values_list("pk", "state")))

    def _check_moves(self, what, table, now) -> None:
        """Every state seen was reachable from the last one seen, in one step or (within one act) a few."""
        for pk, state in now.items():
            assert state in _reachable(table, self.seen[what].get(pk, state)), (what, self.seen[what].get(pk), state)
        self.seen[what] = now


def _reachable(table, start):
    found, todo = {start}, [start]
    while todo:
        for following in table[todo.pop()]:
            if following not in found:
                found.add(following)
                todo.append(following)
    return found


@pytest.mark.parametrize("seed", range(6))
def test_any_sequence_of_acts_keeps_the_sum_and_one_open_unit_per_person(seed):
    with make.at_time(make.MORNING):
        play = Play(seed)
    for _ in range(30):
        play.act()
        play.check()
    # In the end everything is settled: nothing stays open for ever.
    play.now = make.local(12, day=4)
    with make.at_time(play.now):
        for _ in range(4):
            tasks.drain(clock.wall() + make.timedelta(seconds=10))
            for unit in Dispatch.objects.filter(state="creating").select_related("sender"):
                results.record_refusal(unit.pk, message="41048")
            for unit in Dispatch.objects.filter(state="stopping").select_related("sender"):
                results.record_task_state(unit.pk, [], after_stop=True)
            for unit in Dispatch.objects.filter(state="confirmed"):
                results.record_results(unit.pk, [], "")
        tasks.drain(clock.wall() + make.timedelta(seconds=10))
    play.check()
    assert not Push.objects.filter(state="frozen").exists()
    assert not Delivery.objects.filter(state__in=["planned", "tasked"]).exists()
