"""The filters and columns that the customer list has by itself."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.scope import DataScope
from contacts import custom, listing
from contacts.models import Contact, ContactPhone, CustomField, Follow, Member, Relation, Stage, Store
from contacts.phones import normalise_phone
from contacts.queries import family_of, visible_members, visible_stores
from contacts.services.opt_out import is_opted_out
from contacts.services.search import matching
from scrm.lib import clock

_RELATIONS = (
    ("active", _("仍是好友")),
    (Relation.DELETED_BY_CUSTOMER.value, _("客户删")),
    (Relation.DELETED_BY_GUIDE.value, _("导购删")),
    (Relation.TRANSFERRED.value, _("已转移")),
    ("none", _("已无好友关系")),
)


def search_people(people: Any, text: str) -> Any:
    """Each word must occur in the names, remarks, pinyin or phone tails, one of two letters at the beginning of a word; a
    whole phone number is looked up as such."""
    phone = normalise_phone(text)
    if phone:
        found = ContactPhone.objects.filter(phone=phone)
        return people.filter(Q(pk__in=found.values("contact_id")) | Q(pk__in=found.values("contact__root_id")))
    for word in text.lower().split()[:5]:
        people = people.filter(matching(word))
    return people


def _by_number(column: str) -> Any:
    def apply(people: Any, value: str) -> Any:
        if value == "none":
            return people.filter(**{f"{column}__isnull": True})
        return people.filter(**{column: int(value)}) if value.isdecimal() and len(value) < 19 else people.none()

    return apply


def _by_relation(people: Any, value: str) -> Any:
    if value == "active":
        return people.filter(active_follows__gt=0)
    if value == "none":
        return people.filter(active_follows=0)
    if value not in Relation.values:
        return people.none()
    # Told twice that it ended: the index of ended relations is found by that.
    ended = Follow.objects.filter(~Q(relation=Relation.ACTIVE), relation=value).values("contact_id")
    merged = Contact.objects.filter(root__isnull=False, pk__in=ended).values("root_id")
    return people.filter(Q(pk__in=ended) | Q(pk__in=merged))


def _stores(scope: DataScope) -> list[listing.Option]:
    return [
        (str(pk), name)
        for pk, name in visible_stores(scope)
        .filter(archived_at__isnull=True)
        .order_by("name")
        .values_list("pk", "name")
    ]


def _guides(scope: DataScope) -> list[listing.Option]:
    members = visible_members(scope).filter(has_customer_contact=True).order_by("name", "userid")[:500]
    return [(str(member.pk), str(member)) for member in members]


def _stages(_scope: DataScope) -> list[listing.Option]:
    stages = Stage.objects.filter(is_archived=False).values_list("pk", "name")
    return [(str(pk), name) for pk, name in stages] + [("none", str(_("无阶段")))]


def _name_in(model: Any) -> Any:
    def label(value: str) -> str | None:
        if value == "none":
            return str(_("无"))
        row = model.objects.filter(pk=value).first() if value.isdecimal() and len(value) < 19 else None
        return str(row) if row else None

    return label


def _relation_name(value: str) -> str | None:
    label = dict(_RELATIONS).get(value)
    return None if label is None else str(label)


def _guide_column(people: Sequence[Contact]) -> Mapping[int, Any]:
    return {person.pk: person for person in people}


def _relation_column(people: Sequence[Contact]) -> Mapping[int, Any]:
    """Friends now, or how the latest relation ended."""
    family = family_of(person.pk for person in people)
    latest: dict[int, Follow] = {}
    follows = Follow.objects.filter(contact_id__in=family).only("contact_id", "relation", "relation_since")
    for follow in follows.order_by("relation_since", "pk"):
        latest[family[follow.contact_id]] = follow
    return {person.pk: relation_pill(person, latest.get(person.pk)) for person in people}


def _stay_column(people: Sequence[Contact]) -> Mapping[int, Any]:
    """Days in the stage of today."""
    now = clock.now()
    return {person.pk: (now - person.stage_since).days for person in people if person.stage_id and person.stage_since}


def _opt_out_column(people: Sequence[Contact]) -> Mapping[int, Any]:
    now = clock.now()
    return {person.pk: is_opted_out(person, now) for person in people}


def _custom_columns() -> list[listing.Column]:
    """Custom fields that the merchant wants in the list; of those that only some roles may see, none."""
    wanted = [field for field in custom.open_to_all(custom.fields_in_use()) if field.in_list]
    return [
        listing.Column(
            f"custom.{field.key}", field.label, 70, "contacts/_cell_custom.html", partial(_custom_column, field),
            css="num" if field.type in custom.NUMBERS else "", text=str, needs=("custom",),
        )
        for field in wanted
    ]  # fmt: skip


def _custom_column(field: CustomField, people: Sequence[Contact]) -> Mapping[int, Any]:
    return {person.pk: custom.masked(field, person.custom.get(field.key)) for person in people}


def relation_pill(person: Contact, latest: Follow | None) -> dict[str, Any]:
    """{text, tone} of a person's relations as a whole."""
    if person.active_follows:
        return {"text": Relation.ACTIVE.label, "tone": "ok"}
    if latest is None:
        return {"text": _("无好友关系"), "tone": "idle"}
    return {"text": Relation(latest.relation).label, "tone": "idle"}


def register() -> None:
    """Put them into the list."""
    for one in (
        listing.Filter("q", _("搜索"), 0, search_people),
        listing.Filter("store", _("门店"), 10, _by_number("store_id"), _stores, _name_in(Store)),
        listing.Filter("guide", _("归属导购"), 20, _by_number("owner_id"), _guides, _name_in(Member)),
        listing.Filter("stage", _("阶段"), 30, _by_number("stage_id"), _stages, _name_in(Stage)),
        listing.Filter(
            "relation", _("关系"), 50, _by_relation, lambda _scope: [(v, str(label)) for v, label in _RELATIONS], _relation_name,
        ),
    ):  # fmt: skip
        listing.register_filter(one)
    for column in (
        listing.Column("stage", _("阶段"), 10, "contacts/_cell_stage.html", _guide_column),
        listing.Column("owner", _("归属导购"), 20, "contacts/_cell_owner.html", _guide_column),
        listing.Column("added", _("添加时间"), 80, "contacts/_cell_added.html", _guide_column, css="fit"),
        listing.Column("relation", _("关系"), 90, "contacts/_cell_relation.html", _relation_column, css="fit"),
        # For whoever chooses them: all from the row itself.
        listing.Column("store", _("门店"), 25, "contacts/_cell_store.html", _guide_column, is_default=False),
        listing.Column("stay", _("阶段停留"), 12, "contacts/_cell_stay.html", _stay_column, css="num", is_default=False),
        listing.Column("first_added", _("首次添加"), 82, "contacts/_cell_first_added.html", _guide_column, css="fit", is_default=False),
        listing.Column("friends", _("好友导购"), 92, "contacts/_cell_friends.html", _guide_column, css="num", is_default=False),
        listing.Column("opt_out", _("免打扰"), 94, "contacts/_cell_opt_out.html", _opt_out_column, css="fit", is_default=False),
    ):  # fmt: skip
        listing.register_column(column)
    listing.register_columns(_custom_columns)
