"""/api/v1/: contacts, groups and the feed of facts."""

from datetime import timedelta
from typing import Any

from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import mixins, serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api_base import ApiViewSet, ReadViewSet
from contacts import custom as custom_fields
from contacts.models import (
    Contact,
    CustomField,
    FactSource,
    Follow,
    GroupChat,
    GroupMembership,
    Identity,
    TimelineEvent,
)
from contacts.services.details import change_details
from scrm.api import CursorPage
from scrm.lib import clock

# Facts are shown once every transaction that could still add an earlier one has ended: a reader who goes on from her cursor
# misses none.
SETTLED_AFTER = timedelta(seconds=60)


class IdentityRow(serializers.ModelSerializer[Identity]):
    """An id of the person; scope: the corp id for external, the open-platform account for unionid."""

    class Meta:
        model = Identity
        fields = ("kind", "scope", "value")


class FollowRow(serializers.ModelSerializer[Follow]):
    """A relation with a guide. relation: active, by_customer, by_guide, transferred, unknown."""

    userid = serializers.CharField(source="member.userid")
    external_userid = serializers.CharField(source="identity.value")

    class Meta:
        model = Follow
        fields = (
            "id",
            "userid",
            "external_userid",
            "relation",
            "relation_since",
            "added_at",
            "add_way",
            "state",
            "remark",
        )


class ContactRow(serializers.ModelSerializer[Contact]):
    """A person (root of merged contacts)."""

    stage = serializers.SlugRelatedField("key", read_only=True)
    owner = serializers.SlugRelatedField("userid", read_only=True)
    store = serializers.SlugRelatedField("code", read_only=True)
    custom = serializers.SerializerMethodField()

    class Meta:
        model = Contact
        fields = (
            "id", "name", "gender", "stage", "stage_since", "owner", "store", "active_follows", "first_added_at", "last_added_at",
            "opt_out_since", "opt_out_until", "birthday", "custom", "updated_at",
        )  # fmt: skip
        read_only_fields = tuple(name for name in fields if name != "birthday")

    @extend_schema_field(OpenApiTypes.OBJECT)
    def get_custom(self, contact: Contact) -> dict[str, Any]:
        """By key, typed as /custom-fields/ says; without the fields that are closed to the API."""
        hidden = self.context["hidden"]
        return {key: value for key, value in contact.custom.items() if key not in hidden}


class ContactDetail(ContactRow):
    """With identities and relations, those of merged contacts included."""

    identities = serializers.SerializerMethodField()
    follows = serializers.SerializerMethodField()

    class Meta:
        model = Contact
        fields = (*ContactRow.Meta.fields, "identities", "follows")
        read_only_fields = tuple(name for name in fields if name != "birthday")

    @extend_schema(responses=IdentityRow(many=True))
    def get_identities(self, contact: Contact) -> Any:
        rows = Identity.objects.filter(contact_id__in=_family(contact)).order_by("pk")
        return IdentityRow(rows, many=True).data

    @extend_schema(responses=FollowRow(many=True))
    def get_follows(self, contact: Contact) -> Any:
        rows = (
            Follow.objects.filter(contact_id__in=_family(contact)).select_related("member", "identity").order_by("pk")
        )
        return FollowRow(rows, many=True).data


def _family(contact: Contact) -> list[int]:
    return [contact.pk, *contact.branches.values_list("pk", flat=True)]


class DetailsForm(serializers.Serializer[Any]):
    """What an application may write: custom fields (null removes one) and the birthday.

    A custom value is of its field's type (/custom-fields/), or a text that says it: 12.5 or "12.5", true or "是", the id or the label
    of an option, a list of them. A key that nobody defined takes a text.
    """

    custom = serializers.DictField(child=serializers.JSONField(allow_null=True), required=False)
    birthday = serializers.DateField(required=False, allow_null=True)


class ContactViewSet(ReadViewSet):
    """People, newest first. ?updated_since= (ISO 8601), ?external_userid=, ?unionid=."""

    required_scope = "contacts"
    queryset = Contact.objects.none()

    def get_serializer_class(self) -> Any:
        return ContactDetail if self.action in ("retrieve", "partial_update") else ContactRow

    def get_queryset(self) -> Any:
        people = Contact.objects.filter(root__isnull=True).select_related("stage", "owner", "store")
        query = self.request.query_params
        since = _moment(query.get("updated_since", ""), "updated_since")
        if since:
            people = people.filter(updated_at__gte=since)
        for kind, parameter in (("external", "external_userid"), ("unionid", "unionid")):
            value = query.get(parameter)
            if value:
                found = Identity.objects.filter(kind=kind, value=value).values_list("contact_id", "contact__root_id")
                people = people.filter(pk__in=[root_id or pk for pk, root_id in found])
        return people

    def get_serializer_context(self) -> dict[str, Any]:
        return super().get_serializer_context() | {"hidden": custom_fields.api_hidden()}

    @extend_schema(parameters=[OpenApiParameter(name) for name in ("updated_since", "external_userid", "unionid")])
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().list(request, *args, **kwargs)

    @extend_schema(request=DetailsForm, responses=ContactDetail)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Write custom fields and the birthday."""
        contact = self.get_object()
        form = DetailsForm(data=request.data)
        form.is_valid(raise_exception=True)
        contact = change_details(
            contact.pk, by=self.actor, may=lambda field: field.api == CustomField.Api.WRITE, source=FactSource.API,
            **form.validated_data,
        )  # fmt: skip
        return Response(self.get_serializer(contact).data)


class CustomFieldRow(serializers.ModelSerializer[CustomField]):
    """A custom field. type: text, long, int, dec, date (2026-01-31), flag (true or false), one (an option's id), many (a list of
    them), phone (E.164), url. api: write, or read for a field that applications may only read."""

    options = serializers.SerializerMethodField()

    class Meta:
        model = CustomField
        fields = ("key", "label", "section", "type", "options", "is_required", "lowest", "highest", "max_length", "api")

    @extend_schema_field(OpenApiTypes.OBJECT)
    def get_options(self, field: CustomField) -> list[dict[str, Any]]:
        """[{id, label, archived}]; values may still name an archived one."""
        return [{"archived": False} | option for option in field.options]


class CustomFieldViewSet(ApiViewSet):
    """The custom fields that are open to the API, in order."""

    required_scope = "contacts"
    serializer_class = CustomFieldRow
    queryset = CustomField.objects.none()

    @extend_schema(responses=CustomFieldRow(many=True))
    def list(self, request: Request) -> Response:
        fields = CustomField.objects.filter(archived_at__isnull=True).exclude(api=CustomField.Api.NONE)
        return Response({"results": CustomFieldRow(fields, many=True).data})


class GroupRow(serializers.ModelSerializer[GroupChat]):
    """A customer group; dismissed_at is null while it stands."""

    owner = serializers.CharField(source="owner_userid")
    store = serializers.SlugRelatedField("code", read_only=True)

    class Meta:
        model = GroupChat
        fields = (
            "id",
            "chat_id",
            "name",
            "owner",
            "store",
            "status",
            "member_count",
            "customer_count",
            "created_at",
            "dismissed_at",
        )


class MembershipRow(serializers.ModelSerializer[GroupMembership]):
    """Somebody in a group, from joined_at to left_at. kind 1: a member of the corp, 2: a customer."""

    class Meta:
        model = GroupMembership
        fields = ("id", "kind", "userid", "name", "contact_id", "joined_at", "join_scene", "left_at", "quit_scene")


class GroupViewSet(ReadViewSet):
    """Customer groups, newest first."""

    required_scope = "groups"
    serializer_class = GroupRow
    queryset = GroupChat.objects.none()

    def get_queryset(self) -> Any:
        return GroupChat.objects.select_related("store")

    @extend_schema(responses=MembershipRow(many=True))
    def members(self, request: Request, pk: str) -> Response:
        """Who is or was in a group."""
        rows = self.get_object().memberships.all()
        page = self.paginate_queryset(rows)
        return self.get_paginated_response(MembershipRow(page, many=True).data)


class EventRow(serializers.ModelSerializer[TimelineEvent]):
    """A fact, with where everybody stood when it happened."""

    class Meta:
        model = TimelineEvent
        fields = (
            "id", "kind", "occurred_at", "recorded_at", "source", "contact_id", "group_id", "member_id", "store_id", "region_id",
            "dealer_id", "stage_id", "actor", "subject", "payload",
        )  # fmt: skip


class EventPage(CursorPage):
    """Oldest first: keep `next` and come again."""

    ordering = "id"


class EventViewSet(mixins.ListModelMixin, ApiViewSet):
    """The feed of facts, in the order of recording, about a minute behind. ?kind=, ?contact_id=, ?since= (recorded_at)."""

    required_scope = "events"
    serializer_class = EventRow
    pagination_class = EventPage
    queryset = TimelineEvent.objects.none()

    def get_queryset(self) -> Any:
        events = TimelineEvent.objects.filter(recorded_at__lte=clock.now() - SETTLED_AFTER)
        query = self.request.query_params
        if query.get("kind"):
            events = events.filter(kind=query["kind"])
        if query.get("contact_id"):
            if not query["contact_id"].isdecimal():
                raise ValidationError({"contact_id": _("应为数字编号")})
            events = events.filter(contact_id=int(query["contact_id"][:18]))
        since = _moment(query.get("since", ""), "since")
        return events.filter(recorded_at__gte=since) if since else events

    @extend_schema(
        parameters=[
            OpenApiParameter("kind"),
            OpenApiParameter("contact_id", OpenApiTypes.INT),
            OpenApiParameter("since"),
        ]
    )
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().list(request, *args, **kwargs)


def _moment(text: str, parameter: str) -> Any:
    """An ISO 8601 instant with its offset. Raises ValidationError."""
    if not text:
        return None
    try:
        moment = parse_datetime(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ValidationError({parameter: _("应为带时区的 ISO 8601 时间,例如 2026-01-31T18:30:00+08:00")})
    return moment
