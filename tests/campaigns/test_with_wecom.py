"""The whole way with the simulator: tasks, lost answers, results, the guide faster than the stop, others' sends."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from campaigns import tasks
from campaigns.models import Delivery, Dispatch, LedgerCoverage, MassSend, MassSendResult
from campaigns.services import ledger, stopping
from contacts.models import Follow, Identity, Member
from scrm.lib import clock
from tests.support import campaigns as make
from tests.support import contacts as people
from tests.support.wecom import Wecom
from wecom_bridge.gateway import gateway_for
from wecom_bridge.models import OutboundCommand
from wecom_bridge.services import outbox

pytestmark = pytest.mark.django_db(transaction=True)

LISTED = "externalcontact/get_groupmsg_list_v2"
CREATE = "externalcontact/add_msg_template"


@pytest.fixture
def world(wecom: Wecom) -> "World":
    return World(wecom)


class World:
    """A guide of the simulator with some of her customers, mirrored here; both clocks moved together."""

    def __init__(self, wecom: Wecom) -> None:
        self.wecom = wecom
        self.corp = wecom.connect().corp
        self.move(make.MORNING)
        userid = next(iter(self._userids()))
        self.guide: Member = people.make_member(store=people.make_store(), corp=self.corp, userid=userid)
        rows = wecom.hand("customers", userid=userid, limit=4)["customers"]
        self.contacts = []
        for row in rows:
            contact = people.make_contact(row["name"])
            people.make_identity(contact, corp=self.corp, value=row["external_userid"])
            people.make_follow(contact, self.guide)
            self.contacts.append(contact)

    def _userids(self) -> list[str]:
        row = self.wecom.get("customers?limit=1")["customers"][0]
        found = row.get("follows", row.get("followers", []))
        return [one if isinstance(one, str) else one["userid"] for one in found]

    def move(self, instant: datetime) -> None:
        """Both domain clocks show this instant."""
        self.now = instant
        self.wecom.post("clock", {"offset": (instant - clock.wall()).total_seconds()})

    def work(self) -> None:
        """Everything due here and now: the campaigns lane and the outbox, until both are quiet."""
        with make.at_time(self.now):
            for _ in range(20):
                more = tasks.drain(clock.wall() + timedelta(seconds=20))
                open_before = self.open_commands()
                outbox.drain(clock.wall() + timedelta(seconds=20))
                if not more and not tasks.count_due() and self.open_commands() == open_before == 0:
                    return

    def open_commands(self) -> int:
        due = OutboundCommand.objects.filter(next_attempt_at__lte=clock.wall())
        return due.filter(state__in=["waiting", "retry", "unknown", "claimed"]).count()

    def here(self, act: Callable[[], Any]) -> Any:
        with make.at_time(self.now):
            return act()


@pytest.fixture
def push(world: World) -> Any:
    """Agreed to, at 通知时间."""

    def prepare() -> Any:
        make.cover(world.corp)
        push = make.released(world.contacts)
        make.agree(make.units(push)[0])
        return push

    push = world.here(prepare)
    world.move(make.local(10))
    return push


def test_a_broadcast_reaches_its_people(world, push):
    world.work()
    [unit] = make.units(push)
    assert (unit.state, make.states(push)) == ("tasked", {"tasked": 4})

    world.move(make.local(10, 20))
    answers = world.wecom.hand("confirm", msgid=unit.msgid, userid=world.guide.userid)
    assert answers
    world.work()
    world.move(make.local(10, 21))
    world.work()

    push.refresh_from_db()
    unit.refresh_from_db()
    assert (unit.state, push.state) == ("done", "ended")
    assert sum(make.states(push).values()) == 4 and set(make.states(push)) <= {"sent", "failed"}
    assert unit.confirmed_at is not None and abs(unit.confirmed_at - make.local(10, 20)) < timedelta(minutes=1)


def test_a_lost_answer_is_found_and_not_sent_again(world, push):
    world.wecom.script(CREATE, close=True, execute=True, times=1)
    world.work()
    OutboundCommand.objects.filter(state="unknown").update(next_attempt_at=clock.wall())
    world.work()

    [unit] = make.units(push)
    assert unit.state == "tasked" and unit.msgid
    assert len(world.wecom.calls(CREATE)) == 1 and world.wecom.calls(LISTED)
    assert len(world.wecom.hand("tasks", userid=world.guide.userid)["tasks"]) == 1


def test_a_call_that_never_arrived_is_made_again_once(world, push):
    world.wecom.script(CREATE, close=True, times=1)
    world.work()
    assert OutboundCommand.objects.get(kind="groupmsg.create").state == "unknown"

    # Nothing is listed yet: within two minutes that proves nothing.
    OutboundCommand.objects.update(next_attempt_at=clock.wall())
    world.work()
    assert OutboundCommand.objects.get(kind="groupmsg.create").state == "unknown"

    OutboundCommand.objects.update(next_attempt_at=clock.wall(), sent_at=clock.wall() - timedelta(minutes=3))
    world.work()
    assert make.units(push)[0].state == "tasked"
    assert len(world.wecom.hand("tasks", userid=world.guide.userid)["tasks"]) == 1


def test_an_answer_without_its_list_does_not_bring_a_second_task(world, push):
    """WeCom made the task, and its list leaves out what it holds: nobody may take that for a no."""
    world.wecom.script(CREATE, close=True, execute=True, times=1)
    world.work()
    world.wecom.script(LISTED, body={"errcode": 0, "errmsg": "ok"}, times=1)
    due = {"next_attempt_at": clock.wall(), "sent_at": clock.wall() - timedelta(minutes=3)}
    OutboundCommand.objects.filter(state="unknown").update(**due)
    world.work()
    assert OutboundCommand.objects.get(kind="groupmsg.create").state == "unknown"

    OutboundCommand.objects.filter(state="unknown").update(next_attempt_at=clock.wall())
    world.work()
    assert make.units(push)[0].state == "tasked" and len(world.wecom.calls(CREATE)) == 1


def test_a_guide_who_confirms_before_the_stop_has_sent(world, push):
    world.work()
    [unit] = make.units(push)
    world.wecom.hand("confirm", msgid=unit.msgid, userid=world.guide.userid)
    world.here(lambda: stopping.stop_push(push.pk, by=make.author()))
    world.work()

    push.refresh_from_db()
    assert push.state == "stopped"
    assert set(make.states(push)) <= {"sent", "failed"}


def test_an_unconfirmed_unit_expires_and_wecom_forgets_the_task(world, push):
    world.work()
    world.move(make.local(20, 30))
    world.work()

    push.refresh_from_db()
    assert (push.state, make.states(push)) == ("ended", {"expired": 4})
    assert world.wecom.hand("tasks", userid=world.guide.userid)["tasks"] == []


def test_the_ledger_learns_what_guides_send_on_their_own(world):
    first = Identity.objects.filter(contact=world.contacts[0]).get()
    world.wecom.hand("send_own", userid=world.guide.userid, external_userids=[first.value], text="自己发的")
    world.move(make.local(9, 40))
    world.here(lambda: ledger.start_reading(world.corp.pk))
    world.work()

    coverage = LedgerCoverage.objects.get(corp=world.corp)
    assert coverage.covered_to is not None and coverage.awaited == 0 and not coverage.last_error
    assert MassSend.objects.filter(create_type=1, creator_userid=world.guide.userid).exists()
    assert MassSendResult.objects.filter(target=first.value, status=1).exists()
    assert Dispatch.objects.count() == 0 and Delivery.objects.count() == 0 and Follow.objects.count() == 4


def test_the_gateway_sends_no_mass_message_without_recipients(world):
    with pytest.raises(ValueError, match="recipients"):
        gateway_for(world.corp).add_msg_template(
            sender=world.guide.userid, text={"content": "您好"}, external_userid=[], chat_type="single"
        )
    assert not world.wecom.calls(CREATE)
