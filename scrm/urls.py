"""Routes of a tenant's host."""

from django.urls import URLPattern, URLResolver, include, path

from scrm.ui.views import style_page, style_phone_page

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("accounts.urls")),
    path("api/v1/", include("accounts.api_urls")),
    path("api/v1/", include("contacts.api_urls")),
    path("api/v1/", include("commerce.api_urls")),
    path("api/v1/", include("tagging.api_urls")),
    path("", include("analytics.urls")),
    path("", include("commerce.urls")),
    path("", include("contacts.urls")),
    path("", include("tagging.urls")),
    path("", include("wecom_bridge.urls")),
    path("", include("campaigns.urls")),
    path("style/", style_page, name="style"),
    path("style/phone/", style_phone_page, name="style_phone"),
]
