"""API routes, under /api/v1/."""

from django.urls import path

from commerce import api

urlpatterns = [
    path("orders/", api.OrderViewSet.as_view({"get": "list", "post": "create"}), name="api_orders"),
    path("orders/refunds/", api.OrderViewSet.as_view({"post": "refund"}), name="api_refunds"),
    path("orders/<int:pk>/", api.OrderViewSet.as_view({"get": "retrieve"}), name="api_order"),
]
