"""Events that an earlier version kept as ignored, and this one handles: replayed from the page and by the command."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command

from contacts.models import Member
from scrm.lib import clock
from tests.support.core import log_in
from tests.support.wecom import app_event_xml, arrive, arrive_plain, make_connection
from wecom_bridge.models import InboundEvent
from wecom_bridge.selection import Selection, replayable
from wecom_bridge.services import inbox

pytestmark = pytest.mark.django_db(transaction=True)


def forget_aims():
    """As a version left them that knew nothing of their kinds."""
    InboundEvent.objects.update(state="ignored", lane="", entity_key="", settled_at=clock.wall())


def keys(connection):
    rows = InboundEvent.objects.filter(state="waiting", lane="inbound").order_by("id")
    return [row.entity_key.removeprefix(f"{connection.corp.pk}:") for row in rows]


def everything(connection):
    """An event of each kind that makes something dirty."""
    arrive(connection, "add_external_contact", UserID="lin", ExternalUserID="wm1")
    arrive(connection, "update", "change_external_chat", ChatId="wr1")
    arrive(connection, "update", "change_external_tag", Id="et1", TagType="tag", StrategyId="")
    arrive(connection, "update_user", "change_contact", UserID="lin")
    arrive(connection, "update_party", "change_contact", Id="2")
    arrive_plain(connection, app_event_xml(connection.corp.corp_id, "subscribe", "lin"))
    forget_aims()
    # What names nothing of ours stays ignored.
    arrive(connection, "update", "change_external_tag", Id="et2", TagType="tag", StrategyId="7")
    arrive(connection, "update_tag", "change_contact", TagId="1")
    return ["p:wm1", "g:wr1", "t:all", "m:lin", "d:all", "m:lin"]


def test_the_page_replays_them(acme):
    connection = make_connection()
    wanted = everything(connection)
    it = log_in("it")
    assert it.get("/bridge/inbox/?state=ignored").context["replayable"] == len(wanted)

    told = {"select_all": "1", "expected": str(len(wanted))}
    assert it.post("/bridge/inbox/replay/?state=ignored", told).status_code == 302

    assert keys(connection) == wanted
    assert InboundEvent.objects.filter(state="ignored").count() == 2 and not replayable(Selection(state="ignored"))


def test_a_single_one_is_replayed_from_the_page(acme):
    connection = make_connection()
    everything(connection)
    row = InboundEvent.objects.get(event="subscribe")
    assert log_in("it").post("/bridge/inbox/replay/", {"ids": [row.pk]}).status_code == 302
    assert keys(connection) == ["m:lin"]


def test_the_command_replays_them_and_they_are_handled(wecom, acme):
    connection = wecom.connect()
    arrive_plain(connection, app_event_xml(connection.corp.corp_id, "subscribe", "fangxiaoman"))
    forget_aims()
    out = StringIO()
    call_command("replay_events", tenant="acme", state="ignored", event="subscribe", stdout=out)
    assert "1 are handled once more" in out.getvalue()

    inbox.drain(clock.wall() + timedelta(seconds=20))

    assert InboundEvent.objects.get().state == "done" and Member.objects.filter(userid="fangxiaoman").exists()
