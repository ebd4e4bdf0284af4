"""Programs that are not ours agree with the simulator: wechatpy, WeCom's own npm package, and the bridge's envelope."""

import json
import shutil
import subprocess
from io import BytesIO
from pathlib import Path
from xml.etree import ElementTree

import pytest
from wechatpy.exceptions import WeChatClientException
from wechatpy.work import WeChatClient
from wechatpy.work.crypto import WeChatCrypto

from scrm.runtime.install import FRONTEND, npm_command
from simulator import crypto
from tests.simulator.test_crypto import CORP, ENCRYPTED, KEY, TOKEN
from wecom_bridge.callbacks import envelope

SCRIPT = Path(__file__).with_name("wecom_crypto.cjs")
PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 64
NONCE, TIMESTAMP = "1372623149", "1409659813"
EVENT = "<xml><ToUserName><![CDATA[ww1]]></ToUserName><Event><![CDATA[小满🍑]]></Event></xml>"


class Pushed:
    """One callback as it came in."""

    def __init__(self, request):
        query, _headers, self.body = request
        self.signature, self.timestamp, self.nonce = (query[k] for k in ("msg_signature", "timestamp", "nonce"))
        self.encrypted = ElementTree.fromstring(self.body).findtext("Encrypt")


@pytest.fixture
def pushed(shop, receiver):
    """A callback about a customer with a name of Chinese characters in its state."""
    shop.hand("add", userid="wutong", state="门店🍑")
    shop.wait_quiet()
    return Pushed(receiver.requests[-1])


def keys_of(corp):
    return envelope.Keys(corp["token"], envelope.decode_key(corp["encoding_aes_key"]), corp["corp_id"])


def opened_by_bridge(keys, encrypted, signature, timestamp, nonce):
    return envelope.open_envelope(keys, given=signature, timestamp=timestamp, nonce=nonce, encrypted=encrypted)


def state_of(plain):
    root = ElementTree.fromstring(plain if isinstance(plain, str) else plain.decode())
    return root.findtext("ChangeType"), root.findtext("State")


# -- callbacks ---------------------------------------------------------------------------------------------------------


def test_wechatpy_and_the_bridge_read_the_same_words_in_a_callback(shop, pushed):
    corp = shop.corp
    theirs = WeChatCrypto(corp["token"], corp["encoding_aes_key"], corp["corp_id"]).decrypt_message(
        pushed.body, pushed.signature, pushed.timestamp, pushed.nonce
    )
    ours = opened_by_bridge(keys_of(corp), pushed.encrypted, pushed.signature, pushed.timestamp, pushed.nonce)
    assert ours.decode() == (theirs if isinstance(theirs, str) else theirs.decode())
    assert state_of(ours) == ("add_external_contact", "门店🍑")


def test_a_callback_for_another_corp_or_with_another_token_is_refused_by_the_bridge(shop, pushed):
    keys = keys_of(shop.corp)
    wrong = envelope.Keys("other", keys.aes_key, keys.corp_id), envelope.Keys(keys.token, keys.aes_key, "wwother")
    for other in wrong:
        with pytest.raises(envelope.Refused):
            opened_by_bridge(other, pushed.encrypted, pushed.signature, pushed.timestamp, pushed.nonce)


@pytest.mark.parametrize("size", [0, 1, 11, 12, 500])
def test_what_wechatpy_encrypts_is_opened_by_the_bridge_and_the_simulator(shop, size):
    corp, text = shop.corp, EVENT + "x" * size
    sealed = WeChatCrypto(corp["token"], corp["encoding_aes_key"], corp["corp_id"]).encrypt_message(
        text, NONCE, TIMESTAMP
    )
    root = ElementTree.fromstring(sealed)
    encrypted = root.findtext("Encrypt")
    plain = opened_by_bridge(keys_of(corp), encrypted, root.findtext("MsgSignature"), TIMESTAMP, NONCE)
    assert plain.decode() == text
    assert crypto.decrypt(corp["encoding_aes_key"], encrypted) == (text.encode(), corp["corp_id"])


def test_the_official_vector_is_opened_by_all_three():
    sign = "477715d11cdb4164915debcba66cb864d751f3e6"
    body = f"<xml><Encrypt><![CDATA[{ENCRYPTED}]]></Encrypt></xml>"
    theirs = WeChatCrypto(TOKEN, KEY, CORP).decrypt_message(body, sign, TIMESTAMP, NONCE)
    keys = envelope.Keys(TOKEN, envelope.decode_key(KEY), CORP)
    plain = opened_by_bridge(keys, ENCRYPTED, sign, TIMESTAMP, NONCE)
    assert plain == crypto.decrypt(KEY, ENCRYPTED)[0]
    assert plain.decode() == (theirs if isinstance(theirs, str) else theirs.decode())


# -- WeCom's own package -----------------------------------------------------------------------------------------------


def node(deed, **given):
    """What `@wecom/crypto` makes of it; the package comes with the front end's, its node with the environment."""
    command, env = npm_command()
    program = command[0] if len(command) > 1 else shutil.which("node")
    done = subprocess.run(
        [program, str(SCRIPT), str(FRONTEND / "package.json")],
        input=json.dumps({"deed": deed, **given}), capture_output=True, text=True, env=env, timeout=30,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_wecoms_own_library_opens_a_callback_of_the_simulator(shop, pushed):
    seen = node(
        "open", token=shop.corp["token"], key=shop.corp["encoding_aes_key"], timestamp=pushed.timestamp,
        nonce=pushed.nonce, encrypted=pushed.encrypted,
    )  # fmt: skip
    assert (seen["signature"], seen["id"]) == (pushed.signature, shop.corp_id)
    assert state_of(seen["message"]) == ("add_external_contact", "门店🍑")


@pytest.mark.parametrize("size", [0, 1, 13, 400])
def test_what_wecoms_own_library_seals_is_opened_by_the_bridge_and_the_simulator(shop, size):
    corp, text = shop.corp, EVENT + "x" * size
    given = {"token": corp["token"], "key": corp["encoding_aes_key"], "timestamp": TIMESTAMP, "nonce": NONCE}
    made = node("seal", **given, message=text, id=corp["corp_id"])
    plain = opened_by_bridge(keys_of(corp), made["encrypted"], made["signature"], TIMESTAMP, NONCE)
    assert plain.decode() == text
    assert crypto.decrypt(corp["encoding_aes_key"], made["encrypted"]) == (text.encode(), corp["corp_id"])
    assert made["signature"] == crypto.signature(corp["token"], TIMESTAMP, NONCE, made["encrypted"])


# -- wechatpy's client -------------------------------------------------------------------------------------------------


@pytest.fixture
def wechat(shop):
    """wechatpy's own client with its own methods; only its addresses point at the simulator."""

    class Client(WeChatClient):
        API_BASE_URL = f"{shop.url}/cgi-bin/"

        def fetch_access_token(self):  # the one address that wechatpy writes into its code
            params = {"corpid": self.corp_id, "corpsecret": self.secret}
            return self._fetch_access_token(url=f"{self.API_BASE_URL}gettoken", params=params)

    return Client(shop.corp_id, shop.corp["secret"])


def test_wechatpy_reads_guides_and_their_customers(shop, wechat):
    contacts = wechat.external_contact
    assert "wutong" in contacts.get_follow_user_list()["follow_user"]
    friend = contacts.list("wutong")["external_userid"][0]
    seen = contacts.get(friend)
    assert seen["external_contact"]["external_userid"] == friend
    assert "wutong" in [row["userid"] for row in seen["follow_user"]]


def test_wechatpy_still_sends_the_old_form_of_the_batch_which_a_switch_allows(shop, wechat):
    with pytest.raises(WeChatClientException) as refused:
        wechat.external_contact.batch_get_by_user("wutong")
    assert refused.value.errcode == 40058
    shop.control("switches", {"batch_takes_single_userid": True})
    rows = list(wechat.external_contact.gen_all_by_user("wutong", limit=30))
    listed = wechat.external_contact.list("wutong")["external_userid"]
    assert [row["external_contact"]["external_userid"] for row in rows] == listed
    assert len(rows) > 100


def test_wechatpy_makes_marks_renames_and_deletes_tags(shop, wechat):
    contacts = wechat.external_contact
    made = contacts.add_corp_tag(None, "会员", 3, [{"name": "金卡"}, {"name": "银卡"}])["tag_group"]
    gold, silver = (row["id"] for row in made["tag"])
    contacts.edit_corp_tag(gold, "黑金卡")
    friend = contacts.list("wutong")["external_userid"][0]
    contacts.mark_tag("wutong", friend, add_tag=[gold, silver])
    contacts.mark_tag("wutong", friend, remove_tag=[silver])
    (follow,) = [row for row in contacts.get(friend)["follow_user"] if row["userid"] == "wutong"]
    assert gold in [row["tag_id"] for row in follow["tags"] if row["type"] == 1]
    (group,) = contacts.get_corp_tag_list([gold])["tag_group"]
    assert [row["name"] for row in group["tag"]] == ["黑金卡"]
    contacts.del_corp_tag([silver], None)
    assert contacts.get_corp_tag_list([silver])["tag_group"][0]["tag"][0]["deleted"] is True


def test_wechatpy_reads_departments_and_members(shop, wechat):
    assert {row["id"] for row in wechat.department.list()} == {1, 2}
    assert [row["id"] for row in wechat.department.list(2)] == [2]
    assert {row["userid"] for row in wechat.user.list(1, fetch_child=True)} >= {"wutong", "hechen"}
    assert wechat.department.get_users(2)[0]["name"]
    assert wechat.user.get("wutong")["name"] == "吴桐"
    assert wechat.misc.get_wechat_ips() == ["127.0.0.1"]


def test_wechatpy_reads_groups(wechat):
    chats = wechat.external_contact_group_chat.list_all(limit=2)
    assert len(chats) == 3
    group = wechat.external_contact_group_chat.get(chats[0]["chat_id"])["group_chat"]
    assert group["chat_id"] == chats[0]["chat_id"]
    assert {row["type"] for row in group["member_list"]} == {1, 2}


def test_wechatpy_sends_messages_welcomes_and_mass_messages(shop, wechat):
    sent = wechat.message.send_text(shop.corp["agent_id"], ["wutong", "nobody"], "早上好")
    assert sent["invaliduser"] == "nobody"
    assert shop.control("members/wutong/inbox")["messages"][-1]["content"] == {"content": "早上好"}
    added = shop.hand("add", userid="wutong")
    welcome = {"welcome_code": added["welcome_code"], "text": {"content": "您好"}}
    assert wechat.external_contact.send_welcome_msg(welcome)["errcode"] == 0
    mass = {"chat_type": "single", "sender": "wutong", "text": {"content": "上新"}}
    assert wechat.external_contact.add_msg_template(mass)["msgid"].startswith("msg")


def test_wechatpy_uploads_and_downloads_media(shop, wechat):
    uploaded = wechat.media.upload("image", ("a.png", BytesIO(PNG), "image/png"))
    assert uploaded["type"] == "image"
    got = wechat._http.get(
        f"{wechat.API_BASE_URL}media/get",
        params={"access_token": wechat.access_token, "media_id": uploaded["media_id"]},
    )
    assert got.content == PNG
    picture = {"msgtype": "image", "image": {"media_id": uploaded["media_id"]}}
    mass = {"chat_type": "single", "sender": "wutong", "attachments": [picture]}
    assert wechat.external_contact.add_msg_template(mass)["errcode"] == 0


def test_wechatpy_makes_changes_and_deletes_a_contact_way(wechat):
    contacts = wechat.external_contact
    made = contacts.add_contact_way(1, 2, remark="柜台", state="ch_1", user=["wutong"])
    assert made["qr_code"].startswith("http")
    contacts.update_contact_way(made["config_id"], "门口", user=["hechen"], state="ch_2")
    way = contacts.get_contact_way(made["config_id"])["contact_way"]
    assert (way["remark"], way["state"], way["user"]) == ("门口", "ch_2", ["hechen"])
    contacts.del_contact_way(made["config_id"])
    with pytest.raises(WeChatClientException):
        contacts.get_contact_way(made["config_id"])


def test_wechatpy_reads_customers_of_those_who_left(shop, wechat):
    shop.hand("member_leaves", userid="hechen")
    rows = wechat.external_contact.get_unassigned_list(page_size=1000)["info"]
    assert {row["handover_userid"] for row in rows} == {"hechen"}


def test_wechatpy_asks_for_a_new_token_when_the_old_one_ends(shop, wechat):
    wechat.external_contact.get_follow_user_list()
    old = wechat.access_token
    shop.control("tokens/invalidate", {"corp_id": shop.corp_id})
    assert wechat.external_contact.get_follow_user_list()["errcode"] == 0
    assert wechat.access_token != old


def test_wechatpy_sees_our_errors_as_its_own(shop, wechat):
    with pytest.raises(WeChatClientException) as seen:
        wechat.external_contact.list("nobody")
    assert seen.value.errcode == 40003
    assert "hint:" in seen.value.errmsg
