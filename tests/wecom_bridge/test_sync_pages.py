"""The page of a sync: who was read and why not, what differed, one click that mends it."""

import pytest

from scrm.lib import clock
from tests.support.contacts import make_member
from tests.support.core import log_in
from tests.support.wecom import make_corp
from wecom_bridge.models import DriftRow, SyncRun, SyncUnit

pytestmark = pytest.mark.django_db


@pytest.fixture
def it(db):
    return log_in("it")


def make_run(**overrides):
    now = clock.wall()
    given = {"corp": make_corp(), "kind": "reconcile", "state": "done", "step": "finish", "started_at": now}
    return SyncRun.objects.create(**given | overrides)


def make_drift(run, **overrides):
    given = {"run": run, "entity": "follow", "key": "wmA/wutong", "kind": "different", "found_at": clock.wall(),
             "before": {"remark": "王*雨"}, "after": {"remark": "老*"}}  # fmt: skip
    return DriftRow.objects.create(**given | overrides)


def page(it, run, query=""):
    answer = it.get(f"/bridge/syncs/{run.pk}/{query}")
    assert answer.status_code == 200
    return answer.content.decode()


def test_each_guide_has_an_outcome_with_its_cause_in_words(it):
    run = make_run()
    make_member(corp=run.corp, userid="an", name="安然")
    rows = (("an", "fetched", "", 42), ("bo", "empty", "", 0), ("ci", "denied", "[60011] no privilege", 0),
            ("di", "denied", "[60111] userid not found", 0), ("ef", "failed", "[45009] api freq", 0),
            ("fu", "failed", "no answer in time", 0))  # fmt: skip
    for key, state, error, fetched in rows:
        SyncUnit.objects.create(run=run, kind="contacts", key=key, state=state, last_error=error, fetched=fetched)

    everything = page(it, run)

    for words in (
        "安然",
        "读到 42 位客户",
        "没有客户",
        "可见范围",
        "可能已离职",
        "调用次数超过限制",
        "no answer in time",
    ):
        assert words in everything
    denied = page(it, run, "?outcome=denied")
    assert "可能已离职" in denied and "读到 42 位客户" not in denied
    assert "可能已离职" in page(it, run, "?outcome=nonsense&before=x"), "nonsense shows everything"


def test_guides_page_by_keyset(it):
    run = make_run()
    for number in range(55):
        SyncUnit.objects.create(run=run, kind="contacts", key=f"u{number}", state="fetched", fetched=1)
    first = it.get(f"/bridge/syncs/{run.pk}/?outcome=fetched").context
    assert len(first["guides"]) == 50 and first["guides_total"] == 55
    assert len(it.get(first["next_url"]).context["guides"]) == 5


def test_differences_stand_with_both_sides_and_their_true_number(it):
    run = make_run(drift_counts={"follow": {"different": 1234, "repaired": 1000}})
    make_drift(run)

    shown = page(it, run)

    assert "王*雨" in shown and "老*" in shown and "1,234" in shown and "一键修复" in shown


def test_one_click_asks_once_and_the_page_watches(it):
    run = make_run(drift_counts={"follow": {"different": 1}})
    row = make_drift(run)

    for _time in range(2):
        it.post(f"/bridge/syncs/{run.pk}/repair/")

    row.refresh_from_db()
    assert row.asked_at
    assert "part=drift" in page(it, run) and it.get(f"/bridge/syncs/{run.pk}/?part=drift").status_code == 200


def test_a_viewer_sees_it_and_mends_nothing(it):
    run = make_run(drift_counts={"follow": {"different": 1}})
    make_drift(run)
    viewer = log_in("guide")
    assert viewer.get(f"/bridge/syncs/{run.pk}/").status_code == 403
    assert viewer.post(f"/bridge/syncs/{run.pk}/repair/").status_code == 403
    assert not DriftRow.objects.filter(asked_at__isnull=False).exists()


def test_a_skipped_night_and_unknown_relations_are_said(it):
    skipped = make_run(state="skipped", last_error="企业没有连接", night=clock.now().date())
    assert "企业没有连接" in page(it, skipped) and "every 2s" not in page(it, skipped)
    run = make_run(corp=skipped.corp, counts={"unknown": 321})
    SyncUnit.objects.create(run=run, kind="list", key="tags", state="failed", last_error="标签列表是空的")
    shown = page(it, run)
    assert "321" in shown and "标签列表是空的" in shown and "企业没有连接" in shown, "the runs before stand below"


def test_comparing_only_is_a_button(it):
    corp = make_corp()
    answer = it.post(f"/bridge/corps/{corp.pk}/sync/", {"compare": "1"})
    run = SyncRun.objects.get()
    assert run.kind == "compare" and answer.url.endswith(f"/{run.pk}/")
    it.post(f"/bridge/corps/{corp.pk}/sync/")
    assert SyncRun.objects.count() == 1, "a second start shows the one under way"
