import pytest
import requests

MARK = "externalcontact/mark_tag"
STORE = 101  # 上海静安寺 of the scenario `chain`


def limit(world, **what):
    answer = world.control(f"corps/{world.corp_id}/range", what)
    assert answer["ok"], answer
    return answer["members"]


def withdraw(world, *patterns, kind="app"):
    answer = world.control(f"corps/{world.corp_id}/permissions", {"kind": kind, "withdrawn": list(patterns)})
    assert answer["ok"], answer


def friend_of(world, userid, position=0):
    return world.get("externalcontact/list", userid=userid)["external_userid"][position]


def stranger_of(world, userid):
    """A customer of somebody else's whom `userid` does not know."""
    rows = world.control("customers", limit=500)["customers"]
    return next(row["external_userid"] for row in rows if row["followers"] and userid not in row["followers"])


def test_a_call_wrong_in_every_way_is_told_so_in_wecoms_order(shop):
    """Everything is wrong at once; each step mends one thing, and the next in the order shows."""
    tag = shop.post("externalcontact/get_corp_tag_list")["tag_group"][0]["tag"][0]["id"]
    friend, stranger = friend_of(shop, "wutong"), stranger_of(shop, "wutong")
    shop.hand("member_changes", userid="wutong", contact=False)
    shop.control("switches", {"block_ip": True})
    limit(shop, members=["hechen"])
    withdraw(shop, MARK)
    old = shop._token
    shop.control("tokens/invalidate", {"corp_id": shop.corp_id})
    url = f"{shop.url}/cgi-bin/{MARK}"

    def code(token, body):
        return requests.post(url, params={"access_token": token}, data=body).json()["errcode"]

    def marked(**fields):
        return shop.post(MARK, fields)["errcode"]

    assert (code("", "{"), code("nonsense", "{"), code(old, "{")) == (41001, 40014, 42001)
    shop.control("switches", {"block_ip": False})
    shop._token = token = shop.token()
    shop.control("switches", {"block_ip": True})
    assert code(token, "{") == 60020
    shop.control("switches", {"block_ip": False})
    assert code(token, "{") == 48002
    withdraw(shop)
    assert code(token, "{") == 40058
    assert marked() == 41009
    assert marked(userid="nobody") == 41035
    wrong = {"external_userid": "wmnobody", "add_tag": ["etnothing"]}
    assert marked(userid="nobody", external_userid="wmnobody") == 40058
    assert marked(userid="nobody", **wrong) == 40003
    assert marked(userid="wutong", **wrong) == 40096
    assert marked(userid="wutong", **wrong | {"external_userid": stranger}) == 40068
    assert marked(userid="wutong", external_userid=stranger, add_tag=[tag]) == 60011
    limit(shop)
    assert marked(userid="wutong", external_userid=stranger, add_tag=[tag]) == 84074
    shop.hand("member_changes", userid="wutong", contact=True)
    assert marked(userid="wutong", external_userid=stranger, add_tag=[tag]) == 84061
    assert marked(userid="wutong", external_userid=friend, add_tag=[tag]) == 0


@pytest.mark.parametrize(
    ("path", "unknown", "unseen"),
    [
        ("externalcontact/list", 40003, 60011),
        ("user/get", 60111, 60011),
    ],
)
def test_an_unknown_member_is_told_before_one_out_of_range(shop, path, unknown, unseen):
    limit(shop, members=["hechen"])
    assert shop.get(path, userid="nobody")["errcode"] == unknown
    assert shop.get(path, userid="wutong")["errcode"] == unseen
    assert shop.get(path, userid="hechen")["errcode"] == 0


def test_remark_looks_for_both_ids_before_the_range(shop):
    friend = friend_of(shop, "wutong")
    limit(shop, members=["hechen"])
    body = {"userid": "wutong", "remark": "x"}
    assert shop.post("externalcontact/remark", body | {"external_userid": "wmnobody"})["errcode"] == 40096
    assert shop.post("externalcontact/remark", body | {"external_userid": friend})["errcode"] == 60011


def test_a_department_in_range_brings_its_members_and_everything_below(chain):
    everyone = len(chain.get("externalcontact/get_follow_user_list")["follow_user"])
    east = limit(chain, departments=[2])
    seen = chain.get("externalcontact/get_follow_user_list")["follow_user"]
    assert (everyone, len(seen)) == (118, 54)
    assert east == 55  # with the region's manager, who serves no customers
    assert {row["id"] for row in chain.get("department/list")["department"]} == {2, *range(101, 112)}
    assert chain.get("department/list", id=1)["errcode"] == 60011
    assert chain.get("department/list", id=9999)["errcode"] == 60003
    assert len(chain.get("user/list", department_id=2, fetch_child=1)["userlist"]) == 55
    assert len(chain.post("user/list_id", {})["dept_user"]) == 55
    assert chain.get("user/simplelist", department_id=112)["errcode"] == 60011
    assert limit(chain) == 122


def test_a_member_named_alone_does_not_open_her_department(chain):
    limit(chain, members=["chenjing"])
    assert chain.get("externalcontact/get_follow_user_list")["follow_user"] == ["chenjing"]
    assert chain.get("user/get", userid="ChenJing")["errcode"] == 0
    assert chain.get("department/simplelist")["department_id"] == []
    assert chain.get("user/list", department_id=STORE)["errcode"] == 60011


def test_customers_are_seen_through_followers_in_range_only(shop):
    both = next(row for row in shop.control("customers", limit=700)["customers"] if len(row["followers"]) == 2)
    one, two = both["followers"]
    limit(shop, members=[one])
    seen = shop.get("externalcontact/get", external_userid=both["external_userid"])
    assert [row["userid"] for row in seen["follow_user"]] == [one]
    other = next(m for m in ("wutong", "hechen", "songjiayi", "fangxiaoman") if m not in (one, two))
    limit(shop, members=[other])
    assert shop.get("externalcontact/get", external_userid=both["external_userid"])["errcode"] == 40096
    limit(shop)
    for userid in (one, two):
        shop.hand("guide_deletes", userid=userid, external_userid=both["external_userid"])
    assert shop.get("externalcontact/get", external_userid=both["external_userid"])["errcode"] == 84061


def test_a_batch_refuses_members_out_of_range(shop):
    limit(shop, members=["hechen"])
    body = {"userid_list": ["hechen", "wutong"]}
    assert shop.post("externalcontact/batch/get_by_user", body)["errcode"] == 40031
    assert shop.post("externalcontact/batch/get_by_user", {"userid_list": ["hechen"]})["errcode"] == 0


def test_groups_are_those_of_owners_in_range(shop):
    owners = {row["chat_id"]: row["owner"] for row in shop.control("groups")["groups"]}
    limit(shop, members=["wutong"])
    listed = shop.post("externalcontact/groupchat/list", {"limit": 100})["group_chat_list"]
    assert [row["chat_id"] for row in listed] == [chat for chat, owner in owners.items() if owner == "wutong"]
    other = next(chat for chat, owner in owners.items() if owner != "wutong")
    assert shop.post("externalcontact/groupchat/get", {"chat_id": other})["errcode"] == 60011
    shop.control("switches", {"group_out_of_range_code": 90501})
    assert shop.post("externalcontact/groupchat/get", {"chat_id": other})["errcode"] == 90501
    body = {"limit": 100, "owner_filter": {"userid_list": ["fangxiaoman"]}}
    assert shop.post("externalcontact/groupchat/list", body)["errcode"] == 40031


def test_only_events_about_members_in_range_arrive(shop, receiver):
    limit(shop, members=["wutong"])
    owners = {row["owner"]: row["chat_id"] for row in shop.control("groups")["groups"]}
    for userid in ("wutong", "hechen"):
        shop.hand("add", userid=userid)
        shop.hand("member_changes", userid=userid, position="店员")
    for owner in ("wutong", "fangxiaoman"):
        shop.hand("group_change", chat_id=owners[owner], name="新名")
    shop.hand("console_tags", group="口味", names=["新标签"])
    shop.hand("console_department", name="二店")
    shop.wait_quiet()
    rows = shop.control("callbacks")["callbacks"]
    assert [row["state"] for row in rows] == [
        "received", "received", "out of range", "out of range", "received", "out of range", "received", "out of range",
    ]  # fmt: skip
    assert len(receiver.requests) == 4


def test_messages_and_mass_sends_reach_only_members_in_range(shop):
    friends = [friend_of(shop, "wutong"), friend_of(shop, "hechen")]
    limit(shop, members=["wutong"])
    text = {"msgtype": "text", "agentid": shop.corp["agent_id"], "text": {"content": "早"}}
    sent = shop.post("message/send", text | {"touser": "wutong|hechen", "toparty": "2"})
    assert (sent["invaliduser"], sent["invalidparty"]) == ("hechen", "2")
    shop.post("message/send", text | {"touser": "@all", "text": {"content": "大家早"}})
    assert shop.control("members/hechen/inbox")["messages"] == []
    body = {"external_userid": friends, "text": {"content": "新品"}}
    mass = shop.post("externalcontact/add_msg_template", body)
    assert mass["fail_list"] == friends[1:]
    assert [row["userid"] for row in shop.control("hands/tasks", {"corp_id": shop.corp_id})["tasks"]] == ["wutong"]
    assert shop.post("externalcontact/add_msg_template", body | {"sender": "hechen"})["errcode"] == 60011


def test_own_sends_of_members_out_of_range_are_not_listed(shop):
    now = shop.control("clock")["now"]
    for userid in ("wutong", "hechen"):
        shop.hand("send_own", userid=userid, text="来坐坐")
    limit(shop, members=["wutong"])
    body = {"chat_type": "single", "start_time": now - 10, "end_time": now + 60}
    listed = shop.post("externalcontact/get_groupmsg_list_v2", body)["group_msg_list"]
    assert [row["creator"] for row in listed] == ["wutong"]


def test_the_other_secret_has_a_range_of_its_own(shop):
    limit(shop, members=["wutong"])
    shop._token = shop.token("contact_secret")
    assert len(shop.get("externalcontact/get_follow_user_list")["follow_user"]) == 4
    limit(shop, members=["hechen"], kind="contact")
    assert shop.get("externalcontact/get_follow_user_list")["follow_user"] == ["hechen"]


def test_each_permission_can_be_withdrawn_per_secret_and_given_back(shop):
    withdraw(shop, "/cgi-bin/externalcontact/get", "externalcontact/groupchat/*")
    friend = friend_of(shop, "wutong")
    assert shop.get("externalcontact/get", external_userid=friend)["errcode"] == 48002
    assert shop.post("externalcontact/groupchat/list", {"limit": 1})["errcode"] == 48002
    assert shop.get("externalcontact/get_follow_user_list")["errcode"] == 0
    shop._token = shop.token("contact_secret")
    assert shop.get("externalcontact/get", external_userid=friend)["errcode"] == 0
    shop._token = shop.token()
    withdraw(shop)
    assert shop.get("externalcontact/get", external_userid=friend)["errcode"] == 0


def test_a_range_or_permission_of_nobody_is_refused(shop):
    for path, body in (
        ("range", {"members": ["nobody"]}),
        ("range", {"departments": [77]}),
        ("range", {"kind": "other", "members": []}),
        ("permissions", {"kind": "other", "withdrawn": []}),
        ("permissions", {}),
    ):
        assert shop.control(f"corps/{shop.corp_id}/{path}", body)["ok"] is False


def test_a_mass_message_looks_for_every_id_before_the_range(shop):
    limit(shop, members=["hechen"])
    body = {"text": {"content": "新品"}, "tag_filter": {"group_list": [{"tag_list": ["etnothing"]}]}}
    assert shop.post("externalcontact/add_msg_template", body | {"sender": "nobody"})["errcode"] == 40003
    assert shop.post("externalcontact/add_msg_template", body | {"sender": "wutong"})["errcode"] == 40068
    del body["tag_filter"]
    assert shop.post("externalcontact/add_msg_template", body | {"sender": "wutong"})["errcode"] == 60011


def test_a_secrets_own_range_counts_in_every_family(shop):
    limit(shop, members=["hechen"])
    unseen = {"userid_list": ["wutong", "hechen"]}
    assert shop.post("batch/userid_to_openuserid", unseen)["invalid_userid_list"] == ["wutong"]
    way = {"type": 1, "scene": 2}
    assert shop.post("externalcontact/add_contact_way", way | {"user": ["wutong"]})["errcode"] == 60011
    assert shop.post("externalcontact/add_contact_way", way | {"user": ["hechen"]})["errcode"] == 0
    served = shop.post("externalcontact/contact_list", {"limit": 1000})["info_list"]
    assert {row["follow_userid"] for row in served if "follow_userid" in row} == {"hechen"}


def test_a_secrets_own_range_narrows_the_apps_and_never_widens_it(chain):
    chain.hand("console_range", departments=[2], userids=[])
    assert {row["id"] for row in chain.get("department/list")["department"]} == {2, *range(101, 112)}
    limit(chain, departments=[1])
    assert len(chain.get("user/list", department_id=2, fetch_child=1)["userlist"]) == 55
    assert chain.get("department/list", id=1)["errcode"] == 60011
    limit(chain, departments=[STORE])
    assert {row["id"] for row in chain.get("department/list")["department"]} == {STORE}
