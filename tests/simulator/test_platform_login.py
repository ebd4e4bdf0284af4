"""Log-in pages and their codes, JS-SDK tickets, pictures and fetched files; and all of it across a restart."""

import hashlib
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
import requests

from simulator import clock
from simulator.api.ticketing import TicketOffice
from simulator.state import StateFile
from simulator.switches import Switches
from simulator.threaded import ThreadedSimulator

BACK = "https://t.example.com/wecom/back?next=%2Ftoday"


def page(client, kind="/connect/oauth2/authorize", **more):
    """The address of a log-in page."""
    query = {
        "appid": client.corp_id,
        "redirect_uri": BACK,
        "response_type": "code",
        "scope": "snsapi_base",
        "state": "s1",
    }
    if kind != "/connect/oauth2/authorize":
        query |= {"login_type": "CorpApp", "agentid": client.corp["agent_id"]}
    return f"{client.url}{kind}?{urlencode(query | more)}"


def visit(client, url):
    """What the page bounces back with."""
    answer = client.http.get(url, allow_redirects=False)
    assert answer.status_code == 302, answer.text
    assert answer.headers["Location"].startswith("https://t.example.com/wecom/back?next=%2Ftoday&")
    return dict(parse_qsl(urlsplit(answer.headers["Location"]).query))


def who(client, code):
    return client.get("auth/getuserinfo", code=code)


# -- log-in ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["/connect/oauth2/authorize", "/wwlogin/sso/login/", "/wwopen/sso/qrConnect"])
def test_whoever_holds_the_phone_comes_back_with_a_code_for_one_use(shop, kind):
    shop.hand("oauth", userid="wutong")
    back = visit(shop, page(shop, kind))
    assert back["state"] == "s1"
    assert who(shop, back["code"]) == {"errcode": 0, "errmsg": "ok", "userid": "wutong"}
    assert who(shop, back["code"])["errcode"] == 40029
    shop.control("switches", {"used_code_errcode": 42022})
    assert who(shop, back["code"])["errcode"] == 42022
    assert who(shop, "unknown")["errcode"] == 40029


def test_without_anybody_chosen_the_page_asks_and_each_entry_leads_on(shop):
    shown = shop.http.get(page(shop))
    assert shown.status_code == 200 and "吴桐" in shown.text and "客户" in shown.text
    assert "客户" not in shop.http.get(page(shop, "/wwopen/sso/qrConnect")).text
    back = visit(shop, page(shop, as_userid="hechen"))
    assert who(shop, back["code"])["userid"] == "hechen"


def test_a_visit_may_be_made_at_once(shop):
    made = shop.hand("oauth", userid="wutong", url=page(shop))
    assert made["code"] in made["location"]
    assert who(shop, made["code"])["userid"] == "wutong"


def test_a_customer_is_known_by_openid_and_by_id_while_a_follower_is_visible(shop):
    friend = shop.get("externalcontact/list", userid="wutong")["external_userid"][0]
    shop.hand("oauth", external_userid=friend)
    first = who(shop, visit(shop, page(shop))["code"])
    assert first["external_userid"] == friend and first["openid"].startswith("o")
    followers = [row["userid"] for row in shop.control(f"customers/{friend}")["follows"]]
    for userid in followers:
        shop.hand("member_changes", userid=userid, visible=False)
    later = who(shop, visit(shop, page(shop))["code"])
    assert later["openid"] == first["openid"] and "external_userid" not in later
    shop.hand("oauth", stranger="甲")
    assert set(who(shop, visit(shop, page(shop))["code"])) == {"errcode", "errmsg", "openid"}


def test_scanning_in_a_browser_is_for_members(shop):
    shop.hand("oauth", stranger="甲")
    assert "仅限企业成员" in shop.http.get(page(shop, "/wwlogin/sso/login/")).json()["error"]


def test_who_refuses_brings_back_the_state_alone(shop):
    shop.hand("oauth", userid="wutong", refuse=True)
    back = visit(shop, page(shop))
    assert back == {"next": "/today", "state": "s1"}


def test_a_code_is_good_for_five_minutes(shop, monkeypatch):
    made = shop.hand("oauth", userid="wutong", url=page(shop))
    later = time.time() + 301
    monkeypatch.setattr("simulator.api.login.wall", lambda: later)
    assert who(shop, made["code"])["errcode"] == 42003


def test_a_member_out_of_range_is_refused_when_the_code_is_spent(shop):
    made = shop.hand("oauth", userid="wutong", url=page(shop))
    shop.hand("member_changes", userid="wutong", visible=False)
    assert who(shop, made["code"])["errcode"] == 50002


def test_details_need_the_private_scope_and_show_what_the_member_agreed_to(shop, monkeypatch):
    private = {"scope": "snsapi_privateinfo", "agentid": shop.corp["agent_id"]}
    made = shop.hand("oauth", userid="wutong", consents=["mobile", "avatar"], url=page(shop, **private))
    ticket = who(shop, made["code"])["user_ticket"]
    detail = shop.post("auth/getuserdetail", {"user_ticket": ticket})
    assert set(detail) == {"errcode", "errmsg", "userid", "mobile", "avatar"} and detail["userid"] == "wutong"
    assert shop.post("auth/getuserdetail")["errcode"] == 84090
    assert shop.post("auth/getuserdetail", {"user_ticket": "x"})["errcode"] == 84015
    later = time.time() + 7201
    monkeypatch.setattr("simulator.api.login.wall", lambda: later)
    assert shop.post("auth/getuserdetail", {"user_ticket": ticket})["errcode"] == 84014


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"appid": "wwother"}, "appid"),
        ({"scope": "snsapi_all"}, "scope"),
        ({"response_type": "token"}, "response_type"),
        ({"scope": "snsapi_privateinfo"}, "agentid"),
        ({"redirect_uri": "javascript:alert(1)"}, "redirect_uri"),
        ({"state": "有字"}, "state"),
        ({"state": "a" * 129}, "state"),
    ],
)
def test_a_wrong_page_says_what_is_wrong(shop, change, error):
    shop.hand("oauth", userid="wutong")
    answer = shop.http.get(page(shop, **change), allow_redirects=False)
    assert answer.status_code == 400 and error in answer.json()["error"]


def test_the_trusted_domain_is_compared_whole_with_its_port(shop):
    shop.hand("oauth", userid="wutong")
    shop.hand("console_domain", domain="t.example.com")
    assert shop.get("agent/get", agentid=shop.corp["agent_id"])["redirect_domain"] == "t.example.com"
    assert visit(shop, page(shop))["code"]
    for other in ("https://t.example.com:8443/x", "https://example.com/x", "https://a.t.example.com/x"):
        answer = shop.http.get(page(shop, redirect_uri=other), allow_redirects=False)
        assert answer.status_code == 400 and "50001" in answer.json()["error"]


def test_the_contact_secret_spends_no_codes(shop):
    made = shop.hand("oauth", userid="wutong", url=page(shop))
    params = {"access_token": shop.token("contact_secret"), "code": made["code"]}
    assert shop.http.get(f"{shop.url}/cgi-bin/auth/getuserinfo", params=params).json()["errcode"] == 48002
    assert who(shop, made["code"])["errcode"] == 0


# -- tickets -----------------------------------------------------------------------------------------------------------


def test_tickets_stay_the_same_for_two_hours_and_differ_by_kind(shop):
    first = shop.get("get_jsapi_ticket")
    assert first["ticket"] == shop.get("get_jsapi_ticket")["ticket"] and 7190 < first["expires_in"] <= 7200
    app = shop.get("ticket/get", type="agent_config")
    assert app["ticket"] != first["ticket"]
    assert shop.get("ticket/get", type="jsapi")["errcode"] == 91040
    assert shop.get("ticket/get")["errcode"] == 91040


def test_a_ticket_ends_after_its_two_hours():
    office, switches, now = TicketOffice(), Switches(), 1_800_000_000.0
    old = office.issue(switches, "ww1", "app", "corp", now)["ticket"]
    assert office.issue(switches, "ww1", "app", "corp", now + 7199)["ticket"] == old
    assert office.issue(switches, "ww1", "app", "corp", now + 7200)["ticket"] != old


def test_tickets_are_asked_for_sparingly(shop):
    shop.control("switches", {"tickets_per_app_hour": 2, "tickets_per_corp_hour": 3})
    assert [shop.get("get_jsapi_ticket")["errcode"] for _n in range(3)] == [0, 0, 45009]
    params = {"access_token": shop.token("contact_secret")}
    by_contact = [shop.http.get(f"{shop.url}/cgi-bin/get_jsapi_ticket", params=params).json() for _n in range(2)]
    assert [row["errcode"] for row in by_contact] == [0, 45009]


def test_a_pages_signature_is_judged_by_the_ticket_it_was_made_with(shop):
    corp, app = shop.get("get_jsapi_ticket")["ticket"], shop.get("ticket/get", type="agent_config")["ticket"]
    given = {"noncestr": "n", "timestamp": 1700000000, "url": "https://t.example.com/today"}

    def judge(ticket, signed_with):
        parts = f"jsapi_ticket={signed_with}&noncestr=n&timestamp=1700000000&url={given['url']}"
        signature = hashlib.sha1(parts.encode()).hexdigest()
        body = given | {"corp_id": shop.corp_id, "ticket": ticket, "signature": signature}
        return shop.control("js_signature", body)["errcode"]

    assert (judge("corp", corp), judge("agent_config", app)) == (0, 0)
    assert judge("agent_config", corp) == 42012
    assert judge("corp", "else") == 40093


# -- pictures and fetched files ----------------------------------------------------------------------------------------

PNG = b"\x89PNG\r\n\x1a\n" + b"pixels" * 10
WHOLE = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + b"\x00" * 30 + b"\x00\x00\x00\x00IEND\xaeB`\x82"


def upload(client, content, path="media/uploadimg", **params):
    files = {"media": ("a.png", content, "image/png")}
    url = f"{client.url}/cgi-bin/{path}"
    return client.http.post(url, files=files, params=params | {"access_token": client.token()}).json()


def test_a_picture_gets_an_address_that_shows_it(shop):
    made = upload(shop, WHOLE)
    assert made["errcode"] == 0
    assert shop.http.get(made["url"]).content == WHOLE


@pytest.mark.parametrize(
    ("content", "errcode"),
    [
        (b"", 44001),
        (b"\xff\xd8\xff", 40006),
        (b"no picture", 40005),
        (WHOLE[:-4], 40123),
        (PNG + b"x" * 3_000_000, 40009),
    ],
)
def test_pictures_that_are_none_are_refused(shop, content, errcode):
    assert upload(shop, content)["errcode"] == errcode


def test_a_broken_picture_is_refused_by_the_ordinary_upload_too(shop):
    assert upload(shop, WHOLE[:-4], "media/upload", type="image")["errcode"] == 40123
    assert upload(shop, WHOLE, "media/upload", type="image")["errcode"] == 0
    assert upload(shop, b"x" * (2 * 1024 * 1024 + 1), "media/upload", type="voice")["errcode"] == 45001
    shop.control("switches", {"check_images": False})
    assert upload(shop, WHOLE[:-4], "media/upload", type="image")["errcode"] == 0


def test_pictures_a_day_are_limited(shop):
    shop.control("switches", {"uploadimg_per_day": 1})
    assert [upload(shop, WHOLE)["errcode"] for _n in range(2)] == [0, 45009]


class Shelf:
    """A web server with one file; `ranges` says whether it serves parts, `size` what it claims to hold."""

    def __init__(self, content):
        self.content, self.ranges, self.size, shelf = content, True, len(content), self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                begin, end = (int(n) for n in self.headers["Range"].removeprefix("bytes=").split("-"))
                part = shelf.content[begin : end + 1] if shelf.ranges else shelf.content
                self.send_response(206 if shelf.ranges else 200)
                if shelf.ranges:
                    self.send_header("Content-Range", f"bytes {begin}-{begin + len(part) - 1}/{shelf.size}")
                self.send_header("Content-Length", str(len(part)))
                self.end_headers()
                self.wfile.write(part)

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/a.mp4"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def shelf():
    shelf = Shelf(b"moving pictures" * 2_000_000)  # 30 MB: two parts
    yield shelf
    shelf.server.shutdown()
    shelf.server.server_close()


def fetch(client, shelf, **more):
    body = {"scene": 1, "type": "video", "filename": "a.mp4", "url": shelf.url}
    return client.post("media/upload_by_url", body | {"md5": hashlib.md5(shelf.content).hexdigest()} | more)


def result(client, jobid, seconds=10):
    deadline = time.monotonic() + seconds
    while True:
        found = client.post("media/get_upload_by_url_result", {"jobid": jobid})
        if found["status"] != 1:
            return found
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_file_is_fetched_in_parts_and_the_end_of_it_is_told(shop, shelf):
    jobid = fetch(shop, shelf)["jobid"]
    done = result(shop, jobid)
    assert (done["status"], done["detail"]["errcode"]) == (2, 0)
    params = {"access_token": shop.token(), "media_id": done["detail"]["media_id"]}
    assert shop.http.get(f"{shop.url}/cgi-bin/media/get", params=params).content == shelf.content
    told = shop.control("callbacks", event="upload_media_job_finish")["callbacks"]
    assert told[-1]["event"]["JobId"] == jobid


def test_files_that_cannot_be_fetched_say_why(shop, shelf):
    assert result(shop, fetch(shop, shelf, md5="0" * 32)["jobid"])["detail"]["errcode"] == 830003
    assert result(shop, fetch(shop, shelf, url="http://127.0.0.1:1/a")["jobid"])["detail"]["errcode"] == 830003
    shelf.size = 201 * 1024 * 1024
    assert result(shop, fetch(shop, shelf)["jobid"])["detail"]["errcode"] == 830002
    shelf.ranges = False
    failed = result(shop, fetch(shop, shelf)["jobid"])
    assert (failed["status"], failed["detail"]["errcode"]) == (3, 830001)


@pytest.mark.parametrize(
    ("change", "errcode"),
    [({"scene": 2}, 40058), ({"type": "image"}, 40004), ({"url": "ftp://x"}, 40058), ({"md5": ""}, 40058)],
)
def test_a_wrong_order_to_fetch_is_refused(shop, shelf, change, errcode):
    assert fetch(shop, shelf, **change)["errcode"] == errcode
    assert shop.post("media/get_upload_by_url_result", {"jobid": "x"})["errcode"] == 40058


# -- across a restart, and back to the beginning -----------------------------------------------------------------------


def ask(running, method, path, **parts):
    corp = next(iter(running.sim.corps.values()))
    given = {"corpid": corp.corp_id, "corpsecret": corp.secrets["app"]}
    token = requests.get(f"{running.url}/cgi-bin/gettoken", params=given).json()["access_token"]
    params = {"access_token": token} | parts.pop("params", {})
    return requests.request(method, f"{running.url}/cgi-bin/{path}", params=params, **parts).json()


def test_all_this_survives_a_restart_and_a_reset_takes_it_back(tmp_path):
    start, identity = clock.parse_instant("2026-03-20T10:20:00+08:00"), (("shop",), 7, "x")
    path = tmp_path / "world.pickle"
    strategy = {"strategy_name": "华东", "admin_list": ["wutong"], "range": [{"type": 2, "partyid": 1}]}
    with ThreadedSimulator(["shop"], start=start, state=StateFile(path, identity)) as running:
        agent = next(iter(running.sim.corps.values())).agent_id
        assert ask(running, "POST", "externalcontact/customer_strategy/create", json=strategy)["strategy_id"] == 1
        card = {"card_type": "button_interaction", "task_id": "t", "button_list": [{"text": "好", "key": "ok"}]}
        body = {"touser": "wutong", "agentid": agent, "msgtype": "template_card", "template_card": card}
        code = ask(running, "POST", "message/send", json=body)["response_code"]
        requests.post(f"{running.url}/control/hands/console_range", json={"userids": ["wutong"]}).raise_for_status()
    with ThreadedSimulator(["shop"], start=start, state=StateFile(path, identity)) as again:
        seen = ask(again, "GET", "agent/get", params={"agentid": agent})
        assert seen["allow_userinfos"]["user"] == [{"userid": "wutong"}]
        update = {"agentid": agent, "response_code": code, "userids": ["wutong"], "button": {"replace_name": "好了"}}
        assert ask(again, "POST", "message/update_template_card", json=update)["errcode"] == 0
        got = ask(again, "POST", "externalcontact/customer_strategy/get", json={"strategy_id": 1})
        assert got["strategy"]["strategy_name"] == "华东"
        requests.post(f"{again.url}/control/reset", json={}).raise_for_status()
        assert ask(again, "POST", "externalcontact/customer_strategy/get", json={"strategy_id": 1})["errcode"] == 60136
        assert ask(again, "GET", "agent/get", params={"agentid": agent})["allow_partys"]["partyid"] == [1]
