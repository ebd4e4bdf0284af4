"""The classes of columns, and what no column of a log-in may be called."""

import re

from django.apps import apps

from scrm.lib import privacy


def test_whatever_lets_somebody_in_is_a_credential():
    found = {
        f"{model.__name__}.{field.name}"
        for model in apps.get_app_config("accounts").get_models()
        for field in privacy.textual_fields(model)
        if re.search("password|digest|session", field.name)
    }
    classes = {
        f"{model.__name__}.{name}": label
        for model in apps.get_app_config("accounts").get_models()
        for name, label in privacy.classes_of(model).items()
    }

    assert found == {
        "User.password", "LoginSession.session_digest", "OneTimeLink.token_digest", "ApiToken.token_digest"
    }  # fmt: skip
    assert {classes[name] for name in found} == {privacy.CREDENTIAL}
