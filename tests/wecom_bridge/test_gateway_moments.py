"""Moments through the bridge: typed answers, and what became of a call whose answer was lost."""

from datetime import timedelta

import pytest

from scrm.lib import clock
from wecom_bridge.contracts import Settled
from wecom_bridge.gateway import CallError, gateway_for
from wecom_bridge.settling import moments as settling
from wecom_bridge.shapes.moments import MomentJobState, MomentText

pytestmark = pytest.mark.django_db(transaction=True)

PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 200


@pytest.fixture
def gateway(wecom):
    wecom.post("switches", {"moments_per_minute": 1000})
    return gateway_for(wecom.connect().corp)


def asked(*users, words="新品到店", **more):
    given = {"visible_range": {"sender_list": {"user_list": list(users or ("wutong",))}}, "text": {"content": words}}
    return given | more


def make(gateway, *users, **more):
    job = gateway.add_moment_task(**asked(*users, **more))
    return gateway.get_moment_task_result(jobid=job.jobid).result.moment_id


def lose(gateway, given, wecom, **script):
    """Make the call, and lose its answer."""
    wecom.script("externalcontact/add_moment_task", close=True, execute=True, **script)
    with pytest.raises(CallError) as raised:
        gateway.call("add_moment_task", **given)
    assert raised.value.executed_maybe
    return given


def settle(gateway, given, *, minutes=1, **more):
    sent = clock.wall() - timedelta(minutes=minutes)
    return settling.settle_moment(gateway, asked=given, since=clock.now(), sent_at=sent, **more)


def moments_of(wecom):
    return [row["moment_id"] for row in wecom.hand("moment_tasks")["tasks"]]


def test_a_moment_is_made_published_and_read_as_values(wecom, gateway):
    media = gateway.upload_attachment(media_type="image", filename="a.png", content=PNG)
    image = [{"msgtype": "image", "image": {"media_id": media.media_id}}]
    moment = make(gateway, "wutong", "hechen", attachments=image)
    wecom.hand("publish_moment", moment_id=moment, userid="wutong")

    now = int(clock.now().timestamp())
    (listed,) = gateway.get_moment_list(start_time=now - 600, end_time=now + 600).moment_list
    assert (listed.moment_id, listed.text, listed.creator, listed.create_type) == (
        moment,
        MomentText("新品到店"),
        "",
        0,
    )
    assert (len(listed.image), listed.video, listed.link, listed.location) == (1, None, None, None)
    tasks = gateway.get_moment_task(moment_id=moment).task_list
    assert [(row.userid, row.publish_status) for row in tasks] == [("wutong", 1), ("hechen", 0)]
    shown = gateway.get_moment_send_result(moment_id=moment, userid="wutong").customer_list
    assert len(gateway.get_moment_customer_list(moment_id=moment, userid="wutong").customer_list) == len(shown) > 100
    wecom.hand("like_moment", moment_id=moment, userid="wutong", who=shown[0].external_userid)
    (like,) = gateway.get_moment_comments(moment_id=moment, userid="wutong").like_list
    assert like.external_userid == shown[0].external_userid and like.create_time > 0
    with pytest.raises(CallError) as raised:
        gateway.get_moment_send_result(moment_id=moment, userid="hechen")
    assert raised.value.errcode == 41062
    assert gateway.cancel_moment_task(moment_id=moment)["errcode"] == 0


def test_a_command_gets_the_answer_under_wecoms_names(wecom, gateway):
    job = gateway.call("add_moment_task", **asked())
    found = gateway.call("get_moment_task_result", jobid=job["jobid"])
    assert found["result"]["invalid_sender_list"] == {"user_list": (), "department_list": ()}
    assert found["result"]["moment_id"] in moments_of(wecom)


def test_pages_are_read_by_their_cursor(wecom, gateway):
    made = [wecom.hand("post_own_moment", userid="wutong", text=f"第{n}条")["moment_id"] for n in range(22)]
    now = int(clock.now().timestamp())
    window = {"start_time": now - 600, "end_time": now + 600}
    first = gateway.get_moment_list(**window)
    rest = gateway.get_moment_list(**window, cursor=first.next_cursor)
    assert [row.moment_id for row in first.moment_list + rest.moment_list] == made and rest.next_cursor == ""


def test_nobody_means_nobody_and_not_everybody(wecom, gateway):
    for visible in ({}, {"sender_list": {"user_list": []}}, {"external_contact_list": {"tag_list": []}}):
        with pytest.raises(ValueError):
            gateway.add_moment_task(visible_range=visible, text={"content": "x"})
    assert wecom.calls("externalcontact/add_moment_task") == []


def test_a_job_under_way_has_no_result(wecom, gateway):
    wecom.post("switches", {"moment_job_seconds": 60.0})
    job = gateway.add_moment_task(**asked())
    assert gateway.get_moment_task_result(jobid=job.jobid) == MomentJobState(1, "add_moment_task", None)
    assert settling.settle_job(gateway, jobid=job.jobid) is None


def test_more_than_ten_a_minute_are_held_before_they_are_sent(wecom, gateway):
    wecom.post("switches", {"moments_per_minute": 10})
    sent, held = 0, None
    for _n in range(25):
        try:
            gateway.add_moment_task(**asked())
            sent += 1
        except CallError as error:
            held = error
            break
    assert held is not None and held.held and held.errcode == 45009 and sent <= 20
    assert not [row for row in wecom.calls("externalcontact/add_moment_task") if row["errcode"] == 45009]


@pytest.mark.parametrize("body", [{"errcode": 0}, {"errcode": 0, "jobid": None}, {"errcode": 0, "jobid": {"a": 1}}])
def test_half_an_answer_is_a_lost_one(wecom, gateway, body):
    wecom.script("externalcontact/add_moment_task", body=body)
    with pytest.raises(CallError) as raised:
        gateway.add_moment_task(**asked())
    assert raised.value.executed_maybe and raised.value.retryable


# --- a lost answer ------------------------------------------------------------------------------------------------


def test_a_lost_moment_is_found_by_its_content_and_senders(wecom, gateway):
    make(gateway, words="另一条")
    make(gateway, "hechen")
    given = lose(gateway, asked("wutong"), wecom)
    found = settle(gateway, given)
    assert found is not None and found.done
    assert found.result["moment_id"] == next(
        row["moment_id"] for row in wecom.hand("moment_tasks", userid="wutong")["tasks"] if row["text"] == "新品到店"
    )


def test_a_moment_that_was_never_made_is_told_only_after_a_while(wecom, gateway):
    wecom.script("externalcontact/add_moment_task", close=True, execute=False)
    with pytest.raises(CallError):
        gateway.add_moment_task(**asked())
    assert settle(gateway, asked()) is None
    found = settle(gateway, asked(), minutes=20)
    assert found is not None and not found.done


def test_two_that_fit_or_senders_nobody_can_tell_are_no_finding(wecom, gateway):
    first = make(gateway, "wutong")
    given = lose(gateway, asked("wutong"), wecom)
    assert settle(gateway, given, minutes=20) is None
    found = settle(gateway, given, minutes=20, known={first})
    assert found is not None and found.done and found.result["moment_id"] != first
    in_department = {"visible_range": {"sender_list": {"department_list": [1]}}, "text": {"content": "部门"}}
    lose(gateway, in_department, wecom)
    assert settle(gateway, in_department, minutes=20) is None
    part_of_us = asked("hechen", "songjiayi", words="一半")
    make(gateway, "hechen", words="一半")
    assert settle(gateway, part_of_us, minutes=20) is None


def test_a_guides_own_moment_of_the_same_words_is_not_ours(wecom, gateway):
    wecom.hand("post_own_moment", userid="wutong", text="新品到店")
    found = settle(gateway, asked("wutong"), minutes=20)
    assert found is not None and not found.done


def test_attachments_and_range_must_fit(wecom, gateway):
    media = gateway.upload_attachment(media_type="image", filename="a.png", content=PNG).media_id
    image = {"msgtype": "image", "image": {"media_id": media}}
    link = {"msgtype": "link", "link": {"title": "t", "url": "https://a.example", "media_id": media}}
    make(gateway, attachments=[image])
    for other in ([], [image, image], [link]):
        found = settle(gateway, asked("wutong", attachments=other), minutes=20)
        assert found is not None and not found.done
    found = settle(gateway, asked("wutong", attachments=[image]), minutes=20)
    assert found is not None and found.done
    tags = {"tag_list": ["etX"]}
    narrow = asked("wutong", attachments=[image])
    narrow["visible_range"]["external_contact_list"] = tags
    assert settle(gateway, narrow, minutes=20) == Settled(done=False, message="WeCom lists no such moment")


def test_a_known_job_tells_by_itself(wecom, gateway):
    good = gateway.add_moment_task(**asked())
    bad = gateway.add_moment_task(**asked(words="长" * 1400))
    found, failed = (settling.settle_job(gateway, jobid=job.jobid) for job in (good, bad))
    assert found is not None and found.done and found.result["moment_id"] in moments_of(wecom)
    assert failed is not None and not failed.done and "45002" in failed.message


def test_a_list_too_long_to_read_is_no_finding(wecom, gateway):
    body = {"errcode": 0, "errmsg": "ok", "moment_list": [], "next_cursor": "again"}
    wecom.script("externalcontact/get_moment_list", body=body, times=100)
    assert settle(gateway, asked(), minutes=20) is None
    assert len(wecom.calls("externalcontact/get_moment_list")) == 20
