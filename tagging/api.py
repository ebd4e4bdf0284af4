"""/api/v1/: tags, segments and who is in them. Reading only."""

from typing import Any

from django.http import Http404
from rest_framework import generics, serializers

from scrm.api import CursorPage
from tagging.models import Segment, SegmentEntry, Tag
from tagging.queries import live_segments, live_tags


class TagRow(serializers.ModelSerializer[Tag]):
    """A tag. wecom_tag_id is null for internal ones and for those on their way to WeCom."""

    group = serializers.CharField(source="group.name")
    kind = serializers.CharField(source="group.kind")

    class Meta:
        model = Tag
        fields = ("id", "name", "group", "group_id", "kind", "wecom_tag_id", "order")


class SegmentRow(serializers.ModelSerializer[Segment]):
    """A segment; size and members are as of fresh_at."""

    class Meta:
        model = Segment
        fields = ("id", "name", "kind", "state", "size", "fresh_at", "last_error", "tree", "tree_version", "created_at")


class MemberRow(serializers.ModelSerializer[SegmentEntry]):
    """A root contact in a segment."""

    class Meta:
        model = SegmentEntry
        fields = ("contact_id", "entered_at")


class TagList(generics.ListAPIView[Tag]):
    """Every tag that stands."""

    required_scope = "tags"
    serializer_class = TagRow

    def get_queryset(self) -> Any:
        return live_tags()


class SegmentList(generics.ListAPIView[Segment]):
    """Every segment in use."""

    required_scope = "segments"
    serializer_class = SegmentRow

    def get_queryset(self) -> Any:
        return live_segments()


class SegmentDetail(generics.RetrieveAPIView[Segment]):
    """One segment."""

    required_scope = "segments"
    serializer_class = SegmentRow

    def get_queryset(self) -> Any:
        return live_segments()


class _ByEntry(CursorPage):
    ordering = "-id"


class SegmentMembers(generics.ListAPIView[SegmentEntry]):
    """Who is in a segment, newest entries first."""

    required_scope = "segments"
    serializer_class = MemberRow
    pagination_class = _ByEntry

    def get_queryset(self) -> Any:
        if getattr(self, "swagger_fake_view", False):
            return SegmentEntry.objects.none()
        if not live_segments().filter(pk=self.kwargs["pk"]).exists():
            raise Http404
        return SegmentEntry.objects.filter(segment_id=self.kwargs["pk"])
