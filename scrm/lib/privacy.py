"""Each text and JSON column states its personal-data class.

A model names the classes once, as class attributes:

    class Contact(models.Model):
        PERSONAL = ("name", "avatar_url")     # masked by default, exported and erased with the person
        SECRET = ()                           # encrypted, never shown, never exported
        CREDENTIAL = ()                       # a hash or digest that lets somebody in: never shown, compared or exported
        NOT_PERSONAL = ("source",)            # safe in logs, audit diffs and support views

Masking, export, erasure and audit diffs walk these lists; `undeclared()` lists what CI must refuse.
"""

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.contrib.postgres.fields import ArrayField
from django.db import models

from scrm.lib.crypto import SecretField

PERSONAL, SECRET, CREDENTIAL, NONE = "personal", "secret", "credential", "none"
_ATTRIBUTES = {"PERSONAL": PERSONAL, "SECRET": SECRET, "CREDENTIAL": CREDENTIAL, "NOT_PERSONAL": NONE}
TEXTUAL = (
    models.CharField,
    models.TextField,
    models.JSONField,
    ArrayField,
    models.FileField,
    models.GenericIPAddressField,
)
FOREIGN_LABELS = {"auth", "contenttypes", "sessions", "django_tenants"}


def classes_of(model: type[models.Model]) -> dict[str, str]:
    """Column name → class, for every declared column of a model."""
    found: dict[str, str] = {}
    for attribute, label in _ATTRIBUTES.items():
        for base in model.__mro__:
            for name in base.__dict__.get(attribute, ()):
                found[name] = label
    return found


def textual_fields(model: type[models.Model]) -> Iterator[Any]:
    """The columns that must declare a class."""
    for field in model._meta.get_fields():
        if isinstance(field, TEXTUAL) and field.model is model:
            yield field


def undeclared() -> list[str]:
    """`app.Model.column` for each textual column without a class, a secret column that is not encrypted, or a stale name."""
    problems: list[str] = []
    for model in apps.get_models():
        if model._meta.app_label in FOREIGN_LABELS or model._meta.proxy:
            continue
        declared = classes_of(model)
        names = {field.name for field in model._meta.get_fields()}
        for field in textual_fields(model):
            if field.choices and field.name not in declared:
                continue  # a choice is a word of ours, never personal
            label = declared.get(field.name)
            if label is None or (label == SECRET) != isinstance(field, SecretField):
                problems.append(f"{model._meta.label}.{field.name}")
        problems += [f"{model._meta.label}.{name} (stale)" for name in declared if name not in names]
    return sorted(problems)


def mask_text(value: str) -> str:
    """A name or number with its middle hidden: 王小雨 → 王*雨, 13812345678 → 138****5678."""
    if len(value) >= 7:
        return f"{value[:3]}{'*' * (len(value) - 7)}{value[-4:]}" if len(value) > 7 else f"{value[:2]}***{value[-2:]}"
    if len(value) <= 1:
        return "*" * len(value)
    if len(value) == 2:
        return value[0] + "*"
    return value[0] + "*" * (len(value) - 2) + value[-1]
