"""Group join ways, whom they lead into which group, and opengids."""

import pytest

EC = "externalcontact"


@pytest.fixture
def rooms(shop):
    """Three new groups of one guide, with nobody else in them."""
    return [shop.hand("group_create", owner="wutong", name=f"群{n}")["chat_id"] for n in range(3)]


def add(shop, chats, **given):
    return shop.post(f"{EC}/groupchat/add_join_way", {"scene": 2, "chat_id_list": chats} | given)


def get(shop, config_id):
    return shop.post(f"{EC}/groupchat/get_join_way", {"config_id": config_id})["join_way"]


def members(shop, chat_id):
    rows = shop.post(f"{EC}/groupchat/get", {"chat_id": chat_id})["group_chat"]["member_list"]
    return {row["userid"]: row for row in rows}


def chat_events(shop):
    shop.wait_quiet()
    rows = [row["event"] for row in shop.control("callbacks")["callbacks"]]
    return [row for row in rows if row["Event"] == "change_external_chat"]


def refused(shop, **given):
    return shop.control("hands/scan", {"corp_id": shop.corp_id} | given)["error"]


def test_a_way_reads_back_with_its_defaults_and_its_code(shop, rooms):
    made = add(shop, rooms[:2], remark="长" * 40, state="door")
    assert set(made) == {"errcode", "errmsg", "config_id"}
    way = get(shop, made["config_id"])
    assert way["remark"] == "长" * 30
    assert (way["chat_id_list"], way["state"], way["auto_create_room"]) == (rooms[:2], "door", 1)
    assert way["qr_code"].startswith(shop.url)
    assert "qr_code" not in get(shop, add(shop, rooms, scene=1)["config_id"])


@pytest.mark.parametrize(
    ("given", "errcode"),
    [
        ({"scene": None}, 40058),
        ({"chat_id_list": []}, 40058),
        ({"scene": 3}, 40058),
        ({"chat_id_list": ["wr"] * 6}, 41091),
        ({"chat_id_list": ["wrnone"]}, 90501),
        ({"state": "s" * 31}, 40058),
        ({"room_base_name": "群" * 41}, 40058),
        ({"auto_create_room": 2}, 40058),
        ({"remark": 5}, 40058),
    ],
)
def test_a_wrong_way_is_refused(shop, rooms, given, errcode):
    assert shop.post(f"{EC}/groupchat/add_join_way", {"scene": 2, "chat_id_list": rooms} | given)["errcode"] == errcode


def test_five_groups_are_taken_and_a_dissolved_one_is_not(shop, rooms):
    more = [shop.hand("group_create", owner="hechen", name=f"群{n}")["chat_id"] for n in range(2)]
    assert add(shop, rooms + more)["errcode"] == 0
    shop.hand("group_dismiss", chat_id=more[0])
    assert add(shop, rooms + more)["errcode"] == 49008


def test_an_update_overwrites_everything(shop, rooms):
    config_id = add(shop, rooms, remark="门口", state="door", auto_create_room=0)["config_id"]
    path = f"{EC}/groupchat/update_join_way"
    assert shop.post(path, {"chat_id_list": rooms, "scene": 2})["errcode"] == 41043
    assert shop.post(path, {"config_id": config_id, "chat_id_list": rooms})["errcode"] == 40058
    assert shop.post(path, {"config_id": config_id, "scene": 2, "chat_id_list": rooms[:1]})["errcode"] == 0
    way = get(shop, config_id)
    assert (way["chat_id_list"], way["remark"], way["state"], way["auto_create_room"]) == (rooms[:1], "", "", 1)


def test_there_is_no_list_and_a_deleted_way_leads_nowhere(shop, rooms):
    config_id = add(shop, rooms)["config_id"]
    url = get(shop, config_id)["qr_code"]
    assert shop.http.post(f"{shop.url}/cgi-bin/{EC}/groupchat/list_join_way", json={}).status_code == 404
    assert shop.post(f"{EC}/groupchat/del_join_way", {"config_id": config_id})["errcode"] == 0
    assert shop.post(f"{EC}/groupchat/get_join_way", {"config_id": config_id})["errcode"] == 41044
    assert refused(shop, url=url) == "二维码或链接已失效"


def test_a_scan_joins_the_first_group_with_the_state(shop, rooms):
    url = get(shop, add(shop, rooms, state="door")["config_id"])["qr_code"]
    done = shop.hand("scan", url=url, name="路人")
    assert (done["chat_id"], done["created"]) == (rooms[0], False)
    row = members(shop, rooms[0])[done["external_userid"]]
    assert (row["join_scene"], row["state"]) == (3, "door")
    event = chat_events(shop)[-1]
    assert (event["UpdateDetail"], event["JoinScene"]) == ("add_member", 3)
    assert event["MemChangeList"] == [done["external_userid"]]


def test_scanning_twice_joins_once(shop, rooms):
    config_id = add(shop, rooms)["config_id"]
    who = shop.hand("scan", config_id=config_id)["external_userid"]
    before = len(chat_events(shop))
    again = shop.hand("scan", config_id=config_id, external_userid=who)
    assert (again["already_in"], again["chat_id"]) == (True, rooms[0])
    assert len(chat_events(shop)) == before


def test_full_groups_are_passed_over_and_then_new_ones_opened(shop, rooms):
    shop.control("switches", {"group_full_at": 3})
    config_id = add(shop, rooms[:2], room_base_name="福利群", room_base_id=7)["config_id"]
    joined = [shop.hand("scan", config_id=config_id) for _n in range(7)]
    assert [row["chat_id"] for row in joined[:4]] == [rooms[0]] * 2 + [rooms[1]] * 2
    assert [row["created"] for row in joined] == [False] * 4 + [True, False, True]
    first, second = joined[4]["chat_id"], joined[6]["chat_id"]
    listed = {row["chat_id"]: row for row in shop.control("groups")["groups"]}
    assert [listed[chat_id]["name"] for chat_id in (first, second)] == ["福利群7", "福利群8"]
    assert listed[first]["owner"] == "wutong"
    assert get(shop, config_id)["chat_id_list"] == [*rooms[:2], first, second]
    of_first = [e for e in chat_events(shop) if e["ChatId"] == first]
    assert [e["ChangeType"] for e in of_first] == ["create", "update", "update"]


def test_an_update_drops_the_groups_a_way_opened_itself(shop, rooms):
    shop.control("switches", {"group_full_at": 1})
    config_id = add(shop, rooms)["config_id"]
    shop.hand("scan", config_id=config_id)
    body = {"config_id": config_id, "scene": 2, "chat_id_list": rooms}
    assert shop.post(f"{EC}/groupchat/update_join_way", body)["errcode"] == 0
    assert get(shop, config_id)["chat_id_list"] == rooms


def test_made_groups_may_stay_unlisted(shop, rooms):
    shop.control("switches", {"group_full_at": 1, "join_way_lists_made_rooms": False})
    config_id = add(shop, rooms)["config_id"]
    assert shop.hand("scan", config_id=config_id)["created"]
    assert get(shop, config_id)["chat_id_list"] == rooms


def test_without_auto_create_a_full_code_admits_nobody(shop, rooms):
    shop.control("switches", {"group_full_at": 1})
    config_id = add(shop, rooms, auto_create_room=0)["config_id"]
    assert refused(shop, config_id=config_id) == "群已满,或已解散"


def test_a_dissolved_group_is_passed_over(shop, rooms):
    config_id = add(shop, rooms)["config_id"]
    shop.hand("group_dismiss", chat_id=rooms[0])
    assert shop.hand("scan", config_id=config_id)["chat_id"] == rooms[1]


def test_an_opengid_leads_to_its_group(shop, chain, rooms):
    group = shop.control("groups")["groups"][0]
    path = f"{EC}/opengid_to_chatid"
    assert shop.post(path, {"opengid": group["opengid"]})["chat_id"] == group["chat_id"]
    assert shop.post(path)["errcode"] == 40058
    assert shop.post(path, {"opengid": "x"})["errcode"] == 90511
    assert shop.post(path, {"opengid": chain.control("groups")["groups"][0]["opengid"]})["errcode"] == 90509
    shop.hand("member_changes", userid=group["owner"], visible=False)
    assert shop.post(path, {"opengid": group["opengid"]})["errcode"] == 60011
    shop.hand("member_changes", userid=group["owner"], visible=True)
    shop.hand("group_dismiss", chat_id=group["chat_id"])
    assert shop.post(path, {"opengid": group["opengid"]})["errcode"] == 49008
