"""One token for all processes, fetched by one of them; replaced when refused; never asked for again with a wrong secret."""

from datetime import timedelta

import pytest
from django.db import transaction

from scrm.lib import clock
from tests.support.core import in_thread
from wecom_bridge.gateway import CallError, gateway_for, tokens
from wecom_bridge.models import CorpCredential

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def corp(wecom):
    return wecom.connect().corp


def gettokens(wecom):
    return len(wecom.calls("gettoken"))


def forget_all():
    tokens._known.clear()
    tokens._asked.clear()


def test_many_at_once_fetch_one_token(wecom, corp, monkeypatch):
    wecom.script("gettoken", delay=0.4)
    monkeypatch.setattr(tokens, "_guard", lambda key: _nothing())

    workers = [in_thread(lambda: gateway_for(corp).get_follow_users()) for _n in range(5)]

    assert all(len(worker.result()) == 4 for worker in workers)
    assert gettokens(wecom) == 1


def _nothing():
    """Without the guard of the process, as several processes would be."""
    from contextlib import nullcontext

    return nullcontext()


def test_another_process_takes_the_token_from_the_row(wecom, corp):
    gateway_for(corp).get_follow_users()
    forget_all()
    gateway_for(corp).get_follow_users()
    assert gettokens(wecom) == 1


@pytest.mark.parametrize("how", ["expired", "invalid"])
def test_a_refused_token_is_replaced_once_and_the_call_repeated(wecom, corp, how):
    gateway_for(corp).get_follow_users()
    wecom.post("tokens/invalidate", {"as": how})
    assert gateway_for(corp).get_follow_users()
    assert gettokens(wecom) == 2


def test_a_token_refused_again_and_again_is_an_error_not_a_loop(wecom, corp):
    wecom.script("externalcontact/get_follow_user_list", errcode=42001, times=50)
    with pytest.raises(CallError) as raised:
        gateway_for(corp).get_follow_users()
    assert raised.value.retryable and gettokens(wecom) <= 2
    assert len(wecom.calls("externalcontact/get_follow_user_list")) == 2


def test_a_token_is_refreshed_before_it_ends(wecom, corp):
    gateway_for(corp).get_follow_users()
    now = clock.wall()
    CorpCredential.objects.update(
        access_token_expires_at=now + timedelta(minutes=3), access_token_asked_at=now - timedelta(hours=2)
    )
    forget_all()
    gateway_for(corp).get_follow_users()
    assert gettokens(wecom) == 2


def test_a_slow_process_cannot_put_an_old_token_back(wecom, corp):
    gateway_for(corp).get_follow_users()
    credential = CorpCredential.objects.get()
    kept = tokens._store(
        credential.pk, credential.access_token_version - 1, {"access_token": "old", "expires_in": 7200}
    )
    assert kept.value == credential.access_token == CorpCredential.objects.get().access_token


def test_a_wrong_secret_opens_the_breaker_and_a_new_one_closes_it(wecom, corp):
    CorpCredential.objects.update(secret="wrong")
    for _n in range(3):
        forget_all()
        with pytest.raises(CallError) as raised:
            gateway_for(corp).get_follow_users()
        assert raised.value.held
    assert gettokens(wecom) == 1

    wecom.connect()

    assert gateway_for(corp).get_follow_users()


def test_a_call_inside_a_transaction_is_refused(wecom, corp):
    gateway = gateway_for(corp)
    with transaction.atomic(), pytest.raises(RuntimeError):
        gateway.get_follow_users()
    assert wecom.calls() == []


def test_no_error_carries_the_token_or_the_secret(wecom, corp, caplog):
    gateway_for(corp).get_follow_users()
    token, secret = CorpCredential.objects.get().access_token, CorpCredential.objects.get().secret
    for fault in ({"close": True}, {"http_status": 500}, {"errcode": 40003}, {"truncate": 3}):
        wecom.script("externalcontact/get_follow_user_list", **fault)
        with pytest.raises(CallError) as raised:
            gateway_for(corp).get_follow_users()
        assert raised.value.__cause__ is None and raised.value.__suppress_context__
        for private in (token, secret):
            assert private not in str(raised.value) and private not in caplog.text


def test_text_goes_out_as_it_is_written(wecom, corp):
    row = wecom.get("customers?limit=1")["customers"][0]
    gateway_for(corp).call(
        "remark", userid=row["followers"][0], external_userid=row["external_userid"], remark="王小雨🍑"
    )
    assert wecom.calls("externalcontact/remark")[0]["args"]["remark"] == "王小雨🍑"
