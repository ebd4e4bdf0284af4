"""A query in no scope, or a tenant's model in public scope, is a bug that must not reach the database."""

from typing import Any

from django.conf import settings
from django.db import models

from tenants.context import NoScope, current_scope
from tenants.sides import labels_of

# Models of both sides: in public they are the platform's, in a tenant the merchant's; never read without saying which.
_DUAL = labels_of(settings.DUAL_APPS)
_SHARED_ONLY = labels_of(settings.SHARED_APPS) - _DUAL


class ScopeRouter:
    """Refuses; never redirects. Migrations do not pass here."""

    def db_for_read(self, model: type[models.Model], **hints: Any) -> str | None:
        self._check(model)
        return None

    def db_for_write(self, model: type[models.Model], **hints: Any) -> str | None:
        self._check(model)
        return None

    def _check(self, model: type[models.Model]) -> None:
        label = model._meta.app_label
        if label in _SHARED_ONLY:
            return
        scope = current_scope()
        if label in _DUAL:
            if scope is None:
                raise NoScope(f"{model._meta.label} was queried outside tenant_scope() and public_scope()")
        elif scope is None or scope.tenant is None:
            raise NoScope(f"{model._meta.label} belongs to a tenant; enter tenant_scope() first")
