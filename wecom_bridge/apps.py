from django.apps import AppConfig


class WecomBridgeConfig(AppConfig):
    name = "wecom_bridge"

    def ready(self) -> None:
        from wecom_bridge import registry

        registry.register()
