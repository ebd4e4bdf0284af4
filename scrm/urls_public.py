"""Routes of the platform's own host: the console, and the door WeCom's callbacks knock at."""

from django.urls import URLPattern, URLResolver, include, path

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("accounts.urls_session")),
    path("", include("console.urls")),
    path("", include("wecom_bridge.urls_public")),
]
