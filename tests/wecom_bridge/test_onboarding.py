"""The guided page: six steps in the console's order, each with its own check, ending green with the first sync."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from tests.support.core import log_in
from tests.support.wecom import make_connection, make_corp
from wecom_bridge.models import CorpCredential, DoctorFinding, SyncRun, VerifyFile
from wecom_bridge.services import doctor, onboarding
from wecom_bridge.views.doctor import one_at_a_time

KEYS = ["app", "domain", "ip", "callback", "allowed", "range"]
NAME = "WW_verify_X9KZqPn4kyRmLwTb.txt"


@pytest.fixture
def it(db):
    return log_in("it")


def found(corp, state="ok", **others):
    """As if the doctor had found every matter of the six steps so."""
    for check in doctor.all_checks():
        if check.step in KEYS:
            DoctorFinding.objects.update_or_create(
                corp=corp,
                key=check.key,
                defaults={"state": others.get(check.key, state), "checked_at": "2026-11-01T00:00Z"},
            )


@pytest.mark.django_db
def test_before_anything_is_there_the_way_is_shown_and_begins_with_the_app(it):
    page = it.get("/bridge/onboarding/").content.decode()
    assert [page.index(f'id="step-{key}"') for key in KEYS] == sorted(page.index(f'id="step-{key}"') for key in KEYS)
    assert "/bridge/corps/new/" in page and "开始首次同步" not in page
    assert "/bridge/onboarding/" in it.get("/bridge/").content.decode()


@pytest.mark.django_db
def test_the_values_to_copy_are_there_and_no_secret_is(it):
    connection = make_connection()
    DoctorFinding.objects.create(
        corp=connection.corp, key="reach", state="ok", facts={"ip": "203.0.113.9"}, checked_at="2026-11-01T00:00Z"
    )
    page = it.get("/bridge/onboarding/", follow=True).content.decode()
    for value in (connection.corp.corp_id, "1000002", "acme.testserver", "203.0.113.9", connection.callback_url):
        assert value in page
    credential = CorpCredential.objects.get(corp=connection.corp)
    for secret in (credential.secret, credential.callback_token, credential.callback_aes_key):
        assert secret not in page


@pytest.mark.django_db
def test_it_ends_green_only_when_nothing_is_bad_or_unknown(it):
    corp = make_corp()
    address = f"/bridge/onboarding/{corp.pk}/"
    assert "开始首次同步" not in it.get(address).content.decode()
    found(corp, egress="bad")
    stages = {stage.step.key: stage.state for stage in onboarding.list_stages(corp)}
    assert stages == dict.fromkeys(KEYS, "done") | {"ip": "bad"}
    assert "开始首次同步" not in it.get(address).content.decode()
    found(corp, unionid="warn")
    page = it.get(address).content.decode()
    assert "开始首次同步" in page and f"/bridge/corps/{corp.pk}/sync/" in page


@pytest.mark.django_db(transaction=True)
def test_a_step_is_checked_alone_and_says_what_to_do(it, wecom):
    corp = wecom.connect().corp
    wecom.post("switches", {"block_ip": True})
    answer = it.post(f"/bridge/onboarding/{corp.pk}/check/", {"step": "ip"}, HTTP_HX_REQUEST="true")
    page = answer.content.decode()
    assert 'id="wizard"' in page and "<html" not in page
    mine = page[page.index('id="step-ip"') : page.index('id="step-callback"')]
    assert "怎么做" in mine and "127.0.0.1" in mine and page.count("怎么做") == 1
    assert set(DoctorFinding.objects.filter(corp=corp).values_list("key", flat=True)) == {"reach", "egress"}
    assert not wecom.calls("department/list")


@pytest.mark.django_db(transaction=True)
def test_the_whole_way_ends_with_a_sync(it, wecom):
    corp = wecom.connect().corp
    agent = {"errcode": 0, "name": "SCRM", "redirect_domain": "acme.testserver", "allow_partys": {"partyid": [1]}}
    wecom.script("agent/get", body=agent, times=50)
    for key in ("app", "domain", "ip", "allowed", "range"):
        assert it.post(f"/bridge/onboarding/{corp.pk}/check/", {"step": key}).status_code == 200
    states = {stage.step.key: stage.state for stage in onboarding.list_stages(corp)}
    assert states == dict.fromkeys(KEYS, "done") | {"callback": "waiting"}
    found(corp)

    answer = it.post(f"/bridge/corps/{corp.pk}/sync/")

    assert answer.status_code == 302 and SyncRun.objects.filter(corp=corp, kind="first").exists()


@pytest.mark.django_db(transaction=True)
def test_checks_in_a_row_are_told_to_wait(it, wecom):
    corp = wecom.connect().corp
    address = f"/bridge/onboarding/{corp.pk}/check/"
    assert it.post(address, {"step": "ip"}).status_code == 200
    assert it.post(address, {"step": "ip"}).status_code == 429


@pytest.mark.django_db
def test_of_two_examinations_at_once_the_second_waits_however_long_the_first_takes(it):
    corp = make_corp()
    with one_at_a_time(corp):
        assert it.post(f"/bridge/corps/{corp.pk}/doctor/").status_code == 429
    assert it.post(f"/bridge/corps/{corp.pk}/doctor/").status_code == 429
    assert not DoctorFinding.objects.exists()


@pytest.mark.django_db
def test_an_unknown_step_is_not_found(it):
    assert it.post(f"/bridge/onboarding/{make_corp().pk}/check/", {"step": "health"}).status_code == 404


# --- WW_verify_….txt ---------------------------------------------------------------------------------------------


def send(it, corp, name, content):
    return it.post(f"/bridge/onboarding/{corp.pk}/file/", {"file": SimpleUploadedFile(name, content)})


@pytest.mark.django_db
@pytest.mark.parametrize("content", [b"X9KZqPn4kyRmLwTb", b"\xef\xbb\xbfX9KZqPn4kyRmLwTb\r\n"])
def test_the_consoles_file_is_served_at_the_root_of_this_merchants_host_alone(it, globex, content):
    assert send(it, make_corp(), NAME, content).status_code == 302

    answer = Client(HTTP_HOST="acme.testserver").get(f"/{NAME}")
    assert (answer.status_code, answer.content, answer["Content-Type"]) == (200, b"X9KZqPn4kyRmLwTb", "text/plain")
    assert Client(HTTP_HOST="globex.testserver").get(f"/{NAME}").status_code == 404
    assert Client(HTTP_HOST="admin.testserver").get(f"/{NAME}").status_code == 404


@pytest.mark.django_db
def test_a_newer_file_of_the_same_name_replaces_it(it):
    corp = make_corp()
    for content in (b"first", b"second"):
        send(it, corp, NAME, content)
    assert VerifyFile.objects.get().content == "second"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("index.html", b"X9KZqPn4kyRmLwTb"),
        ("WW_verify_short.txt", b"X9KZqPn4kyRmLwTb"),
        ("WW_verify_X9KZqPn4kyRmLwTb.txt.html", b"X9KZqPn4kyRmLwTb"),
        ("WW_verify_X9KZqPn4kyRmLwT/.txt", b"X9KZqPn4kyRmLwTb"),
        (NAME, b"<script>alert(1)</script>"),
        (NAME, b""),
        (NAME, b"a b"),
        (NAME, b"A" * 65),
        (NAME, b"A" * 10_000),
        (NAME, "校验".encode()),
    ],
)
def test_any_other_file_is_refused_with_a_sentence(it, name, content):
    answer = send(it, make_corp(), name, content)
    assert answer.status_code == 422 and "上传" in answer.content.decode()
    assert not VerifyFile.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    "path", ["WW_verify_0123456789abcdef.txt", "WW_verify_short.txt", "ww_verify_0123456789abcdef.txt"]
)
def test_a_file_that_was_not_uploaded_is_not_found(path, db):
    assert Client(HTTP_HOST="acme.testserver").get(f"/{path}").status_code == 404
