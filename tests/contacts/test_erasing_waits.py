"""删除个人信息: what is under way is waited for or given up, and a crash loses nothing."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from campaigns.models import (
    Delivery,
    Dispatch,
)
from contacts import longjobs
from contacts.models import (
    RemarkEdit,
)
from contacts.services import erasing
from scrm.lib import clock
from tenants import erasure
from tenants.ledger.models import Job
from tests.support import campaigns
from tests.support.contacts import (
    make_follow,
)
from tests.support.erasing import ask, full_person, traces, work
from wecom_bridge.models import OutboundCommand

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _media(settings: Any, tmp_path: Path) -> Iterator[None]:
    settings.MEDIA_ROOT = str(tmp_path)
    yield


# --- Under way for her ---------------------------------------------------------------------------------------------------


def test_calls_not_made_yet_are_given_up_and_one_in_doubt_is_waited_for(acme: Any) -> None:
    follow = make_follow()
    now = clock.now()
    fields = {"corp": follow.corp, "lane": "outbound", "next_attempt_at": now, "created_at": now}
    edit = RemarkEdit.objects.create(follow=follow, remark="新备注", asked_at=now)
    waiting = OutboundCommand.objects.create(
        kind="follow.remark", policy="idempotent", entity_key=f"follow:{follow.pk}", subject_id=edit.pk, **fields
    )
    doubt = OutboundCommand.objects.create(
        kind="todo.remind", policy="once", entity_key=f"follow:{follow.pk}", state="unknown", sent_at=now, **fields
    )
    request = work(ask(follow.contact))
    assert (request.state, request.waits_for) == ("waiting", {"commands": 1})
    waiting.refresh_from_db()
    assert waiting.state == "cancelled"
    follow.refresh_from_db()
    assert follow.contact.opt_out_since and follow.identity.value.startswith("wm"), "she is known until the answer is"
    assert erasing.drain(clock.wall() + timedelta(seconds=5)) is False, (
        "it looks again later, and holds up nobody meanwhile"
    )
    OutboundCommand.objects.filter(pk=doubt.pk).update(state="done", settled_at=now)
    assert work(request).state == "done"


def test_a_message_that_wecom_has_is_waited_for_and_one_that_it_has_not_is_not_made(acme: Any) -> None:
    with campaigns.at_time(campaigns.local(11)):
        person, other = campaigns.make_customers(2)
        early = campaigns.units(campaigns.released([person, other]))[0]
        request = work(ask(person))
        assert request.state == "done"
        left = Delivery.objects.get(contact=person)
        assert (left.state, left.reason, left.external_userid) == ("skipped", "opt_out", "")
        assert Delivery.objects.get(contact=other).state == "planned"
        Dispatch.objects.filter(pk=early.pk).update(state="tasked", msgid="m9")
        Delivery.objects.filter(contact=other).update(state="tasked")
        assert work(ask(other)).waits_for == {"messages": 1}


def test_an_import_under_way_ends_first(acme: Any) -> None:
    job = Job.objects.create(kind="orders.import", title="导入", created_at=clock.now())
    request = work(ask(make_follow().contact))
    assert request.waits_for == {"jobs": 1}
    Job.objects.filter(pk=job.pk).update(state="done")
    assert work(request).state == "done"
    assert longjobs.count_open() == 0


def test_a_crash_in_the_middle_goes_on_where_it_stood(acme: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    request = ask(full_person())
    real, calls = erasure.erase_rows, iter(range(1000))

    def killed(*given: Any) -> Any:
        if next(calls) == 12:
            raise RuntimeError("killed")
        return real(*given)

    monkeypatch.setattr(erasing.erasure, "erase_rows", killed)
    with pytest.raises(RuntimeError):
        for _piece in range(50):
            erasing.advance(request.pk)
    request.refresh_from_db()
    assert (request.state in ("waiting", "running") and request.keys != "") or request.state == "waiting"
    assert erasing.drain(clock.wall() + timedelta(seconds=20)) is False
    request.refresh_from_db()
    assert request.state == "done" and traces() == {}
