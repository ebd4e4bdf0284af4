"""What the bridge's pages say of their rows, in an operator's words."""

import pytest

from scrm.lib import clock
from tests.support.core import log_in
from tests.wecom_bridge.test_pages import make_command, make_event
from wecom_bridge import naming, queries
from wecom_bridge.models import Corp, SyncRun, SyncUnit

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("1:p:wm7", "客户 wm7"),
        ("12:g:wr7", "客户群 wr7"),
        ("1:m:chenjing", "成员 chenjing"),
        ("1:t:all", "企业标签"),
        ("1:e:job-7", "job-7"),
        ("follow:7", "好友关系 7"),
        ("groupmsg:7:d41d8cd9", "群发任务 7"),
        ("something", "something"),
        ("", ""),
    ],
)
def test_what_a_row_is_about_is_named(key, said):
    assert naming.name_entity(key) == said


def test_both_books_name_what_their_rows_are_about():
    it = log_in("it")
    make_event(entity_key="1:p:wm7")
    make_command(entity_key="follow:7")
    assert ">客户 wm7<" in it.get("/bridge/inbox/").content.decode()
    assert ">好友关系 7<" in it.get("/bridge/outbox/").content.decode()


def test_nothing_is_offered_to_do_where_every_command_is_over():
    it = log_in("it")
    make_command(state="done")
    assert "重试所选" not in it.get("/bridge/outbox/").content.decode()
    make_command(entity_key="f", corp=Corp.objects.get())
    assert "重试所选" in it.get("/bridge/outbox/").content.decode()


def test_large_figures_of_a_sync_are_grouped():
    corp = make_event().corp
    run = SyncRun.objects.create(corp=corp, kind="first", state="running", step="write", started_at=clock.wall())
    SyncUnit.objects.create(run=run, kind=SyncUnit.WRITE, key="a", fetched=13_942)
    assert "13,942" in queries.list_steps(run)[2]["label"]
