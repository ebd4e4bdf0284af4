"""Routes of a tenant's host that only a tenant has."""

from django.urls import include, path

from accounts.views import books, people

urlpatterns = [
    path("", include("accounts.urls_session")),
    path("settings/roles/", people.role_list, name="roles"),
    path("settings/roles/new/", people.role_edit, name="role_create"),
    path("settings/roles/<int:pk>/", people.role_edit, name="role_edit"),
    path("settings/roles/<int:pk>/delete/", people.role_delete, name="role_delete"),
    path("settings/tokens/", books.token_list, name="tokens"),
    path("settings/tokens/<int:pk>/revoke/", books.token_revoke, name="token_revoke"),
    path("settings/retention/", books.retention_page, name="retention"),
    path("settings/audit/", books.audit_list, name="audit"),
]
