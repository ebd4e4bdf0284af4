"""Which app stands where, what its models may be, and what its columns say of themselves."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings
from django.db import models

from scrm.lib import privacy
from tenants.sides import labels_of
from tests.architecture.house_rules import ROOT

OURS = [
    model for model in apps.get_models() if Path(apps.get_app_config(model._meta.app_label).path).is_relative_to(ROOT)
]
OURS = [model for model in OURS if ".venv" not in apps.get_app_config(model._meta.app_label).path]
DUAL = {"contenttypes", "auth", "sessions", "accounts"}


def side(model: type[models.Model]) -> str:
    """shared, tenant or both."""
    if model._meta.app_label in DUAL:
        return "both"
    return "shared" if model._meta.app_label in labels_of(settings.SHARED_APPS) else "tenant"


def test_only_log_ins_stand_on_both_sides():
    assert set(settings.SHARED_APPS) & set(settings.TENANT_APPS) == set(settings.DUAL_APPS)
    assert labels_of(settings.DUAL_APPS) == DUAL


def test_every_textual_column_says_whether_it_is_personal():
    assert privacy.undeclared() == []


def test_no_relation_crosses_between_the_platform_and_a_merchant():
    crossing = [
        str(field)
        for model in OURS
        for field in model._meta.get_fields()
        if field.is_relation and field.concrete and field.related_model
        and {side(model), side(field.related_model)} == {"shared", "tenant"}
    ]  # fmt: skip
    assert crossing == []
    both = [
        str(field)
        for model in OURS
        if side(model) == "shared"
        for field in model._meta.get_fields()
        if field.is_relation and field.concrete and field.related_model and side(field.related_model) == "both"
    ]
    assert both == [], "a shared row that names a log-in would name another one in each schema"


def test_primary_keys_are_wide():
    narrow = [
        model._meta.label for model in OURS if not isinstance(model._meta.pk, (models.BigAutoField, models.UUIDField))
    ]
    assert narrow == []


def test_no_column_of_django_is_narrow_either():
    """A 32-bit id cannot be widened on a distributed table."""
    narrow = [
        f"{model._meta.label}.{field.name}"
        for model in apps.get_models(include_auto_created=True)
        for field in model._meta.local_fields
        if type(field) is models.AutoField
    ]
    assert narrow == []


def test_no_generic_relation():
    from django.contrib.contenttypes.fields import GenericForeignKey

    assert [
        model._meta.label
        for model in OURS
        for field in model._meta.private_fields
        if isinstance(field, GenericForeignKey)
    ] == []


def test_no_unique_constraint_is_deferred():
    deferred = [
        f"{model._meta.label}.{constraint.name}"
        for model in OURS
        for constraint in model._meta.constraints
        if getattr(constraint, "deferrable", None)
    ]
    assert deferred == []


def test_instants_come_from_our_clock():
    """auto_now and default=now would read a clock that no scope shifts."""
    own = [
        str(field)
        for model in OURS
        for field in model._meta.get_fields()
        if isinstance(field, models.DateTimeField) and (field.auto_now or field.auto_now_add or field.has_default())
        and field.get_default() is not None
    ]  # fmt: skip
    assert own == []


def test_imports_go_down_only():
    done = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "NO_COLOR": "1"},
    )
    assert done.returncode == 0, done.stdout[-4000:]


PRODUCTION = {
    "SECRET_KEY": "k9-long-and-random-Zq7vX2mB8sR4tY6uW1eP0aD3fG5hJ-for-a-check-only",
    "FIELD_KEYS": "8cE1n0m2sT0r6o0dQ6u1u3nE4hE5qk1xFz8nC4tB2aA=",
    "BASE_DOMAIN": "scrm.example.com",
    "SITE_SCHEME": "https",
    "DEBUG": "0",
    "ALLOW_SANDBOX": "0",
}


def deploy_check(**changes: str) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "DATABASE_URL", "REDIS_URL") if name in os.environ}
    return subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=ROOT, capture_output=True, text=True, env={**kept, **PRODUCTION, **changes},
    )  # fmt: skip


def test_a_production_like_environment_passes_the_deployment_check():
    done = deploy_check()
    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", "short"),
        ("FIELD_KEYS", "x"),
        ("DEBUG", "perhaps"),
        ("SITE_PORT", "99999999"),
        ("DATABASE_URL", "mysql://x/y"),
    ],
)
def test_a_bad_value_stops_the_start_and_says_which(name, value):
    done = deploy_check(**{name: value})
    assert done.returncode != 0
    assert name in done.stderr


def test_the_evaluator_of_conditions_shares_nothing_with_the_product():
    """What decides beside the compiler may read its rows, and nothing of how the product decides."""
    for name in ("evaluator", "facts", "trees", "worlds", "changes"):
        text = (settings.BASE_DIR / "tests" / "reference" / f"{name}.py").read_text(encoding="utf-8")
        assert not re.search(
            r"^\s*(from|import) (conditions|\w+\.fields|contacts\.condition|contacts\.custom)", text, re.M
        ), name
