"""The doctor: what is wrong, what to do where, and in which order."""

import json
from datetime import timedelta
from io import StringIO

import pytest
from django.core.cache import cache
from django.core.management import call_command

from scrm.lib import clock
from tenants.models import Domain
from tests.support.core import log_in
from wecom_bridge import gauges
from wecom_bridge.gateway import hello
from wecom_bridge.models import CorpCredential, DoctorFinding, SyncRun, SyncUnit
from wecom_bridge.services import doctor
from wecom_bridge.services.doctor import capacity

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def corp(wecom):
    return wecom.connect().corp


@pytest.fixture
def agent(wecom):
    """agent(allow_partys=…): what agent/get answers from now on."""

    def say(**changes):
        body = {
            "errcode": 0,
            "errmsg": "ok",
            "agentid": wecom.corp["agent_id"],
            "name": "SCRM",
            "close": 0,
            "redirect_domain": "acme.testserver",
            "allow_userinfos": {"user": []},
            "allow_partys": {"partyid": [1]},
            "allow_tags": {"tagid": []},
        }
        wecom.script("agent/get", body=body | changes, times=50)

    return say


def examined(corp, *only):
    return {row.key: row.finding for row in doctor.examine(corp, only=only or None)}


def states(found):
    return {key: str(finding.state) for key, finding in found.items()}


def test_a_sound_connection_is_green_in_the_consoles_order(wecom, corp, agent):
    agent()
    rows = doctor.examine(corp, only=("app", "domain", "ip", "allowed", "range"))

    assert {row.key: row.finding.state for row in rows if row.finding.state != "ok"} == {"unionid": "warn"}
    assert [row.step for row in rows] == sorted((row.step for row in rows), key=doctor.steps.ORDER.index)
    corp.refresh_from_db()
    assert corp.connected_at is not None
    assert DoctorFinding.objects.get(corp=corp, key="egress").facts == {"ip": "127.0.0.1"}


def test_an_untrusted_address_is_named_with_the_order_in_which_to_add_it(wecom, corp):
    wecom.post("switches", {"block_ip": True})
    found = examined(corp, "app", "ip", "allowed")

    egress = found["egress"]
    assert egress.state == "bad" and egress.facts["ip"] == "127.0.0.1" and "127.0.0.1" in egress.saw
    assert egress.fix.index("可信域名") < egress.fix.index("企业可信IP") < egress.fix.index("127.0.0.1")
    assert found["secret"].state == "unknown", "WeCom looks at the address first: the Secret is not to blame"
    assert found["api.tags"].state == "unknown" and "前面" in found["api.tags"].saw


def test_an_address_that_changed_is_said_before_it_hurts(wecom, corp, agent):
    agent()
    DoctorFinding.objects.create(
        corp=corp, key="egress", state="ok", facts={"ip": "203.0.113.9"}, checked_at=clock.wall()
    )
    egress = examined(corp, "ip")["egress"]
    assert egress.state == "warn" and "203.0.113.9" in egress.fix and "127.0.0.1" in egress.fix


def test_a_refused_secret_is_not_tried_again_until_one_is_entered(wecom):
    corp = wecom.connect(secret="wrong").corp
    for _n in range(3):
        found = examined(corp, "app", "allowed")
    assert (
        found["secret"].state == "bad" and "Secret" in found["secret"].fix and found["secret"].facts["errcode"] == 40001
    )
    assert len(wecom.calls("gettoken")) == 1
    assert "修改" in found["secret"].fix and "没有再试" in found["secret"].saw

    wecom.connect(secret="wrong")
    examined(corp, "app")
    assert len(wecom.calls("gettoken")) == 2, "the same one, typed again, is tried once more"

    wecom.connect()
    assert examined(corp, "app")["secret"].state == "ok"


def test_a_click_on_check_does_not_try_a_refused_secret_again(wecom):
    corp = wecom.connect(secret="wrong").corp
    it = log_in("it")
    for path in (f"/bridge/corps/{corp.pk}/doctor/", f"/bridge/onboarding/{corp.pk}/check/"):
        for _n in range(2):
            cache.clear()
            assert it.post(path, {"step": "app"}).status_code == 200
    assert len(wecom.calls("gettoken")) == 1


@pytest.mark.parametrize(
    ("errcode", "word"), [(301002, "不是同一个应用"), (40056, "AgentId"), (50003, "停用"), (301007, "封禁")]
)
def test_what_is_wrong_with_the_app_is_translated(wecom, corp, errcode, word):
    wecom.script("agent/get", errcode=errcode, times=5)
    found = examined(corp, "app", "domain")
    assert found["agent"].state == "bad" and word in found["agent"].saw and found["agent"].fix
    assert found["domain"].state == "unknown"


def test_an_app_that_is_switched_off_is_bad(wecom, corp, agent):
    agent(close=1)
    assert "停用" in examined(corp, "app")["agent"].saw


@pytest.mark.parametrize(
    ("api", "key"),
    [
        ("externalcontact/get_follow_user_list", "api.serving"),
        ("externalcontact/batch/get_by_user", "api.customers"),
        ("externalcontact/groupchat/list", "api.groups"),
        ("externalcontact/get_corp_tag_list", "api.tags"),
        ("externalcontact/get_groupmsg_list_v2", "api.sends"),
        ("department/list", "api.directory"),
    ],
)
@pytest.mark.parametrize(("errcode", "where"), [(48002, "可调用接口的应用"), (60011, "可见范围"), (84074, "使用范围")])
def test_each_permission_that_is_missing_is_named_with_its_page(wecom, corp, agent, api, key, errcode, where):
    agent()
    wecom.script(api, errcode=errcode, times=10)
    found = examined(corp, "allowed")
    assert found[key].state == "bad" and where in found[key].fix and found[key].facts["errcode"] == errcode
    blamed = {one for one, finding in found.items() if finding.state == "bad"}
    assert blamed == {key} or key == "api.serving"


def test_a_busy_wecom_is_unknown_not_bad(wecom, corp):
    wecom.script("externalcontact/get_corp_tag_list", errcode=-1, times=5)
    assert examined(corp, "allowed")["api.tags"].state == "unknown"


def test_the_trusted_domain_is_compared_with_ours(wecom, corp, agent):
    agent(redirect_domain="")
    assert examined(corp, "domain")["domain"].state == "bad"
    wecom.reset()
    corp = wecom.connect().corp
    agent(redirect_domain="old.example.com")
    domain = examined(corp, "domain")["domain"]
    assert domain.state == "warn" and "old.example.com" in domain.saw and "acme.testserver" in domain.fix


def test_a_domain_of_the_merchants_own_counts(wecom, corp, agent, acme):
    Domain.objects.create(domain="scrm.acme.cn", tenant=acme, verified_at=clock.wall(), is_primary=False)
    agent(redirect_domain="scrm.acme.cn")
    assert examined(corp, "domain")["domain"].state == "ok"


def test_who_serves_customers_outside_the_visible_range_is_named(wecom, corp, agent):
    agent(allow_partys={"partyid": []}, allow_userinfos={"user": [{"userid": "somebody_else"}]})
    found = examined(corp, "range")["range"]
    assert found.state == "warn" and found.facts["outside"] == 4 and found.facts["idle"] == 1
    assert "可见范围" in found.fix


def test_an_empty_range_is_bad_and_one_by_tags_is_not_guessed(wecom, corp, agent):
    agent(allow_partys={"partyid": []})
    assert examined(corp, "range")["range"].state == "bad"
    wecom.reset()
    corp = wecom.connect().corp
    agent(allow_partys={"partyid": []}, allow_tags={"tagid": [7]})
    assert examined(corp, "range")["range"].state == "unknown"


def test_nobody_with_customer_contact_is_bad(wecom, corp, agent):
    agent()
    wecom.script("externalcontact/get_follow_user_list", body={"errcode": 0, "follow_user": []}, times=5)
    found = examined(corp, "allowed", "range")
    assert found["api.serving"].state == "bad" and found["range"].state == "unknown"


def test_a_clock_that_runs_off_is_measured_against_wecoms(wecom, corp, monkeypatch):
    true = clock.wall
    monkeypatch.setattr(hello.clock, "wall", lambda: true() - timedelta(seconds=90))
    found = examined(corp, "app")["clock"]
    assert found.state == "bad" and 85 <= found.facts["seconds"] <= 95 and "慢" in found.saw


def test_a_wecom_that_cannot_be_reached_ends_the_rest(wecom, corp, settings):
    settings.WECOM_API_BASE = "http://127.0.0.1:9"
    found = examined(corp, "app", "ip", "allowed", "range")
    assert found["reach"].state == "bad" and "443" in found["reach"].fix
    assert {str(found[key].state) for key in found if key != "reach"} == {"unknown"}


def test_a_check_that_breaks_is_unknown_and_the_others_go_on(wecom, corp, monkeypatch):
    def broken(patient):
        raise ZeroDivisionError

    monkeypatch.setattr(doctor, "_more", [doctor.Check("own", "app", "自家", broken)])
    found = examined(corp, "app")
    assert found["own"].state == "unknown" and found["secret"].state == "ok"


def test_unionid_is_said_with_the_keys_that_remain(wecom, corp):
    found = examined(corp)["unionid"]
    assert found.facts["available"] is False and "手机号" in found.why


def gauge_of(used, limit):
    return capacity.judge(gauges.Reading(used, limit), "到「客户联系」扩容。")


def test_a_gauge_warns_at_80_and_alarms_at_95_with_the_page_to_enlarge():
    assert gauge_of(79, 100).state == "ok"
    assert gauge_of(80, 100).state == "warn" and "扩容" in gauge_of(80, 100).fix
    assert gauge_of(94, 100).state == "warn" and gauge_of(95, 100).state == "bad"


def test_corp_tags_are_counted_from_the_list_already_read(wecom, corp):
    found = examined(corp)
    assert found["capacity.corp_tags"].facts["limit"] == 3000 and found["capacity.corp_tags"].facts["used"] > 0
    assert len(wecom.calls("externalcontact/get_corp_tag_list")) == 1


def test_a_gauge_of_another_app_appears_and_one_without_a_source_does_not(wecom, corp, monkeypatch):
    monkeypatch.setattr(gauges, "_gauges", {})
    gauges.register(gauges.Gauge("codes", "渠道活码数", lambda corp: gauges.Reading(490_000, 500_000), "扩容"))
    gauges.register(gauges.Gauge("balance", "获客助手余量", lambda corp: None, "充值"))
    found = examined(corp, "health")
    assert found["capacity.codes"].state == "bad" and "capacity.balance" not in found


def test_the_member_nobody_could_read_is_named(wecom, corp):
    corp.last_synced_at = clock.wall()
    corp.save(update_fields=["last_synced_at"])
    then = clock.wall() - timedelta(days=10)
    old = SyncRun.objects.create(corp=corp, started_at=then, state="done")
    SyncUnit.objects.create(run=old, kind="contacts", key="chen", state="fetched")
    run = SyncRun.objects.create(corp=corp, started_at=clock.wall(), state="done")
    SyncUnit.objects.create(run=run, kind="contacts", key="zhou", state="fetched")
    SyncUnit.objects.create(run=run, kind="contacts", key="chen", state="denied")

    found = examined(corp, "health")["members"]
    assert found.state == "bad" and "chen" in found.saw and "10" in found.saw

    SyncUnit.objects.create(run=run, kind="contacts", key="lin", state="failed")
    never = examined(corp, "health")["members"]
    assert "lin" in never.saw and never.facts == {"never": 1}


def test_no_answer_of_the_doctor_holds_a_secret(wecom, corp, agent):
    agent()
    credential = CorpCredential.objects.get(corp=corp)
    text = json.dumps([str(row) for row in doctor.examine(corp)])
    credential.refresh_from_db()
    for secret in (credential.secret, credential.callback_token, credential.callback_aes_key, credential.access_token):
        assert secret and secret not in text


def run_command(*arguments):
    out = StringIO()
    try:
        call_command("doctor", *arguments, stdout=out)
    except SystemExit as end:
        return end.code, out.getvalue()
    return 0, out.getvalue()


def test_the_command_says_all_and_ends_with_1_when_something_is_bad(wecom, corp, agent):
    agent()
    code, text = run_command("--tenant", "acme")
    assert code == 1 and "✗ 企业微信的回调" in text, "WeCom has not come by yet"
    code, text = run_command("--tenant", "acme", "--json")
    found = json.loads(text)
    assert found[0]["tenant"] == "acme" and {"key", "label", "state", "saw", "why", "fix", "facts"} <= set(
        found[0]["findings"][0]
    )


def test_the_page_shows_findings_to_whoever_may_see_the_bridge(wecom, corp, agent):
    agent()
    it = log_in("it")
    before = it.get(f"/bridge/corps/{corp.pk}/doctor/").content.decode()
    assert "还没有体检过" in before
    page = it.post(f"/bridge/corps/{corp.pk}/doctor/").content.decode()
    assert "出口 IP 127.0.0.1 已被信任" in page
    sound = DoctorFinding.objects.filter(corp=corp, state="ok").count()
    assert sound and f"正常 {sound}</span>" in page, "how many of each kind stands above the rows"
    after = it.get(f"/bridge/corps/{corp.pk}/doctor/").content.decode()
    assert "还没有体检过" not in after
    assert log_in("guide").post(f"/bridge/corps/{corp.pk}/doctor/").status_code == 403
