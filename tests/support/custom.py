"""Pages and options of custom fields."""

from typing import Any

from contacts.models import CustomField


def text(response: Any, status: int = 200) -> str:
    assert response.status_code == status, response.status_code
    return str(response.content.decode())


def ids_of(field: CustomField) -> dict[str, str]:
    return {option["label"]: option["id"] for option in CustomField.objects.get(pk=field.pk).options}


def form_of(page: Any, **answers: Any) -> dict[str, Any]:
    """What the form of a page would send, with other answers."""
    form = page.context["form"]
    sent = {name: form[name].value() for name in form.fields}
    return {name: value for name, value in (sent | answers).items() if value not in (None, False)}
