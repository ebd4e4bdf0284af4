"""/api/v1/: segments, who is in them and why; how many a tree holds for; the language as data."""

from typing import Any

from django.http import Http404
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import generics, serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api_base import ApiViewSet
from conditions import registry
from conditions.explain import explain
from conditions.registry import Asker, Field, Option, Trait
from conditions.render import in_words
from conditions.schema import ConditionInvalid, Problem, validate
from conditions.tree import leaves, parse
from contacts import custom
from contacts.models import Contact
from scrm.api import CursorPage
from scrm.lib import clock
from tagging.matching import count_matching
from tagging.models import Segment, SegmentEntry
from tagging.queries import live_segments

OPTIONS = 500  # of one field, shown in the list of fields


class SegmentRow(serializers.ModelSerializer[Segment]):
    """A segment; size and members are as of fresh_at."""

    class Meta:
        model = Segment
        fields = ("id", "name", "kind", "state", "size", "fresh_at", "last_error", "tree", "tree_version", "created_at")


class EntryRow(serializers.ModelSerializer[SegmentEntry]):
    """A root contact in a segment."""

    class Meta:
        model = SegmentEntry
        fields = ("contact_id", "entered_at")


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


class SegmentEntries(generics.ListAPIView[SegmentEntry]):
    """Who is in a segment, newest entries first."""

    required_scope = "segments"
    serializer_class = EntryRow
    pagination_class = _ByEntry

    def get_queryset(self) -> Any:
        if getattr(self, "swagger_fake_view", False):
            return SegmentEntry.objects.none()
        if not live_segments().filter(pk=self.kwargs["pk"]).exists():
            raise Http404
        return SegmentEntry.objects.filter(segment_id=self.kwargs["pk"])


class ClauseData(serializers.Serializer[Any]):
    """One line of an explanation, outermost first; holds: null where the token may not know it; fact: what is known of the person."""

    depth = serializers.IntegerField()
    words = serializers.CharField()
    holds = serializers.BooleanField(allow_null=True)
    fact = serializers.CharField()


class ExplanationData(serializers.Serializer[Any]):
    """is_member: as stored at fresh_at. clauses: as of `at`; none for a fixed list."""

    contact_id = serializers.IntegerField()
    is_member = serializers.BooleanField()
    entered_at = serializers.DateTimeField(allow_null=True)
    at = serializers.DateTimeField()
    clauses = ClauseData(many=True)


class SegmentExplain(ApiViewSet):
    """Why a person is in a segment, or is not."""

    required_scope = "segments"
    serializer_class = ExplanationData

    @extend_schema(parameters=[OpenApiParameter("contact_id", int, required=True)], responses=ExplanationData)
    def retrieve(self, request: Request, pk: int) -> Response:
        """Every clause with whether it holds and the fact used."""
        segment = get_object_or_404(live_segments(), pk=pk)
        given = request.query_params.get("contact_id", "")
        if not given.isdecimal() or len(given) > 18:
            raise ValidationError({"contact_id": ["a contact's id"]})
        contact = get_object_or_404(Contact, pk=int(given), erased_at__isnull=True)
        entry = SegmentEntry.objects.filter(segment=segment, contact_id=contact.root_pk).first()
        now = clock.now()
        clauses: Any = []
        if segment.kind == "dynamic":
            clauses = explain(_checked(segment.tree, request), contact.root_pk, now, asker_of(request))
        answer = {
            "contact_id": contact.root_pk,
            "is_member": entry is not None,
            "entered_at": entry.entered_at if entry else None,
            "at": now,
            "clauses": clauses,
        }
        return Response(ExplanationData(answer).data)


def asker_of(request: Request) -> Asker:
    """A token asks about what its scopes read: orders with orders:read, tags with tags:read. It holds no role, so that a field for some
    roles alone stays closed to it."""
    scopes = set(request.auth.scopes)  # type: ignore[union-attr]  # the token, see accounts.api_auth
    codes = {code for one in _askable() for code in one.permissions}
    return Asker(frozenset(code for code in codes if "*" in scopes or f"{_resource(code)}:read" in scopes), frozenset())


def _askable() -> list[Field | Trait]:
    fields = registry.all_fields()
    return [*fields, *(trait for field in fields for trait in field.traits)]


def _resource(code: str) -> str:
    return code.partition(".")[0]


def _hidden_keys() -> frozenset[str]:
    """Fields of the merchant's own that no token reads."""
    return frozenset(f"{prefix}{key}" for key in custom.api_hidden() for prefix in ("custom.", "yearly."))


def _checked(tree: Any, request: Request) -> dict[str, Any]:
    """The tree, when the token may ask all of it. Raises ConditionInvalid."""
    sound, hidden = validate(tree, asker_of(request)), _hidden_keys()
    closed = sorted({leaf.field for leaf in leaves(parse(sound))} & hidden)
    if closed:
        raise ConditionInvalid([Problem("root", _("字段 %(key)s 不对接口开放") % {"key": key}) for key in closed])
    return sound


class TreeForm(serializers.Serializer[Any]):
    """A condition tree, as docs/conditions.md defines it."""

    tree = serializers.JSONField()


class CountData(serializers.Serializer[Any]):
    """People (root contacts) the tree holds for at `at`, counted exactly; the tree in words."""

    count = serializers.IntegerField()
    at = serializers.DateTimeField()
    words = serializers.CharField()


class TreeCount(ApiViewSet):
    """How many people a tree holds for. Nothing is stored."""

    required_scope = "segments"
    serializer_class = CountData

    @extend_schema(request=TreeForm, responses=CountData)
    def create(self, request: Request) -> Response:
        """Count exactly. A tree that cannot be used is refused with the path of each problem."""
        form = TreeForm(data=request.data)
        form.is_valid(raise_exception=True)
        tree, now = _checked(form.validated_data["tree"], request), clock.now()
        answer = {"count": count_matching(tree, now), "at": now, "words": in_words(tree)}
        return Response(CountData(answer).data)


class FieldList(ApiViewSet):
    """What conditions can speak about: fields, their operators, traits and options."""

    required_scope = "segments"

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def list(self, request: Request) -> Response:
        """Every field of this merchant that the token may ask about; an unavailable one says why."""
        asker, hidden = asker_of(request), _hidden_keys()
        open_ones = [one for one in registry.all_fields() if not one.is_closed_to(asker) and one.key not in hidden]
        return Response({"results": [_field_data(field, asker) for field in open_ones]})


def _field_data(field: Field, asker: Asker) -> dict[str, Any]:
    return {
        "key": field.key,
        "label": str(field.label),
        "group": str(field.group),
        "type": field.type.value,
        "operators": [
            {"key": one.key, "label": str(one.label), "wants": one.wants, "window": one.window if field.takes_window(one) else "none"}
            for one in field.allowed
        ],
        "options": _options(field.options() if field.options else ()),
        "traits": [
            {"key": trait.key, "label": str(trait.label), "options": _options(trait.options())}
            for trait in field.traits
            if asker.permissions.issuperset(trait.permissions)
        ],
        "unavailable": str(field.why_unavailable),
    }  # fmt: skip


def _options(options: Any) -> list[dict[str, Any]]:
    shown: list[Option] = list(options)[:OPTIONS]
    return [{"value": one.value, "label": str(one.label), "group": str(one.group)} for one in shown]
