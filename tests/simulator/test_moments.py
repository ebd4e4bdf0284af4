"""Moments: the corp asks, each guide publishes or does not, and only then do customers see anything."""

import struct
import time

import pytest
import requests

from simulator.state import StateFile
from simulator.threaded import ThreadedSimulator

PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 200
MP4 = b"\x00\x00\x00\x18ftypmp42" + b"0" * 200
DAY = 86_400


def try_upload(client, media_type="image", content=PNG, attachment_type=1):
    url = f"{client.url}/cgi-bin/media/upload_attachment"
    params = {"access_token": client.token(), "media_type": media_type, "attachment_type": attachment_type}
    return client.http.post(url, params=params, files={"media": ("a", content)}).json()


def upload(client, *given):
    return try_upload(client, *given)["media_id"]


def ask(client, users=(), tags=(), departments=(), words="新品到店", attachments=None):
    body = {"visible_range": {"sender_list": {"user_list": list(users), "department_list": list(departments)}}}
    body["visible_range"]["external_contact_list"] = {"tag_list": list(tags)}
    if words:
        body["text"] = {"content": words}
    if attachments is not None:
        body["attachments"] = attachments
    return client.post("externalcontact/add_moment_task", body)


def result_of(client, made):
    return client.get("externalcontact/get_moment_task_result", jobid=made["jobid"])


def make(client, *args, **more):
    answer = result_of(client, ask(client, *args, **more))
    assert answer["status"] == 3 and answer["result"]["errcode"] == 0, answer
    return answer["result"]["moment_id"]


def asked(client, path, **body):
    return client.post(f"externalcontact/{path}", body)


def listed(client, **more):
    now = client.control("clock")["now"]
    return asked(client, "get_moment_list", **{"start_time": now - DAY, "end_time": now + 60} | more)


def tag_id(client, name):
    groups = client.post("externalcontact/get_corp_tag_list")["tag_group"]
    return next(tag["id"] for group in groups for tag in group["tag"] if tag["name"] == name)


def test_nothing_is_seen_before_the_guide_publishes(shop):
    moment = make(shop, ["wutong"])
    assert asked(shop, "get_moment_task", moment_id=moment)["task_list"] == [{"userid": "wutong", "publish_status": 0}]
    named = {"moment_id": moment, "userid": "wutong"}
    in_range = asked(shop, "get_moment_customer_list", **named)["customer_list"]
    assert len(in_range) == len(shop.get("externalcontact/list", userid="wutong")["external_userid"])
    assert asked(shop, "get_moment_send_result", **named)["errcode"] == 41062
    assert asked(shop, "get_moment_comments", **named)["errcode"] == 41062
    assert asked(shop, "get_moment_send_result", moment_id=moment, userid="hechen")["errcode"] == 41061
    shop.hand("publish_moment", **named)
    assert asked(shop, "get_moment_task", moment_id=moment)["task_list"][0]["publish_status"] == 1
    shown = asked(shop, "get_moment_send_result", **named)["customer_list"]
    assert {row["external_userid"] for row in shown} == {row["external_userid"] for row in in_range}
    seen = shop.hand("moments_seen", external_userid=shown[0]["external_userid"])["moments"]
    assert [row["moment_id"] for row in seen] == [moment]
    assert shop.control("hands/publish_moment", {"corp_id": shop.corp_id} | named)["ok"] is False


def test_a_job_is_pending_then_running_then_done_and_only_then_is_there_a_moment(shop):
    shop.control("switches", {"moment_job_seconds": 2.0})
    made = ask(shop, ["wutong"])
    assert (result_of(shop, made)["status"], listed(shop)["moment_list"]) == (1, [])
    seen, deadline = [1], time.monotonic() + 20
    while seen[-1] != 3 and time.monotonic() < deadline:
        seen.append(result_of(shop, made)["status"])
    assert list(dict.fromkeys(seen)) == [1, 2, 3]
    assert [row["moment_id"] for row in listed(shop)["moment_list"]] == [result_of(shop, made)["result"]["moment_id"]]
    assert shop.get("externalcontact/get_moment_task_result", jobid="none")["errcode"] == 40058
    assert shop.get("externalcontact/get_moment_task_result")["errcode"] == 40058


def test_whats_wrong_with_the_content_stands_in_the_result(shop):
    image = {"msgtype": "image", "image": {"media_id": upload(shop)}}
    video = {"msgtype": "video", "video": {"media_id": upload(shop, "video", MP4)}}
    link = {"msgtype": "link", "link": {"title": "t" * 65, "url": "https://a.example", "media_id": upload(shop)}}
    wrong = [
        ({"words": ""}, 41089),
        ({"words": "长" * 1400}, 45002),
        ({"words": "x" * 2001}, 45002),
        ({"attachments": [image, video]}, 41065),
        ({"attachments": [{"msgtype": "file", "file": {"media_id": "x"}}]}, 41065),
        ({"attachments": [image] * 10}, 41064),
        ({"attachments": [link]}, 40058),
        ({"attachments": [{"msgtype": "image", "image": {"media_id": "gone"}}]}, 40007),
    ]
    shop.control("switches", {"moments_per_minute": 100})
    for more, code in wrong:
        made = ask(shop, ["wutong"], **more)
        assert made["errcode"] == 0
        result = result_of(shop, made)["result"]
        assert result["errcode"] == code and "moment_id" not in result, (more, result)
    assert listed(shop)["moment_list"] == []
    shop.control("switches", {"moment_errors_at_once": True})
    assert ask(shop, ["wutong"], words="")["errcode"] == 41089
    assert ask(shop, ["wutong"], attachments=[image] * 9)["errcode"] == 0


def png(width, height):
    return b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + struct.pack(">II", width, height) + b"0" * 50 + b"IEND\xaeB`\x82"


def jpeg(width, height):
    return b"\xff\xd8\xff\xe0\x00\x04ab\xff\xc0\x00\x11\x08" + struct.pack(">HH", height, width) + b"0" * 50


def mp4(seconds, *, wide=False):
    head = MP4[:12] + b"mvhd" + (b"\x01" if wide else b"\x00") + b"000"
    times = (
        b"0" * 16 + struct.pack(">IQ", 600, 600 * seconds)
        if wide
        else b"0" * 8 + struct.pack(">II", 600, 600 * seconds)
    )
    return head + times + b"0" * 50


@pytest.mark.parametrize(("kind", "content", "code"), [
    ("image", png(1080, 10_800), 0), ("image", png(1081, 1081), 41081), ("image", jpeg(10_801, 900), 41081),
    ("image", jpeg(1440, 1080), 0), ("video", mp4(30), 0), ("video", mp4(31), 41082), ("video", mp4(31, wide=True), 41082),
    ("video", b"not an mp4 at all", 41090), ("image", PNG + b"0" * 10 * 1024 * 1024, 41080), ("image", b"no image", 40005),
    ("image", b"", 44001), ("file", PNG, 40004),
])  # fmt: skip
def test_files_for_moments_have_limits_of_their_own(shop, kind, content, code):
    assert try_upload(shop, kind, content)["errcode"] == code


def test_media_of_messages_are_useless_in_moments(shop):
    url, params = f"{shop.url}/cgi-bin/media/upload", {"access_token": shop.token(), "type": "image"}
    ordinary = shop.http.post(url, params=params, files={"media": ("a.png", PNG)}).json()["media_id"]
    made = ask(shop, ["wutong"], attachments=[{"msgtype": "image", "image": {"media_id": ordinary}}])
    assert result_of(shop, made)["result"]["errcode"] == 40007


@pytest.mark.parametrize(
    "wrong",
    [{"sender_list": []}, {"sender_list": {"user_list": "wutong"}}, {"external_contact_list": {"tag_list": [1]}}],
)
def test_a_malformed_range_is_refused_at_once(shop, wrong):
    body = {"text": {"content": "x"}, "visible_range": wrong}
    expected = 0 if wrong == {"sender_list": []} else 40058
    assert shop.post("externalcontact/add_moment_task", body)["errcode"] == expected


def test_who_publishes_and_who_sees_follows_the_range(shop):
    sweet, everyone = tag_id(shop, "爱吃甜"), ["fangxiaoman", "wutong", "songjiayi", "hechen"]

    def tasks(moment):
        return [row["userid"] for row in asked(shop, "get_moment_task", moment_id=moment)["task_list"]]

    assert tasks(make(shop)) == everyone
    assert tasks(make(shop, departments=[1])) == everyone
    tagged = make(shop, tags=[sweet])
    both = make(shop, ["wutong"], tags=[sweet])
    assert (set(tasks(tagged)) <= set(everyone), tasks(both)) == (True, ["wutong"])
    in_range = asked(shop, "get_moment_customer_list", moment_id=both, userid="wutong")["customer_list"]
    of_guide = shop.get("externalcontact/list", userid="wutong")["external_userid"]
    for row in in_range[:5]:
        follows = shop.get("externalcontact/get", external_userid=row["external_userid"])["follow_user"]
        own = next(f for f in follows if f["userid"] == "wutong")
        assert sweet in [tag.get("tag_id") for tag in own["tags"]]
    assert 0 < len(in_range) < len(of_guide)
    kinds = {row["moment_id"]: row["visible_type"] for row in listed(shop)["moment_list"]}
    assert (kinds[both], kinds[tagged]) == (0, 0) and 1 in kinds.values()


def test_unusable_senders_and_tags_are_named_and_too_many_of_them_fail_the_job(shop):
    sweet = tag_id(shop, "爱吃甜")
    result = result_of(shop, ask(shop, ["wutong", "nobody"], tags=[sweet, "etNone"], departments=[99]))["result"]
    assert result["invalid_sender_list"] == {"user_list": ["nobody"], "department_list": [99]}
    assert result["invalid_external_contact_list"] == {"tag_list": ["etNone"]}
    assert result_of(shop, ask(shop, ["nobody"]))["result"]["errcode"] == 81013
    assert result_of(shop, ask(shop, ["wutong"], tags=["etNone"]))["result"]["errcode"] == 40068


def test_a_cancelled_moment_stays_with_who_published_it(shop):
    moment = make(shop, ["wutong", "hechen"])
    shop.hand("publish_moment", moment_id=moment, userid="wutong")
    assert asked(shop, "cancel_moment_task", moment_id=moment)["errcode"] == 0
    late = shop.control("hands/publish_moment", {"corp_id": shop.corp_id, "moment_id": moment, "userid": "hechen"})
    assert late["ok"] is False and shop.hand("moment_tasks")["tasks"] == []
    assert asked(shop, "get_moment_send_result", moment_id=moment, userid="wutong")["customer_list"]
    states = {r["userid"]: r["publish_status"] for r in asked(shop, "get_moment_task", moment_id=moment)["task_list"]}
    assert states == {"wutong": 1, "hechen": 0}


def test_a_customer_is_shown_so_many_of_the_corps_moments_a_month(shop):
    shop.control("switches", {"moments_per_customer_month": 1})
    first, second = make(shop, ["wutong"]), make(shop, ["wutong"], words="又一条")
    assert shop.hand("publish_moment", moment_id=first, userid="wutong")["shown_to"] > 100
    assert shop.hand("publish_moment", moment_id=second, userid="wutong")["shown_to"] == 0
    assert shop.hand("post_own_moment", userid="wutong", text="我自己的")["shown_to"] > 100
    shop.control("clock", {"advance": 31 * DAY})
    third = make(shop, ["wutong"], words="下个月")
    assert shop.hand("publish_moment", moment_id=third, userid="wutong")["shown_to"] > 100


def test_who_deleted_the_guide_is_not_shown_anything(shop):
    gone, lost = shop.get("externalcontact/list", userid="wutong")["external_userid"][:2]
    moment = make(shop, ["wutong"])
    shop.hand("customer_deletes", userid="wutong", external_userid=gone)
    shop.hand("guide_deletes", userid="wutong", external_userid=lost)
    shop.hand("publish_moment", moment_id=moment, userid="wutong")
    rows = asked(shop, "get_moment_send_result", moment_id=moment, userid="wutong")["customer_list"]
    assert not {gone, lost} & {row["external_userid"] for row in rows}


def test_likes_and_comments_come_from_those_who_see_it(shop):
    moment = make(shop, ["wutong"])
    shop.hand("publish_moment", moment_id=moment, userid="wutong")
    one = shop.get("externalcontact/list", userid="wutong")["external_userid"][0]
    stranger = shop.hand("add", userid="hechen")["external_userid"]
    named = {"moment_id": moment, "userid": "wutong"}
    shop.hand("like_moment", who=one, **named)
    shop.hand("comment_moment", who=one, **named)
    shop.hand("comment_moment", who="hechen", **named)
    found = asked(shop, "get_moment_comments", **named)
    assert [row["external_userid"] for row in found["like_list"]] == [one]
    assert [row.get("external_userid") or row["userid"] for row in found["comment_list"]] == [one, "hechen"]
    assert shop.control("hands/like_moment", {"corp_id": shop.corp_id, "who": stranger} | named)["ok"] is False
    assert shop.hand("like_moment", who=one, **named)["likes"] == 0


def test_the_list_tells_corp_and_personal_moments_apart_and_files_come_back_under_other_ids(shop):
    media = upload(shop)
    moment = make(shop, ["wutong"], attachments=[{"msgtype": "image", "image": {"media_id": media}}])
    own = shop.hand("post_own_moment", userid="wutong", text="今天出炉")["moment_id"]
    corp_made = listed(shop, filter_type=0)["moment_list"]
    assert [row["moment_id"] for row in corp_made] == [moment] and "creator" not in corp_made[0]
    assert corp_made[0]["image"][0]["media_id"] not in ("", media)
    personal = listed(shop, filter_type=1)["moment_list"]
    assert [(row["moment_id"], row["creator"], row["create_type"]) for row in personal] == [(own, "wutong", 1)]
    assert [row["moment_id"] for row in listed(shop, creator="wutong")["moment_list"]] == [own]
    assert asked(shop, "get_moment_task", moment_id=own)["errcode"] == 41067
    assert asked(shop, "cancel_moment_task", moment_id=own)["errcode"] == 41067
    shop.hand("delete_moment", moment_id=own)
    assert [row["moment_id"] for row in listed(shop)["moment_list"]] == [moment]


def test_lists_are_paged_and_their_windows_bounded(shop):
    shop.control("switches", {"moments_per_minute": 100})
    made = [make(shop, ["wutong"], words=f"第{n}条") for n in range(23)]
    assert asked(shop, "get_moment_list", start_time=0, end_time=31 * DAY)["errcode"] == 40058
    now = shop.control("clock")["now"]
    window = {"start_time": now - DAY, "end_time": now + 60}
    page = asked(shop, "get_moment_list", limit=100, **window)
    assert len(page["moment_list"]) == 20
    rest = asked(shop, "get_moment_list", limit=100, cursor=page["next_cursor"], **window)
    assert [row["moment_id"] for row in page["moment_list"] + rest["moment_list"]] == made
    assert asked(shop, "get_moment_list", cursor="nonsense", **window)["errcode"] == 50100


def test_ten_a_minute_and_so_many_jobs_at_once(shop):
    shop.control("switches", {"moment_job_seconds": 60.0, "moment_jobs_most": 3})
    assert [ask(shop, ["wutong"])["errcode"] for _ in range(4)] == [0, 0, 0, 41078]
    shop.control("switches", {"moment_jobs_most": 100})
    codes = [ask(shop, ["wutong"])["errcode"] for _ in range(25)]  # a minute may end meanwhile
    first = codes.index(45009)
    assert 6 <= first <= 20 and set(codes[:first]) == {0} and set(codes[first:]) == {45009}


def test_a_moment_just_made_may_still_be_dispatched(shop):
    shop.control("switches", {"moment_dispatch_seconds": 60.0})
    moment = make(shop, ["wutong"])
    assert asked(shop, "get_moment_task", moment_id=moment)["errcode"] == 41079
    assert asked(shop, "cancel_moment_task", moment_id=moment)["errcode"] == 41079


@pytest.mark.parametrize(("path", "body", "code"), [
    ("get_moment_task", {}, 41059),
    ("get_moment_task", {"moment_id": "momNone"}, 41060),
    ("cancel_moment_task", {}, 41059),
    ("get_moment_send_result", {"moment_id": "momNone"}, 41009),
    ("get_moment_list", {"start_time": 1}, 40058),
])  # fmt: skip
def test_what_is_missing_or_unknown_has_its_code(shop, path, body, code):
    assert asked(shop, path, **body)["errcode"] == code


def hand(running, act, **body):
    return requests.post(f"{running.url}/control/hands/{act}", json=body).json()


def test_moments_survive_a_restart_and_a_reset_forgets_them(tmp_path):
    file = StateFile(tmp_path / "world", ("moments",))
    with ThreadedSimulator(["shop"], start=1774000000, state=file) as running:
        own = hand(running, "post_own_moment", userid="wutong", text="留着")["moment_id"]
    with ThreadedSimulator(["shop"], start=1774000000, state=file) as again:
        one = requests.get(f"{again.url}/control/customers?limit=1").json()["customers"][0]
        assert one["followers"]
        assert hand(again, "like_moment", moment_id=own, userid="wutong", who="hechen")["likes"] == 1
        requests.post(f"{again.url}/control/reset", json={})
        assert hand(again, "like_moment", moment_id=own, userid="wutong", who="hechen")["ok"] is False
