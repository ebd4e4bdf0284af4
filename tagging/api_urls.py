"""API routes, under /api/v1/."""

from django.urls import path

from tagging.api import segments, tags

urlpatterns = [
    path("tags/", tags.TagViewSet.as_view({"get": "list", "post": "create"}), name="api_tags"),
    path(
        "tags/<int:pk>/",
        tags.TagViewSet.as_view({"get": "retrieve", "patch": "partial_update", "delete": "destroy"}),
        name="api_tag",
    ),
    path("tags/marks/", tags.TagMarks.as_view({"post": "create"}), name="api_tag_marks"),
    path("contacts/<int:pk>/tags/", tags.ContactTags.as_view({"get": "list"}), name="api_contact_tags"),
    path("segments/", segments.SegmentList.as_view(), name="api_segments"),
    path("segments/<int:pk>/", segments.SegmentDetail.as_view(), name="api_segment"),
    path("segments/<int:pk>/entries/", segments.SegmentEntries.as_view(), name="api_segment_entries"),
    path(
        "segments/<int:pk>/explain/", segments.SegmentExplain.as_view({"get": "retrieve"}), name="api_segment_explain"
    ),
    path("conditions/count/", segments.TreeCount.as_view({"post": "create"}), name="api_tree_count"),
    path("conditions/fields/", segments.FieldList.as_view({"get": "list"}), name="api_condition_fields"),
]
