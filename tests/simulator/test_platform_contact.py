"""Strategies with their tags, the product album, interception rules, everybody served, and the other names of one person."""

import pytest

EC = "externalcontact"


@pytest.fixture
def code(shop):
    """The errcode of a call of the shop's app."""
    return lambda path, **body: shop.post(f"{EC}/{path}", body)["errcode"]


def make_strategy(client, kind="customer_strategy", **more):
    body = {
        "strategy_name": "华东",
        "admin_list": ["wutong"],
        "privilege": {"view_customer_list": True, "send_moment": True},
        "range": [{"type": 1, "userid": "HECHEN"}, {"type": 2, "partyid": 1}],
    }
    answer = client.post(f"{EC}/{kind}/create", body | more)
    assert answer["errcode"] == 0, answer
    return answer["strategy_id"]


# -- strategies --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["customer_strategy", "moment_strategy"])
def test_a_strategy_is_made_read_changed_and_deleted(shop, code, kind):
    one = make_strategy(shop, kind)
    got = shop.post(f"{EC}/{kind}/get", {"strategy_id": one})["strategy"]
    assert (got["strategy_name"], got["admin_list"], got["parent_id"]) == ("华东", ["wutong"], 0)
    granted = "view_customer_list" if kind == "customer_strategy" else "send_moment"
    assert [name for name, value in got["privilege"].items() if value] == [granted]
    ranged = shop.post(f"{EC}/{kind}/get_range", {"strategy_id": one})["range"]
    assert ranged == [{"type": 1, "userid": "hechen"}, {"type": 2, "partyid": 1}]

    change = {"strategy_id": one, "strategy_name": "华北", "range_del": [{"type": 2, "partyid": 1}]}
    assert code(f"{kind}/edit", **change, range_add=[{"type": 1, "userid": "wutong"}]) == 0
    assert shop.post(f"{EC}/{kind}/get", {"strategy_id": one})["strategy"]["strategy_name"] == "华北"
    ranged = shop.post(f"{EC}/{kind}/get_range", {"strategy_id": one})["range"]
    assert [row["userid"] for row in ranged] == ["hechen", "wutong"]

    below = make_strategy(shop, kind, parent_id=one)
    assert code(f"{kind}/del", strategy_id=one) == 0
    assert code(f"{kind}/get", strategy_id=below) == 60136
    assert shop.post(f"{EC}/{kind}/list")["strategy"] == []


def test_strategies_come_in_pages(shop):
    made = [make_strategy(shop, strategy_name=f"组{n}") for n in range(3)]
    first = shop.post(f"{EC}/customer_strategy/list", {"limit": 2})
    rest = shop.post(f"{EC}/customer_strategy/list", {"limit": 2, "cursor": first["next_cursor"]})
    assert [row["strategy_id"] for row in first["strategy"] + rest["strategy"]] == made
    assert rest["next_cursor"] == ""


def test_a_strategy_says_what_is_wrong_with_it(shop, code):
    good = {"strategy_name": "x", "admin_list": ["wutong"], "range": [{"type": 2, "partyid": 1}]}
    create = "customer_strategy/create"
    assert code(create, **good | {"strategy_name": ""}) == 40058
    assert code(create, **good | {"admin_list": ["ghost"]}) == 40031
    assert code(create, **good | {"range": [{"type": 2, "partyid": 999}]}) == 60123
    assert code(create, **good | {"range": [{"type": 3}]}) == 40058
    assert code(create, **good | {"parent_id": 77}) == 60136
    shop.control("switches", {"unknown_strategy_errcode": 40058})
    assert code("customer_strategy/get", strategy_id=77) == 40058


def test_an_app_sees_only_its_own_strategies_and_the_contact_secret_sees_all(shop, code):
    mine = make_strategy(shop)
    token = shop.token("contact_secret")

    def as_contact(path, **body):
        url = f"{shop.url}/cgi-bin/{EC}/{path}"
        return shop.http.post(url, json=body, params={"access_token": token}).json()

    made = as_contact(
        "customer_strategy/create", strategy_name="总部", admin_list=["wutong"], range=[{"type": 2, "partyid": 1}]
    )
    listed = as_contact("customer_strategy/list")["strategy"]
    assert [row["strategy_id"] for row in listed] == [mine, made["strategy_id"]]
    assert shop.post(f"{EC}/customer_strategy/list")["strategy"] == [{"strategy_id": mine}]
    assert code("customer_strategy/get", strategy_id=made["strategy_id"]) == 60136


def test_strategy_tags_live_in_one_strategy_and_go_with_it(shop, code):
    one, other = make_strategy(shop), make_strategy(shop)
    add = {"strategy_id": one, "group_name": "等级", "tag": [{"name": "金"}, {"name": "银", "order": 5}]}
    group = shop.post(f"{EC}/add_strategy_tag", add)["tag_group"]
    assert [(tag["name"], tag["id"][:2]) for tag in group["tag"]] == [("银", "st"), ("金", "st")]
    assert group["strategy_id"] == one
    again = shop.post(f"{EC}/add_strategy_tag", {"strategy_id": other, "group_name": "等级", "tag": [{"name": "金"}]})
    assert again["tag_group"]["group_id"] != group["group_id"]

    silver, gold = (tag["id"] for tag in group["tag"])
    assert code("edit_strategy_tag", id=gold, name="银") == 40071
    assert code("edit_strategy_tag", id=gold, name="白金") == 0
    asked = shop.post(f"{EC}/get_strategy_tag_list", {"tag_id": [gold]})["tag_group"]
    assert [tag["name"] for row in asked for tag in row["tag"]] == ["白金"]
    assert "deleted" not in asked[0]
    assert len(shop.post(f"{EC}/get_strategy_tag_list")["tag_group"]) == 2
    assert len(shop.post(f"{EC}/get_strategy_tag_list", {"strategy_id": one})["tag_group"]) == 1

    assert code("del_strategy_tag", tag_id=[silver]) == 0
    assert code("del_strategy_tag", tag_id=[silver]) == 40068
    assert code("customer_strategy/del", strategy_id=one) == 0
    assert [g["strategy_id"] for g in shop.post(f"{EC}/get_strategy_tag_list")["tag_group"]] == [other]
    listed = shop.post(f"{EC}/get_corp_tag_list")["tag_group"]
    assert all(not tag["id"].startswith("st") for row in listed for tag in row["tag"])


def test_strategy_tags_belong_to_first_level_strategies_and_share_the_corps_limit(shop, code):
    top = make_strategy(shop)
    below = make_strategy(shop, parent_id=top)
    tag = {"group_name": "g", "tag": [{"name": "a"}]}
    assert code("add_strategy_tag", strategy_id=below, **tag) == 40058
    corp_tags = sum(len(g["tag"]) for g in shop.post(f"{EC}/get_corp_tag_list")["tag_group"])
    many = [{"name": f"t{n}"} for n in range(3000 - corp_tags)]
    assert code("add_strategy_tag", strategy_id=top, group_name="很多", tag=many) == 0
    assert code("add_strategy_tag", strategy_id=top, **tag) == 40126
    assert code("add_corp_tag", **tag) == 40126


# -- product album -----------------------------------------------------------------------------------------------------

PNG = b"\x89PNG\r\n\x1a\n" + b"pixels" * 10


def upload(client, path="media/upload_attachment", **params):
    params = {"media_type": "image", "attachment_type": 2} | params
    files = {"media": ("a.png", PNG, "image/png")}
    url = f"{client.url}/cgi-bin/{path}"
    return client.http.post(url, files=files, params=params | {"access_token": client.token()}).json()["media_id"]


def product(client, **more):
    image = {"type": "image", "image": {"media_id": upload(client)}}
    return {"description": "可颂礼盒", "price": 12_800, "product_sn": "SN001", "attachments": [image]} | more


def test_a_product_is_added_listed_changed_and_deleted(shop, code):
    made = shop.post(f"{EC}/add_product_album", product(shop))["product_id"]
    got = shop.post(f"{EC}/get_product_album", {"product_id": made})["product"]
    assert (got["description"], got["price"], got["product_sn"]) == ("可颂礼盒", 12_800, "SN001")
    assert got["create_time"] > 0 and got["attachments"][0]["image"]["media_id"]
    assert code("update_product_album", product_id=made, price=9_900) == 0
    second = shop.post(f"{EC}/add_product_album", product(shop, description="第二个"))["product_id"]
    first = shop.post(f"{EC}/get_product_album_list", {"limit": 1})
    assert [(row["product_id"], row["price"]) for row in first["product_list"]] == [(made, 9_900)]
    assert "create_time" not in first["product_list"][0]
    rest = shop.post(f"{EC}/get_product_album_list", {"limit": 1, "cursor": first["next_cursor"]})
    assert [row["product_id"] for row in rest["product_list"]] == [second]
    assert code("delete_product_album", product_id=made) == 0
    assert code("get_product_album", product_id=made) == 41074


@pytest.mark.parametrize(
    ("change", "errcode"),
    [
        ({"description": ""}, 41073),
        ({"description": "长" * 301}, 41087),
        ({"price": 5_000_001}, 41086),
        ({"price": None}, 41086),
        ({"product_sn": "有字"}, 41085),
        ({"product_sn": "a" * 129}, 41085),
        ({"attachments": []}, 41088),
        ({"attachments": [{"type": "video", "video": {}}]}, 41065),
        ({"attachments": [{"type": "image", "image": {"media_id": "x"}}] * 10}, 41064),
        ({"attachments": [{"type": "image", "image": {"media_id": "x"}}]}, 40007),
    ],
)
def test_a_wrong_product_is_refused_with_its_code(shop, code, change, errcode):
    assert code("add_product_album", **product(shop, **change)) == errcode


def test_a_product_wants_pictures_of_its_own_kind_and_a_known_id(shop, code):
    ordinary = upload(shop, "media/upload", type="image")
    wrong = product(shop, attachments=[{"type": "image", "image": {"media_id": ordinary}}])
    assert code("add_product_album", **wrong) == 40007
    assert code("get_product_album", product_id="nothing") == 41075


# -- interception rules ------------------------------------------------------------------------------------------------


def rule(**more):
    body = {"rule_name": "返现", "word_list": ["返现", "红包"], "semantics_list": [1, 3], "intercept_type": 1}
    return body | {"applicable_range": {"user_list": ["wutong"], "department_list": [1]}} | more


def test_a_rule_is_added_with_semantics_at_the_top_and_read_with_them_inside(shop, code):
    made = shop.post(f"{EC}/add_intercept_rule", rule())["rule_id"]
    got = shop.post(f"{EC}/get_intercept_rule", {"rule_id": made})["rule"]
    assert got["extra_rule"] == {"semantics_list": [1, 3]}
    assert got["word_list"] == ["返现", "红包"]
    assert got["applicable_range"] == {"user_list": ["wutong"], "department_list": [1]}
    listed = shop.get(f"{EC}/get_intercept_rule_list")["rule_list"]
    assert [(row["rule_id"], row["rule_name"]) for row in listed] == [(made, "返现")]

    change = {
        "extra_rule": {"semantics_list": [2]},
        "intercept_type": 2,
        "add_applicable_range": {"user_list": ["hechen"]},
    }
    assert code("update_intercept_rule", rule_id=made, remove_applicable_range={"department_list": [1]}, **change) == 0
    got = shop.post(f"{EC}/get_intercept_rule", {"rule_id": made})["rule"]
    assert (got["intercept_type"], got["extra_rule"]["semantics_list"]) == (2, [2])
    assert got["applicable_range"] == {"user_list": ["wutong", "hechen"], "department_list": []}
    nobody = {"user_list": ["wutong", "hechen"]}
    assert code("update_intercept_rule", rule_id=made, remove_applicable_range=nobody) == 41076
    assert code("del_intercept_rule", rule_id=made) == 0
    assert code("get_intercept_rule", rule_id=made) == 41071


@pytest.mark.parametrize(
    ("change", "errcode"),
    [
        ({"rule_name": "长" * 21}, 40058),
        ({"word_list": []}, 40058),
        ({"word_list": ["w"] * 301}, 41068),
        ({"word_list": ["长" * 33]}, 41083),
        ({"semantics_list": [4]}, 41084),
        ({"intercept_type": 3}, 40058),
        ({"applicable_range": {"user_list": [], "department_list": []}}, 40058),
        ({"applicable_range": {"user_list": ["u"] * 1001}}, 41076),
        ({"applicable_range": {"user_list": ["ghost"]}}, 40031),
        ({"applicable_range": {"department_list": [99]}}, 60123),
        ({"applicable_range": {"department_list": [[1]]}}, 60123),
    ],
)
def test_a_wrong_rule_is_refused_with_its_code(code, change, errcode):
    assert code("add_intercept_rule", **rule(**change)) == errcode


def test_rule_names_are_unique_ids_known_and_a_hundred_are_enough(code):
    assert code("add_intercept_rule", **rule()) == 0
    assert code("add_intercept_rule", **rule()) == 41077
    assert code("get_intercept_rule", rule_id="nothing") == 41070
    assert {code("add_intercept_rule", **rule(rule_name=f"规则{n}")) for n in range(99)} == {0}
    assert code("add_intercept_rule", **rule(rule_name="第一百零一")) == 41069


# -- everybody served, remarks with a picture --------------------------------------------------------------------------


def test_everybody_served_is_listed_customers_by_id_and_others_masked(shop):
    rows, cursor = [], ""
    while True:
        answer = shop.post(f"{EC}/contact_list", {"cursor": cursor, "limit": 200})
        rows += answer["info_list"]
        cursor = answer["next_cursor"]
        if not cursor:
            break
        assert len(answer["info_list"]) == 200
    follows = {(row["follow_userid"], row["external_userid"]) for row in rows if "follow_userid" in row}
    assert len(follows) == 704
    seats = [row for row in rows if "chat_id" in row]
    assert seats and all(row["is_customer"] and row["external_userid"].startswith("w") for row in seats)
    others = [row for row in rows if not row["is_customer"]]
    assert all(row["name"].startswith("***") and row["chat_name"] and "external_userid" not in row for row in others)


def test_somebody_who_only_sits_in_a_group_is_masked(shop):
    new = shop.hand("add", userid="wutong", name="路过的人")["external_userid"]
    chat = shop.control("groups", owner="fangxiaoman")["groups"] or shop.control("groups")["groups"]
    shop.hand("group_join", chat_id=chat[0]["chat_id"], members=[new])
    shop.hand("guide_deletes", userid="wutong", external_userid=new)
    rows = shop.post(f"{EC}/contact_list", {"limit": 1000})["info_list"]
    masked = [row for row in rows if row.get("name") == "***人"]
    assert masked and masked[0]["chat_name"] == chat[0]["name"] and not masked[0]["is_customer"]


def test_a_remark_takes_a_picture_of_the_ordinary_upload(shop, code):
    friend = shop.get(f"{EC}/list", userid="wutong")["external_userid"][0]
    who = {"userid": "wutong", "external_userid": friend}
    assert code("remark", **who, remark_pic_mediaid="nothing") == 40007
    assert code("remark", **who, remark_pic_mediaid=upload(shop)) == 40007
    picture = upload(shop, "media/upload", type="image")
    assert code("remark", **who, remark_pic_mediaid=picture) == 0
    truth = {row["userid"]: row for row in shop.control(f"customers/{friend}")["follows"]}
    assert truth["wutong"]["remark_pic_mediaid"] == picture


# -- other ids ---------------------------------------------------------------------------------------------------------


def test_members_are_known_to_a_provider_by_another_id_and_come_back(shop):
    found = shop.post("batch/userid_to_openuserid", {"userid_list": ["wutong", "ghost"]})
    assert found["invalid_userid_list"] == ["ghost"]
    other = found["open_userid_list"][0]["open_userid"]
    assert other.startswith("wo")
    body = {"open_userid_list": [other, "woX"], "source_agentid": shop.corp["agent_id"]}
    back = shop.post("batch/openuserid_to_userid", body)
    assert back["userid_list"] == [{"userid": "wutong", "open_userid": other}]
    assert back["invalid_open_userid_list"] == ["woX"]
    assert shop.post("batch/openuserid_to_userid", {"open_userid_list": [other]})["errcode"] == 40056
    shop.hand("member_changes", userid="wutong", visible=False)
    assert shop.post("batch/openuserid_to_userid", body)["invalid_open_userid_list"] == [other, "woX"]


def test_customers_have_an_openid_a_unionid_and_a_providers_id(chain):
    friend = next(
        row for row in chain.control("customers", limit=50)["customers"] if row["type"] == 1 and row["followers"]
    )
    one, post = friend["external_userid"], chain.post
    openid = post(f"{EC}/convert_to_openid", {"external_userid": one})["openid"]
    both = {"unionid": friend["unionid"], "openid": openid}
    assert post(f"{EC}/unionid_to_external_userid", both)["external_userid"] == one
    assert post("idconvert/unionid_to_external_userid", both)["external_userid"] == one
    assert post("idconvert/unionid_to_external_userid", both | {"openid": "other"})["errcode"] == 610018
    assert post("idconvert/unionid_to_external_userid", both | {"unionid": "other"})["errcode"] == 610014
    theirs = post(f"{EC}/to_service_external_userid", {"external_userid": one})["external_userid"]
    body = {"external_userid": theirs, "source_agentid": chain.corp["agent_id"]}
    assert post(f"{EC}/from_service_external_userid", body)["external_userid"] == one
    assert post(f"{EC}/from_service_external_userid", body | {"source_agentid": 5})["errcode"] == 40096


def test_openids_need_wechat_users_and_a_bound_account(shop, chain, code):
    friend = shop.get(f"{EC}/list", userid="wutong")["external_userid"][0]
    assert code("convert_to_openid", external_userid="wo" + friend[2:]) == 41056
    assert code("convert_to_openid", external_userid="wmX") == 40096
    assert code("convert_to_openid", external_userid=friend) == 41057


def test_who_is_no_customer_yet_gets_a_pending_id_that_meets_him_later(chain):
    gone = next(
        row
        for row in chain.control("customers", offset=11_704, limit=200)["customers"]
        if row["type"] == 1 and not row["followers"]
    )
    ask = {"unionid": gone["unionid"], "openid": chain.post(f"{EC}/convert_to_openid", gone)["openid"]}
    pending = chain.post("idconvert/unionid_to_external_userid", ask)["pending_id"]
    chain.hand("add", userid="linxiaoya", external_userid=gone["external_userid"])
    assert chain.post("idconvert/unionid_to_external_userid", ask)["external_userid"] == gone["external_userid"]
    body = {"external_userid": [gone["external_userid"], "wmX"]}
    result = chain.post("idconvert/batch/external_userid_to_pending_id", body)["result"]
    assert result == [{"external_userid": gone["external_userid"], "pending_id": pending}]


def test_lists_of_ids_are_converted_and_unknown_ones_named(shop):
    friend = shop.get(f"{EC}/list", userid="wutong")["external_userid"][0]
    renewed = shop.post(f"{EC}/get_new_external_userid", {"external_userid_list": [friend, "wmX"]})["items"]
    assert [row["external_userid"] for row in renewed] == [friend] and renewed[0]["new_external_userid"] != friend
    chat = shop.control("groups")["groups"][0]["chat_id"]
    seated = next(
        m["userid"]
        for m in shop.post(f"{EC}/groupchat/get", {"chat_id": chat})["group_chat"]["member_list"]
        if m["type"] == 2
    )
    body = {"chat_id": chat, "external_userid_list": [seated, "wmX"]}
    inside = shop.post(f"{EC}/groupchat/get_new_external_userid", body)["items"]
    assert [row["external_userid"] for row in inside] == [seated]
    tag = shop.post(f"{EC}/get_corp_tag_list")["tag_group"][0]["tag"][0]["id"]
    tags = shop.post("idconvert/external_tagid", {"external_tagid_list": [tag, "etX"]})
    assert [row["external_tagid"] for row in tags["items"]] == [tag] and tags["invalid_external_tagid_list"] == ["etX"]
    chats = shop.post("idconvert/chatid", {"chat_id_list": [chat, "wrX"]})
    assert [row["chat_id"] for row in chats["items"]] == [chat] and chats["invalid_chat_id_list"] == ["wrX"]
    accounts = shop.post("idconvert/open_kfid", {"open_kfid_list": ["wk1", "x"]})
    assert [row["open_kfid"] for row in accounts["items"]] == ["wk1"] and accounts["invalid_open_kfid_list"] == ["x"]


def test_a_temporary_id_stands_for_its_customer(shop):
    row = shop.post(f"{EC}/contact_list", {"limit": 1})["info_list"][0]
    body = {"business_type": 1, "user_type": 1, "tmp_external_userid_list": [row["tmp_openid"], "tmpX"]}
    found = shop.post("idconvert/convert_tmp_external_userid", body)
    assert found["results"] == [{"tmp_external_userid": row["tmp_openid"], "external_userid": row["external_userid"]}]
    assert found["invalid_tmp_external_userid_list"] == ["tmpX"]
    too_many = body | {"tmp_external_userid_list": ["t"] * 101}
    assert shop.post("idconvert/convert_tmp_external_userid", too_many)["errcode"] == 40058
