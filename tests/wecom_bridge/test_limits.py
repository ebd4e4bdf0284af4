"""What an operator sees of the limits, and how a merchant's own are set."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.template.loader import render_to_string

from scrm.lib.errors import UserError
from tenants.audit import SYSTEM
from tenants.context import current_tenant, tenant_scope
from tenants.ledger.models import AuditEntry
from tests.support.wecom import make_corp
from wecom_bridge.gateway import CallError, Gateway, gateway_for, rates
from wecom_bridge.governor import gauge, limits, shared
from wecom_bridge.governor.limits import level_of
from wecom_bridge.models import LimitOverride
from wecom_bridge.services.limits import clear_limit, set_limit

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def corp(wecom):
    return wecom.connect().corp


def manage(*words):
    out = StringIO()
    call_command("wecom_limits", "--tenant", current_tenant().slug, *words, stdout=out)
    return out.getvalue()


# --- The file


def test_the_file_says_what_wecom_documents():
    table = limits.in_force()
    general, tags = table.of("get"), table.of("mark_tag")
    assert (general.minute, general.hour) == (10_000, 150_000)
    assert (general.address_minute, general.address_hour) == (20_000, 600_000)
    assert (tags.width, tags.ceiling, tags.minute) == (5, 5, 10_000)
    assert table.of("add_moment_task").minute == 10
    assert limits.version() >= 1


def test_every_limit_in_the_file_names_its_source():
    lines = limits.FILE.read_text(encoding="utf-8").splitlines()
    table, seen = "", 0
    for number, line in enumerate(lines):
        table = line if line.startswith("[") else table
        if "=" in line.split("#")[0] and not line.startswith("version"):
            block = "\n".join(lines[max(0, number - 6) : number + 1])
            assert any(word in block for word in ("contact ", "platform ", "[ours]")), f"{table} {line}"
            seen += 1
    assert seen > 15


def test_each_kind_of_work_has_its_budget():
    table = limits.in_force()
    parts = [table.part(level, 10_000) for level in limits.LEVELS]
    assert parts == [9_000, 8_550, 7_200, 5_400]
    assert [level_of(priority) for priority in (0, 20, 50, 60, 80)] == [
        "welcome", "person", "commands", "commands", "sync",
    ]  # fmt: skip


# --- A merchant's own


def test_a_merchants_own_limit_holds_for_her_alone_and_is_on_the_record(globex):
    set_limit("mark_tag.ceiling", 3, by=SYSTEM)
    assert limits.in_force().of("mark_tag").ceiling == 3
    assert limits.in_force().of("mark_tag").width == 3, "nobody begins above the ceiling"
    with tenant_scope(globex):
        assert limits.in_force().of("mark_tag").ceiling == 5
    entry = AuditEntry.objects.get(action="limits.changed")
    assert entry.data == {"name": "mark_tag.ceiling", "before": 5, "after": 3}


def test_a_cleared_limit_is_what_wecom_documents_again():
    set_limit("every_api.minute", 500, by=SYSTEM)
    assert clear_limit("every_api.minute", by=SYSTEM)
    assert not clear_limit("every_api.minute", by=SYSTEM)
    assert limits.in_force().of("get").minute == 10_000
    assert AuditEntry.objects.filter(action="limits.changed").count() == 2


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("every_api.minut", 5, "没有名为"),
        ("version", 2, "没有名为"),
        ("address.minute", 5, "所有商户共用"),
        ("every_api.minute", 0, "超出范围"),
        ("every_api.minute", 10**9, "超出范围"),
        ("share.sync", 101, "超出范围"),
        ("mark_tag.ceiling", 0, "超出范围"),
    ],
)
def test_a_limit_that_cannot_be_is_refused_with_a_sentence(name, value, says):
    with pytest.raises(UserError) as raised:
        set_limit(name, value, by=SYSTEM)
    assert says in str(raised.value.message)
    assert not LimitOverride.objects.exists()


def test_the_terminal_sets_lists_and_clears():
    assert "mark_tag.ceiling = 8 (own)" in manage("set", "mark_tag.ceiling=8", "share.sync=50")
    assert "share.sync = 50 (own)" in manage("list")
    assert "mark_tag.ceiling = 5\n" in manage("clear", "mark_tag.ceiling")
    for words in (["set", "mark_tag.ceiling=many"], ["set", "nothing.of=5"], ["clear", "every_api.hour"], ["set"]):
        with pytest.raises(CommandError):
            manage(*words)


# --- The gauge


def row_of(api):
    return next(row for row in gauge.list_gauges() if row.api == api)


def test_the_gauge_shows_what_was_used_of_each_api(wecom, corp):
    for _n in range(3):
        gateway_for(corp).get_follow_users()
    row = row_of("get_follow_user_list")
    assert (row.minute, row.hour, row.running, row.width, row.refusals) == (3, 3, 0, 16, 0)
    assert (row.minute_limit, row.hour_limit) == (9_000, 135_000)
    assert row.closed_until is None and row_of("gettoken").minute == 1


def test_the_gauge_shows_a_closed_window_first_and_counts_the_refusals_of_today(wecom, corp):
    gateway_for(corp).get_tag_groups()
    wecom.script("externalcontact/get_follow_user_list", errcode=45009)
    with pytest.raises(CallError):
        gateway_for(corp).get_follow_users()
    first = gauge.list_gauges()[0]
    assert first.api == "get_follow_user_list" and first.refusals == 1
    assert first.closed_until and first.closed_scope == "本企业"


def test_the_gauge_says_what_it_does_not_know_while_redis_is_away(wecom, corp, settings):
    gateway_for(corp).get_follow_users()
    usual = settings.REDIS_URL
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    shared.connection.cache_clear()
    try:
        row = row_of("get_follow_user_list")
        assert (row.minute, row.hour, row.running, row.refusals) == (None, None, None, None)
        assert row.width == 16
    finally:
        settings.REDIS_URL = usual
        shared.connection.cache_clear()


def test_the_gauge_costs_two_queries_and_one_question_however_many_apis(wecom, corp, django_assert_max_num_queries):
    gateway = gateway_for(corp)
    for call in (gateway.get_follow_users, gateway.get_tag_groups, gateway.get_departments):
        call()
    limits.forget()
    with django_assert_max_num_queries(2):
        assert len(gauge.list_gauges()) == 4


def test_another_merchants_use_is_not_shown(wecom, corp, globex):
    gateway_for(corp).get_follow_users()
    with tenant_scope(globex):
        make_corp()
        assert gauge.list_gauges() == []


def test_the_page_says_it_in_an_operators_words(wecom, corp):
    empty = render_to_string("wecom_bridge/_limits.html", {"gauges": []})
    assert "还没有调用过" in empty
    gateway_for(corp).get_follow_users()
    wecom.script("externalcontact/get_follow_user_list", errcode=45009)
    with pytest.raises(CallError):
        gateway_for(corp).get_follow_users()
    page = render_to_string("wecom_bridge/_limits.html", {"gauges": gauge.list_gauges()})
    assert "同时进行" in page and "读取客户联系成员" in page and "已限流" in page
    rates._redis().flushdb()
    assert "—" in render_to_string("wecom_bridge/_limits.html", {"gauges": gauge.list_gauges()})


def test_every_call_the_gateway_makes_has_a_name_for_people():
    import inspect
    import re

    parts = [part for part in Gateway.__mro__ if part.__module__.startswith("wecom_bridge")]
    source = "".join(inspect.getsource(part) for part in parts)
    called = set(re.findall(r'self\._(?:call|ask|fetch)\(\s*"([^"]+)"', source))
    assert len(called) > 60
    assert called - set(gauge.WORDS) == set()
