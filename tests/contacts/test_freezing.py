"""What the alarm on a guide freezes: for whom, from when, who is told, and who ends it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.test import Client

from accounts.models import User
from accounts.scope import permissions_of
from contacts.models import DeletionAlarm, Member, TimelineEvent
from contacts.services import freezing
from contacts.services.organisation import link_member, unlink_member
from contacts.timeline import Restated, restate_events
from scrm.lib import clock
from tenants.audit import SYSTEM
from tenants.ledger.models import AuditEntry
from tests.support import wecom
from tests.support.contacts import make_alarm, make_follow, make_member, make_store
from tests.support.core import log_in, make_user
from tests.support.endings import deleted_by, noon
from wecom_bridge.models import OutboundCommand

pytestmark = pytest.mark.django_db
# Wednesday, 10:00 in Shanghai.
MORNING = datetime(2026, 3, 4, 2, 0, tzinfo=UTC)
TAKING = ["contacts.view", "contacts.edit", "contacts.export", "contacts.unmask", "contacts.import", "handover.manage", "freezes.lift"]  # fmt: skip


def guide(store: Any, *permissions: str, scope: Any = None, **fields: Any) -> tuple[Member, User]:
    """A guide whose log-in holds every permission that a freeze takes, or these."""
    user = make_user(permissions=list(permissions or TAKING), scope=scope or store)
    return make_member("林小雅", store=store, user=user, **fields), user


def frozen(member: Member, **fields: Any) -> DeletionAlarm:
    account = getattr(member, "account", None)
    now = clock.now()
    return make_alarm(member, raised_at=now, frozen_at=now, frozen_user_id=account and account.user_id, **fields)


def lift(client: Client, alarm: DeletionAlarm, reason: str = "已和本人核实") -> int:
    return client.post(f"/ended/alarms/{alarm.pk}/lift/", {"reason": reason}).status_code


def may(user: User) -> set[str]:
    return {code for code in TAKING if code in permissions_of(user)}


def test_from_the_alarm_on_she_takes_nothing_along_until_her_manager_lifts_it_with_a_reason() -> None:
    store = make_store("静安寺")
    lin, user = guide(store)
    person = make_follow(member=lin).contact
    boss = log_in(make_user(role="store", scope=store, display_name="陈婧"))
    hers = log_in(user)
    doors = ("/contacts/exports/", "/imports/", "/handover/")
    assert [hers.get(door).status_code for door in doors] == [200] * 3

    deleted_by(lin, "l", 6, noon(1))

    alarm = DeletionAlarm.objects.get()
    assert [hers.get(door).status_code for door in doors] == [403] * 3
    assert may(user) == {"contacts.view", "contacts.edit", "freezes.lift"}
    refused = hers.get("/contacts/export/").content.decode()
    assert "删除了 6 位客户" in refused and "请联系陈婧核实后解除" in refused
    assert hers.post(f"/contacts/{person.pk}/unmask/").status_code == 403
    chosen = {"action": "owner", "ids": [person.pk], "expected": 1, "member": lin.pk, "sure": 1, "stage": 1}
    for door in ("/contacts/bulk/", "/contacts/bulk/owner/", "/contacts/bulk/stage/"):
        assert "请联系陈婧" in hers.post(door, chosen).content.decode(), door
    page = hers.get("/contacts/")
    assert page.context["bulk_actions"] == [] and "账号已冻结" in page.content.decode()
    shown = boss.get("/ended/", {"tab": "alarms"}).content.decode()
    assert "已冻结:导出、看完整手机号、批量操作" in shown and "账号已冻结" not in shown

    assert lift(boss, alarm, "  ") == 422
    assert lift(boss, alarm) == 302
    assert lift(boss, alarm) == 409
    assert [hers.get(door).status_code for door in doors] == [200] * 3
    assert may(user) == set(TAKING)
    alarm.refresh_from_db()
    assert alarm.lifted_by_id == alarm.handled_by_id == boss.user.pk
    records = AuditEntry.objects.filter(subject_id=str(alarm.pk), action__startswith="account.").order_by("pk")
    assert [(row.action, row.data["user"], row.data.get("reason")) for row in records] == [
        ("account.frozen", user.pk, None), ("account.unfrozen", user.pk, "已和本人核实"),
    ]  # fmt: skip
    assert "陈婧" in (after := boss.get("/ended/", {"tab": "alarms"}).content.decode()) and "已和本人核实" in after
    deleted_by(lin, "k", 1, noon(1) + timedelta(hours=1))  # the same day's alarm, decided already
    assert may(user) == set(TAKING)


def test_who_lifts_and_who_does_not() -> None:
    store = make_store("静安寺")
    lin, user = guide(store)
    other, colleague = guide(store)
    mine, hers = frozen(lin), frozen(other)

    frozen_boss = log_in(user)
    assert lift(frozen_boss, mine) == 404  # her own
    unlink_member(lin.pk, by=SYSTEM)
    assert lift(frozen_boss, mine) == 404 and may(user) == {"contacts.view", "contacts.edit", "freezes.lift"}
    assert lift(log_in("store", scope=make_store()), mine) == 404
    assert lift(log_in(make_user(permissions=["contacts.view", "contacts.edit"])), mine) == 403
    assert lift(log_in("guide"), mine) == 403
    assert lift(frozen_boss, hers) == 302  # a frozen manager lifts another's
    assert may(colleague) == set(TAKING)
    log_in("store", scope=store).post(f"/ended/alarms/{mine.pk}/handled/")
    assert "handover.manage" not in may(user)  # dealt with is not lifted
    assert lift(log_in("operator"), mine) == 302


def test_a_guide_without_a_login_has_nothing_to_freeze_until_she_gets_one() -> None:
    lin = make_member("林小雅", store=make_store())
    boss = log_in("hq")
    deleted_by(lin, "l", 6, noon(1))
    assert "该导购没有登录账号,没有可冻结的" in boss.get("/ended/", {"tab": "alarms"}).content.decode()
    user = make_user(permissions=TAKING)
    link_member(user, lin, by=SYSTEM)
    assert "contacts.export" not in may(user)
    assert "该导购没有登录账号" not in boss.get("/ended/", {"tab": "alarms"}).content.decode()

    event = TimelineEvent.objects.filter(kind="follow.deleted_by_guide").earliest("pk")
    restate_events([Restated(event.fact_key, "follow.deleted_by_customer", event.occurred_at)])
    assert may(user) == set(TAKING)  # she had not deleted so many
    assert AuditEntry.objects.get(action="account.unfrozen").actor_kind == "system"


def test_an_alarm_of_before_there_were_freezes_freezes_nobody() -> None:
    lin, user = guide(make_store())
    alarm = make_alarm(lin)
    assert may(user) == set(TAKING)
    assert lift(log_in("hq"), alarm) == 409


@time_machine.travel(MORNING, tick=False)
def test_the_nearest_who_may_lift_it_are_told_by_app_message() -> None:
    corp, store = wecom.make_corp(), make_store("静安寺")
    lin, _user = guide(store, corp=corp)
    make_member("总部", corp=corp, user=make_user("hq"))
    boss = make_member("陈婧", store=store, corp=corp, user=make_user("store", store))
    alone = make_member("独自", store=make_store(), corp=corp)
    make_user("store", alone.store)  # whom no message reaches
    hq_only = Member.objects.get(name="总部")
    for member in (lin, alone):
        deleted_by(member, member.userid, 6, noon(1))
    assert freezing.NOTICE.count_due() == 2
    freezing.NOTICE.drain(clock.wall() + timedelta(seconds=20))
    told = {row.subject_id: row for row in OutboundCommand.objects.filter(kind=freezing.COMMAND)}
    first, second = DeletionAlarm.objects.get(member=lin), DeletionAlarm.objects.get(member=alone)
    assert (first.told, first.tell_at, second.told) == ("sending", None, "sending")
    assert told[first.pk].payload["touser"] == [boss.userid] and told[second.pk].payload["touser"] == [hq_only.userid]
    words = [told[one.pk].payload["content"]["description"] for one in (first, second)]
    assert "已冻结她的导出" in words[0] and "没有可冻结的" in words[1]
    kind = freezing.NOTICE.kind()
    assert kind.build is not None and kind.build(told[first.pk]) is not None
    assert lift(log_in("store", scope=store), first) == 302
    assert kind.build(told[first.pk]) is None

    User.objects.filter(pk=hq_only.account.user_id).update(is_active=False)
    deleted_by(alone, "more", 6, noon(2))
    freezing.NOTICE.drain(clock.wall() + timedelta(seconds=20))
    third = DeletionAlarm.objects.exclude(pk__in=[first.pk, second.pk]).get()
    assert (third.told, third.told_error) == ("failed", "没有可以通知的人")
