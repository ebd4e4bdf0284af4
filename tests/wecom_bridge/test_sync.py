"""A full read: everything once, resumable, patient with errors, and never destroying on silence."""

import pytest
from django.db import connection as database
from django.db import transaction

from contacts.models import Follow
from scrm.lib import clock
from tenants.audit import SYSTEM
from tenants.ledger.models import Job
from tests.support.core import in_thread
from tests.support.syncing import drain
from wecom_bridge import contracts
from wecom_bridge.contracts import Inventory
from wecom_bridge.models import StagedRow, SyncRun, SyncUnit
from wecom_bridge.queries import count_written
from wecom_bridge.services.sync import drive, runs, staging, statistics, writing

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def connection(wecom):
    return wecom.connect()


@pytest.fixture
def listening(heard):
    """The batches of each kind, as the handlers get them."""
    return {kind: heard(kind) for kind in ("members", "tags", "people", "groups", "removals")}


@pytest.fixture
def ours(monkeypatch):
    """What the apps say they have: {userid: {external_userid}}, and chat_ids."""
    monkeypatch.setattr(contracts, "_inventory", [])
    have = {"follows": {}, "groups": {}}
    contracts.register_inventory(
        Inventory(
            follow_counts=lambda corp: {userid: len(known) for userid, known in have["follows"].items()},
            follows=lambda corp, userids: {userid: have["follows"].get(userid, set()) for userid in userids},
            groups=lambda corp: have["groups"],
        )
    )
    return have


def start(connection):
    return runs.start_sync(connection.corp, by=SYSTEM)


def the_run():
    return SyncRun.objects.get()


def rest_is_over():
    """Time passes: pauses and back-offs end."""
    SyncUnit.objects.update(next_attempt_at=None)
    run = the_run()
    run.counts.pop("paused_until", None)
    run.save(update_fields=["counts"])


def follows_told(listening):
    return {
        (row.person.external_userid, follow.userid)
        for batch in listening["people"]
        for row in batch.rows
        for follow in row.follows
    }


def test_a_first_sync_tells_everything_once(wecom, connection, listening, ours):
    start(connection)

    assert drain() is False

    run = the_run()
    assert run.state == "done" and run.kind == "first"
    [members], [tags] = listening["members"], listening["tags"]
    assert {member.userid for member in members.members} == {"fangxiaoman", "wutong", "songjiayi", "hechen"}
    assert members.is_full and tags.is_full and tags.groups
    truth = wecom.get("members")["members"]
    told = follows_told(listening)
    assert len(told) == sum(member["customers"] for member in truth) == 704
    assert {batch.source for kind in listening.values() for batch in kind} == {"backfill"}
    assert sum(len(batch.groups) for batch in listening["groups"]) == 3
    assert listening["removals"] == [] and not StagedRow.objects.exists()
    job = Job.objects.get()
    assert (job.state, job.percent) == ("done", 100)
    connection.corp.refresh_from_db()
    assert connection.corp.last_synced_at


def test_starting_twice_is_one_run(connection, listening):
    workers = [in_thread(lambda: start(connection).pk) for _n in range(4)]

    assert len({worker.result() for worker in workers}) == 1
    assert SyncRun.objects.count() == 1 and Job.objects.count() == 1


@pytest.mark.parametrize(
    "fault", [{"errcode": -1}, {"errcode": 45009}, {"http_status": 502}, {"truncate": 200}, {"close": True}]
)
def test_trouble_in_the_middle_backs_off_says_so_and_goes_on(wecom, connection, listening, ours, fault):
    wecom.script("externalcontact/batch/get_by_user", skip=3, **fault)
    start(connection)

    drain()
    run = the_run()
    assert run.state == "running"
    assert run.last_error or SyncUnit.objects.exclude(last_error="").exists()
    assert drive.next_due() > clock.now()

    rest_is_over()
    contracts_flush()
    drain()

    assert the_run().state == "done"
    assert len(follows_told(listening)) == 704


def contracts_flush():
    """The closed window opens."""
    from wecom_bridge.gateway import rates
    from wecom_bridge.models import CallPace

    CallPace.objects.all().delete()
    rates._redis().flushdb()


def test_an_expired_token_in_the_middle_is_replaced_without_a_pause(wecom, connection, listening, ours):
    wecom.script("externalcontact/batch/get_by_user", skip=4, errcode=42001)
    start(connection)

    drain()

    assert the_run().state == "done" and len(follows_told(listening)) == 704
    assert len(wecom.calls("gettoken")) == 2


def test_a_guide_out_of_range_is_unknown_not_gone(wecom, connection, listening, ours):
    wecom.script("externalcontact/batch/get_by_user", errcode=60011, match={"userid_list": ["hechen"]})
    ours["follows"] = {"hechen": {f"wm{n}" for n in range(5)}}
    start(connection)

    drain()

    assert the_run().state == "done"
    assert SyncUnit.objects.get(kind="contacts", key="hechen").state == "denied"
    assert listening["removals"] == []


def test_what_is_gone_is_removed_only_after_a_complete_read(wecom, connection, listening, ours):
    ours["follows"] = {"hechen": {f"wmOld{n}" for n in range(3)} | {f"wmFill{n}" for n in range(100)}}
    ours["follows"]["fangxiaoman"] = {"wmA"}
    ours["groups"] = {"wrGone": "fangxiaoman"}
    wecom.script("externalcontact/groupchat/get", errcode=49008, match={"chat_id": "wrGone"}, times=5)
    start(connection)

    drain()

    assert the_run().state == "confirm", "103 of 104 known would vanish"
    assert the_run().shrink["follows"] == 103 and listening["removals"] == []

    runs.decide(the_run().pk, remove=True, by=SYSTEM)
    drain()
    removed = [pair for batch in listening["removals"] for pair in batch.follows]
    assert len(removed) == 103 and {userid for _external, userid in removed} == {"hechen"}
    assert [chat for batch in listening["removals"] for chat in batch.groups] == ["wrGone"]
    assert the_run().drift.count() == 104


def test_an_empty_list_where_we_had_many_waits_for_a_person_who_may_keep_all(wecom, connection, listening, ours):
    empty = {"errcode": 0, "errmsg": "ok", "external_contact_list": [], "next_cursor": ""}
    wecom.script("externalcontact/batch/get_by_user", body=empty, match={"userid_list": ["hechen"]})
    ours["follows"] = {"hechen": {f"wm{n}" for n in range(30)}, "wutong": {f"wn{n}" for n in range(150)}}
    start(connection)

    drain()
    assert the_run().state == "confirm" and the_run().shrink["emptied"] == ["hechen"]

    runs.decide(the_run().pk, remove=False, by=SYSTEM)
    drain()
    assert the_run().state == "done" and listening["removals"] == []


def test_a_sync_goes_on_where_it_was_stopped(wecom, connection, listening, ours, monkeypatch):
    monkeypatch.setattr(writing, "ROWS", 100)
    monkeypatch.setattr(writing, "PARTS", 1)
    told = []

    def breaks(batch):
        told.append(len(batch.rows))
        if len(told) == 3:
            raise RuntimeError("the worker is gone")

    contracts.on_batch("people", order=2, name="breaks", handler=breaks)
    start(connection)
    drain()
    assert the_run().last_error, "it says why nothing moves"
    rest_is_over()
    calls = len(wecom.calls("externalcontact/batch/get_by_user"))
    assert the_run().step == "write" and 0 < count_written(the_run()) <= 300

    drain()

    assert the_run().state == "done"
    assert len(wecom.calls("externalcontact/batch/get_by_user")) == calls, "nothing is read twice"
    assert the_run().counts["applied"] == 704


def test_two_writers_tell_everything_once_and_everybody_whole(wecom, connection, listening, ours, monkeypatch):
    monkeypatch.setattr(writing, "ROWS", 60)
    start(connection)

    drain()

    early, *batches = listening["people"]
    people = [row.person.external_userid for batch in batches for row in batch.rows]
    assert the_run().state == "done" and the_run().counts["applied"] == 704
    people += [row.person.external_userid for row in early.rows]
    assert len(people) == len(set(people)), "all guides of a person come in one batch"
    assert len(follows_told(listening)) == 704
    assert all(batch.alongside for batch in batches) and len(batches) > 9 and not early.alongside
    assert not SyncUnit.objects.filter(kind=SyncUnit.WRITE).exists()


def test_a_person_with_more_guides_than_a_batch_holds_still_comes_whole(
    wecom, connection, listening, ours, monkeypatch
):
    monkeypatch.setattr(writing, "ROWS", 1)
    start(connection)

    drain()

    people = [row.person.external_userid for batch in listening["people"] for row in batch.rows]
    assert len(people) == len(set(people)) and len(follows_told(listening)) == 704


def test_a_batch_that_cannot_be_written_beside_another_is_told_again_alone(
    wecom, connection, listening, ours, monkeypatch
):
    monkeypatch.setattr(writing, "ROWS", 60)
    tries = []

    def refuses(batch):
        tries.append(batch.alongside)
        if batch.alongside:
            raise contracts.Contended

    contracts.on_batch("people", order=1, name="refuses", handler=refuses)
    start(connection)

    drain()

    assert the_run().state == "done" and len(follows_told(listening)) == 704
    assert tries.count(True) == tries.count(False) - 1, "the first people are shown by themselves"
    assert the_run().state == "done" and not any(batch.alongside for batch in listening["people"])


def test_a_cursor_gone_stale_reads_that_guide_again(wecom, connection, listening, ours):
    wecom.script("externalcontact/batch/get_by_user", errcode=50100, skip=5)
    start(connection)

    drain()

    assert the_run().state == "done" and len(follows_told(listening)) == 704


def test_a_cursor_may_be_of_any_length(wecom, connection, listening, ours):
    """WeCom names no longest one."""
    cursor, guide = "c" * 5000, {"userid_list": ["hechen"]}
    page = {"errcode": 0, "errmsg": "ok", "external_contact_list": [], "next_cursor": cursor}
    wecom.script("externalcontact/batch/get_by_user", body=page, match=guide, times=1)
    wecom.script(
        "externalcontact/batch/get_by_user", body=page | {"next_cursor": ""}, match=guide | {"cursor": cursor}, times=1
    )
    start(connection)

    drain()

    assert the_run().state == "done"
    assert sum(call["scripted"] for call in wecom.calls("externalcontact/batch/get_by_user")) == 2


def test_whatever_a_remark_holds_is_staged_as_it_is(connection):
    run = start(connection)
    remark = 'tab\there\nand "there" \\n \\\\ \\u0000 \r 🍑'
    item = {"external_contact": {"external_userid": "wm1"}, "follow_info": {"userid": "an", "remark": remark + "\x00"}}

    with transaction.atomic():
        staging.write([staging.staged_customer(run.pk, "an", item)] * 2)

    assert StagedRow.objects.get().payload["follow_info"]["remark"] == remark


def test_the_tables_that_were_filled_have_fresh_statistics(wecom, connection, monkeypatch):
    """With the apps' own handlers: the planner knows how many customers there are as soon as they are written."""
    monkeypatch.setattr(statistics, "MANY_ROWS", 50)
    start(connection)

    drain()

    with database.cursor() as cursor:
        cursor.execute("SELECT reltuples FROM pg_class WHERE oid = 'contacts_follow'::regclass")
        assert cursor.fetchone()[0] == Follow.objects.count() == 704


def test_a_run_that_breaks_again_and_again_ends_and_another_may_begin(wecom, connection, listening, ours):
    def breaks(batch):
        raise RuntimeError("a bug of ours")

    contracts.on_batch("people", order=2, name="breaks", handler=breaks)
    start(connection)
    for _try in range(drive.GIVE_UP_AFTER):
        drain()
        rest_is_over()

    run = the_run()
    assert run.state == "failed" and run.last_error and Job.objects.get().state == "failed"
    assert start(connection).pk != run.pk


def test_a_group_whose_owner_left_is_not_taken_for_dissolved(wecom, connection, listening, ours):
    """Her lists are not read any more; the group lives on."""
    ours["groups"] = {"wrgone": "fangxiaoman", "wrorphan": "somebody_who_left"}
    wecom.script("externalcontact/groupchat/get", errcode=49008, match={"chat_id": "wrgone"}, times=5)
    start(connection)

    drain()

    assert [chat_id for batch in listening["removals"] for chat_id in batch.groups] == ["wrgone"]
    assert all(batch.read_at <= clock.now() for batch in listening["removals"])
