"""Pages of tags, segments and rules for somebody who reads English: nothing is Chinese but what people wrote themselves."""

import re

import pytest
from django.apps import apps
from django.db.models import CharField, JSONField, TextField
from django.utils import translation

from accounts.models import User
from conditions import registry
from tests.support.core import log_in
from tests.tagging.showroom import Showroom

pytestmark = pytest.mark.django_db
HAN = re.compile(r"[\u4e00-\u9fff]+")
OWN_NAMES = {"中文"}  # of the language, in the switch


def _strings(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _strings(part)


def written():
    """Every text with Chinese in it that stands in the tables, the longest first."""
    found = set()
    for app in ("accounts", "contacts", "tagging", "ledger", "wecom_bridge"):
        for model in apps.get_app_config(app).get_models():
            names = [
                one.attname for one in model._meta.concrete_fields if isinstance(one, CharField | TextField | JSONField)
            ]
            for row in model.objects.values_list(*names) if names else ():
                found.update(text for value in row for text in _strings(value) if HAN.search(text))
    return sorted(found, key=len, reverse=True)


def test_no_sentence_of_ours_is_left_in_chinese(acme, monkeypatch):
    product = {key: field for key, field in registry._fields.items() if not key.startswith("t.")}  # others' tests
    monkeypatch.setattr(registry, "_fields", product)
    client = log_in("hq")
    showroom = Showroom()
    User.objects.filter(pk=client.user.pk).update(language="en", display_name="Ann")
    known, left = written(), {}
    for name, path in showroom.pages().items():
        with translation.override(translation.get_language()):  # a request leaves its language to the thread
            answer = client.get(path).content.decode()
        page = re.sub(r"<script.*?</script>|<!--.*?-->", "", answer, flags=re.S)
        for text in known:
            page = page.replace(text, "")
        if words := set(HAN.findall(page)) - OWN_NAMES:
            left[name] = sorted(words)
    assert left == {}
