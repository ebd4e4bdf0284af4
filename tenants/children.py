"""What the processes of `manage.py upgrade --parallel` run. Imports no model: a fresh process unpickles this before set-up."""


def begin(database: str) -> None:
    """Settings from the environment, but the parent's database."""
    import django

    django.setup()
    from django.db import connections

    connections["default"].settings_dict["NAME"] = database


def upgrade_child(tenant_id: int) -> str:
    """tenants.upgrade.upgrade_one in this process."""
    from tenants.upgrade import upgrade_one

    return upgrade_one(tenant_id)
