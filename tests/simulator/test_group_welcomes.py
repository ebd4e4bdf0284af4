"""Group welcome templates: made by an app, chosen by an owner, read by who joins."""

import pytest

PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 200


def call(client, what, **body):
    return client.post(f"externalcontact/group_welcome_template/{what}", body)


def media(client):
    url, params = f"{client.url}/cgi-bin/media/upload", {"access_token": client.token(), "type": "image"}
    return client.http.post(url, params=params, files={"media": ("a.png", PNG)}).json()["media_id"]


def test_a_template_greets_who_joins_by_name(shop):
    made = call(shop, "add", text={"content": "欢迎 %NICKNAME%,群里有福利"}, image={"media_id": media(shop)})
    chat = shop.control("groups")["groups"][0]["chat_id"]
    shop.hand("group_welcome", chat_id=chat, template_id=made["template_id"])
    new = shop.hand("add", userid="wutong", name="小圆子")["external_userid"]
    shop.hand("group_join", chat_id=chat, members=[new])
    (message,) = shop.control(f"customers/{new}/inbox")["messages"]
    assert (message["kind"], message["content"]["text"]["content"]) == ("group_welcome", "欢迎 小圆子,群里有福利")
    assert message["content"]["attachments"][0]["msgtype"] == "image"
    assert call(shop, "del", template_id=made["template_id"])["errcode"] == 0
    other = shop.hand("add", userid="wutong")["external_userid"]
    shop.hand("group_join", chat_id=chat, members=[other])
    assert shop.control(f"customers/{other}/inbox")["messages"] == []


def test_one_attachment_is_kept_by_precedence_and_an_image_comes_back_as_an_address(shop):
    link = {"title": "t", "url": "https://a.example"}
    made = call(shop, "add", link=link, image={"media_id": media(shop)})["template_id"]
    found = call(shop, "get", template_id=made)
    assert set(found) == {"errcode", "errmsg", "image"} and found["image"]["pic_url"].startswith("https://")
    assert call(shop, "edit", template_id=made, text={"content": "新"}, link=link)["errcode"] == 0
    assert call(shop, "get", template_id=made)["link"] == link


def test_only_the_app_that_made_it_may_change_it(shop):
    made = call(shop, "add", text={"content": "欢迎"})["template_id"]
    other = {"access_token": shop.token("contact_secret")}
    for what, body in (("edit", {"text": {"content": "x"}}), ("del", {})):
        url = f"{shop.url}/cgi-bin/externalcontact/group_welcome_template/{what}"
        assert shop.http.post(url, json={"template_id": made} | body, params=other).json()["errcode"] == 41058
    assert call(shop, "get", template_id=made)["text"] == {"content": "欢迎"}


def test_there_are_a_hundred_at_most(shop):
    made = [call(shop, "add", text={"content": f"欢迎{n}"}) for n in range(101)]
    assert [row["errcode"] for row in made] == [0] * 100 + [41055]
    call(shop, "del", template_id=made[0]["template_id"])
    assert call(shop, "add", text={"content": "又一个"})["template_id"] not in {r.get("template_id") for r in made}


@pytest.mark.parametrize(("what", "body", "code"), [
    ("add", {}, 40058), ("add", {"text": {"content": "长" * 1001}}, 45002), ("add", {"text": {"content": "x"}, "agentid": 1}, 301002),
    ("add", {"image": {"media_id": "gone"}}, 40007), ("add", {"miniprogram": {"title": "t"}}, 40058),
    ("get", {}, 40058), ("get", {"template_id": "msgNone"}, 60136), ("del", {"template_id": "msgNone"}, 60136),
])  # fmt: skip
def test_what_is_wrong_has_its_code(shop, what, body, code):
    assert call(shop, what, **body)["errcode"] == code
    edited = call(shop, "add", text={"content": "x"})["template_id"]
    assert call(shop, "edit", template_id=edited, text={"content": "长" * 1100})["errcode"] == 0
