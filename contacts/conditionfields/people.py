"""Fields with one value per person: columns of the root, what stands behind them, and whether something is noted of her."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from django.db.models import BooleanField, Case, DateTimeField, Exists, F, OuterRef, Q, Subquery, Value, When
from django.db.models.functions import Least, TruncDate
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from conditions import windows
from conditions.operators import ValueType
from conditions.people import branches
from conditions.registry import Field
from conditions.tree import Leaf
from contacts.conditionfields import options
from contacts.conditionfields.times import midnight
from contacts.models import ConsentRecord, Contact, ContactPhone, Follow, Member, Relation, StageTransition
from contacts.queries import visible_members, visible_stores
from contacts.scopes import is_open
from scrm.lib import clock

PERSON, RELATION = _("客户"), _("好友关系")
GONE = (Member.Status.LEFT, Member.Status.DISABLED)
Reader = Callable[[Sequence[int]], Mapping[int, Any]]


# --- Columns -----------------------------------------------------------------------------------------------------


def _column(name: str) -> tuple[Callable[[datetime], Any], Reader]:
    """(expression, reference reader) of a column of the root."""

    def read(root_ids: Sequence[int]) -> Mapping[int, Any]:
        return {person.pk: getattr(person, name) for person in Contact.objects.filter(pk__in=list(root_ids))}

    return lambda _now: F(name), read


def _simple(key: str, label: Any, kind: ValueType, column: str, **rest: Any) -> Field:
    expression, read = _column(column)
    return Field(key, label, PERSON, kind, read=read, expression=expression, **rest)


def _flag(holds: Any) -> Any:
    return Case(When(holds, then=Value(True)), default=Value(False), output_field=BooleanField())


def _of_family(rows: Any) -> Q:
    """That she or somebody merged into her has such a row. Two probes, each by an index."""
    return Q(Exists(rows.filter(contact=OuterRef("pk")))) | Q(Exists(rows.filter(contact__root=OuterRef("pk"))))


def _people(root_ids: Sequence[int], *related: str) -> list[Contact]:
    rows = Contact.objects.filter(pk__in=list(root_ids))
    return list(rows.select_related(*related) if related else rows)


def _stage_source(root_id: int, leaf: Leaf) -> str:
    """2026-02-03 10:20 起,来自规则."""
    latest = StageTransition.objects.filter(contact_id=root_id).order_by("-changed_at", "-pk").first()
    if latest is None:
        return ""
    return gettext("%(at)s 起,来自%(source)s") % {
        "at": windows.in_words(latest.changed_at),
        "source": latest.get_source_display(),
    }


def _opted_out(now: datetime) -> Any:
    return _flag(Q(opt_out_since__lte=now) & (Q(opt_out_until__isnull=True) | Q(opt_out_until__gt=now)))


def _opt_out_ends(now: datetime) -> Any:
    turns = (When(**{f"{column}__gt": now}, then=F(column)) for column in ("opt_out_since", "opt_out_until"))
    return Case(*turns, default=None, output_field=DateTimeField())


def _read_opted_out(root_ids: Sequence[int]) -> Mapping[int, Any]:
    now = clock.now()
    found = {}
    for person in _people(root_ids):
        until = person.opt_out_until
        since = person.opt_out_since
        found[person.pk] = since is not None and since <= now and (until is None or now < until)
    return found


def _added_day(_now: datetime) -> Any:
    return TruncDate("first_added_at", tzinfo=windows.zone())


def _read_added_day(root_ids: Sequence[int]) -> Mapping[int, Any]:
    zone = windows.zone()
    return {one.pk: one.first_added_at.astimezone(zone).date() for one in _people(root_ids) if one.first_added_at}


# --- Her store and her guide -------------------------------------------------------------------------------------


def _read_region(root_ids: Sequence[int]) -> Mapping[int, Any]:
    return {one.pk: one.store.region_id if one.store else None for one in _people(root_ids, "store")}


def _read_dealer(root_ids: Sequence[int]) -> Mapping[int, Any]:
    return {one.pk: one.store.dealer_id if one.store else None for one in _people(root_ids, "store")}


def _today(now: datetime) -> date:
    return now.astimezone(windows.zone()).date()


def _store_open(now: datetime) -> Any:
    return _flag(Q(store__isnull=False) & is_open(_today(now), "store__"))


def _store_turns(now: datetime) -> Any:
    """The next day on which her store opens or closes for good, as it is planned."""
    today = _today(now)
    return Least(
        *(
            Case(When(**{f"store__{day}__gt": today}, then=midnight(F(f"store__{day}"))), output_field=DateTimeField())
            for day in ("opened_on", "closed_on")
        )
    )


def _read_store_open(root_ids: Sequence[int]) -> Mapping[int, Any]:
    today = _today(clock.now())
    found = {}
    for person in _people(root_ids, "store"):
        store = person.store
        found[person.pk] = (
            store is not None
            and store.is_open
            and store.archived_at is None
            and (store.opened_on is None or store.opened_on <= today)
            and (store.closed_on is None or store.closed_on > today)
        )
    return found


def _owner_left(_now: datetime) -> Any:
    return _flag(Q(owner__status__in=GONE))


def _read_owner_left(root_ids: Sequence[int]) -> Mapping[int, Any]:
    return {one.pk: one.owner is not None and one.owner.status in GONE for one in _people(root_ids, "owner")}


# --- What is noted of her ----------------------------------------------------------------------------------------


def _has_phone(_now: datetime) -> Any:
    return _flag(_of_family(ContactPhone.objects.all()))


def _read_has_phone(root_ids: Sequence[int]) -> Mapping[int, Any]:
    root_of = branches(root_ids)
    return {root_of[phone.contact_id]: True for phone in ContactPhone.objects.filter(contact_id__in=list(root_of))}


def _remarked(_now: datetime) -> Any:
    noted = Follow.objects.filter(relation=Relation.ACTIVE, member=OuterRef("owner_id")).exclude(remark="")
    return _flag(_of_family(noted))


def _read_remarked(root_ids: Sequence[int]) -> Mapping[int, Any]:
    root_of = branches(root_ids)
    owners = {one.pk: one.owner_id for one in _people(root_ids)}
    found = {}
    for follow in Follow.objects.filter(contact_id__in=list(root_of)):
        root_id = root_of[follow.contact_id]
        if follow.relation == Relation.ACTIVE and follow.remark != "" and follow.member_id == owners[root_id]:
            found[root_id] = True
    return found


def _consent(purpose: ConsentRecord.Purpose, order: int) -> Field:
    """The last word on a purpose, as services.consents has it."""

    def expression(_now: datetime) -> Any:
        rows = ConsentRecord.objects.filter(purpose=purpose)
        family = Contact.objects.filter(Q(pk=OuterRef(OuterRef("pk"))) | Q(root=OuterRef(OuterRef("pk"))))
        last = rows.filter(contact__in=family.values("pk")).order_by("-decided_at", "-pk")
        # Few were ever asked: nobody else's words are looked for.
        return Case(When(_of_family(rows), then=Subquery(last.values("decision")[:1])), default=None)

    def read(root_ids: Sequence[int]) -> Mapping[int, Any]:
        root_of = branches(root_ids)
        rows = ConsentRecord.objects.filter(contact_id__in=list(root_of))
        said = sorted((row for row in rows if row.purpose == purpose), key=lambda row: (row.decided_at, row.pk))
        return {root_of[row.contact_id]: row.decision for row in said}

    return Field(
        f"consent.{purpose.value}", CONSENTS[purpose], PERSON, ValueType.CHOICE, read=read, expression=expression,
        options=options.decisions, order=order,
    )  # fmt: skip


CONSENTS = {
    ConsentRecord.Purpose.MESSAGES: _("同意接收群发消息"),
    ConsentRecord.Purpose.PROFILE: _("同意个性化推荐与打标签"),
    ConsentRecord.Purpose.SHARING: _("同意提供给经销商或合作方"),
}

FIELDS = (
    _simple("contact.name", _("昵称"), ValueType.TEXT, "name", order=10),
    _simple("contact.gender", _("性别"), ValueType.CHOICE, "gender", options=options.genders, order=20),
    _simple("contact.stage", _("生命周期阶段"), ValueType.CHOICE, "stage_id", source=_stage_source, options=options.stages, order=30),
    _simple("contact.stage_since", _("进入当前阶段的时间"), ValueType.MOMENT, "stage_since", dirty_keys=("contact.stage",), order=31),
    _simple("contact.owner", _("归属导购"), ValueType.CHOICE, "owner_id", options=options.members, offered=visible_members, order=40),
    Field(
        "contact.owner_left", _("归属导购已离职或停用"), PERSON, ValueType.FLAG, read=_read_owner_left, expression=_owner_left,
        dirty_keys=("contact.owner", "contact.owner_left"), order=41,
    ),
    _simple("contact.store", _("门店"), ValueType.CHOICE, "store_id", options=options.stores, offered=visible_stores, order=42),
    Field(
        "contact.region", _("大区"), PERSON, ValueType.CHOICE, read=_read_region, expression=lambda _now: F("store__region_id"),
        options=options.regions, offered=options.seen_regions, dirty_keys=("contact.store",), order=43,
    ),
    Field(
        "contact.dealer", _("经销商"), PERSON, ValueType.CHOICE, read=_read_dealer, expression=lambda _now: F("store__dealer_id"),
        options=options.dealers, offered=options.seen_dealers, dirty_keys=("contact.store",), order=44,
    ),
    Field(
        "contact.store_open", _("门店营业中"), PERSON, ValueType.FLAG, read=_read_store_open, expression=_store_open,
        boundary=_store_turns, dirty_keys=("contact.store", "contact.store_open"), order=45,
    ),
    _simple("contact.added_at", _("最近添加时间"), ValueType.MOMENT, "last_added_at", order=50),
    _simple("contact.first_added_at", _("首次添加时间"), ValueType.MOMENT, "first_added_at", dirty_keys=("contact.added_at",), order=51),
    Field(
        "added_day", _("添加周年"), PERSON, ValueType.ANNIVERSARY, read=_read_added_day, expression=_added_day,
        dirty_keys=("contact.added_at",), follows=F("first_added_at"), order=52,
    ),
    _simple(
        "contact.friends", _("好友导购数"), ValueType.NUMBER, "active_follows", dirty_keys=("follow.relation", "contact.added_at"),
        unit=_("位"), order=60,
    ),
    Field(
        "contact.opt_out", _("免打扰"), PERSON, ValueType.FLAG, read=_read_opted_out, expression=_opted_out, boundary=_opt_out_ends,
        order=70,
    ),
    Field(
        "contact.has_phone", _("有手机号"), PERSON, ValueType.FLAG, read=_read_has_phone, expression=_has_phone, order=71,
    ),
    _simple("birthday", _("生日"), ValueType.ANNIVERSARY, "birthday", order=80),
    *(_consent(purpose, 90 + place) for place, purpose in enumerate(CONSENTS)),
    Field(
        "follow.remark", _("归属导购写了备注"), RELATION, ValueType.FLAG, read=_read_remarked, expression=_remarked,
        dirty_keys=("follow.remark", "follow.relation", "contact.owner"), order=45,
    ),
)  # fmt: skip
