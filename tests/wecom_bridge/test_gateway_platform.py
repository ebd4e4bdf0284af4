"""The platform's other families through the gateway: strategies, album, rules, ids, log-in, app, uploads. All over HTTP."""

import hashlib
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from django.db import transaction

from wecom_bridge.gateway import CallError, gateway_for
from wecom_bridge.shapes.app_messages import Agent
from wecom_bridge.shapes.conversions import KnownByUnionid

pytestmark = pytest.mark.django_db(transaction=True)
WHOLE = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + b"\x00" * 30 + b"\x00\x00\x00\x00IEND\xaeB`\x82"


@pytest.fixture
def friend(wecom):
    """(userid, external_userid) of a relation."""
    row = wecom.get("customers?limit=1")["customers"][0]
    return row["followers"][0], row["external_userid"]


def refusal(call, *args, **kwargs):
    with pytest.raises(CallError) as raised:
        call(*args, **kwargs)
    return raised.value.errcode


# -- customers ---------------------------------------------------------------------------------------------------------


def test_everybody_served_is_read_page_by_page(gateway):
    found, cursor = [], ""
    while True:
        page = gateway.contact_list(cursor=cursor, limit=500)
        found += page.info_list
        cursor = page.next_cursor
        if not cursor:
            break
    follows = {(row.follow_userid, row.external_userid) for row in found if row.follow_userid}
    assert len(follows) == 704
    assert all(row.is_customer and row.tmp_openid and row.add_time for row in found if row.follow_userid)
    assert refusal(gateway.contact_list, cursor="nothing") == 50100


def test_a_remark_carries_a_picture(gateway, wecom, friend):
    userid, external_userid = friend
    picture = gateway.upload_media(type="image", filename="a.png", content=WHOLE)["media_id"]
    gateway.remark(userid=userid, external_userid=external_userid, remark_pic_mediaid=picture)
    seen = {row["userid"]: row for row in wecom.get(f"customers/{external_userid}")["follows"]}
    assert seen[userid]["remark_pic_mediaid"] == picture
    wrong = {"userid": userid, "external_userid": external_userid, "remark_pic_mediaid": "x"}
    assert refusal(gateway.remark, **wrong) == 40007


@pytest.mark.parametrize("kind", ["customer", "moment"])
def test_strategies_are_made_read_changed_and_deleted(gateway, kind):
    covered = [{"type": 1, "userid": "wutong"}, {"type": 2, "partyid": 1}]
    granted = {"view_customer_list": True, "send_moment": True}
    made = gateway.create_strategy(
        kind=kind, strategy_name="华东", admin_list=["wutong"], range=covered, privilege=granted
    )
    one = {"kind": kind, "strategy_id": made.strategy_id}
    got = gateway.get_strategy(**one)
    assert (got.strategy_name, got.admin_list, got.parent_id) == ("华东", ("wutong",), 0)
    expected = "view_customer_list" if kind == "customer" else "send_moment"
    assert [name for name, value in got.privilege.items() if value] == [expected]
    ranged = gateway.get_strategy_range(**one)
    assert (ranged.userids, ranged.partyids) == (("wutong",), (1,))
    gateway.edit_strategy(**one, strategy_name="华北", range_del=[{"type": 2, "partyid": 1}])
    assert gateway.get_strategy(**one).strategy_name == "华北"
    assert gateway.get_strategy_range(**one).partyids == ()
    assert gateway.list_strategies(kind=kind).strategy_ids == (made.strategy_id,)
    gateway.del_strategy(**one)
    assert gateway.list_strategies(kind=kind).strategy_ids == ()


def test_strategy_tags_are_made_listed_changed_and_deleted(gateway):
    made = gateway.create_strategy(
        strategy_name="华东", admin_list=["wutong"], range=[{"type": 2, "partyid": 1}]
    ).strategy_id
    group = gateway.add_strategy_tag(strategy_id=made, group_name="等级", tag=[{"name": "金"}, {"name": "银"}])
    gold, silver = group.tag
    gateway.edit_strategy_tag(id=gold.id, name="白金")
    gateway.del_strategy_tag(tag_id=[silver.id])
    (listed,) = gateway.get_strategy_tag_list(strategy_id=made).tag_group
    assert (listed.strategy_id, listed.group_name, [tag.name for tag in listed.tag]) == (made, "等级", ["白金"])
    assert refusal(gateway.edit_strategy_tag, id=silver.id, name="x") == 40068


def test_the_album_holds_products_of_this_app(gateway):
    upload = {"media_type": "image", "attachment_type": 2}
    picture = gateway._call(
        "media/upload_attachment",
        lambda: gateway.client.post("media/upload_attachment", params=upload, files={"media": ("a.png", WHOLE)}),
    )["media_id"]
    made = gateway.add_product_album(description="可颂礼盒", price=12_800, media_ids=[picture], product_sn="SN1")
    got = gateway.get_product_album(product_id=made.product_id)
    assert (got.description, got.price, got.product_sn, got.images) == ("可颂礼盒", 12_800, "SN1", (picture,))
    assert got.create_time > 0
    gateway.update_product_album(product_id=made.product_id, price=9_900)
    (listed,) = gateway.get_product_album_list().product_list
    assert (listed.price, listed.description, listed.create_time) == (9_900, "可颂礼盒", 0)
    gateway.delete_product_album(product_id=made.product_id)
    assert refusal(gateway.get_product_album, product_id=made.product_id) == 41074
    assert refusal(gateway.add_product_album, description="x", price=1, media_ids=[]) == 41088


def test_interception_rules_are_kept_with_words_semantics_and_range(gateway):
    made = gateway.add_intercept_rule(
        rule_name="返现", word_list=["返现"], intercept_type=1, semantics_list=[3], user_list=["wutong"]
    )
    gateway.update_intercept_rule(
        rule_id=made.rule_id, semantics_list=[1], add_departments=[1], remove_users=["wutong"], intercept_type=2
    )
    got = gateway.get_intercept_rule(rule_id=made.rule_id)
    assert (got.rule_name, got.word_list, got.semantics_list, got.intercept_type) == ("返现", ("返现",), (1,), 2)
    assert (got.user_list, got.department_list) == ((), (1,))
    (listed,) = gateway.get_intercept_rule_list().rule_list
    assert (listed.rule_id, listed.rule_name) == (made.rule_id, "返现") and listed.create_time
    gateway.del_intercept_rule(rule_id=made.rule_id)
    assert refusal(gateway.get_intercept_rule, rule_id=made.rule_id) == 41071


# -- ids ---------------------------------------------------------------------------------------------------------------


def test_ids_are_converted_there_and_back(gateway, wecom, friend):
    userid, external_userid = friend
    there = gateway.userid_to_openuserid(userid_list=[userid, "ghost"])
    assert there.invalid == ("ghost",)
    back = gateway.openuserid_to_userid(
        open_userid_list=[there.found[userid], "woX"], source_agentid=wecom.corp["agent_id"]
    )
    assert (back.found, back.invalid) == ({there.found[userid]: userid}, ("woX",))
    theirs = gateway.to_service_external_userid(external_userid=external_userid).external_userid
    ours = gateway.from_service_external_userid(external_userid=theirs, source_agentid=wecom.corp["agent_id"])
    assert ours.external_userid == external_userid != theirs
    renewed = gateway.get_new_external_userid(external_userid_list=[external_userid, "wmX"])
    assert set(renewed.found) == {external_userid}
    chat = wecom.get("groups")["groups"][0]["chat_id"]
    assert set(gateway.convert_chatid(chat_id_list=[chat]).found) == {chat}
    assert gateway.get_new_external_userid(external_userid_list=["wmX"], chat_id=chat).found == {}
    tag = gateway.get_tag_groups()[0].tags[0].tag_id
    tags = gateway.convert_external_tagid(external_tagid_list=[tag, "etX"])
    assert (set(tags.found), tags.invalid) == ({tag}, ("etX",))
    assert gateway.convert_open_kfid(open_kfid_list=["wk1", "x"]).invalid == ("x",)
    lent = gateway.contact_list(limit=1).info_list[0]
    found = gateway.convert_tmp_external_userid(
        business_type=1, user_type=1, tmp_external_userid_list=[lent.tmp_openid, "tmpX"]
    )
    assert found.found[lent.tmp_openid].external_userid == lent.external_userid and found.invalid == ("tmpX",)


def test_a_corp_without_a_developer_account_has_no_openids(gateway, friend):
    assert refusal(gateway.convert_to_openid, external_userid=friend[1]) == 41057
    assert refusal(gateway.unionid_to_external_userid, unionid="o1") == 41057
    assert refusal(gateway.idconvert_unionid, unionid="o1", openid="o2") == 41057
    assert gateway.external_userid_to_pending_id(external_userid=[friend[1]]).found == {}
    assert KnownByUnionid() == KnownByUnionid(external_userid="", pending_id="")


def test_the_directory_is_read_as_ids(gateway, wecom):
    truth = wecom.get("members")
    departments = gateway.department_simplelist().department_id
    assert {row.id for row in departments} == {row["id"] for row in truth["departments"]}
    seats, cursor = set(), ""
    while True:
        page = gateway.user_list_id(cursor=cursor, limit=2)
        seats |= {(seat.userid, seat.department) for seat in page.dept_user}
        cursor = page.next_cursor
        if not cursor:
            break
    assert seats == {(m["userid"], d) for m in truth["members"] for d in m["departments"]}
    names = {row.userid: row.name for row in gateway.user_simplelist(department_id=1, with_children=True).userlist}
    assert names == {m["userid"]: m["name"] for m in truth["members"]}
    assert refusal(gateway.user_simplelist, department_id=99) == 60003


def test_wecoms_own_addresses_are_read(gateway, wecom):
    assert gateway.get_api_domain_ip().ip_list == ("127.0.0.1",)
    assert gateway.getcallbackip().ip_list == ("127.0.0.1",)
    wecom.script("getcallbackip", body={"errcode": 0, "errmsg": "ok"})
    assert gateway.getcallbackip().ip_list == ()


# -- log-in ------------------------------------------------------------------------------------------------------------


def log_in(wecom, gateway, **who):
    query = f"appid={wecom.corp['corp_id']}&redirect_uri=https%3A%2F%2Ft.example.com%2Fback&response_type=code"
    query += f"&scope=snsapi_privateinfo&agentid={gateway.agent_id}&state=s"
    return wecom.hand("oauth", url=f"{wecom.url}/connect/oauth2/authorize?{query}", **who)["code"]


def test_a_member_is_known_by_the_code_once_and_in_detail_by_the_ticket(gateway, wecom):
    code = log_in(wecom, gateway, userid="wutong", consents=["biz_mail"])
    info = gateway.get_user_info(code)
    assert (info.userid, info.openid, info.external_userid) == ("wutong", "", "") and info.user_ticket
    detail = gateway.get_user_detail(info.user_ticket)
    assert (detail.userid, detail.biz_mail, detail.avatar) == ("wutong", "wutong@example.com", "")
    assert refusal(gateway.get_user_info, code) == 40029
    assert refusal(gateway.get_user_detail, "x") == 84015


def test_a_customer_is_known_by_the_code(gateway, wecom, friend):
    info = gateway.get_user_info(log_in(wecom, gateway, external_userid=friend[1]))
    assert (info.userid, info.external_userid, info.user_ticket) == ("", friend[1], "") and info.openid


# -- the app -----------------------------------------------------------------------------------------------------------


def test_the_visible_range_is_read_from_the_app(gateway, wecom):
    whole = gateway.get_agent()
    assert (whole.agentid, whole.partyids, whole.userids) == (int(gateway.agent_id), (1,), ())
    wecom.hand("console_range", userids=["wutong"])
    wecom.hand("console_domain", domain="t.example.com")
    narrow = gateway.get_agent(agentid=gateway.agent_id)
    assert (narrow.partyids, narrow.userids, narrow.redirect_domain) == ((), ("wutong",), "t.example.com")
    assert refusal(gateway.get_agent, agentid=1) == 301002


def test_an_app_without_a_known_agentid_says_so_without_a_call(wecom):
    gateway = gateway_for(wecom.connect(agent_id="").corp)
    assert refusal(gateway.get_agent) == 40056
    assert wecom.calls("agent/get") == []


CARD = {
    "card_type": "button_interaction",
    "task_id": "push_12",
    "button_list": [{"text": "批准", "key": "ok"}],
}


def test_a_message_reaches_members_and_names_those_it_does_not(gateway, wecom):
    sent = gateway.send_to_members(
        msgtype="text", content={"content": "你好"}, touser=["wutong", "ghost"], toparty=[77]
    )
    assert (sent.invaliduser, sent.invalidparty, sent.response_code) == (("ghost",), ("77",), "")
    (row,) = wecom.get("members/wutong/inbox")["messages"]
    assert (row["msgid"], row["content"]["content"]) == (sent.msgid, "你好")
    gateway.recall_message(msgid=sent.msgid)
    assert wecom.get("members/wutong/inbox")["messages"][0]["recalled"]
    assert refusal(gateway.recall_message, msgid="x") == 40058
    assert refusal(gateway.send_to_members, msgtype="text", content={"content": "x"}, touser=["ghost"]) == 81013


def test_a_message_without_receivers_never_leaves(gateway, wecom):
    with pytest.raises(ValueError):
        gateway.send_to_members(msgtype="text", content={"content": "x"})
    assert wecom.calls("message/send") == []


def test_a_card_is_updated_by_the_code_of_its_sending_and_by_that_of_a_click(gateway, wecom):
    sent = gateway.send_to_members(msgtype="template_card", content=CARD, touser=["wutong"])
    clicked = wecom.hand("click_card", userid="wutong", card="push_12", key="ok")["response_code"]
    first = gateway.update_template_card(
        response_code=clicked, userids=["wutong", "hechen"], button={"replace_name": "已批准"}
    )
    assert first.invaliduser == ("hechen",)
    again = {"response_code": clicked, "userids": ["wutong"], "button": {"replace_name": "x"}}
    assert refusal(gateway.update_template_card, **again) == 60140
    gateway.update_template_card(response_code=sent.response_code, atall=1, button={"replace_name": "完成"})
    (row,) = wecom.get("members/wutong/inbox")["messages"]
    assert row["updated"] == {"button": {"replace_name": "完成"}}


# -- uploads -----------------------------------------------------------------------------------------------------------


def test_a_picture_gets_a_lasting_address(gateway):
    url = gateway.upload_image(filename="a.png", content=WHOLE).url
    with urllib.request.urlopen(url, timeout=10) as answer:
        assert answer.read() == WHOLE
    assert refusal(gateway.upload_image, filename="a.png", content=WHOLE[:-4]) == 40123
    assert refusal(gateway.upload_image, filename="a.png", content=b"hello world") == 40005


@pytest.fixture
def shelf():
    """A web server with one file that it serves in parts."""
    content = b"moving pictures"

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(206)
            self.send_header("Content-Range", f"bytes 0-{len(content) - 1}/{len(content)}")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/a.mp4", hashlib.md5(content).hexdigest()
    server.shutdown()
    server.server_close()


def finished(gateway, jobid):
    for _n in range(200):
        result = gateway.get_upload_by_url_result(jobid=jobid)
        if result.status != 1:
            return result
        threading.Event().wait(0.05)
    raise AssertionError("the job did not end")


def test_a_file_is_fetched_by_address(gateway, shelf):
    url, md5 = shelf
    job = gateway.upload_by_url(type="video", filename="a.mp4", url=url, md5=md5)
    done = finished(gateway, job.jobid)
    assert (done.status, done.errcode) == (2, 0) and done.media_id and done.created_at
    wrong = gateway.upload_by_url(type="video", filename="a.mp4", url=url, md5="0" * 32)
    failed = finished(gateway, wrong.jobid)
    assert (failed.status, failed.errcode, failed.media_id) == (3, 830003, "")


# -- the door ----------------------------------------------------------------------------------------------------------


def test_commands_may_name_these_methods_and_get_dicts(gateway):
    assert gateway.call("get_agent")["partyids"] == (1,)
    assert gateway.call("list_strategies")["strategy_ids"] == ()
    with pytest.raises(LookupError):
        gateway.call("get_jsapi_ticket")


def test_none_of_them_runs_inside_a_transaction(gateway):
    with transaction.atomic(), pytest.raises(RuntimeError):
        gateway.get_agent()
    assert isinstance(gateway.get_agent(), Agent)
