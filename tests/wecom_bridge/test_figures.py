"""The bridge's own figures: counted where it happens, added up in rows, shown to the merchant and to the scrape."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext

from scrm.lib import clock
from tenants.context import current_tenant, tenant_scope
from tests.support.core import log_in
from tests.support.wecom import event_xml, make_corp, seal
from wecom_bridge import commands, contracts, naming
from wecom_bridge.callbacks import envelope, parsing
from wecom_bridge.callbacks.parsing import AIMED
from wecom_bridge.contracts import Call, CommandKind
from wecom_bridge.figures import prometheus, reading, recorder
from wecom_bridge.figures.buckets import BOUNDS_MS, bucket_of, percentile
from wecom_bridge.figures.rows import ServiceMinute, ServiceTotal
from wecom_bridge.figures.sources import Sample
from wecom_bridge.gateway import gateway_for
from wecom_bridge.models import CallPace, Corp, InboundEvent, OutboundCommand, SyncRun
from wecom_bridge.services import outbox
from wecom_bridge.views import callback

TOKEN = "a-token-for-the-monitoring"


@pytest.fixture(autouse=True)
def _no_figures(request):
    """Those that a test of callbacks committed by its helper thread."""
    if request.node.get_closest_marker("django_db") or "db" in request.fixturenames:
        request.getfixturevalue("transactional_db" if "wecom" in request.fixturenames else "db")
        ServiceMinute.objects.all().delete()
        ServiceTotal.objects.all().delete()


def hour_ago():
    return clock.wall() - timedelta(hours=1)


def histogram(*milliseconds):
    buckets = [0] * (len(BOUNDS_MS) + 1)
    for value in milliseconds:
        buckets[bucket_of(value)] += 1
    return buckets


@pytest.mark.parametrize(("value", "bound"), [(0, 1), (1, 1), (1.1, 2), (20_000, 20_000), (10**9, BOUNDS_MS[-1])])
def test_a_duration_is_told_as_the_bound_it_stays_below(value, bound):
    assert percentile(histogram(value), 0.5) == bound


def test_percentiles_are_of_all_that_was_counted():
    buckets = histogram(*[10] * 98, 400, 4000)
    assert (percentile(buckets, 0.5), percentile(buckets, 0.99), percentile(buckets, 1)) == (12, 500, 5000)
    assert percentile(histogram(), 0.5) is None


@pytest.mark.django_db
def test_what_two_slices_counted_adds_up_in_one_row():
    for seconds in (0.004, 2.5):
        recorder.observe("call", "mark_tag", 0, seconds)
        recorder.flush()

    [minute], [total] = ServiceMinute.objects.all(), ServiceTotal.objects.all()
    assert (total.count, total.total_ms, total.buckets) == (2, 2504, histogram(4, 2500))
    assert minute.buckets == total.buckets
    [found] = reading.durations("call", hour_ago())
    assert (found.count, found.p50, found.p99) == (2, 5, 3000)


@pytest.mark.django_db
def test_nothing_counted_writes_nothing():
    recorder.flush()
    assert not ServiceTotal.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_callback_counts_with_its_status(wecom):
    connection = wecom.connect()
    path = "/" + connection.callback_url.split("/", 3)[3]
    good = seal(
        connection, event_xml(connection.corp.corp_id, "change_external_tag", "create", Id="et1", TagType="tag")
    )
    visitor = Client(HTTP_HOST="admin.testserver")

    def post(query):
        return visitor.post(
            path, good.body, content_type="text/xml", QUERY_STRING="&".join(f"{k}={v}" for k, v in query.items())
        )

    assert post(good.query).status_code == 200
    assert post(good.query | {"msg_signature": "0" * 40}).status_code == 403
    recorder.flush()

    figures = {(row.code, row.label): row.count for row in reading.durations("ack", hour_ago())}
    assert figures == {("200", ""): 1, ("403", "wrong signature"): 1}


@pytest.mark.django_db(transaction=True)
def test_calls_count_by_api_and_answer(wecom):
    gateway = gateway_for(wecom.connect().corp)
    wecom.script("externalcontact/get_corp_tag_list", errcode=45033)
    wecom.script("externalcontact/get_corp_tag_list", close=True)
    for _ in range(3):
        try:
            gateway.get_tag_groups()
        except Exception as error:
            assert type(error).__name__ == "CallError"
    recorder.flush()

    mine = [row for row in reading.durations("call", hour_ago()) if row.label == "get_corp_tag_list"]
    assert {row.code: row.count for row in mine} == {"0": 1, "45033": 1, "no answer": 1}


@pytest.mark.django_db(transaction=True)
def test_a_settled_command_counts_with_its_age(wecom, kinds):
    connection = wecom.connect()
    contracts.register_command(
        CommandKind(
            "note",
            "idempotent",
            build=lambda command: Call("get_groupmsg_task", {"msgid": "none"}),
            on_result=lambda command, result: None,
            on_refused=lambda command, refusal: None,
        )
    )
    command = commands.enqueue("note", corp=connection.corp, entity_key="e", payload={})
    OutboundCommand.objects.update(created_at=clock.wall() - timedelta(seconds=70))
    outbox.drain(clock.wall() + timedelta(seconds=20))
    recorder.flush()

    command.refresh_from_db()
    [row] = reading.durations("command", hour_ago())
    assert (row.label, row.code, row.count) == ("note", command.state, 1)
    assert row.p50 is not None and 70_000 <= row.p50 <= 300_000


@pytest.fixture
def backlog(db):
    """An open and a parked event of one lane."""
    corp = make_corp()
    now = clock.wall()
    for number, state in enumerate(("waiting", "parked", "done")):
        InboundEvent.objects.create(
            corp=corp, digest=str(number), lane="inbound", event="change_external_contact", entity_key=f"p:{number}",
            body="", occurred_at=now, received_at=now - timedelta(minutes=9), state=state, next_attempt_at=now,
        )  # fmt: skip


def test_the_backlog_is_what_is_open_and_how_old_it_is(backlog):
    [row] = reading.waiting_events(clock.wall())
    assert (row.lane, row.count, row.parked) == ("inbound", 1, 1) and 540 <= row.age_seconds < 560


@pytest.mark.django_db
def test_the_backlog_is_found_without_reading_what_is_settled():
    """Settled commands are kept for ninety days."""
    corp = make_corp()
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO wecom_bridge_outboundcommand (corp_id, kind, policy, lane, priority, entity_key, payload, state, attempts,"
            " next_attempt_at, claim_token, result, last_error, created_at, settled_at)"
            " SELECT %s, 'mark_tag', 'idempotent', 'outbound', 50, i, '{}', 'done', 1, now(), '', '{}', '', now(), now()"
            " FROM generate_series(1, 20000) i",
            [corp.pk],
        )
        cursor.execute("ANALYZE wecom_bridge_outboundcommand")
        with CaptureQueriesContext(connection) as asked:
            reading.waiting_commands(clock.wall())
        query = next(row["sql"] for row in asked if "GROUP BY" in row["sql"])
        cursor.execute("EXPLAIN " + query.replace("%", "%%"))
        plan = "\n".join(row for (row,) in cursor.fetchall())
    assert "Seq Scan" not in plan and "command_parked" in plan, plan


def test_the_page_shows_every_section_that_has_something_to_say(backlog):
    recorder.observe("call", "mark_tag", 45009, 0.1)
    recorder.flush()
    page = log_in("it").get("/bridge/status/").content.decode()
    for words in ("回调应答", "积压", "接口调用", "mark_tag", "45009 × 1", "9 分钟"):
        assert words in page, words
    assert "欢迎语</h2>" not in page, "nobody came, so there is nothing to say"


def test_the_part_that_renews_itself_comes_alone(backlog):
    part = log_in("it").get("/bridge/status/?part=figures").content.decode()
    assert "积压" in part and "<html" not in part


def test_a_guide_does_not_see_it(db):
    assert log_in("guide").get("/bridge/status/").status_code == 403


@pytest.mark.django_db
@pytest.mark.parametrize("header", ["", "Bearer wrong", "Bearer "])
def test_the_scrape_does_not_exist_for_others(header):
    host = Client(HTTP_HOST="admin.testserver", **({"HTTP_AUTHORIZATION": header} if header else {}))
    assert host.get("/metrics").status_code == 404
    with override_settings(METRICS_TOKEN=TOKEN):
        assert host.get("/metrics").status_code == 404


def test_the_scrape_names_the_merchant_of_each_number(backlog):
    recorder.observe("call", "mark_tag", 0, 0.1)
    recorder.flush()
    slug = current_tenant().slug
    with override_settings(METRICS_TOKEN=TOKEN):
        asked = Client(HTTP_HOST="admin.testserver", HTTP_AUTHORIZATION=f"Bearer {TOKEN}")
        assert asked.get("/metrics", {"tenant": "ac\x00me"}).status_code == 404
        answer = asked.get("/metrics")

    text = answer.content.decode()
    assert answer["Content-Type"].startswith("text/plain")
    assert f'scrm_wecom_calls_total{{api="mark_tag",code="0",tenant="{slug}"}} 1.0' in text
    assert f'scrm_backlog_rows{{direction="in",lane="inbound",tenant="{slug}"}} 1.0' in text


def test_the_scrape_of_one_merchant_holds_no_other(backlog, globex):
    with tenant_scope(globex):
        make_corp()
        recorder.observe("call", "mark_tag", 0, 0.1)
        recorder.flush()
    text = prometheus.render(current_tenant().slug).decode()
    assert globex.slug not in text and "mark_tag" not in text
    assert globex.slug in prometheus.render().decode()


def test_labels_keep_their_values_whatever_order_a_sample_names_them_in():
    families = {}
    for labels in ({"api": "get", "code": "0"}, {"code": "45009", "api": "remark"}, {"api": "get"}):
        prometheus._add(families, "acme", Sample("calls_total", "Calls", 1, labels, "counter"))
    family, _names = families["calls_total"]
    assert [sample.labels for sample in family.samples] == [
        {"tenant": "acme", "api": "get", "code": "0"},
        {"tenant": "acme", "api": "remark", "code": "45009"},
    ], "and one with other labels is left out"


@pytest.mark.django_db
def test_refusals_of_several_causes_are_one_number_for_their_status():
    for cause in ("wrong signature", "wrong key", "wrong key"):
        recorder.observe("ack", cause, 403, 0.001)
    recorder.flush()
    samples = reading._counters("ack", "callbacks_total", "Callbacks", ("", "status"))
    assert [(sample.labels, sample.value) for sample in samples] == [({"status": "403"}, 3)]


def test_every_cause_of_a_refused_callback_has_a_name():
    sources = [Path(module.__file__).read_text() for module in (envelope, parsing, callback)]
    causes = {cause for words in sources for cause in re.findall(r'Refused\(\d{3}, "([^"]+)"\)', words)}
    assert "wrong signature" in causes and causes - naming.REFUSALS.keys() == set()


# --- 昨夜核对, 接口额度 ------------------------------------------------------------------------------------------


def reconciled(corp, state="done", hours_ago=5, **counts):
    ended = clock.wall() - timedelta(hours=hours_ago)
    return SyncRun.objects.create(
        corp=corp, kind="reconcile", state=state, started_at=ended, finished_at=ended, drift_counts=counts
    )


def section(page, key):
    """The words of one section of the status page."""
    return page[page.index(f'id="figures-{key}"') :].split("</section>")[0]


def test_the_last_night_is_told_with_what_differed_over_all_entities_and_leads_to_its_run(db):
    corp = make_corp()
    reconciled(corp, hours_ago=29, follow={"missing": 99})
    run = reconciled(
        corp, follow={"missing": 3, "extra": 1, "repaired": 4}, tag={"missing": 10, "different": 7, "repaired": 7}
    )
    shown = section(log_in("it").get("/bridge/status/").content.decode(), "nights")
    figures = re.findall(r'<td class="num"[^>]*>([^<]*)</td>', shown)
    assert figures == ["13", "1", "7", "11"] and f"/bridge/syncs/{run.pk}/" in shown and "已完成" in shown


def test_a_night_that_was_skipped_says_why(db):
    run = reconciled(make_corp(), state="skipped")
    SyncRun.objects.filter(pk=run.pk).update(last_error="企业没有连接")
    shown = section(log_in("it").get("/bridge/status/").content.decode(), "nights")
    assert "已跳过" in shown and "企业没有连接" in shown


def test_before_the_first_night_it_says_when_and_before_the_first_sync_nothing(db):
    it, corp = log_in("it"), make_corp()
    assert "figures-nights" not in it.get("/bridge/status/").content.decode()
    Corp.objects.filter(pk=corp.pk).update(last_synced_at=clock.wall())
    assert "每天凌晨自动核对" in section(it.get("/bridge/status/").content.decode(), "nights")


def test_the_scrape_tells_the_night_of_each_corp(db):
    corp, slug = make_corp(), current_tenant().slug
    reconciled(corp, follow={"missing": 3, "extra": 1, "repaired": 4})
    text = prometheus.render(slug).decode()
    labels = f'corp="{corp.corp_id}",kind="missing",tenant="{slug}"'
    assert f"scrm_reconcile_drift{{{labels}}} 3.0" in text
    assert f'scrm_reconcile_done{{corp="{corp.corp_id}",tenant="{slug}"}} 1.0' in text
    [age] = re.findall(r"scrm_reconcile_age_seconds\{.*\} (\S+)", text)
    assert 18_000 <= float(age) < 18_060


@pytest.mark.django_db(transaction=True)
def test_the_limits_of_what_was_called_are_shown_and_scraped(wecom):
    corp, it = wecom.connect().corp, log_in("it")
    assert "figures-limits" not in it.get("/bridge/status/").content.decode()
    gateway_for(corp).get_tag_groups()
    CallPace.objects.filter(api="gettoken").update(closed_until=clock.wall() + timedelta(minutes=30))

    shown = section(it.get("/bridge/status/").content.decode(), "limits")
    assert "读取企业标签" in shown and "get_corp_tag_list" in shown and "1 / 9,000" in shown
    text = prometheus.render(current_tenant().slug).decode()
    where = f'api="get_corp_tag_list",corp="{corp.corp_id}",tenant="{current_tenant().slug}"'
    assert f'scrm_api_window_calls{{{where},window="minute"}} 1.0' in text
    assert f'scrm_api_window_limit{{{where},window="hour"}} 135000.0' in text
    assert f"scrm_api_closed{{{where}}} 0.0" in text


# --- Words -------------------------------------------------------------------------------------------------------


def test_lanes_calls_and_refusals_stand_in_an_operators_words_beside_wecoms_own(backlog):
    recorder.observe("call", "mark_tag", 0, 0.1)
    recorder.observe("ack", "wrong signature", 403, 0.1)
    recorder.observe("command", "groupmsg.create", "done", 2)
    recorder.observe("command", "gone.kind", "done", 2)
    recorder.flush()
    page = log_in("it").get("/bridge/status/").content.decode()
    for ours, theirs in (
        ("打标签", "mark_tag"), ("创建群发任务", "groupmsg.create"), ("Token 与控制台的不一致", "403"),
    ):  # fmt: skip
        assert ours in page and theirs in page, ours
    assert "回调 · 一般" in page and "inbound" not in page, "a lane is ours alone: nobody's manual knows its key"
    assert "wrong signature" not in page and "gone.kind" in page


def test_every_kind_of_command_has_a_name(db):
    assert len(contracts.all_kinds()) > 5
    assert not [kind.name for kind in contracts.all_kinds() if not kind.label]


def test_every_event_that_is_handled_has_a_name():
    wanted = [*contracts.wanted_events(), *((event, "") for event in AIMED)]
    assert len(wanted) > 4
    assert not [one for one in wanted if naming.name_event(*one) == one[0]]
