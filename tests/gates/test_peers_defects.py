"""Defects that others have in the same place, at the scale at which they show; the table in docs/people.md says where each is proven."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as site
from django.test import Client
from django.urls import reverse

from campaigns import tasks
from contacts import longjobs
from contacts.models import Follow, FollowPeriod, GroupChat, Member
from scrm.lib import clock
from simulator.threaded import ThreadedSimulator
from tenants.ledger.models import Job
from tests.contacts.test_exports import ending, fetched
from tests.isolation.test_scope import PAGES
from tests.isolation.test_sweep import everything
from tests.support import campaigns, handover
from tests.support.contacts import make_contact, make_follow, make_member, make_store
from tests.support.core import log_in, make_user
from tests.support.syncing import customers, drift, first_synced, sync
from tests.support.wecom import Wecom, arrive, forget_process
from wecom_bridge.client.customers import Groups
from wecom_bridge.models import SyncUnit
from wecom_bridge.services import outbox

pytestmark = [pytest.mark.gate, pytest.mark.django_db(transaction=True)]
GROUP_LIST = "externalcontact/groupchat/list"
ROW = re.compile(r"^\| (\d+) \| [^|]+ \| (.+) \|$", re.M)
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


@pytest.fixture
def wecom(settings: Any) -> Iterator[Wecom]:
    """The simulator of a small shop; the bridge calls it."""
    with ThreadedSimulator(["shop"], seed=7) as running:
        settings.WECOM_API_BASE = running.url
        forget_process()
        yield Wecom(running.url)
        forget_process()


def test_250_groups_on_three_pages_are_all_read_and_a_failing_page_deletes_none(
    wecom: Wecom, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 10. We ask for 1,000 a page; here for 100, so that 250 are three pages."""
    cursors, listed = [], Groups.list

    def of_a_hundred(groups: Groups, **given: Any) -> dict[str, Any]:
        cursors.append(given["cursor"])
        return listed(groups, **given | {"limit": 100})

    monkeypatch.setattr(Groups, "list", of_a_hundred)
    corp = first_synced(wecom)
    [someone] = customers(wecom, "wutong")[:1]
    for number in range(250 - GroupChat.objects.count()):
        wecom.hand("group_create", owner="wutong", name=f"群{number}", members=[someone])

    cursors.clear()
    assert sync(corp).state == "done"
    assert (len(cursors), GroupChat.objects.filter(dismissed_at=None).count()) == (3, 250)

    first, second, _third = cursors
    assert second and not first
    wecom.script(GROUP_LIST, errcode=40050, match={"cursor": second}, times=50)
    run = sync(corp)
    assert run.state == "done" and ("group", "extra") not in drift(run)
    assert SyncUnit.objects.get(run=run, kind="group_list").state == "failed"
    assert GroupChat.objects.filter(dismissed_at=None).count() == 250


def test_a_customer_who_comes_back_is_returned_and_gets_the_next_broadcast(wecom: Wecom, acme_client: Client) -> None:
    """Row 12."""
    shop = wecom.connect()
    _at(wecom, campaigns.MORNING)
    with campaigns.at_time(campaigns.MORNING):
        assert sync(shop.corp).state == "done"
        Member.objects.update(store=make_store())
        hers = Follow.objects.filter(member__userid="wutong", relation="active", contact__active_follows=1)
        follow, other = hers.order_by("pk")[:2]
        campaigns.cover(shop.corp)
        who = {"UserID": "wutong", "ExternalUserID": follow.identity.value}
        [begun] = FollowPeriod.objects.filter(follow=follow)
        before = _friends()

        wecom.hand("customer_deletes", userid="wutong", external_userid=follow.identity.value)
        _hear(shop, "del_follow_user", who)
        assert before - _friends() == {follow.pk}
        lost = campaigns.released([follow.contact, other.contact], name="她不在")
        assert campaigns.states(lost) == {"excluded": 1, "planned": 1}

        with handover.later(wecom, minutes=10):
            wecom.hand("add", userid="wutong", external_userid=follow.identity.value)
            _hear(shop, "add_external_contact", who)
            assert _friends() == before
            assert FollowPeriod.objects.filter(follow=follow).exclude(pk=begun.pk).get().ended_at is None
            page = acme_client.get("/ended/", {"tab": "returned", "day": f"{campaigns.MORNING:%Y-%m-%d}"})
            assert [row["person"].pk for row in page.context["rows"]] == [follow.contact_id]

            push = campaigns.released([follow.contact], name="她回来了", notify_at=campaigns.local(11))
            assert campaigns.states(push) == {"planned": 1}
            campaigns.agree(campaigns.units(push)[0])
    _at(wecom, campaigns.local(11, 1))
    with campaigns.at_time(campaigns.local(11, 1)):
        tasks.drain(clock.wall() + timedelta(seconds=20))
        outbox.drain(clock.wall() + timedelta(seconds=20))
        [unit] = campaigns.units(push)
        wecom.hand("confirm", msgid=unit.msgid, userid="wutong")
    inbox = wecom.get(f"customers/{follow.identity.value}/inbox")["messages"]
    assert [row["kind"] for row in inbox if row["kind"] == "mass"] == ["mass"]


def _at(wecom: Wecom, instant: Any) -> None:
    wecom.post("clock", {"offset": (instant - clock.wall()).total_seconds()})


def _hear(shop: Any, change: str, who: dict[str, str]) -> None:
    """A callback of now, worked off."""
    arrive(shop, change, created=int(clock.now().timestamp()), **who)
    handover.hear()


def _friends() -> set[int]:
    return set(Follow.objects.filter(relation="active").values_list("pk", flat=True))


NO_FILES = ("contacts:export_list", "contacts:export_limit")
EXPORTS = sorted(
    route.name for route in PAGES if "export" in route.name and not route.arguments and route.name not in NO_FILES
)
SECRET = "绝密"


@pytest.mark.django_db(transaction=False)
def test_every_export_holds_what_the_scope_shows_and_no_more(acme: Any, settings: Any, tmp_path: Path) -> None:
    """Row 21: the files; the pages are tests/isolation/test_scope.py."""
    settings.MEDIA_ROOT = tmp_path
    guide = make_member(store=make_store())
    make_follow(make_contact(f"{SECRET}甲"), guide)
    ending(f"{SECRET}乙", guide, "follow.deleted_by_customer", 1)
    assert EXPORTS
    for scope in (make_store(), "self"):
        assert _exported(scope) == dict.fromkeys(EXPORTS, False)
    assert _exported(None) == dict.fromkeys(EXPORTS, True), "the other half of the proof"


def _exported(scope: Any) -> dict[str, bool]:
    """Export → whether its file names anybody, for somebody with every permission in the scope."""
    client, found = log_in(make_user(permissions=everything(), scope=scope)), {}
    for name in EXPORTS:
        known = Job.objects.count()
        assert client.post(reverse(name), {"format": "csv"}).status_code == 302
        assert Job.objects.count() == known + 1
        assert longjobs.drain(clock.wall() + timedelta(seconds=20)) is False
        found[name] = SECRET in fetched(client, Job.objects.latest("pk")).decode("utf-8-sig")
    return found


@pytest.mark.django_db(transaction=False)
def test_the_table_of_proofs_names_every_row_and_tests_that_exist() -> None:
    text = Path(site.BASE_DIR, "docs", "people.md").read_text(encoding="utf-8")
    rows = {int(number): NAMED.findall(proofs) for number, proofs in ROW.findall(text)}
    assert sorted(rows) == [10, 11, 12, 13, 14, 18, 21, 23, 31, 32, 34]
    for number, proofs in rows.items():
        assert proofs, f"row {number} names no test"
        for path, name in proofs:
            source = Path(site.BASE_DIR, path).read_text(encoding="utf-8")
            assert f"\ndef {name}(" in source, f"row {number}: {path}::{name} is gone"
