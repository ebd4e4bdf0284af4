"""Statistics are counted from this world: what its people did, on the days they did it."""

import pytest

from simulator.clock import local

DAY = 86_400


def today(client):
    now = local(client.control("clock")["now"])
    return int(now.replace(hour=0, minute=0, second=0).timestamp())


def behaviour(client, begin, end, userid=("wutong",), **more):
    body = {"userid": list(userid), "start_time": begin, "end_time": end} | more
    return client.post("externalcontact/get_user_behavior_data", body)


def by_owner(client, begin, end, owners=("wutong",), **more):
    body = {"day_begin_time": begin, "day_end_time": end, "owner_filter": {"userid_list": list(owners)}} | more
    return client.post("externalcontact/groupchat/statistic", body)


def by_day(client, begin, end, owners=("wutong",)):
    body = {"day_begin_time": begin, "owner_filter": {"userid_list": list(owners)}}
    return client.post(
        "externalcontact/groupchat/statistic_group_by_day", body | ({"day_end_time": end} if end else {})
    )


def tomorrow(client):
    client.control("clock", {"advance": DAY})


def test_a_day_counts_what_a_member_did(shop):
    day = today(shop)
    one, two = shop.get("externalcontact/list", userid="wutong")["external_userid"][:2]
    shop.hand("add", userid="wutong")
    shop.hand("add", userid="wutong", by_guide=True)
    shop.hand("customer_deletes", userid="wutong", external_userid=one)
    shop.hand("chat", userid="wutong", external_userid=two, sent=3, reply_minutes=4)
    shop.hand("chat", userid="wutong", external_userid=one, sent=0)
    shop.hand("chat", userid="hechen", external_userid=shop.hand("add", userid="hechen")["external_userid"])
    shop.hand("send_own", userid="wutong", external_userids=[two], text="新品")
    assert behaviour(shop, day, day)["behavior_data"] == []
    tomorrow(shop)
    base = behaviour(shop, day - DAY, day)["behavior_data"]
    row = base[-1]
    assert [r["stat_time"] for r in base] == [day - DAY, day]
    assert (row["chat_cnt"], row["message_cnt"], row["negative_feedback_cnt"], row["new_apply_cnt"]) == (2, 4, 1, 1)
    assert (row["reply_percentage"], row["avg_reply_time"]) == (50.0, 4)
    assert row["new_contact_cnt"] == 2 + past_gains(shop, "wutong", day)
    quiet = base[0]
    assert "reply_percentage" not in quiet and "avg_reply_time" not in quiet and quiet["chat_cnt"] == 0


def past_gains(client, userid, day):
    """Relations of the scenario that began that day, counted from the truth itself."""
    rows = client.post("externalcontact/batch/get_by_user", {"userid_list": [userid], "limit": 100})
    found = rows["external_contact_list"]
    while rows.get("next_cursor"):
        rows = client.post(
            "externalcontact/batch/get_by_user",
            {"userid_list": [userid], "limit": 100, "cursor": rows["next_cursor"]},
        )
        found += rows["external_contact_list"]
    old = [r for r in found if r["follow_info"]["add_way"] != 0 and day <= r["follow_info"]["createtime"] < day + DAY]
    made = {row["external_userid"] for row in client.control("customers", offset=668)["customers"]}
    return sum(1 for row in old if row["external_contact"]["external_userid"] not in made)


def test_the_past_of_the_scenario_is_counted_too_and_members_add_up(shop):
    begin, end = today(shop) - 30 * DAY, today(shop) - DAY

    def gained(*userids):
        return [row["new_contact_cnt"] for row in behaviour(shop, begin, end, userids)["behavior_data"]]

    both = gained("wutong", "hechen")
    assert both == [a + b for a, b in zip(gained("wutong"), gained("hechen"), strict=True)] and sum(both) > 0
    assert len(both) == 30
    by_department = behaviour(shop, begin, end, (), partyid=[1])["behavior_data"]
    everyone = gained("wutong", "hechen", "fangxiaoman", "songjiayi")
    assert [row["new_contact_cnt"] for row in by_department] == everyone
    day = begin + 3 * DAY
    assert gained("wutong")[3] == past_gains(shop, "wutong", day)


def test_mass_sends_are_messages_unless_the_switch_says_no(shop):
    day = today(shop)
    people = shop.get("externalcontact/list", userid="wutong")["external_userid"][:5]
    shop.hand("send_own", userid="wutong", external_userids=people, text="新品")
    tomorrow(shop)
    assert behaviour(shop, day, day)["behavior_data"][0]["message_cnt"] == 5
    shop.control("switches", {"mass_sends_are_messages": False})
    assert behaviour(shop, day, day)["behavior_data"][0]["message_cnt"] == 0


@pytest.mark.parametrize(("begin", "end", "code"), [
    (-31, 0, 40058), (-30, 0, 0), (-181, -170, 40058), (-180, -170, 0), (-1, -2, 40058),
])  # fmt: skip
def test_windows_are_thirty_days_of_the_last_hundred_and_eighty(shop, begin, end, code):
    day = today(shop)
    assert behaviour(shop, day + begin * DAY, day + end * DAY)["errcode"] == code
    assert by_owner(shop, day + begin * DAY, day + end * DAY)["errcode"] == code


def test_times_are_floored_to_midnight_in_china(shop):
    noon = today(shop) - DAY + 12 * 3600
    assert [row["stat_time"] for row in behaviour(shop, noon, noon + 3600)["behavior_data"]] == [today(shop) - DAY]
    assert [row["stat_time"] for row in by_day(shop, noon, None)["items"]] == [today(shop) - DAY]


@pytest.mark.parametrize(("body", "code"), [
    ({"start_time": 1, "end_time": 1}, 40058), ({"userid": ["wutong"], "end_time": 1}, 40058),
    ({"userid": ["nobody"], "start_time": 1, "end_time": 1}, 40031),
    ({"partyid": [99], "start_time": 1, "end_time": 1}, 60003),
    ({"userid": ["wutong"] * 101, "start_time": 1, "end_time": 1}, 40058),
])  # fmt: skip
def test_whom_it_is_about_must_be_known(shop, body, code):
    assert shop.post("externalcontact/get_user_behavior_data", body)["errcode"] == code


def test_a_groups_day_counts_who_came_who_spoke_and_who_is_there(shop):
    day = today(shop)
    (chat,) = [row["chat_id"] for row in shop.control("groups", owner="wutong")["groups"]]
    members = shop.post("externalcontact/groupchat/get", {"chat_id": chat})["group_chat"]["member_list"]
    known = [m["userid"] for m in members if m["type"] == 2]
    new = [shop.hand("add", userid="wutong")["external_userid"] for _ in range(3)]
    made = shop.hand("group_create", owner="wutong", name="新群", members=new[:1])["chat_id"]
    shop.hand("group_join", chat_id=chat, members=new)
    shop.hand("group_leave", chat_id=chat, members=[new[0], known[0]])
    shop.hand("group_speak", chat_id=chat, who=new[1], messages=4)
    shop.hand("group_speak", chat_id=chat, who="wutong", messages=2)
    tomorrow(shop)
    (row,) = by_owner(shop, day, day)["items"]
    data = row["data"]
    assert (data["new_chat_cnt"], data["chat_total"], data["chat_has_msg"]) == (1, 2, 1)
    assert (data["member_has_msg"], data["msg_total"]) == (2, 6)
    assert data["member_total"] == len(members) + 1 + 2
    assert data["new_member_cnt"] == 3 + 2 + sum(1 for m in members if m["join_time"] >= day)
    shop.hand("group_dismiss", chat_id=made)
    tomorrow(shop)
    rows = by_day(shop, day, day + DAY)["items"]
    assert [r["data"]["chat_total"] for r in rows] == [2, 1]
    assert rows[0]["data"] == data


def test_group_rows_are_ordered_and_paged(shop):
    day = today(shop) - DAY
    owners = ("wutong", "fangxiaoman", "hechen")
    most = by_owner(shop, day, day, owners, order_by=2)
    assert [row["owner"] for row in most["items"]] == ["fangxiaoman", "wutong", "hechen"]
    assert most["total"] == 3 and most["items"][0]["data"]["chat_total"] == 2
    least = by_owner(shop, day, day, owners, order_by=4, order_asc=1, limit=1)
    assert [row["owner"] for row in least["items"]] == ["hechen"] and least["next_offset"] == 1
    rest = by_owner(shop, day, day, owners, order_by=4, order_asc=1, offset=1)
    assert len(rest["items"]) == 2
    assert by_owner(shop, day, day, ())["errcode"] == 40058
    assert by_owner(shop, day, day, ("nobody",))["errcode"] == 40031


def test_today_is_shown_only_when_the_switch_says_so(shop):
    assert by_day(shop, today(shop), None)["items"] == []
    shop.control("switches", {"statistics_of_today": True})
    assert [row["stat_time"] for row in by_day(shop, today(shop), None)["items"]] == [today(shop)]
