"""Django's own apps with 64-bit ids.

Their configurations ask for 32-bit ones, and their migrations write them down; a column's type cannot change on a
distributed table. Their migrations here begin at today's tables (settings.MIGRATION_MODULES).
"""

from django.contrib.auth.apps import AuthConfig
from django.contrib.contenttypes.apps import ContentTypesConfig

_WIDE = "django.db.models.BigAutoField"


class WideAuthConfig(AuthConfig):
    default_auto_field = _WIDE


class WideContentTypesConfig(ContentTypesConfig):
    default_auto_field = _WIDE
