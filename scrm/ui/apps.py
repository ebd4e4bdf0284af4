from django.apps import AppConfig


class UiConfig(AppConfig):
    name = "scrm.ui"
    label = "ui"
