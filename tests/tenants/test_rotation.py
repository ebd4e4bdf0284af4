"""Secrets move to the newest key while everybody goes on reading them."""

import base64
import os
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from scrm.lib import crypto
from tenants.audit import SYSTEM
from tenants.context import tenant_scope
from tenants.ledger.models import AuditEntry
from tenants.services import rotation
from tests.support.wecom import make_connection
from wecom_bridge.models import CorpCredential

pytestmark = pytest.mark.django_db(transaction=True)


def new_key():
    return base64.urlsafe_b64encode(os.urandom(32)).decode()


@pytest.fixture
def rotated(settings):
    """Secrets of two merchants under an old key, and a new key put before it."""

    def add_key():
        settings.FIELD_KEYS = [new_key(), *settings.FIELD_KEYS]

    return add_key


def ciphertexts():
    with connection.cursor() as cursor:
        cursor.execute("SELECT secret, callback_token, callback_aes_key FROM wecom_bridge_corpcredential ORDER BY id")
        return [value for row in cursor.fetchall() for value in row]


def run(*words):
    out = StringIO()
    call_command("rotate_keys", *words, stdout=out, stderr=out)
    return out.getvalue()


def test_every_secret_of_every_merchant_is_put_under_the_newest_key(rotated, globex, settings):
    made = [make_connection(secret="secret-of-acme") for _n in range(3)]
    with tenant_scope(globex):
        make_connection(secret="secret-of-globex")
    rotated()
    with pytest.raises(CommandError):
        run("--check")

    assert "12 put under the newest key" in run()

    assert "0 under an older key" in run("--check")
    settings.FIELD_KEYS = settings.FIELD_KEYS[:1]
    assert {row.secret for row in CorpCredential.objects.all()} == {"secret-of-acme"}
    assert CorpCredential.objects.get(corp=made[0].corp).callback_token == made[0].token
    with tenant_scope(globex):
        assert CorpCredential.objects.get().secret == "secret-of-globex"


def test_values_stay_readable_throughout_and_a_stopped_run_goes_on(rotated, monkeypatch):
    for _n in range(5):
        make_connection(secret="s" * 43)
    rotated()
    monkeypatch.setattr(rotation, "SLICE", 2)
    whole, seen = rotation._slice, []

    def stopped_after_two(*args):
        assert all(crypto.decrypt(value) for value in ciphertexts())
        if len(seen) == 2:
            raise KeyboardInterrupt
        seen.append(1)
        return whole(*args)

    with monkeypatch.context() as patch:
        patch.setattr(rotation, "_slice", stopped_after_two)
        with pytest.raises(KeyboardInterrupt):
            rotation.rotate_keys(by=SYSTEM)
    moved = sum(map(crypto.is_newest, ciphertexts()))
    assert moved == 12

    report = rotation.rotate_keys(by=SYSTEM)

    assert (report.rotated, report.newest) == (3, 12)
    assert all(map(crypto.is_newest, ciphertexts()))


def test_what_is_saved_meanwhile_is_not_overwritten(rotated, monkeypatch):
    credential = CorpCredential.objects.get(corp=make_connection(secret="old-secret").corp)
    rotated()
    fresh = rotation._fresh

    def saved_in_between(report, place, value):
        if ".secret" in place:
            CorpCredential.objects.filter(pk=credential.pk).update(secret="new-secret")
        return fresh(report, place, value)

    monkeypatch.setattr(rotation, "_fresh", saved_in_between)
    rotation.rotate_keys(by=SYSTEM)

    assert CorpCredential.objects.get().secret == "new-secret"
    assert all(map(crypto.is_newest, ciphertexts()))


def test_a_value_that_no_key_opens_is_named_and_left_alone(rotated, settings):
    make_connection(secret="s" * 43)
    kept = ciphertexts()
    settings.FIELD_KEYS = [new_key()]
    with pytest.raises(CommandError, match="cannot be read"):
        run()
    assert ciphertexts() == kept


def test_the_move_is_on_the_record_of_the_merchant(rotated):
    make_connection(secret="s" * 43)
    rotated()
    rotation.rotate_keys(by=SYSTEM)
    rotation.rotate_keys(by=SYSTEM)
    assert [entry.data["values"] for entry in AuditEntry.objects.filter(action="secrets.rotated")] == [3]


def test_every_column_that_is_declared_secret_is_walked():
    assert rotation.secret_columns(CorpCredential) == ["secret", "callback_token", "callback_aes_key", "access_token"]
