import re

import pytest
import requests
from wechatpy.work import WeChatClient

TAIL = re.compile(
    r", hint: \[\d+_\d+_[0-9a-f]{32}\], from ip: [\d.]+, more info at https://open\.work\.weixin\.qq\.com/"
)


def raw(client, path, body=b"", token=None, method="POST"):
    params = {} if token is None else {"access_token": token}
    return client.http.request(method, f"{client.url}/cgi-bin/{path}", data=body, params=params).json()


def gettoken(client, **params):
    return client.http.get(f"{client.url}/cgi-bin/gettoken", params=params).json()


def test_a_secret_keeps_its_token_while_it_is_valid(shop):
    assert shop.token() == shop.token()
    assert shop.token() != shop.token("contact_secret")
    shop.control("tokens/invalidate", {"corp_id": shop.corp_id})
    first = shop.token()
    shop.control("tokens/invalidate", {"corp_id": shop.corp_id, "as": "invalid"})
    assert raw(shop, "externalcontact/get_follow_user_list", token=first, method="GET")["errcode"] == 40014


def test_gettoken_says_what_is_wrong(shop, chain):
    corp_id, secret = shop.corp_id, shop.corp["secret"]
    assert gettoken(shop, corpsecret=secret)["errcode"] == 41002
    assert gettoken(shop, corpid=corp_id)["errcode"] == 41004
    assert gettoken(shop, corpid="ww0", corpsecret=secret)["errcode"] == 40013
    assert gettoken(shop, corpid=corp_id, corpsecret="x")["errcode"] == 40001
    assert gettoken(shop, corpid=corp_id, corpsecret=chain.corp["secret"])["errcode"] == 40091
    good = gettoken(shop, corpid=corp_id, corpsecret=secret)
    assert (good["errcode"], good["expires_in"]) == (0, 7200)


def test_an_expired_token_is_42001_with_the_usual_tail(shop):
    token = shop.token()
    shop.control("tokens/invalidate", {"corp_id": shop.corp_id})
    answer = raw(shop, "externalcontact/get_follow_user_list", token=token, method="GET")
    assert answer["errcode"] == 42001
    assert answer["errmsg"].startswith("access_token expired, hint: [")
    assert answer["errmsg"].endswith("/devtool/query?e=42001")
    assert TAIL.search(answer["errmsg"])


def test_checks_come_in_the_order_of_the_reference(shop):
    path, token = "externalcontact/mark_tag", shop.token()
    members = [m["userid"] for m in shop.control("members")["members"]]
    friend = shop.hand("customers", userid=members[0])["customers"][0]["external_userid"]
    shop.control("switches", {"block_ip": True})
    assert raw(shop, path, b"{broken")["errcode"] == 41001
    assert raw(shop, path, b"{broken", token="nonsense")["errcode"] == 40014
    assert raw(shop, path, b"{broken", token=token)["errcode"] == 60020
    shop.control("switches", {"block_ip": False})
    broken = raw(shop, path, b"{broken", token=token)
    assert broken["errcode"] == 40058
    assert "Warning: wrong json format." in broken["errmsg"]

    def mark(**body):
        return shop.post(path, body)["errcode"]

    assert mark() == 41009
    assert mark(userid=members[0]) == 41035
    assert mark(userid=members[0], external_userid="wmx", add_tag="a") == 40058
    assert mark(userid="nobody", external_userid="wmx", add_tag=["a"]) == 40003
    assert mark(userid=members[0], external_userid="wmx", add_tag=["a"]) == 40096
    assert mark(userid=members[0], external_userid=friend, add_tag=["a"]) == 40068
    tag = shop.post("externalcontact/get_corp_tag_list")["tag_group"][0]["tag"][0]["id"]
    assert mark(userid=members[1], external_userid=friend, add_tag=[tag]) == 84061
    shop.hand("member_changes", userid=members[0], visible=False)
    assert mark(userid=members[0], external_userid=friend, add_tag=[tag]) == 60011
    shop.hand("member_changes", userid=members[0], visible=True)
    assert mark(userid=members[0], external_userid=friend, add_tag=[tag]) == 0


def test_json_is_read_whatever_the_content_type_says(shop):
    response = shop.http.post(
        f"{shop.url}/cgi-bin/user/list_id",
        data=b'{"limit": 2}',
        headers={"Content-Type": "application/x-www-form-urlencoded"},
        params={"access_token": shop.token()},
    ).json()
    assert len(response["dept_user"]) == 2


def test_a_post_call_made_with_get_is_refused(shop):
    assert raw(shop, "externalcontact/mark_tag", token=shop.token(), method="GET")["errcode"] == 40058


def test_pages_of_several_members_join_to_all_their_customers(shop):
    userids = shop.get("externalcontact/get_follow_user_list")["follow_user"]
    found, cursor, pages = [], "", 0
    while True:
        body = {"userid_list": userids, "cursor": cursor, "limit": 500}
        answer = shop.post("externalcontact/batch/get_by_user", body)
        rows = answer["external_contact_list"]
        assert len(rows) <= 100
        found += [(r["follow_info"]["userid"], r["external_contact"]["external_userid"]) for r in rows]
        pages, cursor = pages + 1, answer["next_cursor"]
        if not cursor:
            break
    assert pages == 8
    assert len(set(found)) == len(found) == 704
    listed = [(u, e) for u in userids for e in shop.get("externalcontact/list", userid=u)["external_userid"]]
    assert sorted(listed) == sorted(found)
    assert "tag_id" in rows[0]["follow_info"]
    assert "tags" not in rows[0]["follow_info"]
    assert len(shop.post("externalcontact/batch/get_by_user", {"userid_list": userids})["external_contact_list"]) == 50


def test_a_cursor_of_another_filter_is_50100(shop):
    users = shop.get("externalcontact/get_follow_user_list")["follow_user"]
    cursor = shop.post("externalcontact/batch/get_by_user", {"userid_list": users[:1]})["next_cursor"]
    body = {"userid_list": users[1:2], "cursor": cursor}
    assert shop.post("externalcontact/batch/get_by_user", body)["errcode"] == 50100
    assert shop.post("externalcontact/batch/get_by_user", {"userid_list": users[:1], "cursor": "%"})["errcode"] == 50100


def test_get_shows_every_follower_and_leaves_out_what_does_not_apply(shop):
    new = shop.hand("add", userid="wutong", name="测试甲")["external_userid"]
    shop.hand("add", userid="hechen", external_userid=new, state="flyer", add_way=1)
    answer = shop.get("externalcontact/get", external_userid=new)
    follows = {row["userid"]: row for row in answer["follow_user"]}
    assert set(follows) == {"wutong", "hechen"}
    assert "state" not in follows["wutong"]
    assert follows["hechen"]["state"] == "flyer"
    assert follows["wutong"]["tags"] == []
    assert answer["external_contact"]["name"] == "测试甲"
    assert "unionid" not in answer["external_contact"]
    assert "next_cursor" not in answer


def test_remark_overwrites_what_is_given_and_keeps_the_rest(shop):
    friend = shop.get("externalcontact/list", userid="wutong")["external_userid"][0]
    who = {"userid": "wutong", "external_userid": friend}
    assert shop.post("externalcontact/remark", who)["errcode"] == 40058
    assert shop.post("externalcontact/remark", who | {"remark": "长" * 21})["errcode"] == 40058
    assert (
        shop.post("externalcontact/remark", who | {"remark": "王姐", "remark_mobiles": ["13800000001"]})["errcode"] == 0
    )
    assert shop.post("externalcontact/remark", who | {"description": "爱可颂"})["errcode"] == 0
    row = next(
        r for r in shop.get("externalcontact/get", external_userid=friend)["follow_user"] if r["userid"] == "wutong"
    )
    assert (row["remark"], row["description"], row["remark_mobiles"]) == ("王姐", "爱可颂", ["13800000001"])
    shop.post("externalcontact/remark", who | {"remark_mobiles": [""]})
    row = next(
        r for r in shop.get("externalcontact/get", external_userid=friend)["follow_user"] if r["userid"] == "wutong"
    )
    assert (row["remark"], row["remark_mobiles"]) == ("王姐", [])


def test_tags_are_made_renamed_marked_and_deleted(shop):
    made = shop.post(
        "externalcontact/add_corp_tag", {"group_name": "肤质", "tag": [{"name": "油"}, {"name": "油"}, {"name": "干"}]}
    )
    group = made["tag_group"]
    oily, dry = (t["id"] for t in group["tag"])
    assert shop.post("externalcontact/edit_corp_tag", {"id": oily, "name": "干"})["errcode"] == 40071
    assert shop.post("externalcontact/edit_corp_tag", {"id": oily, "name": "油皮"})["errcode"] == 0
    friend = shop.get("externalcontact/list", userid="wutong")["external_userid"][0]
    who = {"userid": "wutong", "external_userid": friend}
    assert shop.post("externalcontact/mark_tag", who)["errcode"] == 40058
    assert shop.post("externalcontact/mark_tag", who | {"add_tag": [oily, dry]})["errcode"] == 0
    body = {"userid_list": ["wutong"], "limit": 100}
    row = shop.post("externalcontact/batch/get_by_user", body)["external_contact_list"][0]["follow_info"]
    assert {oily, dry} <= set(row["tag_id"])
    assert shop.post("externalcontact/del_corp_tag", {"tag_id": [oily]})["errcode"] == 0
    row = shop.post("externalcontact/batch/get_by_user", body)["external_contact_list"][0]["follow_info"]
    assert oily not in row["tag_id"]
    assert dry in row["tag_id"]
    shop.post("externalcontact/del_corp_tag", {"tag_id": [dry]})
    assert all(g["group_id"] != group["group_id"] for g in shop.post("externalcontact/get_corp_tag_list")["tag_group"])
    asked = shop.post("externalcontact/get_corp_tag_list", {"tag_id": [oily]})["tag_group"][0]
    assert asked["deleted"] is True
    assert asked["tag"][0]["deleted"] is True


def test_an_app_may_mark_but_not_rename_a_tag_of_the_console(shop):
    group = next(g for g in shop.post("externalcontact/get_corp_tag_list")["tag_group"] if g["group_name"] == "触达")
    tag = group["tag"][0]["id"]
    assert shop.post("externalcontact/edit_corp_tag", {"id": tag, "name": "x"})["errcode"] == 60011
    friend = shop.get("externalcontact/list", userid="wutong")["external_userid"][0]
    mark = {"userid": "wutong", "external_userid": friend, "add_tag": [tag]}
    assert shop.post("externalcontact/mark_tag", mark)["errcode"] == 0


def test_relations_end_one_sided_or_whole(shop):
    one, two = shop.get("externalcontact/list", userid="hechen")["external_userid"][:2]
    shop.hand("customer_deletes", userid="hechen", external_userid=one)
    shop.hand("guide_deletes", userid="hechen", external_userid=two)
    remark = {"userid": "hechen", "remark": "在"}
    assert shop.post("externalcontact/remark", remark | {"external_userid": one})["errcode"] == 0
    assert shop.post("externalcontact/remark", remark | {"external_userid": two})["errcode"] == 84061
    left = shop.get("externalcontact/list", userid="hechen")["external_userid"]
    assert one in left
    assert two not in left


def test_a_half_added_customer_is_84061_until_the_guide_confirms(shop):
    new = shop.hand("add", userid="wutong", half=True)["external_userid"]
    assert shop.get("externalcontact/get", external_userid=new)["errcode"] == 84061
    shop.hand("confirm_half", userid="wutong", external_userid=new)
    assert shop.get("externalcontact/get", external_userid=new)["errcode"] == 0


def test_groups_are_listed_by_owner_and_shown_with_members(chain):
    assert chain.post("externalcontact/groupchat/list")["errcode"] == 40058
    body = {"limit": 1000, "owner_filter": {"userid_list": ["chenjing"]}}
    rows = chain.post("externalcontact/groupchat/list", body)["group_chat_list"]
    assert len(rows) == 4
    group = chain.post("externalcontact/groupchat/get", {"chat_id": rows[0]["chat_id"], "need_name": 1})["group_chat"]
    assert group["owner"] == group["member_list"][0]["userid"] == "chenjing"
    assert re.fullmatch("[0-9a-f]{32}", group["member_version"])
    outside = [m for m in group["member_list"] if m["type"] == 2]
    assert len(outside) >= 40
    assert all(m["userid"].startswith(("wm", "wo")) and m["name"] for m in outside)
    plain = chain.post("externalcontact/groupchat/get", {"chat_id": rows[0]["chat_id"]})["group_chat"]
    assert all("name" not in m for m in plain["member_list"])
    assert chain.post("externalcontact/groupchat/get", {"chat_id": "wrx"})["errcode"] == 90501
    chain.hand("group_dismiss", chat_id=rows[0]["chat_id"])
    assert chain.post("externalcontact/groupchat/get", {"chat_id": rows[0]["chat_id"]})["errcode"] == 49008


def test_the_directory_is_a_tree_of_stores(chain):
    departments = chain.get("department/list")["department"]
    assert len(departments) == 1 + 3 + 1 + 24
    assert len(chain.get("department/simplelist", id=2)["department_id"]) == 1 + 11
    store = next(d for d in departments if d["name"] == "上海静安寺")
    assert store["department_leader"] == ["chenjing"]
    assert {"chenjing", "linxiaoya"} <= {
        m["userid"] for m in chain.get("user/list", department_id=store["id"])["userlist"]
    }
    assert chain.get("user/simplelist", department_id=1)["userlist"] == []
    shown = chain.get("user/get", userid="LINXIAOYA")
    assert (shown["userid"], shown["name"], shown["status"]) == ("linxiaoya", "林小雅", 1)
    assert "mobile" not in shown
    assert chain.get("user/get", userid="nobody")["errcode"] == 60111


def test_a_guide_who_left_is_gone_from_the_lists(chain):
    chain.hand("member_leaves", userid="wangyue")
    assert "wangyue" not in chain.get("externalcontact/get_follow_user_list")["follow_user"]
    assert chain.get("user/get", userid="wangyue")["errcode"] == 60111
    body = {"limit": 1000, "status_filter": 1}
    rows = chain.post("externalcontact/groupchat/list", body)["group_chat_list"]
    assert [r["status"] for r in rows] == [1] * 5


PNG = b"\x89PNG\r\n\x1a\n" + b"pixels" * 10


def upload(client, content=PNG, kind="image"):
    files = {"media": ("a.png", content, "image/png")}
    url = f"{client.url}/cgi-bin/media/upload"
    return client.http.post(url, files=files, params={"access_token": client.token(), "type": kind}).json()


def test_media_come_back_as_they_were_sent(shop):
    media_id = upload(shop)["media_id"]
    url, params = f"{shop.url}/cgi-bin/media/get", {"access_token": shop.token(), "media_id": media_id}
    response = shop.http.get(url, params=params)
    assert response.content == PNG
    assert 'filename="a.png"' in response.headers["Content-disposition"]
    part = shop.http.get(url, params=params, headers={"Range": "bytes=1-3"})
    assert (part.status_code, part.content) == (206, PNG[1:4])
    assert shop.get("media/get", media_id="x")["errcode"] == 40007


@pytest.mark.parametrize(
    ("content", "kind", "code"), [(PNG, "picture", 40004), (b"hello world", "image", 40005), (b"", "file", 44001)]
)
def test_bad_media_are_refused(shop, content, kind, code):
    assert upload(shop, content, kind)["errcode"] == code


def test_app_messages_reach_members_and_doubles_are_dropped(shop):
    body = {
        "touser": "wutong|ghost",
        "msgtype": "text",
        "agentid": shop.corp["agent_id"],
        "text": {"content": "看一下"},
    }
    body |= {"enable_duplicate_check": 1}
    first = shop.post("message/send", body)
    assert (first["errcode"], first["invaliduser"]) == (0, "ghost")
    assert shop.post("message/send", body)["errcode"] == 0
    inbox = shop.control("members/wutong/inbox")["messages"]
    assert [(m["content"]["content"], m["dropped"]) for m in inbox] == [("看一下", ""), ("看一下", "duplicate")]
    assert shop.post("message/send", body | {"touser": "ghost"})["errcode"] == 81013
    assert shop.post("message/send", body | {"touser": ""})["errcode"] == 82001
    assert shop.post("message/send", body | {"agentid": 1})["errcode"] == 301002
    contact = shop.token("contact_secret")
    assert raw(shop, "message/send", token=contact)["errcode"] == 48002


def test_too_many_calls_a_minute_are_45009_and_blocked(shop):
    shop.control("switches", {"per_api_minute": 5})
    codes = [shop.get("externalcontact/get_follow_user_list")["errcode"] for _ in range(7)]
    assert codes == [0] * 5 + [45009] * 2
    assert shop.get("getcallbackip")["errcode"] == 0


def test_another_client_library_reads_the_answers(shop):
    class Client(WeChatClient):
        API_BASE_URL = f"{shop.url}/cgi-bin/"

        def fetch_access_token(self):
            return self._fetch_access_token(
                f"{shop.url}/cgi-bin/gettoken", {"corpid": self.corp_id, "corpsecret": self.secret}
            )

    client = Client(shop.corp_id, shop.corp["secret"])
    assert [m["userid"] for m in client.user.list(2)][:2] == ["fangxiaoman", "wutong"]
    assert client.user.get("wutong")["name"] == "吴桐"
    followers = client.external_contact.get_follow_user_list()["follow_user"]
    friends = client.external_contact.list(followers[0])["external_userid"]
    assert client.external_contact.get(friends[0])["external_contact"]["external_userid"] == friends[0]
    tag = client.external_contact.get_corp_tag_list()["tag_group"][0]["tag"][0]["id"]
    assert client.external_contact.mark_tag(followers[0], friends[0], [tag], [])["errcode"] == 0
    groups = client.external_contact_group_chat.list(limit=10)["group_chat_list"]
    assert client.external_contact_group_chat.get(groups[0]["chat_id"])["group_chat"]["chat_id"] == groups[0]["chat_id"]
    assert client.media.upload("image", ("a.png", PNG, "image/png"))["type"] == "image"
    requests.post(f"{shop.url}/control/tokens/invalidate", json={"corp_id": shop.corp_id})
    assert client.user.get("wutong")["name"] == "吴桐"
