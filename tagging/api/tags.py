"""/api/v1/: the tag dictionary, who carries what, and putting tags on people."""

from collections import defaultdict
from typing import Any

from django.db import transaction
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api_base import ApiViewSet, ReadViewSet
from contacts.bulk import Outcome
from contacts.models import Contact
from contacts.services import bulk
from scrm.lib import clock
from scrm.lib.errors import UserError
from tagging.models import FollowTag, Tag, TagGroup
from tagging.queries import follows_to_mark, live_tags, marks_of_person
from tagging.services import dictionary
from tagging.services.bulk import mark_people
from tagging.services.exclusive import rivals_among
from tagging.services.marks import refuse_tags

MAX_BATCH = 500


class TagData(serializers.ModelSerializer[Tag]):
    """A tag. wecom_tag_id is null for internal ones and for those on their way to WeCom; is_ours: it may be renamed and deleted."""

    group = serializers.CharField(source="group.name")
    kind = serializers.CharField(source="group.kind")

    class Meta:
        model = Tag
        fields = ("id", "name", "group", "group_id", "kind", "wecom_tag_id", "order", "is_ours", "last_error")


class NewTagForm(serializers.Serializer[Any]):
    """A new tag of a group that stands."""

    group_id = serializers.IntegerField(min_value=1)
    name = serializers.CharField(max_length=30)


class TagNameForm(serializers.Serializer[Any]):
    """A tag's new name."""

    name = serializers.CharField(max_length=30)


class TagViewSet(ReadViewSet):
    """Every tag that stands. What WeCom made elsewhere can be put on people, not renamed or deleted."""

    required_scope = "tags"
    serializer_class = TagData
    queryset = Tag.objects.none()

    def get_queryset(self) -> Any:
        return live_tags()

    @extend_schema(request=NewTagForm, responses={201: TagData})
    def create(self, request: Request) -> Response:
        """A tag in a corp group is on its way to WeCom: wecom_tag_id comes later, last_error says why it did not."""
        form = NewTagForm(data=request.data)
        form.is_valid(raise_exception=True)
        group = get_object_or_404(TagGroup, pk=form.validated_data["group_id"], deleted_at__isnull=True)
        dictionary.add_tags(group, [form.validated_data["name"]], by=self.actor)
        made = self.get_queryset().get(group=group, name=form.validated_data["name"].strip())
        return Response(TagData(made).data, status=201)

    @extend_schema(request=TagNameForm, responses=TagData)
    def partial_update(self, request: Request, pk: int) -> Response:
        """A new name, in WeCom too."""
        tag = get_object_or_404(self.get_queryset(), pk=pk)
        form = TagNameForm(data=request.data)
        form.is_valid(raise_exception=True)
        dictionary.rename_tag(tag, form.validated_data["name"], by=self.actor)
        return Response(TagData(self.get_queryset().get(pk=pk)).data)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: int) -> Response:
        """Gone from everybody; what reads the tag is 需修复. A corp tag goes when WeCom says so."""
        dictionary.delete_tag(get_object_or_404(self.get_queryset(), pk=pk), by=self.actor)
        return Response(status=204)


class MarkData(serializers.ModelSerializer[FollowTag]):
    """A tag on a relation: by whom it was put (origin, rule), and whether WeCom has it (state)."""

    tag = serializers.CharField(source="tag.name")
    userid = serializers.CharField(source="follow.member.userid")
    rule = serializers.CharField(source="rule.name", allow_null=True, default=None)

    class Meta:
        model = FollowTag
        fields = ("tag_id", "tag", "userid", "origin", "rule", "state", "tagged_at", "last_error")


class ContactTags(ApiViewSet):
    """The tags of a person."""

    required_scope = "tags"
    serializer_class = MarkData

    @extend_schema(responses=MarkData(many=True))
    def list(self, request: Request, pk: int) -> Response:
        """Every mark of her and of whoever was merged into her, with its origin."""
        contact = get_object_or_404(Contact, pk=pk, erased_at__isnull=True)
        return Response({"results": MarkData(marks_of_person(contact.root_pk), many=True).data})


class MarkForm(serializers.Serializer[Any]):
    """Tags for one person. whose: her owner's relation (owner), or every relation that stands (all)."""

    contact_id = serializers.IntegerField(min_value=1)
    add = serializers.ListField(child=serializers.IntegerField(min_value=1), max_length=50, default=list)
    remove = serializers.ListField(child=serializers.IntegerField(min_value=1), max_length=50, default=list)
    whose = serializers.ChoiceField(["owner", "all"], default="owner")


class MarkBatchForm(serializers.Serializer[Any]):
    """Up to 500 people."""

    marks = MarkForm(many=True, allow_empty=False, max_length=MAX_BATCH)


class MarkReport(serializers.Serializer[Any]):
    """changed: how many (relation, tag) pairs did. rejected: place in the batch → reason; the others were taken. change_id: the
    record of the batch among the bulk changes (批量操作记录), where whoever sees all stores can take it back for 24 hours; null when
    nothing changed."""

    changed = serializers.IntegerField()
    change_id = serializers.IntegerField(allow_null=True)
    rejected = serializers.DictField(child=serializers.CharField())


class TagMarks(ApiViewSet):
    """Put tags on people, or take them off; WeCom follows by itself, at its pace."""

    required_scope = "tags"
    serializer_class = MarkReport

    @extend_schema(request=MarkBatchForm, responses=MarkReport)
    def create(self, request: Request) -> Response:
        """Good rows are done, bad ones are told with their reason. Doing it again changes nothing. A person can take the batch back
        within 24 hours (change_id): what is still as it left it goes back."""
        form = MarkBatchForm(data=request.data)
        form.is_valid(raise_exception=True)
        return Response(MarkReport(_mark(form.validated_data["marks"], self)).data)


@transaction.atomic
def _mark(rows: list[dict[str, Any]], view: TagMarks) -> dict[str, Any]:
    rejected: dict[str, str] = {}
    taken: set[int] = set()
    people = Contact.objects.filter(pk__in={row["contact_id"] for row in rows}, erased_at__isnull=True)
    roots = {person.pk: person.root_pk for person in people}
    alike: dict[tuple[tuple[int, ...], tuple[int, ...], str], list[tuple[int, int]]] = defaultdict(list)
    for place, row in enumerate(rows):
        root_id = roots.get(row["contact_id"])
        reason = _("没有这位客户") if root_id is None else _("同一批里客户重复") if root_id in taken else _refusal(row)
        if reason or root_id is None:
            rejected[str(place)] = reason
        else:
            taken.add(root_id)
            key = tuple(sorted(set(row["add"]))), tuple(sorted(set(row["remove"]))), row["whose"]
            alike[key].append((place, root_id))
    changed, now, told = 0, clock.now(), Outcome()
    named = {
        "add": sorted({pk for key in alike for pk in key[0]}),
        "remove": sorted({pk for key in alike for pk in key[1]}),
    }
    change, reached = bulk.begin_record("tag", named, by=view.actor, at=now), set[int]()
    change_id = change.pk
    for (add, remove, whose), people_of in alike.items():
        try:
            refuse_tags([*add, *remove])
            if clash := rivals_among(add):
                raise UserError(clash)
        except UserError as error:
            rejected |= {str(place): str(error.message) for place, _root_id in people_of}
            continue
        follows = follows_to_mark([root_id for _place, root_id in people_of], whose)
        for place, root_id in people_of:
            if not follows.get(root_id):
                rejected[str(place)] = _("不是任何导购的好友,不能打标签")
        count, outcome = mark_people(
            follows, add, remove, origin=FollowTag.Origin.API, by=view.actor, at=now, via=f"bulk:{change.pk}"
        )
        changed += count
        told.changed |= outcome.changed
        told.refused |= outcome.refused
        reached |= follows.keys()
    is_kept = bulk.end_record(change, reached, told)
    return {"changed": changed, "rejected": rejected, "change_id": change_id if is_kept else None}


def _refusal(row: dict[str, Any]) -> str:
    if not row["add"] and not row["remove"]:
        return _("没有要打上或去掉的标签")
    return _("同一个标签不能既打上又去掉") if set(row["add"]) & set(row["remove"]) else ""
