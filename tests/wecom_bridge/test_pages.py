"""IT's pages: connect, test, watch a sync, look into both books."""

import re
from datetime import timedelta
from html import unescape

import pytest
from django.utils import timezone

from scrm.lib import clock
from scrm.ui.templatetags.ui import stamp
from tenants.audit import SYSTEM
from tenants.context import current_tenant
from tenants.models import CallbackRoute
from tests.support.core import log_in
from tests.support.wecom import make_connection, make_corp
from wecom_bridge import queries
from wecom_bridge.models import Corp, CorpCredential, InboundEvent, OutboundCommand, SyncRun
from wecom_bridge.services import sync

pytestmark = pytest.mark.django_db


@pytest.fixture
def it(db):
    return log_in("it")


FORM = {"name": "总店", "corp_id": "ww0123456789abcdef", "agent_id": "1000002", "secret": "S" * 43}


def test_a_corp_is_connected_and_its_keys_are_shown_once(it):
    assert it.get("/bridge/").status_code == 200

    page = it.post("/bridge/corps/new/", FORM).content.decode()

    credential = CorpCredential.objects.get(corp__corp_id=FORM["corp_id"])
    route = CallbackRoute.objects.get(credential_pk=credential.pk)
    assert route.opaque in page and credential.callback_token in page and credential.callback_aes_key in page
    assert FORM["secret"] not in page
    again = it.get(f"/bridge/corps/{credential.corp_id}/").content.decode()
    for secret in (credential.secret, credential.callback_token, credential.callback_aes_key):
        assert secret not in again


def test_an_empty_secret_keeps_the_stored_one(it):
    corp = make_corp()
    it.post(f"/bridge/corps/{corp.pk}/", {"name": "新名字", "agent_id": "1", "secret": ""})

    corp.refresh_from_db()
    assert corp.name == "新名字" and CorpCredential.objects.get(corp=corp).secret == "s" * 43


@pytest.mark.parametrize("wrong", [{"corp_id": "abc"}, {"secret": ""}, {"encoding_aes_key": "short"}, {"token": "有"}])
def test_a_wrong_field_says_so(it, wrong):
    answer = it.post("/bridge/corps/new/", FORM | wrong)
    assert answer.status_code == 422 and not Corp.objects.exists()


def test_new_callback_keys_replace_the_old(it):
    connection = make_connection()
    page = it.post(f"/bridge/corps/{connection.corp.pk}/keys/").content.decode()
    assert connection.token not in page and CorpCredential.objects.get().callback_token in page


def test_a_sync_is_begun_once_and_shown(it):
    corp = make_corp()
    first = it.post(f"/bridge/corps/{corp.pk}/sync/")
    second = it.post(f"/bridge/corps/{corp.pk}/sync/")

    assert first.url == second.url and SyncRun.objects.count() == 1
    assert it.get(first.url).status_code == 200
    assert it.get(f"{first.url}?part=progress").content.lstrip().startswith(b'<div id="progress"')


def test_a_shrink_is_shown_and_decided(it):
    run = sync.start_sync(make_corp(), by=SYSTEM)
    run.state, run.step, run.shrink = (
        "confirm",
        "compare",
        {"follows": 412, "known": 900, "groups": 1, "emptied": ["hechen"]},
    )
    run.save()
    page = it.get(f"/bridge/syncs/{run.pk}/").content.decode()
    assert "412" in page and "hechen" in page

    it.post(f"/bridge/syncs/{run.pk}/decide/", {"decision": "keep"})

    run.refresh_from_db()
    assert (run.state, run.step) == ("running", "ask_directory")


def make_event(**overrides):
    now = clock.wall()
    given = {"corp": make_corp(), "digest": "d", "lane": "inbound", "event": "change_external_contact", "entity_key": "1:p:wm",
             "body": "<xml/>", "occurred_at": now, "received_at": now, "next_attempt_at": now, "state": "parked"}  # fmt: skip
    return InboundEvent.objects.create(**given | overrides)


def make_command(**overrides):
    now = clock.wall()
    given = {"corp": make_corp(), "kind": "nobody.knows", "policy": "idempotent", "lane": "outbound", "entity_key": "e",
             "next_attempt_at": now, "created_at": now, "state": "parked", "attempts": 8}  # fmt: skip
    return OutboundCommand.objects.create(**given | overrides)


def test_a_parked_event_is_listed_and_replayed(it):
    event = make_event(last_error="[40003] invalid userid")
    assert "invalid userid" in it.get("/bridge/inbox/?state=parked").content.decode()

    it.post("/bridge/inbox/replay/", {"ids": [event.pk]})

    event.refresh_from_db()
    assert (event.state, event.attempts, event.last_error) == ("waiting", 0, "")


def test_a_reason_we_know_says_what_to_do_and_another_stands_as_wecom_gave_it(it):
    make_command(last_error="[48002] api forbidden for no permission")
    make_command(last_error="[40058] invalid Request Parameter", entity_key="f")
    make_event(last_error="[60011] no privilege")

    unknown, known = cells(it.get("/bridge/outbox/").content.decode(), "原因")
    assert "没有这个接口的权限" in known and "可调用接口的应用" in known and "forbidden" not in known
    assert unknown == "[40058] invalid Request Parameter"
    assert "可见范围" in it.get("/bridge/inbox/?state=parked").content.decode()


@pytest.mark.parametrize(("action", "state"), [("retry", "retry"), ("drop", "cancelled")])
def test_a_parked_command_is_retried_or_dropped(it, action, state):
    command = make_command()
    assert it.get("/bridge/outbox/").status_code == 200

    it.post("/bridge/outbox/act/", {"ids": [command.pk], "action": action})

    command.refresh_from_db()
    assert command.state == state


def test_a_once_command_that_may_have_left_is_asked_about_when_retried(it):
    command = make_command(policy="once", sent_at=clock.wall())
    it.post("/bridge/outbox/act/", {"ids": [command.pk], "action": "retry"})
    command.refresh_from_db()
    assert command.state == "unknown"


def test_lists_page_by_keyset(it):
    corp = make_corp()
    for number in range(55):
        make_event(corp=corp, digest=str(number))
    first = it.get("/bridge/inbox/").context
    assert len(first["rows"]) == 50 and first["total"] == 55
    second = it.get(first["next_url"]).context
    assert len(second["rows"]) == 5 and second["next_url"] == ""


def test_a_guide_sees_nothing_of_it(db):
    assert log_in("guide").get("/bridge/").status_code == 403


def test_whoever_keeps_the_connection_sees_on_the_home_page_what_waits(it):
    assert "回调已搁置" not in it.get("/").content.decode(), "nothing is connected: the first steps say what to do"
    make_corp()
    Corp.objects.update(last_synced_at=clock.wall())

    page = it.get("/").content.decode()

    assert "回调已搁置" in page and "上次同步" in page and "/bridge/outbox/?state=parked" in page
    assert "回调已搁置" not in log_in("operator").get("/").content.decode()


# --- Calls: when next, and which kind ----------------------------------------------------------------------------


def command(corp, kind, state, *, due=0, number=0):
    now = clock.wall()
    return OutboundCommand.objects.create(
        corp=corp, kind=kind, policy="idempotent", lane="outbound", entity_key=f"e:{kind}:{number}", state=state,
        next_attempt_at=now + timedelta(minutes=due), created_at=now - timedelta(hours=1),
    )  # fmt: skip


def cells(page, label):
    """What a column says, row by row."""
    return re.findall(rf'<td data-label="{label}"[^>]*>(.*?)</td>', page)


def test_a_call_says_when_it_is_tried_next(it):
    corp = make_corp()
    for state, due in (("done", -5), ("parked", -5), ("unknown", -5), ("retry", 37)):
        command(corp, "tag.create", state, due=due)
    page = it.get("/bridge/outbox/").content.decode()
    with timezone.override(current_tenant().time_zone):
        later = stamp(OutboundCommand.objects.get(state="retry").next_attempt_at)
    assert cells(page, "下次尝试") == [later, "马上", "等您决定", "—"]


def test_only_what_is_open_can_be_picked(it):
    corp = make_corp()
    rows = {state: command(corp, "tag.create", state).pk for state in ("done", "cancelled", "claimed", "failed")}
    rows |= {state: command(corp, "tag.create", state).pk for state in ("waiting", "retry", "unknown", "parked")}
    page = it.get("/bridge/outbox/").content.decode()
    picked = {int(pk) for pk in re.findall(r'name="ids" value="(\d+)"', page)}
    assert picked == {rows[state] for state in ("waiting", "retry", "unknown", "parked")}


def test_calls_of_one_kind_are_found_counted_and_paged_and_the_filter_survives_a_retry(it):
    corp = make_corp()
    for number in range(queries.PAGE + 2):
        command(corp, "tag.create", "parked", number=number)
    other = command(corp, "tag.rename", "parked")
    page = it.get("/bridge/outbox/?kind=tag.create&state=parked").content.decode()
    assert "tag.rename ·" not in page and "tag.create ·" in page and f"共 {queries.PAGE + 2} 条" in page
    assert "新建企业标签" in page and '<option value="tag.create" selected>' in page
    following = unescape(re.search(r'href="([^"]*before=[^"]*)"', page)[1])
    assert "kind=tag.create" in following and len(cells(it.get(following).content.decode(), "对象")) == 2

    action = unescape(re.search(r'action="(/bridge/outbox/act/[^"]*)"', page)[1])
    answer = it.post(action, {"ids": [other.pk], "action": "retry"})
    assert answer["Location"] == "/bridge/outbox/?state=parked&kind=tag.create"


def test_an_unknown_kind_is_no_filter(it):
    command(make_corp(), "gone.kind", "parked")
    page = it.get("/bridge/outbox/?kind=%00rubbish&state=nonsense").content.decode()
    assert "gone.kind" in page and "共 1 条" in page


@pytest.mark.parametrize(
    ("event", "change", "name"),
    [
        ("change_external_contact", "add_external_contact", "新增客户"),
        ("change_external_contact", "of_tomorrow", "客户变更"),
        ("event_of_tomorrow", "", "event_of_tomorrow"),
    ],
)
def test_a_callback_stands_in_an_operators_words_beside_wecoms_own(it, event, change, name):
    now = clock.wall()
    InboundEvent.objects.create(
        corp=make_corp(), digest="d", lane="", event=event, change_type=change, entity_key="", body="", occurred_at=now,
        received_at=now, state="ignored", next_attempt_at=now,
    )  # fmt: skip
    page = it.get("/bridge/inbox/").content.decode()
    lead = page[page.index('<td class="lead">') :].split("</td>")[0]
    assert name in lead and event in lead and change in lead


def test_a_difference_is_told_in_words(it):
    run = SyncRun.objects.create(
        corp=make_corp(),
        kind="reconcile",
        state="done",
        started_at=clock.wall(),
        drift_counts={"follow": {"different": 1}},
    )
    run.drift.create(
        entity="follow", key="wm1/lin", kind="different", found_at=clock.wall(),
        before={"remark": "改***注", "relation": "by_guide", "tags": [], "column_of_tomorrow": None},
        after={"remark": "", "add_way": 16, "tags": ["et1", "et2"], "added_at": "2026-11-27T16:30:00+00:00"},
    )  # fmt: skip
    page = it.get(f"/bridge/syncs/{run.pk}/").content.decode()
    [ours], [theirs] = cells(page, r"之前\(我们\)"), cells(page, r"之后\(企业微信\)")
    assert set(ours.split(";")) == {"备注:改***注", "关系:已删除:导购删", "企业标签:空", "column_of_tomorrow:空"}
    assert set(theirs.split(";")) == {
        "备注:空",
        "添加方式:获客链接",
        "企业标签:et1、et2",
        "添加时间:2026-11-28 00:30:00",
    }


def test_who_only_compared_is_not_told_that_anything_was_written(it):
    run = SyncRun.objects.create(corp=make_corp(), kind="compare", state="done", started_at=clock.wall())
    page = it.get(f"/bridge/syncs/{run.pk}/").content.decode()
    assert "比对客户" in page and "写入客户" not in page
