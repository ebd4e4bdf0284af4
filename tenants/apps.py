from django.apps import AppConfig
from django.contrib.contenttypes.management import create_contenttypes
from django.db.models.signals import post_migrate


class TenantsConfig(AppConfig):
    name = "tenants"

    def ready(self) -> None:
        # Nothing here points at a content type, and permissions are named by accounts.permissions: rows that Django would lay
        # into every schema after every migration, for nobody.
        post_migrate.disconnect(create_contenttypes)
        post_migrate.disconnect(dispatch_uid="django.contrib.auth.management.create_permissions")

        from scrm.lib.db import lookups
        from tenants import registry

        lookups.register()
        registry.fill()
