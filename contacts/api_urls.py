"""API routes, under /api/v1/."""

from django.urls import path

from contacts import api

urlpatterns = [
    path("contacts/", api.ContactViewSet.as_view({"get": "list"}), name="api_contacts"),
    path(
        "contacts/<int:pk>/",
        api.ContactViewSet.as_view({"get": "retrieve", "patch": "partial_update"}),
        name="api_contact",
    ),
    path("custom-fields/", api.CustomFieldViewSet.as_view({"get": "list"}), name="api_custom_fields"),
    path("groups/", api.GroupViewSet.as_view({"get": "list"}), name="api_groups"),
    path("groups/<int:pk>/", api.GroupViewSet.as_view({"get": "retrieve"}), name="api_group"),
    path("groups/<int:pk>/members/", api.GroupViewSet.as_view({"get": "members"}), name="api_group_members"),
    path("events/", api.EventViewSet.as_view({"get": "list"}), name="api_events"),
]
