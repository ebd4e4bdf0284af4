"""Which apps stand in the shared schema, in each merchant's, or in both."""

from collections.abc import Collection

from django.apps import apps


def labels_of(entries: Collection[str]) -> set[str]:
    """Labels of the apps that a list of the settings names, by package or by configuration class."""
    return {
        config.label
        for config in apps.get_app_configs()
        if config.name in entries or f"{type(config).__module__}.{type(config).__name__}" in entries
    }
