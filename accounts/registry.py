"""What accounts puts into the registries of lower layers."""

from accounts.presets import seed_roles
from tenants import provision


def fill() -> None:
    """Called once, from AppConfig.ready()."""
    provision.register_seed("accounts.roles", seed_roles)
