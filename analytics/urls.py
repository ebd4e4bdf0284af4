from django.urls import path

from analytics import views

app_name = "analytics"
urlpatterns = [
    path("", views.home_page, name="home"),
    path("reports/lifecycle/", views.lifecycle, name="lifecycle"),
    path("reports/lifecycle/rows/", views.lifecycle_rows, name="lifecycle_rows"),
    path("reports/funnel/", views.funnel, name="funnel"),
    path("reports/funnel/rows/<slug:metric>/", views.funnel_rows, name="funnel_rows"),
    path("reports/days/<slug:metric>/", views.day_rows, name="day_rows"),
    path("reports/metrics/", views.metric_list, name="metrics"),
]
