"""Files of imports: encodings, heads, what is refused and not kept, and when they go."""

from datetime import timedelta
from typing import Any

import pytest

from contacts.models import (
    ImportHead,
    ImportRow,
    ImportState,
)
from contacts.services.imports import files, running, staging
from contacts.services.imports.registry import import_kind
from scrm.lib import clock
from scrm.lib.errors import UserError
from tenants.audit import SYSTEM
from tenants.ledger.models import Job
from tests.support.imports import brought_in, cast, figures, people_scope, problems, reject_lines, upload, work

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _files(settings: Any, tmp_path: Any) -> None:
    settings.MEDIA_ROOT = tmp_path


def test_gb18030_and_a_broken_line_among_good_ones() -> None:
    cast(3)
    body = "客户ID,生日,custom.skin\nwm1,1990-01-01,油皮\nwm2,1990-01-02,\ue5e5坏\nwm3,1990-01-03,干皮\n".encode(
        "gb18030"
    )
    lines = body.split(b"\n")
    lines[2] = b"wm2,1990-01-02,\xff\xff"
    run = brought_in(b"\n".join(lines))
    assert figures(run) == (0, 2, 0, 1)
    assert problems(run) == {3: "有无法识别的字符"}
    assert reject_lines(run)[1][:2] == ["3", "有无法识别的字符"]


def test_what_a_head_stood_for_is_remembered() -> None:
    cast(1)
    run = running.take_upload(
        import_kind("contacts"), upload("编码甲,生日,生辰\nwm1,x,1990-01-01\n"), people_scope(), by=SYSTEM
    )
    assert run.mapping == {"birthday": 1}
    running.check(run.pk, {"external": 0, "birthday": 2}, by=SYSTEM)
    again = running.take_upload(
        import_kind("contacts"), upload("生辰,编码甲,生日\n1990-01-01,wm1,x\n"), people_scope(), by=SYSTEM
    )
    assert again.mapping == {"birthday": 0, "external": 1}
    assert ImportHead.objects.count() == 3


@pytest.mark.parametrize(
    ("text", "mapping", "reason"),
    [
        ("a,b\n1,2\n", {}, "认出每一行"),
        ("a,b\n1,2\n", {"id": 0}, "没有要写入的列"),
        ("a,b\n1,2\n", {"birthday": 1}, "认出每一行"),
    ],
)
def test_columns_that_cannot_work_are_refused(text: str, mapping: dict[str, int], reason: str) -> None:
    run = running.take_upload(import_kind("contacts"), upload(text), people_scope(), by=SYSTEM)
    with pytest.raises(UserError, match=reason):
        running.check(run.pk, mapping, by=SYSTEM)


@pytest.mark.parametrize("body", [b"", b"\n\n", "客户编号\n".encode(), b"\x00\x01", b'"a\n'])
def test_a_file_without_rows_is_refused_and_not_kept(body: bytes, tmp_path: Any) -> None:
    with pytest.raises(UserError):
        running.take_upload(import_kind("contacts"), upload(body), people_scope(), by=SYSTEM)
    assert not list(tmp_path.glob("*/imports/*.upload"))


def test_too_many_rows_end_the_trial_with_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "MAX_ROWS", 2)
    run = running.take_upload(import_kind("contacts"), upload("客户编号,生日\n1,\n2,\n3,\n"), people_scope(), by=SYSTEM)
    running.check(run.pk, run.mapping, by=SYSTEM)
    work()
    run.refresh_from_db()
    assert run.state == ImportState.FAILED
    assert "拆分" in Job.objects.get(pk=run.job_id).last_error


def test_files_and_rows_go_when_their_time_is_over(tmp_path: Any) -> None:
    cast(1)
    run = brought_in("external_userid,生日\nwm1,1990-01-01\n")
    assert files.prune(clock.now() - timedelta(days=1), 10) == 0
    assert files.prune(clock.now() + timedelta(seconds=1), 10) == 1
    run.refresh_from_db()
    assert not ImportRow.objects.exists()
    assert not list(tmp_path.glob("*/imports/*.upload"))
    assert run.rows_updated == 1
    assert not running.can_undo(run)
