"""接入清单: a signed link without log-in that expires, can be taken back, and never shows a secret."""

import threading
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from django.core import signing
from django.core.cache import cache
from django.db import transaction
from django.test import Client

from scrm.lib import clock
from tenants.audit import SYSTEM
from tenants.context import tenant_scope
from tenants.ledger.models import AuditEntry
from tests.support.core import in_thread, log_in
from tests.support.wecom import make_connection, make_corp
from wecom_bridge.models import ChecklistLink, CorpCredential, DoctorFinding
from wecom_bridge.services import checklist
from wecom_bridge.services.corps import rest_after_restore


def path_of(link):
    return f"/bridge/checklist/{checklist.token_of(link)}/"


def a_minute_later():
    DoctorFinding.objects.update(checked_at=clock.wall() - timedelta(seconds=61))
    cache.clear()


def visit(path, host="acme.testserver"):
    return Client(HTTP_HOST=host).get(path)


@pytest.mark.django_db
def test_the_link_opens_without_a_log_in_and_lists_what_to_do_in_order():
    connection = make_connection()
    page = visit(path_of(checklist.make_link(connection.corp, by=SYSTEM)))

    text = page.content.decode()
    assert page.status_code == 200 and "no-store" in page["Cache-Control"]
    assert (
        text.index("可信域名") < text.index("企业可信IP") < text.index("设置 API 接收") < text.index("可调用接口的应用")
    )
    assert connection.callback_url in text and "acme.testserver" in text
    assert "单独交给发链接给您的人填写" in text, "the reader has no way into this system"


@pytest.mark.django_db
def test_no_secret_is_ever_on_it():
    corp = make_corp()
    CorpCredential.objects.filter(corp=corp).update(access_token="t" * 40, broken_reason="[40001] invalid credential")
    DoctorFinding.objects.create(corp=corp, key="range", state="bad", facts={"outside": 3}, checked_at=clock.wall())
    text = visit(path_of(checklist.make_link(corp, by=SYSTEM))).content.decode()
    credential = CorpCredential.objects.get(corp=corp)
    for secret in (credential.secret, credential.callback_token, credential.callback_aes_key, credential.access_token):
        assert secret not in text
    assert "invalid credential" not in text


@pytest.mark.django_db
@pytest.mark.parametrize("end", ["expired", "revoked", "forged", "foreign", "replaced"])
def test_a_link_that_is_no_longer_good_is_not_found(end, globex):
    corp = make_corp()
    link = checklist.make_link(corp, by=SYSTEM)
    path, host = path_of(link), "acme.testserver"
    assert visit(path).status_code == 200
    if end == "expired":
        ChecklistLink.objects.update(expires_at=clock.wall() - timedelta(seconds=1))
    elif end == "revoked":
        checklist.revoke_link(link, by=SYSTEM)
    elif end == "forged":
        path = f"/bridge/checklist/{signing.Signer(salt='bridge.checklist', sep='.').sign(str(link.pk))}/"
    elif end == "foreign":
        host = "globex.testserver"
    else:
        checklist.make_link(corp, by=SYSTEM)
    assert visit(path, host).status_code == 404
    assert visit(f"{path}?part=steps", host).status_code == 404


@pytest.mark.django_db(transaction=True)
def test_of_two_links_made_side_by_side_only_the_last_one_stands():
    corp = make_corp()
    made, may_commit = threading.Event(), threading.Event()

    def first():
        with transaction.atomic():
            link = checklist.make_link(corp, by=SYSTEM)
            made.set()
            may_commit.wait(10)
            return link

    running = in_thread(first)
    assert made.wait(10)
    other = in_thread(lambda: checklist.make_link(corp, by=SYSTEM))
    other.join(0.5)
    may_commit.set()

    earlier, later = running.result(), other.result()
    assert visit(path_of(earlier)).status_code == 404 and visit(path_of(later)).status_code == 200
    assert ChecklistLink.objects.filter(revoked_at=None).count() == 1


@pytest.mark.django_db
def test_the_same_row_number_of_another_merchant_has_another_token(globex):
    mine = checklist.token_of(ChecklistLink(pk=7))
    with tenant_scope(globex):
        assert checklist.token_of(ChecklistLink(pk=7)) != mine
        assert checklist.find_link(mine) is None


@pytest.mark.django_db
def test_it_makes_and_takes_back_the_link_and_the_audit_knows():
    it, corp = log_in("it"), make_corp()
    it.post(f"/bridge/onboarding/{corp.pk}/link/")
    address = path_of(ChecklistLink.objects.get())
    assert address in it.get(f"/bridge/onboarding/{corp.pk}/").content.decode()

    it.post(f"/bridge/onboarding/{corp.pk}/link/", {"act": "revoke"})

    assert visit(urlsplit(address).path).status_code == 404
    actions = AuditEntry.objects.filter(action__startswith="corp.checklist").order_by("id")
    assert list(actions.values_list("action", flat=True)) == ["corp.checklist_made", "corp.checklist_revoked"]
    assert log_in("guide").post(f"/bridge/onboarding/{corp.pk}/link/").status_code == 403


@pytest.mark.django_db(transaction=True)
def test_its_ticks_follow_what_is_done_in_the_console(wecom):
    wecom.post("switches", {"block_ip": True})
    corp = wecom.connect().corp
    path = path_of(checklist.make_link(corp, by=SYSTEM))
    before = visit(f"{path}?part=steps").content.decode()
    assert "<html" not in before and "已完成" not in before and "127.0.0.1" in before

    wecom.post("switches", {"block_ip": False})
    a_minute_later()
    after = visit(f"{path}?part=steps").content.decode()
    assert "已完成" in after[after.index("3 · ") : after.index("4 · ")]


@pytest.mark.django_db(transaction=True)
def test_a_page_left_open_calls_once_a_minute_and_never_a_refused_secret_again(wecom):
    corp = wecom.connect(secret="wrong").corp
    path = path_of(checklist.make_link(corp, by=SYSTEM))
    for _n in range(5):
        visit(f"{path}?part=steps")
    asked = len(wecom.calls())
    a_minute_later()
    visit(f"{path}?part=steps")
    assert len(wecom.calls("gettoken")) == 1
    assert 0 < asked < 5


@pytest.mark.django_db(transaction=True)
def test_without_the_cache_too_a_page_left_open_calls_once_a_minute(wecom):
    path = path_of(checklist.make_link(wecom.connect().corp, by=SYSTEM))
    visit(f"{path}?part=steps")
    asked = len(wecom.calls())
    cache.clear()
    visit(f"{path}?part=steps")
    assert asked and len(wecom.calls()) == asked
    a_minute_later()
    visit(f"{path}?part=steps")
    assert len(wecom.calls()) > asked


@pytest.mark.django_db
def test_a_restored_merchants_links_lead_nowhere_even_those_taken_back_since_the_dump():
    link = checklist.make_link(make_corp(), by=SYSTEM)
    rest_after_restore()
    assert visit(path_of(link)).status_code == 404
