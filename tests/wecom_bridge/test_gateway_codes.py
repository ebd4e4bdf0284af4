"""Contact ways, join ways and acquisition links through the typed gateway."""

import pytest

from wecom_bridge.gateway import CallError, gateway_for
from wecom_bridge.shapes.acquisition import LinkRange, PriorityOption
from wecom_bridge.shapes.contact_ways import ContactWay

pytestmark = pytest.mark.django_db(transaction=True)
EC = "externalcontact"


def sent(wecom, path):
    return wecom.calls(f"{EC}/{path}")[-1]["args"]


# -- contact ways --------------------------------------------------------------------------------------------------


def test_a_contact_way_is_made_read_changed_and_deleted(wecom, gateway, guides):
    made = gateway.add_contact_way(type=2, scene=2, user=guides[:2], state="c-1", remark="柜台🍑", mark_source=False)
    way = gateway.get_contact_way(config_id=made.config_id)
    assert way == ContactWay(
        config_id=made.config_id,
        type=2,
        scene=2,
        remark="柜台🍑",
        state="c-1",
        qr_code=made.qr_code,
        user=tuple(guides[:2]),
        mark_source=False,
    )
    gateway.update_contact_way(config_id=made.config_id, user=guides[2:], skip_verify=False)
    changed = gateway.get_contact_way(config_id=made.config_id)
    assert (changed.user, changed.skip_verify, changed.remark) == (tuple(guides[2:]), False, "柜台🍑")
    gateway.del_contact_way(config_id=made.config_id)
    with pytest.raises(CallError) as raised:
        gateway.get_contact_way(config_id=made.config_id)
    assert (raised.value.errcode, raised.value.retryable) == (41044, False)


def test_what_is_not_given_is_not_sent(wecom, gateway, guides):
    gateway.add_contact_way(type=2, scene=2, user=guides, remark=None)
    assert sent(wecom, "add_contact_way") == {"type": 2, "scene": 2, "user": guides}
    gateway.list_contact_way()
    assert sent(wecom, "list_contact_way") == {"limit": 1000}


def test_ways_are_listed_page_by_page(gateway, guides):
    made = [gateway.add_contact_way(type=2, scene=2, user=guides).config_id for _n in range(3)]
    first = gateway.list_contact_way(limit=2)
    second = gateway.list_contact_way(limit=2, cursor=first.next_cursor)
    assert [row.config_id for row in (*first.contact_way, *second.contact_way)] == made
    assert second.next_cursor == ""


def test_what_a_way_keeps_for_good_is_not_sent_as_a_change(wecom, gateway, guides):
    made = gateway.add_contact_way(type=2, scene=2, user=guides)
    with pytest.raises(ValueError, match="is_exclusive, type"):
        gateway.update_contact_way(config_id=made.config_id, type=1, is_exclusive=True)
    assert wecom.calls(f"{EC}/update_contact_way") == []


def test_a_temporary_session_is_closed_with_its_conclusions(wecom, gateway, guides):
    wecom.post("switches", {"temp_ways_allowed": True})
    conclusions = {"text": {"content": "再会"}}
    made = gateway.add_contact_way(
        type=1, scene=2, user=guides[:1], is_temp=True, chat_expires_in=600, conclusions=conclusions
    )
    way = gateway.get_contact_way(config_id=made.config_id)
    assert (way.is_temp, way.chat_expires_in, way.conclusions) == (True, 600, conclusions)
    who = wecom.hand("scan", url=made.qr_code)["external_userid"]
    gateway.close_temp_chat(userid=guides[0], external_userid=who)
    assert [row["kind"] for row in wecom.get(f"customers/{who}/inbox")["messages"]] == ["conclusion"]


def test_a_method_named_by_a_command_answers_as_wecom_does(gateway, guides):
    made = gateway.call("add_contact_way", type=2, scene=2, user=guides)
    assert made["qr_code"].startswith("http")
    listed = gateway.call("list_contact_way")
    assert [dict(row) for row in listed["contact_way"]] == [{"config_id": made["config_id"]}]
    assert gateway.call("get_contact_way", config_id=made["config_id"])["user"] == tuple(guides)


def test_the_wish_for_an_exclusive_way_is_sent(wecom, gateway, guides):
    made = gateway.add_contact_way(type=2, scene=2, user=guides, is_exclusive=True)
    assert sent(wecom, "add_contact_way")["is_exclusive"] is True
    scanned = [wecom.hand("scan", url=made.qr_code, wecom_user=True) for _n in range(12)]
    corps = {wecom.get(f"customers/{row['external_userid']}")["corp_name"]: set() for row in scanned}
    for row in scanned:
        corps[wecom.get(f"customers/{row['external_userid']}")["corp_name"]].add(row["userid"])
    assert {len(userids) for userids in corps.values()} == {1}


# -- join ways -----------------------------------------------------------------------------------------------------


def test_a_join_way_is_made_read_overwritten_and_deleted(wecom, gateway):
    group = wecom.get("groups")["groups"][0]
    made = gateway.add_join_way(scene=2, chat_id_list=[group["chat_id"]], state="door", room_base_name="福利群")
    way = gateway.get_join_way(config_id=made.config_id)
    assert (way.chat_id_list, way.state, way.room_base_name) == ((group["chat_id"],), "door", "福利群")
    assert (way.auto_create_room, way.scene) == (1, 2)
    assert wecom.hand("scan", url=way.qr_code)["chat_id"] == group["chat_id"]
    gateway.update_join_way(config_id=made.config_id, scene=2, chat_id_list=[group["chat_id"]], auto_create_room=0)
    changed = gateway.get_join_way(config_id=made.config_id)
    assert (changed.state, changed.room_base_name, changed.auto_create_room) == ("", "", 0)
    gateway.del_join_way(config_id=made.config_id)
    with pytest.raises(CallError) as raised:
        gateway.get_join_way(config_id=made.config_id)
    assert raised.value.errcode == 41044


def test_an_opengid_leads_to_its_group(wecom, gateway):
    group = wecom.get("groups")["groups"][0]
    assert gateway.opengid_to_chatid(opengid=group["opengid"]).chat_id == group["chat_id"]
    with pytest.raises(CallError) as raised:
        gateway.opengid_to_chatid(opengid="x")
    assert raised.value.errcode == 90511


def test_a_lost_join_way_may_have_been_made(wecom, gateway):
    group = wecom.get("groups")["groups"][0]["chat_id"]
    wecom.script(f"{EC}/groupchat/add_join_way", execute=True, close=True)
    with pytest.raises(CallError) as raised:
        gateway.add_join_way(scene=2, chat_id_list=[group])
    assert raised.value.executed_maybe


# -- acquisition links ---------------------------------------------------------------------------------------------


def test_a_link_is_made_read_changed_and_deleted(wecom, gateway, guides):
    reach = {"user_list": guides[:2], "department_list": [1]}
    made = gateway.create_acquisition_link(link_name="官网", range=reach, skip_verify=False)
    assert wecom.url in made.url and made.create_time > 0
    link = gateway.get_acquisition_link(link_id=made.link_id)
    assert (link.link_name, link.url, link.create_time) == ("官网", made.url, made.create_time)
    assert (link.skip_verify, link.mark_source) == (False, True)
    assert link.range == LinkRange(tuple(guides[:2]), (1,))
    assert link.priority_option == PriorityOption()
    gateway.update_acquisition_link(link_id=made.link_id, link_name="门店", range={"user_list": guides[:1]})
    changed = gateway.get_acquisition_link(link_id=made.link_id)
    assert (changed.link_name, changed.range) == ("门店", LinkRange(tuple(guides[:1])))
    assert gateway.list_acquisition_links().link_id_list == (made.link_id,)
    gateway.delete_acquisition_link(link_id=made.link_id)
    assert gateway.list_acquisition_links().link_id_list == ()


def test_what_a_link_brought_is_read_and_counted(wecom, gateway, guides):
    made = gateway.create_acquisition_link(link_name="官网", range={"user_list": guides})
    wrote = wecom.hand("scan", url=f"{made.url}?customer_channel=bus")
    silent = wecom.hand("scan", url=made.url)
    wecom.hand("chat", userid=wrote["userid"], external_userid=wrote["external_userid"], messages=3)
    rows = gateway.list_acquisition_customers(link_id=made.link_id).customer_list
    assert [(row.external_userid, row.userid, row.chat_status, row.state) for row in rows] == [
        (wrote["external_userid"], wrote["userid"], 1, "bus"),
        (silent["external_userid"], silent["userid"], 0, ""),
    ]
    now = wecom.get("clock")["now"]
    counted = gateway.get_acquisition_statistic(link_id=made.link_id, start_time=now, end_time=now)
    assert (counted.click_link_customer_cnt, counted.new_customer_cnt) == (2, 2)
    quota = gateway.get_acquisition_quota()
    assert (quota.total, quota.balance, [part.balance for part in quota.quota_list]) == (1000, 999, [999])
    assert quota.quota_list[0].expire_date > now
    events = [row["event"] for row in wecom.get("callbacks")["callbacks"]]
    key = next(event["ChatKey"] for event in events if event.get("ChangeType") == "message_from_customer")
    chat = gateway.get_acquisition_chat(chat_key=key)
    assert (chat.userid, chat.external_userid) == (wrote["userid"], wrote["external_userid"])
    assert (chat.chat_info.recv_msg_cnt, chat.chat_info.link_id, chat.chat_info.state) == (3, made.link_id, "bus")


def test_customers_of_a_link_come_page_by_page(wecom, gateway, guides):
    made = gateway.create_acquisition_link(link_name="官网", range={"user_list": guides})
    brought = [wecom.hand("scan", url=made.url)["external_userid"] for _n in range(3)]
    first = gateway.list_acquisition_customers(link_id=made.link_id, limit=2)
    second = gateway.list_acquisition_customers(link_id=made.link_id, limit=2, cursor=first.next_cursor)
    assert [row.external_userid for row in (*first.customer_list, *second.customer_list)] == brought
    assert second.next_cursor == ""


def test_a_preference_reads_back(wecom, gateway, guides):
    wecom.post("switches", {"acquisition_priority_allowed": True})
    option = {"priority_type": 2, "priority_userid_list": guides[:2]}
    made = gateway.create_acquisition_link(link_name="x", range={"user_list": guides}, priority_option=option)
    assert gateway.get_acquisition_link(link_id=made.link_id).priority_option == PriorityOption(2, tuple(guides[:2]))


def test_a_corp_without_permission_is_held_not_refused(wecom, guides):
    connection = wecom.connect(secret=wecom.corp["contact_secret"])
    with pytest.raises(CallError) as raised:
        gateway_for(connection.corp).get_acquisition_quota()
    assert (raised.value.errcode, raised.value.held) == (48002, True)


def test_the_permit_says_whom_the_assistant_is_for(wecom, gateway, guides):
    assert gateway.get_acquisition_permit().department_list == (1,)
    wecom.hand("acquisition_permit", user_list=guides[:1])
    assert gateway.get_acquisition_permit().user_list == (guides[0],)


# -- answers of another make ---------------------------------------------------------------------------------------


def test_an_answer_without_its_ids_is_no_answer(wecom, gateway, guides):
    wecom.script(f"{EC}/add_contact_way", body={"errcode": 0, "errmsg": "ok"})
    with pytest.raises(CallError) as raised:
        gateway.add_contact_way(type=2, scene=2, user=guides)
    assert raised.value.executed_maybe
    wecom.script(f"{EC}/customer_acquisition_quota", body={"errcode": 0, "total": 9})
    with pytest.raises(CallError):
        gateway.get_acquisition_quota()


def test_numbers_as_text_and_nulls_are_taken_for_what_they_mean(wecom, gateway):
    link = {"link_name": None, "url": "https://a.example", "create_time": "1718000000", "skip_verify": "false"}
    body = {"errcode": 0, "link": link, "range": {"user_list": None, "department_list": ["2"]}, "priority_option": None}
    wecom.script(f"{EC}/customer_acquisition/get", body=body)
    read = gateway.get_acquisition_link(link_id="x")
    assert (read.link_name, read.create_time, read.skip_verify, read.mark_source) == ("", 1718000000, False, None)
    assert read.range == LinkRange((), (2,))
    wecom.script(f"{EC}/customer_acquisition_quota", body={"errcode": 0, "total": "10", "balance": "3"})
    assert gateway.get_acquisition_quota().balance == 3
