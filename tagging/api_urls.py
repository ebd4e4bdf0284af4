"""API routes, under /api/v1/."""

from django.urls import path

from tagging import api

urlpatterns = [
    path("tags/", api.TagList.as_view(), name="api_tags"),
    path("segments/", api.SegmentList.as_view(), name="api_segments"),
    path("segments/<int:pk>/", api.SegmentDetail.as_view(), name="api_segment"),
    path("segments/<int:pk>/members/", api.SegmentMembers.as_view(), name="api_segment_members"),
]
