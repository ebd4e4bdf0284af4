from django.urls import path

from commerce import views

app_name = "commerce"
urlpatterns = [
    path("orders/", views.order_list, name="order_list"),
    path("orders/bind/", views.bind_again, name="bind_again"),
    path("orders/<int:pk>/", views.order_page, name="order"),
    path("orders/<int:pk>/bind/", views.order_bind, name="order_bind"),
    path("orders/import/", views.import_page, name="import_new"),
    path("orders/import/template/", views.import_template, name="import_template"),
    path("orders/import/<int:pk>/", views.import_result, name="import"),
    path("orders/import/<int:pk>/status/", views.import_status, name="import_status"),
    path("orders/import/<int:pk>/rejects/", views.import_rejects, name="import_rejects"),
]
