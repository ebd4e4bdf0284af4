"""Condition fields about people, their relations, groups and facts."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db.models import BooleanField, Case, DateTimeField, F, Q, QuerySet, Value, When
from django.utils.translation import gettext_lazy as _

from accounts.scope import DataScope
from conditions.operators import ValueType
from conditions.people import branches
from conditions.registry import Family, Field, Option, register, register_family
from conditions.tree import Leaf
from contacts import timeline
from contacts.customconditions import custom_field, custom_fields
from contacts.kinds import ADD_WAYS
from contacts.models import (
    Contact,
    Follow,
    GroupChat,
    GroupMembership,
    Member,
    Region,
    Relation,
    Stage,
    Store,
    TimelineEvent,
)
from contacts.queries import visible_groups, visible_members, visible_stores

PERSON, RELATION, FACTS = _("客户"), _("好友关系"), _("行为")
_SHOWN_STATES = 200


# --- One value per person -------------------------------------------------------------------------------------------


def _column(name: str) -> tuple[Callable[[datetime], Any], Callable[[Sequence[int]], Mapping[int, Any]]]:
    """(expression, reference reader) of a column of the root."""

    def read(root_ids: Sequence[int]) -> Mapping[int, Any]:
        return {person.pk: getattr(person, name) for person in Contact.objects.filter(pk__in=list(root_ids))}

    return lambda _now: F(name), read


def _simple(key: str, label: Any, kind: ValueType, column: str, **rest: Any) -> Field:
    expression, read = _column(column)
    return Field(key, label, rest.pop("group", PERSON), kind, read=read, expression=expression, **rest)


def _opted_out(now: datetime) -> Any:
    holds = Q(opt_out_since__isnull=False) & (Q(opt_out_until__isnull=True) | Q(opt_out_until__gt=now))
    return Case(When(holds, then=Value(True)), default=Value(False), output_field=BooleanField())


def _opt_out_ends(now: datetime) -> Any:
    return Case(When(opt_out_until__gt=now, then=F("opt_out_until")), default=None, output_field=DateTimeField())


def _read_opted_out(root_ids: Sequence[int]) -> Mapping[int, Any]:
    from scrm.lib import clock

    now = clock.now()
    found = {}
    for person in Contact.objects.filter(pk__in=list(root_ids)):
        until = person.opt_out_until
        found[person.pk] = person.opt_out_since is not None and (until is None or now < until)
    return found


def _read_region(root_ids: Sequence[int]) -> Mapping[int, Any]:
    people = Contact.objects.filter(pk__in=list(root_ids)).select_related("store")
    return {person.pk: person.store.region_id if person.store else None for person in people}


def _stages() -> list[Option]:
    return [Option(stage.pk, stage.name) for stage in Stage.objects.filter(is_archived=False)]


def _members() -> list[Option]:
    members = (
        Member.objects.filter(has_customer_contact=True).select_related("store").order_by("store__name", "name", "pk")
    )
    return [Option(member.pk, str(member), member.store.name if member.store else "") for member in members]


def _stores() -> list[Option]:
    stores = Store.objects.select_related("region").order_by("region__order", "name")
    return [Option(store.pk, store.name, store.region.name if store.region else "") for store in stores]


def _regions() -> list[Option]:
    return [Option(pk, name) for pk, name in Region.objects.order_by("order", "name").values_list("pk", "name")]


def _seen_regions(scope: DataScope) -> QuerySet[Region]:
    return Region.objects.filter(pk__in=visible_stores(scope).values("region"))


def _genders() -> list[Option]:
    return [Option(1, _("男")), Option(2, _("女")), Option(0, _("未知"))]


# --- Rows about a person ---------------------------------------------------------------------------------------------


def _follows() -> QuerySet[Any]:
    return Follow.objects.all()


def _active_follows() -> QuerySet[Any]:
    return Follow.objects.filter(relation=Relation.ACTIVE)


def _present() -> QuerySet[Any]:
    return GroupMembership.objects.filter(left_at__isnull=True, contact__isnull=False)


def _set_reader(model: Any, value: str, at: str, keep: Callable[[Any], bool] = lambda row: True) -> Any:
    def read(root_ids: Sequence[int]) -> Mapping[int, Any]:
        root_of = branches(root_ids)
        found: dict[int, list[tuple[Any, datetime]]] = defaultdict(list)
        for row in model.objects.filter(contact_id__in=list(root_of)):
            if keep(row):
                found[root_of[row.contact_id]].append((getattr(row, value), getattr(row, at)))
        return found

    return read


def _relations() -> list[Option]:
    return [Option(value, label) for value, label in Relation.choices]


def _ways() -> list[Option]:
    return [Option(code, label) for code, label in ADD_WAYS.items()]


def _states() -> list[Option]:
    states = Follow.objects.exclude(state="").order_by("state").values_list("state", flat=True).distinct()
    return [Option(state, state) for state in states[:_SHOWN_STATES]]


def _groups() -> list[Option]:
    groups = (
        GroupChat.objects.filter(dismissed_at__isnull=True)
        .select_related("store")
        .order_by("store__name", "name", "pk")
    )
    return [Option(group.pk, group.name or group.chat_id, group.store.name if group.store else "") for group in groups]


# --- Families --------------------------------------------------------------------------------------------------------


def _event(key: str) -> Field | None:
    """A kind of fact: how often within days, or never."""
    kind = key.removeprefix("event.")
    if all(known.key != kind for known in timeline.all_kinds()):
        return None

    def rows() -> QuerySet[Any]:
        return TimelineEvent.objects.filter(kind=kind, contact__isnull=False)

    def read(root_ids: Sequence[int]) -> Mapping[int, Any]:
        root_of = branches(root_ids)
        found: dict[int, list[tuple[datetime, Any]]] = defaultdict(list)
        for event in TimelineEvent.objects.filter(contact_id__in=list(root_of)):
            if event.kind == kind and event.contact_id:
                found[root_of[event.contact_id]].append((event.occurred_at, None))
        return found

    return Field(
        key,
        timeline.kind_of(kind).label,
        FACTS,
        ValueType.FACTS,
        read=read,
        rows=rows,
        at="occurred_at",
        unit=_("次"),
        permissions=(timeline.kind_of(kind).permission,),
    )


def _kinds() -> list[Option]:
    return [Option(kind.key, kind.label) for kind in timeline.all_kinds()]


def _event_rows() -> QuerySet[Any]:
    return TimelineEvent.objects.filter(contact__isnull=False)


def _read_events(root_ids: Sequence[int]) -> Mapping[int, Any]:
    root_of = branches(root_ids)
    found: dict[int, list[tuple[str, datetime]]] = defaultdict(list)
    for event in TimelineEvent.objects.filter(contact_id__in=list(root_of)):
        found[root_of[event.contact_id or 0]].append((event.kind, event.occurred_at))
    return found


def _sees_kinds(leaf: Leaf) -> list[str]:
    """Who asks for an order of events must be one who may see such events."""
    needed = {kind.key: kind.permission for kind in timeline.all_kinds()}
    return [needed[key] for key in leaf.value if key in needed]


def _read_share(root_ids: Sequence[int]) -> Mapping[int, Any]:
    return {pk: pk for pk in root_ids}


def _event_fields() -> list[Field]:
    return [field for kind in timeline.all_kinds() if (field := _event(f"event.{kind.key}")) is not None]


FIELDS = (
    _simple("contact.name", _("昵称"), ValueType.TEXT, "name", order=10),
    _simple("contact.gender", _("性别"), ValueType.CHOICE, "gender", options=_genders, order=20),
    _simple("contact.stage", _("生命周期阶段"), ValueType.CHOICE, "stage_id", options=_stages, order=30),
    _simple("contact.stage_since", _("进入当前阶段的时间"), ValueType.MOMENT, "stage_since", dirty_keys=("contact.stage",), order=31),
    _simple("contact.owner", _("归属导购"), ValueType.CHOICE, "owner_id", options=_members, offered=visible_members, order=40),
    _simple("contact.store", _("门店"), ValueType.CHOICE, "store_id", options=_stores, offered=visible_stores, order=41),
    Field(
        "contact.region", _("大区"), PERSON, ValueType.CHOICE, read=_read_region, expression=lambda _now: F("store__region_id"),
        options=_regions, offered=_seen_regions, dirty_keys=("contact.store",), order=42,
    ),
    _simple("contact.added_at", _("最近添加时间"), ValueType.MOMENT, "last_added_at", order=50),
    _simple("contact.first_added_at", _("首次添加时间"), ValueType.MOMENT, "first_added_at", dirty_keys=("contact.added_at",), order=51),
    _simple(
        "contact.friends", _("好友导购数"), ValueType.NUMBER, "active_follows", dirty_keys=("follow.relation", "contact.added_at"),
        unit=_("位"), order=60,
    ),
    Field(
        "contact.opt_out", _("免打扰"), PERSON, ValueType.FLAG, read=_read_opted_out, expression=_opted_out, boundary=_opt_out_ends,
        order=70,
    ),
    _simple("birthday", _("生日"), ValueType.ANNIVERSARY, "birthday", order=80),
    Field(
        "follow.relation", _("好友关系"), RELATION, ValueType.SET, read=_set_reader(Follow, "relation", "relation_since"),
        rows=_follows, value="relation", at="relation_since", options=_relations, order=10,
    ),
    Field(
        "follow.add_way", _("添加方式"), RELATION, ValueType.SET, read=_set_reader(Follow, "add_way", "added_at"), rows=_follows,
        value="add_way", at="added_at", options=_ways, dirty_keys=("follow.add_way", "contact.added_at"), order=20,
    ),
    Field(
        "follow.state", _("渠道"), RELATION, ValueType.SET,
        read=_set_reader(Follow, "state", "added_at", lambda row: row.state != ""),
        rows=lambda: Follow.objects.exclude(state=""), value="state", at="added_at", options=_states,
        dirty_keys=("follow.state", "contact.added_at"), order=30,
    ),
    Field(
        "follow.member", _("好友导购"), RELATION, ValueType.SET,
        read=_set_reader(Follow, "member_id", "added_at", lambda row: row.relation == Relation.ACTIVE), rows=_active_follows,
        value="member_id", at="added_at", options=_members, offered=visible_members, dirty_keys=("follow.relation", "contact.added_at"), order=40,
    ),
    Field(
        "group", _("所在客户群"), RELATION, ValueType.SET,
        read=_set_reader(GroupMembership, "group_id", "joined_at", lambda row: row.left_at is None), rows=_present, value="group_id",
        at="joined_at", options=_groups, offered=visible_groups, order=50,
    ),
    Field(
        "events", _("行为先后"), FACTS, ValueType.SEQUENCE, read=_read_events, rows=_event_rows, value="kind", at="occurred_at",
        options=_kinds, dirty_keys=lambda leaf: [f"event.{kind}" for kind in leaf.value], leaf_permissions=_sees_kinds, order=10,
    ),
    Field("share", _("随机分组"), PERSON, ValueType.SHARE, read=_read_share, expression=lambda _now: F("pk"), order=90),
)  # fmt: skip


def fill() -> None:
    """Register them, in AppConfig.ready()."""
    register(*FIELDS)
    register_family(Family("custom.", custom_field, custom_fields))
    register_family(Family("event.", _event, _event_fields))
