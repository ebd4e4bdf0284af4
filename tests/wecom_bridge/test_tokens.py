"""One token for all processes, fetched by one of them; replaced when refused; never asked for again with a wrong secret."""

import time
from datetime import timedelta

import pytest
from django.db import transaction

from scrm.lib import clock
from tests.support.core import in_thread
from tests.support.processes import Processes
from wecom_bridge.gateway import CallError, core, gateway_for, tokens
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


def test_a_wecom_that_gives_no_token_costs_many_callers_one_time_out(wecom, corp, monkeypatch):
    monkeypatch.setattr(core, "_clients", {})
    door = gateway_for(corp)
    door.client.timeout = (1.0, 0.6)
    wecom.script("gettoken", delay=0.9, times=20)
    began = time.monotonic()

    def ask():
        with pytest.raises(CallError) as raised:
            gateway_for(corp).get_follow_users()
        return raised.value.retryable

    assert all(worker.result(30) for worker in [in_thread(ask) for _n in range(8)])
    assert time.monotonic() - began < 3 * 0.6 + 1, "not eight times one after the other"
    time.sleep(0.6)  # the simulator answers whom nobody hears any more, and the next test counts calls
    assert gettokens(wecom) <= 2


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
    kept = tokens._store(credential.pk, credential.access_token_version - 1, tokens.Given("old", 7200))
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


# --- Many processes


def callers(number, wecom, corp):
    """Processes of their own, each ready to make one call when told."""
    return Processes(
        number,
        corp,
        "len(gateway.get_follow_users())",
        imports="from wecom_bridge.gateway import gateway_for",
        before="gateway = gateway_for(corp)",
        WECOM_API_BASE=wecom.url,
    )


def test_four_processes_with_five_threads_each_fetch_one_token(wecom, corp, monkeypatch):
    """Real processes, and threads of this one that do not know of each other, all at the same moment."""
    wecom.script("gettoken", delay=0.5)
    with callers(4, wecom, corp) as processes:
        monkeypatch.setattr(tokens, "_guard", lambda key: _nothing())
        threads = [in_thread(lambda: gateway_for(corp).get_follow_users()) for _n in range(16)]
        answers = processes.go()
    assert answers == ["4"] * 4 and all(len(thread.result()) == 4 for thread in threads)
    assert gettokens(wecom) == 1


def test_processes_whose_token_is_refused_at_once_fetch_one_new_token(wecom, corp):
    gateway_for(corp).get_follow_users()
    with callers(3, wecom, corp) as processes:
        wecom.post("tokens/invalidate", {"as": "invalid"})
        wecom.script("gettoken", delay=0.3)
        assert processes.go() == ["4"] * 3
    assert gettokens(wecom) == 2


# --- Compare and swap


def test_a_refusal_of_an_older_token_does_not_throw_away_the_newer_one(wecom, corp):
    """A slow answer 40014 to a call made before the exchange."""
    gateway = gateway_for(corp)
    gateway.get_follow_users()
    old = tokens._known[tokens.scope_name(), gateway.credential_pk]
    wecom.post("tokens/invalidate", {"as": "invalid"})
    gateway.get_follow_users()
    newer = CorpCredential.objects.get()

    kept = tokens.replace(gateway.credential_pk, old, gateway._fetch_token)

    assert (kept.value, kept.version) == (newer.access_token, newer.access_token_version)
    forget_all()
    assert tokens.replace(gateway.credential_pk, old, gateway._fetch_token).version == newer.access_token_version
    assert gettokens(wecom) == 2


# --- A changed secret


def test_another_process_leaves_the_old_token_with_its_next_slice_of_work(wecom, corp):
    gateway_for(corp).get_follow_users()
    before = dict(tokens._known)
    wecom.connect(secret=wecom.corp["contact_secret"])
    tokens._known.update(before)  # a process that did not hear of it

    gateway_for(corp).get_follow_users()

    assert gettokens(wecom) == 2
    assert tokens._known != before


def test_a_door_that_is_still_open_asks_with_the_secret_of_now(wecom, corp):
    """The slice began before the change, and its token is refused in the middle."""
    door = gateway_for(corp)
    door.get_follow_users()
    CorpCredential.objects.update(secret="wrong, and mended below")
    wecom.connect()
    wecom.post("tokens/invalidate", {"as": "invalid"})
    assert door.get_follow_users()
    assert CorpCredential.objects.get().broken_at is None


def test_the_refusal_of_a_secret_that_was_changed_meanwhile_does_not_open_the_breaker(wecom, corp):
    CorpCredential.objects.update(secret="wrong")
    wecom.script("gettoken", delay=1.0, execute=True)
    asking = in_thread(lambda: gateway_for(corp).get_follow_users())
    wait_for(lambda: _is_asking(corp))
    wecom.connect()
    with pytest.raises(CallError) as raised:
        asking.result()
    assert raised.value.held and raised.value.retry_after < 10
    assert CorpCredential.objects.get().broken_at is None
    assert gateway_for(corp).get_follow_users()


def _is_asking(corp):
    """Somebody holds the lock of the token."""
    with tokens.session_lock(f"wecom-token:{CorpCredential.objects.get(corp=corp).pk}") as free:
        return not free


def wait_for(look):
    until = time.monotonic() + 10
    while not look():
        assert time.monotonic() < until
        time.sleep(0.02)


# --- Refresh


def soon_over(**fields):
    """The token in the row ends in five minutes, and was fetched long ago."""
    now = clock.wall()
    given = {"access_token_expires_at": now + timedelta(minutes=5), "access_token_asked_at": now - timedelta(hours=2)}
    CorpCredential.objects.update(**given | fields)
    forget_all()


def test_nobody_waits_while_the_next_token_is_fetched(wecom, corp):
    gateway_for(corp).get_follow_users()
    soon_over()
    pk, now = CorpCredential.objects.get().pk, clock.wall()
    row = tokens._read(pk)
    tokens._known[tokens.scope_name(), pk] = row
    wecom.script("gettoken", delay=1.5)
    refreshing = in_thread(lambda: gateway_for(corp).get_follow_users())
    wait_for(lambda: _is_asking(corp))

    assert gateway_for(corp).get_follow_users()

    assert refreshing.is_alive()  # the other one still waits for its answer
    assert refreshing.result() and gettokens(wecom) == 2
    assert row.expires_at > now


def test_a_refresh_that_fails_costs_nobody_a_call_and_is_not_repeated_at_once(wecom, corp):
    gateway_for(corp).get_follow_users()
    soon_over()
    pk = CorpCredential.objects.get().pk
    tokens._known[tokens.scope_name(), pk] = tokens._read(pk)
    wecom.script("gettoken", errcode=-1, times=5)
    for _n in range(4):
        assert gateway_for(corp).get_follow_users()
    assert gettokens(wecom) == 2


def test_a_gettoken_that_answers_the_same_token_is_not_asked_again_and_again_by_anybody(wecom, corp):
    gateway_for(corp).get_follow_users()
    token = CorpCredential.objects.get().access_token
    same = {"errcode": 0, "errmsg": "ok", "access_token": token, "expires_in": 240}
    wecom.script("gettoken", body=same, times=10)
    soon_over()
    for _process in range(4):
        forget_all()
        assert gateway_for(corp).get_follow_users()
    assert gettokens(wecom) == 2
