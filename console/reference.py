"""Reference documents made from the code: the data model with a diagram, and the metric dictionary."""

from collections.abc import Iterator

from django.apps import apps
from django.db import models
from django.utils import translation

from analytics import metrics
from scrm.lib.privacy import classes_of, textual_fields

OURS = (
    "tenants", "ledger", "accounts", "wecom_bridge", "conditions", "contacts", "commerce", "tagging", "campaigns", "analytics",
)  # fmt: skip
LEAD = """\
Shared tables (`tenants`) live in the public schema; `accounts` exists in both; all else lives once per tenant, in the
tenant's own schema. Nothing points across schemas by foreign key. The class column is the personal-data class: `personal`
is masked by default, exported and erased with the person; `secret` is encrypted; `credential` is a hash that lets somebody
in, never shown and never exported; `none` is safe in logs.
"""
HEADER = "<!-- Made by `manage.py write_docs`; edit the models instead. -->\n"


def documents() -> dict[str, str]:
    """File name under docs/ → its text."""
    with translation.override("zh-hans"):
        return {"data-model.md": data_model(), "metrics.md": metric_dictionary()}


def metric_dictionary() -> str:
    """The metric dictionary as a page."""
    lead = "Every number of pages, exports and the API is one of these."
    return f"{HEADER}# Metric dictionary\n\n{lead}\n\n{metrics.as_markdown()}"


def data_model() -> str:
    """A diagram and a table per app: columns, type, personal-data class, what it points to, constraints."""
    parts = [
        HEADER,
        "# Data model\n\n",
        LEAD,
    ]
    for label in OURS:
        found = [model for model in apps.get_app_config(label).get_models() if not model._meta.proxy]
        if found:
            parts.append(f"\n## {label}\n\n{_diagram(found)}\n")
            parts += [_table(model) for model in found]
    return "".join(parts)


def _diagram(found: list[type[models.Model]]) -> str:
    lines = ["```mermaid", "erDiagram"]
    for model in found:
        for field in _relations(model):
            target = field.related_model._meta.object_name
            kind = "o|" if field.null else "||"
            many = "|o" if field.one_to_one else "}o"
            lines.append(f'  {model._meta.object_name} {many}--{kind} {target} : "{field.name}"')
    lines += [f"  {model._meta.object_name}" for model in found]
    return "\n".join([*lines, "```"])


def _relations(model: type[models.Model]) -> Iterator[models.ForeignKey]:
    for field in model._meta.local_fields:
        if isinstance(field, models.ForeignKey):
            yield field


def _table(model: type[models.Model]) -> str:
    written = (model.__doc__ or "").strip()
    made_by_django = written.startswith(f"{model._meta.object_name}(")
    sentence = "" if made_by_django or not written else f"{written.splitlines()[0]}\n\n"
    lines = [f"\n### {model._meta.object_name}\n\n{sentence}| Column | Type | Class |\n|---|---|---|"]
    classes = classes_of(model)
    textual = {field.name for field in textual_fields(model)}
    for field in model._meta.local_fields:
        label = classes.get(field.name, "none" if field.name in textual else "")
        lines.append(f"| {field.column} | {_type(field)} | {label} |")
    rules = [constraint.name for constraint in model._meta.constraints]
    if rules:
        lines.append(f"\nConstraints: {', '.join(f'`{name}`' for name in rules)}.")
    return "\n".join(lines) + "\n"


def _type(field: models.Field) -> str:
    name = field.get_internal_type()
    if isinstance(field, models.ForeignKey):
        name = f"→ {field.related_model._meta.label}"
    elif field.max_length:
        name = f"{name}({field.max_length})"
    return name + (", null" if field.null else "")
