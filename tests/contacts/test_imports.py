"""Files of 客户资料: tried without a trace, brought in by row, resumed, taken back, and never more than the file says."""

from datetime import date, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, assume, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from accounts.scope import DataScope
from conditions.models import DirtyMark
from contacts.models import (
    Contact,
    ContactPhone,
    CustomField,
    DetailChange,
    ImportRun,
    ImportState,
    OwnershipChange,
    Stage,
    StageTransition,
    TimelineEvent,
)
from contacts.services.custom_values import MAX_KEYS
from contacts.services.imports import people, running
from contacts.services.imports.registry import BadCell
from contacts.services.search import people_text
from scrm.lib import clock
from scrm.lib.errors import UserError
from tenants.audit import SYSTEM
from tests.support.campaigns import at_time, local
from tests.support.contacts import make_contact, make_follow, make_identity, make_member, make_stages, make_store
from tests.support.imports import (
    assert_adds_up,
    brought_in,
    cast,
    figures,
    problems,
    reject_lines,
    taken_back,
    told_of,
    tried,
    work,
)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _files(settings: Any, tmp_path: Any) -> None:
    settings.MEDIA_ROOT = tmp_path


def test_today_is_the_merchants_day() -> None:
    with at_time(local(6)):  # 22:00 of the day before in Greenwich
        columns = {column.key: column for column in people.columns([])}
        assert columns["birthday"].reader()("2026-03-03") == "2026-03-03"
        with pytest.raises(BadCell):
            columns["birthday"].reader()("2026-03-04")


def test_a_trial_writes_nothing_and_the_run_writes_what_it_said() -> None:
    first, second, third = cast()
    third.birthday, third.custom = date(1990, 5, 20), {"skin": "油皮"}
    third.save(update_fields=["birthday", "custom"])
    text = (
        "external_userid,生日,新增手机号,custom.skin\n"
        "wm1,1990-05-20,138 1234 5678,干皮\n"
        "wm2,1991/6/1,,\n"
        "wm3,1990年05月20日,,油皮\n"
        "wm9,1990-05-20,,\n"
        "wm1,1990-05-21,,\n"
        ",1990-05-20,,\n"
        "wm2,昨天,12345,\n"
    )
    run = tried(text)
    assert figures(run) == (0, 2, 1, 4)
    assert Contact.objects.filter(birthday__isnull=False).count() == 1
    assert not ContactPhone.objects.exists()
    assert not DirtyMark.objects.exists()
    assert not DetailChange.objects.exists()

    running.start(run.pk, acts=False, by=SYSTEM)
    work()
    run.refresh_from_db()
    assert figures(run) == (0, 2, 1, 4)
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.birthday, first.custom, first.search_text) == (date(1990, 5, 20), {"skin": "干皮"}, "客户1 5678")
    assert (second.birthday, second.custom) == (date(1991, 6, 1), {})
    phone = ContactPhone.objects.get()
    assert (phone.contact_id, phone.phone, phone.source) == (first.pk, "+8613812345678", "import")
    assert problems(run).keys() == {5, 6, 7, 8}
    assert "找不到" in problems(run)[5]
    assert "与第 2 行是同一位客户" in problems(run)[6]
    assert "昨天" in problems(run)[8]
    assert "12345" in problems(run)[8]


def test_the_reject_file_holds_the_lines_as_they_were_and_runs_no_formula() -> None:
    cast(1)
    run = brought_in('external_userid,生日,说明\nwm1,1990-05-20,a\nwm8,1990-05-20,"=HYPERLINK(""x"")"\n-9,不知道,b\n')
    lines = reject_lines(run)
    assert lines[0] == ["行号", "未导入原因", "external_userid", "生日", "说明"]
    assert [line[0] for line in lines[1:]] == ["3", "4"]
    assert lines[1][2:] == ["wm8", "1990-05-20", '\'=HYPERLINK("x")']
    assert lines[2][2] == "'-9"


def test_people_are_found_by_number_unionid_and_phone() -> None:
    first, second, third = cast()
    make_identity(second, value="u2", kind="unionid")
    for person in (third, first):
        ContactPhone.objects.create(contact=person, phone="+8613800000001", source="x", created_at=clock.now())
    ContactPhone.objects.create(contact=third, phone="+8613800000003", source="x", created_at=clock.now())
    run = brought_in(
        "客户编号,unionid,手机号,生日\n"
        f"{first.pk},,,1990-01-01\n,u2,,1990-01-02\n,,13800000003,1990-01-03\n,,13800000001,1990-01-04\n"
        f"{'9' * 18},,,1990-01-05\n一号,,,1990-01-05\n"
    )
    assert figures(run) == (0, 3, 0, 3)
    assert list(Contact.objects.order_by("pk").values_list("birthday", flat=True)) == [
        date(1990, 1, 1), date(1990, 1, 2), date(1990, 1, 3),
    ]  # fmt: skip
    assert "多位客户" in problems(run)[5]


def test_a_branch_counts_as_her_root() -> None:
    root, branch, _other = cast()
    branch.root = root
    branch.save(update_fields=["root"])
    run = brought_in("external_userid,生日\nwm2,1990-01-01\nwm1,1990-01-02\n")
    root.refresh_from_db()
    assert (figures(run), root.birthday) == ((0, 1, 0, 1), date(1990, 1, 1))


def test_people_outside_the_scope_are_nobody() -> None:
    here, there = make_store(), make_store()
    mine = make_follow(make_contact(store=here), make_member(store=here)).contact
    other = make_follow(make_contact(store=there), make_member(store=there)).contact
    scope = DataScope(user_id=1, store_ids=frozenset({here.pk}))
    run = brought_in(f"客户编号,生日\n{mine.pk},1990-01-01\n{other.pk},1990-01-01\n99999999,1990-01-01\n", scope=scope)
    assert figures(run) == (0, 1, 0, 2)
    assert problems(run)[3] == problems(run)[4]
    other.refresh_from_db()
    assert other.birthday is None


def test_stage_and_owner_move_with_their_history() -> None:
    stages = make_stages()
    follow = make_follow(make_contact(stage=stages["new"]))
    person, old = follow.contact, follow.member
    other = make_member("梅梅", userid="mei")
    make_follow(person, other, own=False)
    OwnershipChange.objects.create(contact=person, to_member=old, changed_at=follow.added_at, reason="latest_add")
    stranger = make_follow(make_contact())
    make_member("陌生", userid="nobody")
    run = brought_in(
        f"客户编号,阶段,归属导购\n{person.pk},复购,mei\n{stranger.contact_id},沉睡,nobody\n{stranger.contact_id},没有这个,\n"
    )
    assert figures(run) == (0, 1, 0, 2)
    person.refresh_from_db()
    assert (person.stage, person.owner) == (stages["repeat"], other)
    move = StageTransition.objects.get()
    assert (move.source, move.from_stage, move.to_stage) == ("import", stages["new"], stages["repeat"])
    assert TimelineEvent.objects.filter(kind="stage.changed", source="import", contact=person).count() == 1
    assert "不是这位客户的好友" in problems(run)[3]

    taken_back(run)
    person.refresh_from_db()
    assert (person.stage, person.owner) == (stages["new"], old)
    assert StageTransition.objects.count() == 2
    reasons = person.ownership_changes.order_by("pk").values_list("reason", flat=True)
    assert list(reasons) == ["latest_add", "import", "latest_add"], "the merchant's rule goes on deciding"


def test_a_stage_put_out_of_use_after_the_trial_takes_nobody_and_the_run_ends() -> None:
    stages = make_stages()
    first, second, third = cast()
    Contact.objects.filter(pk=third.pk).update(stage=stages["dormant"])
    run = tried(
        f"客户编号,阶段,生日\n{first.pk},沉睡,1990-01-01\n{second.pk},复购,1990-01-02\n{third.pk},沉睡,1990-01-03\n"
    )
    assert figures(run) == (0, 3, 0, 0)
    Stage.objects.filter(pk=stages["dormant"].pk).update(is_archived=True)
    running.start(run.pk, acts=False, by=SYSTEM)
    work()
    run.refresh_from_db()
    assert (run.state, figures(run)) == (ImportState.DONE, (0, 2, 0, 1))
    assert "已停用" in problems(run)[2]
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.stage, first.birthday, second.stage) == (None, None, stages["repeat"])


@pytest.mark.parametrize("acts", [False, True])
def test_rules_hear_of_an_import_only_when_ticked(acts: bool) -> None:
    stages = make_stages()
    person = make_follow(make_contact(stage=stages["new"])).contact
    DirtyMark.objects.all().delete()
    brought_in(f"客户编号,阶段,生日,custom.skin,新增手机号\n{person.pk},复购,1990-01-01,油皮,13800000001\n", acts=acts)
    told = dict(DirtyMark.objects.values_list("field_key", "is_backfill"))
    marks = {"contact.stage", "birthday", "custom.skin", "event.stage.changed", "event.details.changed"}
    assert marks <= told.keys()
    assert set(told.values()) == {not acts}


def test_an_undo_sets_back_what_is_still_as_made_and_counts_the_rest() -> None:
    first, second, third = cast()
    first.custom = {"skin": "干皮", "city": "上海"}
    first.save(update_fields=["custom"])
    run = brought_in(
        "external_userid,生日,custom.skin,新增手机号\nwm1,1990-01-01,油皮,13800000001\nwm2,1990-01-02,,\nwm3,1990-01-03,油皮,\n"
    )
    Contact.objects.filter(pk=second.pk).update(birthday=date(2000, 1, 1))
    Contact.objects.filter(pk=third.pk).update(custom={"skin": "敏感"})
    assert told_of(first) == [
        ("contact.birthday", None, "1990-01-01"), ("contact.phone", None, "+8613800000001"), ("skin", "干皮", "油皮"),
    ]  # fmt: skip
    assert told_of(second) == [("contact.birthday", None, "1990-01-02")]
    taken_back(run)
    assert told_of(first)[3:] == [
        ("contact.birthday", "1990-01-01", None), ("contact.phone", "+8613800000001", None), ("skin", "油皮", "干皮"),
    ]  # fmt: skip
    assert len(told_of(second)) == 1
    assert set(TimelineEvent.objects.values_list("source", flat=True)) == {"import"}
    assert told_of(third)[2:] == [("contact.birthday", "1990-01-03", None)]
    for person in (first, second, third):
        person.refresh_from_db()
    assert (run.rows_undone, run.rows_kept) == (1, 2)
    assert (first.birthday, first.custom, first.search_text) == (
        None,
        {"skin": "干皮", "city": "上海"},
        people_text(["客户1"]),
    )
    assert not ContactPhone.objects.exists()
    assert second.birthday == date(2000, 1, 1)
    assert (third.birthday, third.custom) == (None, {"skin": "敏感"})
    running.undo(run.pk, by=SYSTEM)  # once more changes nothing
    assert ImportRun.objects.get(pk=run.pk).state == ImportState.UNDONE


def test_a_day_later_nothing_is_taken_back(time_machine: Any) -> None:
    cast(1)
    run = brought_in("external_userid,生日\nwm1,1990-01-01\n")
    assert running.can_undo(run)
    ImportRun.objects.filter(pk=run.pk).update(finished_at=clock.now() - timedelta(hours=24, seconds=1))
    with pytest.raises(UserError, match="24 小时"):
        running.undo(run.pk, by=SYSTEM)


def test_custom_fields_stay_within_their_limit() -> None:
    person = cast(1)[0]
    person.custom = {f"k{n}": "x" for n in range(MAX_KEYS)}
    person.save(update_fields=["custom"])
    run = brought_in("external_userid,custom.k1,custom.more\nwm1,y,\n")
    assert figures(run) == (0, 1, 0, 0)
    run = brought_in("external_userid,custom.k1,custom.more\nwm1,y,z\n")
    assert f"最多 {MAX_KEYS}" in problems(run)[2]


def test_a_slice_costs_the_same_whatever_it_holds() -> None:
    def statements(count: int, start: int) -> int:
        for n in range(start, start + count):
            make_identity(make_contact(f"客户{n}"), value=f"q{n}")
        run = tried(
            "external_userid,生日,新增手机号\n"
            + "".join(f"q{n},1990-01-01,138{n:08d}\n" for n in range(start, start + count))
        )
        running.start(run.pk, acts=False, by=SYSTEM)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            work()
        return len(queries)

    assert statements(60, 0) == statements(2, 100)


ROW = st.tuples(
    st.sampled_from(["wm1", "wm2", "wm3", "wm4", "", "'wm2", '"wm1"']),
    st.sampled_from(["1990-01-01", "1991/1/1", "", "?", "2999-01-01", '"19', "1990-01-01"]),
    st.sampled_from(["13800000001", "13800000002", "", "x"]),
)


@hypothesis_settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(ROW, min_size=1, max_size=12))
def test_totals_add_up_and_an_undo_leaves_nothing_whatever_the_file_holds(rows: list[tuple[str, str, str]]) -> None:
    ids = cast(3) if not Contact.objects.exists() else list(Contact.objects.order_by("pk"))
    before = list(Contact.objects.order_by("pk").values_list("pk", "birthday", "custom"))
    text = "external_userid,生日,新增手机号\n" + "".join(",".join(row) + "\n" for row in rows)
    assume(any(any(row) for row in rows))
    trial = tried(text)
    planned = figures(trial)
    running.start(trial.pk, acts=False, by=SYSTEM)
    work()
    trial.refresh_from_db()
    if trial.state == ImportState.DONE:
        assert figures(trial) == planned
        assert_adds_up(trial)
        if running.can_undo(trial):
            taken_back(trial)
            assert trial.rows_undone == trial.rows_created + trial.rows_updated
    assert list(Contact.objects.order_by("pk").values_list("pk", "birthday", "custom")) == before
    assert not ContactPhone.objects.filter(contact__in=ids).exists()


def test_typed_fields_come_in_by_their_label_and_only_as_what_they_are() -> None:
    cast(3)
    now = clock.now()
    options = [{"id": "dry", "label": "干皮"}, {"id": "oily", "label": "油皮"}]
    CustomField.objects.create(
        key="skin", label="肤质", type=CustomField.Type.CHOICE, options=options, order=1, created_at=now
    )
    CustomField.objects.create(key="pets", label="宠物数", type=CustomField.Type.INTEGER, order=2, created_at=now)
    CustomField.objects.create(
        key="vip", label="内部评级", type=CustomField.Type.TEXT, order=3, edit_roles=[1], created_at=now
    )
    run = brought_in("external_userid,肤质,宠物数,custom.vip\nwm1,油皮,2,高\nwm2,沙皮,1,\nwm3,干皮,一只,\n")
    assert figures(run) == (0, 1, 0, 2)
    assert Contact.objects.order_by("pk").first().custom == {"skin": "oily", "pets": 2}, (
        "who may not edit a field brings none in"
    )
    assert "沙皮" in problems(run)[3] and "数字" in problems(run)[4]
