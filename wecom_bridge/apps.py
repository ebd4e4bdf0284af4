from django.apps import AppConfig


class WecomBridgeConfig(AppConfig):
    name = "wecom_bridge"
