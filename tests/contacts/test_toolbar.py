"""The page of the chat toolbar: bound to the guide WeCom named and the customer she has open, and to nothing else."""

from typing import Any

import pytest
from django.test import Client

from contacts.models import Contact, Follow, Identity, Member
from scrm.lib import clock
from tests.support.contacts import make_contact, make_follow, make_group, make_member, make_store
from tests.support.core import log_in, make_user
from tests.support.wecom import Wecom, make_connection

over_http = pytest.mark.django_db(transaction=True)


@pytest.fixture
def lin(acme: Any) -> Member:
    """A guide with a log-in, of a corp that nobody answers for."""
    return make_member("林小雅", store=make_store(), corp=make_connection().corp, user=make_user(role="guide"))


@pytest.fixture
def wutong(wecom: Wecom) -> Member:
    """A guide with a log-in whom the simulator knows."""
    corp = wecom.connect().corp
    return make_member("吴桐", store=make_store(), corp=corp, userid="wutong", user=make_user(role="guide"))


def beside_chat(member: Member) -> Client:
    """Her browser, as WeCom let her in."""
    client = log_in(member.account.user)
    session = client.session
    session["wecom_members"] = {str(member.corp_id): member.pk}
    session.save()
    return client


def at(member: Member, act: str = "") -> str:
    return f"/m/toolbar/{member.corp_id}/{act}"


def open_for(client: Client, member: Member, external: str) -> Any:
    return client.post(at(member, "open/"), {"external_userid": external}, HTTP_HX_REQUEST="true")


# -- whose page it is --------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_the_page_is_for_whom_wecom_let_in(lin):
    start = f"/login/wecom/{lin.corp_id}/?next=%2Fm%2Ftoolbar%2F{lin.corp_id}%2F"
    assert Client(HTTP_HOST="acme.testserver").get(at(lin))["Location"] == start
    by_password = log_in(lin.account.user)
    assert by_password.get(at(lin))["Location"] == start, "a password does not say who holds the chat"
    assert open_for(by_password, lin, "wm1")["HX-Redirect"] == start

    client = beside_chat(lin)
    page = client.get(at(lin))
    assert page.status_code == 200
    assert "script-src 'self' https://wwcdn.weixin.qq.com;" in page["Content-Security-Policy"]
    assert "https://wwcdn.weixin.qq.com/node/open/js/wecom-jssdk-2.3.4.js" in page.content.decode()
    assert "script-src 'self';" in client.get("/m/customers/")["Content-Security-Policy"]
    assert client.get(at(lin, "sign/")).status_code == 405

    lin.account.delete()
    assert client.get(at(lin))["Location"] == start, "she is not that member any more"
    assert client.get(f"/m/toolbar/{lin.corp_id + 999}/").status_code == 404


@pytest.mark.django_db
def test_without_a_corp_in_the_address_one_is_chosen(lin):
    client = log_in(lin.account.user)
    assert client.get("/m/toolbar/")["Location"] == at(lin)
    second = make_connection(name="蔓枝二店").corp
    page = client.get("/m/toolbar/").content.decode()
    assert at(lin) in page and f"/m/toolbar/{second.pk}/" in page
    type(second).objects.update(is_active=False)
    assert "还没有接入企业微信" in client.get("/m/toolbar/").content.decode()


# -- whose chat it is --------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_customer_of_hers_opens_and_her_own_relation_comes_first(lin, django_assert_max_num_queries):
    follow = make_follow(make_contact("小圆子"), lin, remark="圆子-静安")
    client = beside_chat(lin)

    with django_assert_max_num_queries(12):
        sent = open_for(client, lin, follow.identity.value)

    assert (sent.status_code, sent["HX-Redirect"]) == (204, f"/contacts/{follow.contact_id}/")
    make_follow(follow.contact, make_member("梅梅", corp=lin.corp), added_at=clock.now())
    page = client.get(f"/contacts/{follow.contact_id}/").content.decode()
    relations = page[page.index('id="follows"') :]
    assert relations.index("林小雅") < relations.index("梅梅")
    assert relations.index("circle-user") < relations.index("梅梅")


@pytest.mark.django_db
def test_a_customer_merged_into_another_opens_as_the_one_she_is(lin):
    root = make_contact("小圆子")
    follow = make_follow(make_contact("圆圆", root=root), lin)
    assert open_for(beside_chat(lin), lin, follow.identity.value)["HX-Redirect"] == f"/contacts/{root.pk}/"


@over_http
def test_a_customer_we_do_not_know_yet_is_read_from_wecom_once(wecom, wutong):
    client = beside_chat(wutong)
    external = wecom.hand("add", userid="wutong")["external_userid"]

    sent = open_for(client, wutong, external)

    person = Contact.objects.get(identities__value=external)
    assert sent["HX-Redirect"] == f"/contacts/{person.pk}/"
    assert Follow.objects.filter(contact=person, member=wutong).exists()
    assert open_for(client, wutong, external)["HX-Redirect"] == f"/contacts/{person.pk}/"
    assert len(wecom.calls("externalcontact/get")) == 1

    for _press in range(3):
        nobody = open_for(client, wutong, "wmnobody")
        assert nobody.status_code == 200 and "还没有这位客户" in nobody.content.decode()
    assert len(wecom.calls("externalcontact/get")) == 2, "a page that is reloaded asks WeCom each time"
    assert "还没有这位客户" in open_for(client, wutong, "wm' or 1=1").content.decode()

    wecom.script("externalcontact/get", errcode=-1, times=2)
    refused = open_for(client, wutong, "wmother").content.decode()
    assert "暂时读不到" in refused and "请过一分钟再试" in refused


@over_http
def test_a_customer_of_others_is_not_shown(wecom, wutong):
    known = wecom.get("customers")["customers"]
    theirs = next(row for row in known if row["followers"] and "wutong" not in row["followers"])
    client = beside_chat(wutong)
    for _time in range(2):  # read from WeCom, then known here
        answer = open_for(client, wutong, theirs["external_userid"])
        page = answer.content.decode()
        assert answer.status_code == 200 and "这位客户不归您看" in page and theirs["name"] not in page
    assert Identity.objects.filter(value=theirs["external_userid"]).count() == 1


@over_http
def test_an_id_of_another_corp_is_nobody_here(wecom, wutong):
    other = make_member("甲", corp=make_connection().corp, user=make_user(role="guide"))
    follow = make_follow(make_contact("小圆子"), other)
    answer = open_for(beside_chat(wutong), wutong, follow.identity.value)
    assert "还没有这位客户" in answer.content.decode()
    assert (
        open_for(beside_chat(other), other, follow.identity.value)["HX-Redirect"] == f"/contacts/{follow.contact_id}/"
    )


@pytest.mark.django_db
def test_a_store_manager_opens_the_customers_and_groups_of_her_store(lin):
    boss = make_user(role="store", scope=lin.store)
    manager = make_member("周店长", store=lin.store, corp=lin.corp, user=boss)
    follow = make_follow(make_contact("小圆子"), lin)
    hers, other = make_group(owner=lin), make_group(owner=make_member(corp=lin.corp, store=make_store()))
    client = beside_chat(manager)
    assert open_for(client, manager, follow.identity.value)["HX-Redirect"] == f"/contacts/{follow.contact_id}/"

    def group_for(who: Member, chat_id: str) -> Any:
        return beside_chat(who).post(at(who, "open/"), {"chat_id": chat_id}, HTTP_HX_REQUEST="true")

    for who in (manager, lin):
        assert group_for(who, hers.chat_id)["HX-Redirect"] == f"/groups/{hers.pk}/"
        assert "看不到这个群" in group_for(who, other.chat_id).content.decode()
    colleague = make_member("梅梅", store=lin.store, corp=lin.corp, user=make_user(role="guide"))
    assert "看不到这个群" in group_for(colleague, hers.chat_id).content.decode()


# -- signatures --------------------------------------------------------------------------------------------------------


@over_http
def test_pages_of_this_host_are_signed_so_that_wecom_takes_them(wecom, wutong):
    client, url = beside_chat(wutong), f"http://acme.testserver{at(wutong)}"

    given = client.post(at(wutong, "sign/"), {"url": url + "#top"}).json()

    for ticket, one in (("corp", given["config"]), ("agent_config", given["agentConfig"])):
        page = {"ticket": ticket, "url": url, "noncestr": one["nonceStr"]}
        page |= {"timestamp": one["timestamp"], "signature": one["signature"]}
        assert wecom.post("js_signature", page) == {"errcode": 0}
    client.post(at(wutong, "sign/"), {"url": url})
    assert len(wecom.calls("ticket/get")) == len(wecom.calls("get_jsapi_ticket")) == 1


@over_http
def test_a_signature_that_wecom_refuses_us_becomes_a_sentence(wecom, wutong):
    client, url = beside_chat(wutong), f"http://acme.testserver{at(wutong)}"
    wecom.script("get_jsapi_ticket", errcode=48001)
    refused = client.post(at(wutong, "sign/"), {"url": url})
    assert refused.status_code == 422 and "48001" in refused.json()["message"]
    wecom.script("get_jsapi_ticket", errcode=45033)
    assert client.post(at(wutong, "sign/"), {"url": url}).status_code == 429


@pytest.mark.django_db
@pytest.mark.parametrize(
    "url",
    ["", "/m/toolbar/1/", "https://acme.testserver/", "http://globex.testserver/", "http://acme.testserver:81/",
     "http://acme.testserver@evil.example/", "http://acme.testserver/" + "x" * 2000],
)  # fmt: skip
def test_no_other_address_is_signed(lin, url):
    assert beside_chat(lin).post(at(lin, "sign/"), {"url": url}).status_code == 400
