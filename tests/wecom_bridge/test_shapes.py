"""WeCom's answers read as values: whatever comes, a whole value or a refusal, never half of one."""

import json
from dataclasses import asdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.answers import odd
from tests.support.fuzzing import often
from wecom_bridge.shapes import groupwelcomes, masses, moments, statistics, transfers
from wecom_bridge.shapes.pieces import Malformed

READERS = [
    (moments.MomentJob, ("jobid",)),
    (moments.MomentJobState, ("status", "type", "result")),
    (moments.MomentResult, ("errcode", "errmsg", "moment_id", "invalid_sender_list", "invalid_external_contact_list")),
    (moments.MomentList, ("moment_list", "next_cursor")),
    (moments.MomentInfo, ("moment_id", "create_time", "creator", "text", "image", "video", "link", "location")),
    (moments.MomentTaskList, ("task_list", "next_cursor")),
    (moments.MomentCustomerList, ("customer_list", "next_cursor")),
    (moments.MomentComments, ("comment_list", "like_list")),
    (moments.UploadedAttachment, ("media_id", "type", "created_at")),
    (transfers.TransferStarts, ("customer",)),
    (transfers.TransferOutcomes, ("customer", "next_cursor")),
    (transfers.UnassignedList, ("info", "is_last", "next_cursor")),
    (transfers.FailedChats, ("failed_chat_list",)),
    (transfers.GroupOwner, ("group_chat",)),
    (transfers.GroupStates, ("group_chat_list", "next_cursor")),
    (statistics.BehaviorData, ("behavior_data",)),
    (statistics.BehaviorDay, ("stat_time", "chat_cnt", "reply_percentage", "avg_reply_time")),
    (statistics.GroupStatistics, ("total", "next_offset", "items")),
    (statistics.GroupStatisticsByDay, ("items",)),
    (groupwelcomes.GroupWelcomeId, ("template_id",)),
    (groupwelcomes.GroupWelcome, ("text", "image", "link", "miniprogram", "file", "video")),
    (masses.MassMade, ("msgid", "fail_list")),
    (masses.MassList, ("group_msg_list", "next_cursor")),
    (masses.MassTaskList, ("task_list", "next_cursor")),
    (masses.MassResultList, ("send_list", "next_cursor")),
]
AS_THEY_CAME = (groupwelcomes.GroupWelcome, masses.MassList)  # their attachments are WeCom's own objects
INNER = (
    "external_userid", "userid", "chat_id", "errcode", "status", "takeover_time", "moment_id", "msgid", "create_time",
    "publish_status", "content", "media_id", "stat_time", "owner", "data", "handover_userid", "dimission_time", "user_list",
    "department_list", "tag_list", "latitude", "name", "send_time", "attachments",
)  # fmt: skip
VALUES = odd(INNER)


@pytest.mark.parametrize(("shape", "names"), READERS, ids=lambda value: getattr(value, "__name__", ""))
def test_any_answer_is_a_value_that_can_be_kept_or_a_refusal(shape, names):
    @settings(max_examples=often(25), deadline=None)
    @given(st.dictionaries(st.sampled_from(names), VALUES))
    def read(answer):
        try:
            value = shape.read(answer)
        except Malformed:
            return
        kept = json.dumps(asdict(value), default=list)
        assert shape in AS_THEY_CAME or "\\u0000" not in kept

    read()


@pytest.mark.parametrize(("shape", "list_name"), [
    (moments.MomentList, "moment_list"), (moments.MomentTaskList, "task_list"), (moments.MomentCustomerList, "customer_list"),
    (transfers.TransferStarts, "customer"), (transfers.TransferOutcomes, "customer"), (transfers.UnassignedList, "info"),
    (transfers.FailedChats, "failed_chat_list"), (statistics.BehaviorData, "behavior_data"), (masses.MassTaskList, "task_list"),
    (masses.MassResultList, "send_list"), (masses.MassList, "group_msg_list"),
])  # fmt: skip
def test_an_absent_list_is_empty_and_one_that_is_no_list_is_refused(shape, list_name):
    assert getattr(shape.read({}), list_name) == getattr(shape.read({list_name: None}), list_name) == ()
    for wrong in ("wutong", {"a": 1}, 7, ["wutong"], [{}]):
        with pytest.raises(Malformed):
            shape.read({list_name: wrong})


def test_numbers_come_as_text_too_and_others_are_left_out():
    row = {"stat_time": "1536508800", "chat_cnt": "12", "reply_percentage": "60.25", "avg_reply_time": None}
    read = statistics.BehaviorDay.read(row)
    assert (read.stat_time, read.chat_cnt, read.reply_percentage, read.avg_reply_time) == (1536508800, 12, 60.25, None)
    for wrong in (True, "many", float("inf"), float("nan"), 2**70, [1], "9" * 5000):
        assert statistics.BehaviorDay.read({"stat_time": 1, "chat_cnt": wrong}).chat_cnt == 0


def test_a_job_that_is_done_has_a_result_and_a_success_a_moment():
    for wrong in ({"status": 3}, {"status": 3, "result": {"errcode": 0}}, {}, {"status": "soon"}):
        with pytest.raises(Malformed):
            moments.MomentJobState.read(wrong)
    failed = moments.MomentJobState.read({"status": 3, "result": {"errcode": 41089, "errmsg": "空"}})
    assert failed.result is not None and (failed.result.errcode, failed.result.moment_id) == (41089, "")


def test_a_huge_page_is_read_whole():
    rows = [{"external_userid": f"wm{n}", "status": 2, "takeover_time": n} for n in range(50_000)]
    assert len(transfers.TransferOutcomes.read({"customer": rows}).customer) == 50_000
