"""Routes of the bridge on the platform's own host."""

from django.urls import path, re_path

from wecom_bridge.views.callback import callback
from wecom_bridge.views.status import metrics

urlpatterns = [
    path("metrics", metrics, name="metrics"),
    re_path(r"^wecom/cb/(?P<opaque>[A-Za-z0-9_-]{20,43})$", callback, name="wecom_callback"),
]
