"""Values that exist: what a condition may name, with the heading a list shows it under."""

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from accounts.scope import DataScope
from conditions.registry import Option
from contacts.kinds import ADD_WAYS
from contacts.models import (
    ConsentRecord,
    Dealer,
    EndedBy,
    Follow,
    GroupChat,
    GroupTag,
    Member,
    Region,
    Relation,
    Stage,
    Store,
)
from contacts.queries import visible_stores
from scrm.lib.db.distinct import distinct_texts

_SHOWN_STATES = 200


def stages() -> list[Option]:
    """Stages in use."""
    return [Option(stage.pk, stage.name) for stage in Stage.objects.filter(is_archived=False)]


def members() -> list[Option]:
    """Guides who serve customers, under their stores."""
    rows = (
        Member.objects.filter(has_customer_contact=True).select_related("store").order_by("store__name", "name", "pk")
    )
    return [Option(member.pk, str(member), member.store.name if member.store else "") for member in rows]


def stores() -> list[Option]:
    """Stores, under their regions."""
    rows = Store.objects.select_related("region").order_by("region__order", "name")
    return [Option(store.pk, store.name, store.region.name if store.region else "") for store in rows]


def regions() -> list[Option]:
    """大区."""
    return [Option(pk, name) for pk, name in Region.objects.order_by("order", "name").values_list("pk", "name")]


def dealers() -> list[Option]:
    """经销商."""
    return [Option(pk, name) for pk, name in Dealer.objects.order_by("name").values_list("pk", "name")]


def seen_regions(scope: DataScope) -> QuerySet[Region]:
    """Regions of the stores that somebody sees."""
    return Region.objects.filter(pk__in=visible_stores(scope).values("region"))


def seen_dealers(scope: DataScope) -> QuerySet[Dealer]:
    """Dealers of the stores that somebody sees."""
    return Dealer.objects.filter(pk__in=visible_stores(scope).values("dealer"))


def genders() -> list[Option]:
    """As WeCom numbers them."""
    return [Option(1, _("男")), Option(2, _("女")), Option(0, _("未知"))]


def relations() -> list[Option]:
    """States of a relation."""
    return [Option(value, label) for value, label in Relation.choices]


def enders() -> list[Option]:
    """Who ended an adding."""
    return [Option(value, label) for value, label in EndedBy.choices]


def ways() -> list[Option]:
    """As WeCom numbers them."""
    return [Option(code, label) for code, label in ADD_WAYS.items()]


def states() -> list[Option]:
    """渠道: the first 200 that follows carry."""
    return [Option(state, state) for state in distinct_texts(Follow, "state", _SHOWN_STATES)]


def groups() -> list[Option]:
    """Groups that stand, under their stores."""
    rows = (
        GroupChat.objects.filter(dismissed_at__isnull=True)
        .select_related("store")
        .order_by("store__name", "name", "pk")
    )
    return [Option(group.pk, group.name or group.chat_id, group.store.name if group.store else "") for group in rows]


def group_tags() -> list[Option]:
    """群标签, under their sets."""
    rows = GroupTag.objects.select_related("tag_set").order_by("tag_set__name", "name")
    return [Option(tag.pk, tag.name, tag.tag_set.name if tag.tag_set else "") for tag in rows]


def decisions() -> list[Option]:
    """What a record of consent says."""
    asked = (ConsentRecord.Decision.GIVEN, ConsentRecord.Decision.WITHDRAWN)
    return [Option(decision.value, decision.label) for decision in asked]
