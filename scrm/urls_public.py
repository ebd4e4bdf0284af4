"""Routes of the platform's own host: the console, and the door WeCom's callbacks knock at."""

from django.urls import URLPattern, URLResolver

urlpatterns: list[URLPattern | URLResolver] = []
