"""Routes of the platform's console, on the public host."""

from django.urls import path

from console import views

urlpatterns = [
    path("", views.tenant_list, name="console_tenants"),
    path("tenants/new/", views.tenant_create, name="console_tenant_create"),
    path("tenants/<int:pk>/", views.tenant_detail, name="console_tenant"),
    path("tenants/<int:pk>/retry/", views.tenant_retry, name="console_tenant_retry"),
    path("tenants/<int:pk>/admin-link/", views.tenant_admin_link, name="console_tenant_admin_link"),
    path("tenants/<int:pk>/suspend/", views.tenant_suspend, name="console_tenant_suspend"),
    path("tenants/<int:pk>/resume/", views.tenant_resume, name="console_tenant_resume"),
    path("tenants/<int:pk>/drop/", views.tenant_drop, name="console_tenant_drop"),
    path("tenants/<int:pk>/hosts/", views.domain_add, name="console_domain_add"),
    path("tenants/<int:pk>/hosts/<int:domain_pk>/remove/", views.domain_remove, name="console_domain_remove"),
    path("audit/", views.audit_list, name="console_audit"),
]
