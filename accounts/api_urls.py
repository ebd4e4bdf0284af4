"""API routes under /api/v1/ that belong to no app's resources."""

from django.urls import path

from accounts import api

urlpatterns = [
    path("schema/", api.SchemaView.as_view(), name="api_schema"),
    path("sandbox/quiet", api.QuietView.as_view(), name="api_sandbox_quiet"),
    path("sandbox/clock", api.ClockView.as_view(), name="api_sandbox_clock"),
]
