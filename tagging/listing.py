"""What tags add to the customer list: a filter, a column, a bulk action."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.scope import DataScope
from contacts import export_columns, listing
from contacts.models import Contact
from tagging.queries import carried_marks, live_tags
from tagging.views import lists
from tagging.views.bulk import ask

SHOWN = 3


def _with_tag(people: Any, value: str) -> Any:
    """People any of whose active follows carries the tag."""
    if not value.isdecimal() or len(value) > 18:
        return people.none()
    marks = carried_marks().filter(tag_id=int(value))
    return people.filter(
        Q(pk__in=marks.filter(contact__root__isnull=True).values("contact_id"))
        | Q(pk__in=marks.filter(contact__root__isnull=False).values("contact__root_id"))
    )


def _options(scope: DataScope) -> Sequence[tuple[str, str]]:
    return [
        (str(tag.pk), f"{tag.group.name} · {tag.name}")
        for tag in live_tags().order_by("-group__order", "group_id", "-order")
    ]


def _label(value: str) -> str | None:
    tag = live_tags().filter(pk=int(value)).first() if value.isdecimal() and len(value) < 19 else None
    return tag.name if tag else None


def _names(people: Sequence[Contact]) -> Mapping[int, Any]:
    ids = [person.pk for person in people]
    found: dict[int, dict[int, str]] = {}
    marks = carried_marks().filter(Q(contact_id__in=ids) | Q(contact__root_id__in=ids))
    rows = marks.order_by("-tag__group__order", "tag_id").values_list(
        "contact_id", "contact__root_id", "tag_id", "tag__name"
    )
    for contact_id, root_id, tag_id, name in rows:
        found.setdefault(root_id or contact_id, {})[tag_id] = name
    return {
        pk: {"names": list(names.values())[:SHOWN], "more": max(0, len(names) - SHOWN)} for pk, names in found.items()
    }


def _all_names(page: export_columns.Page) -> Sequence[Any]:
    """Every tag of a person once, for a file."""
    marks = carried_marks().filter(contact_id__any_of=set(page.family))
    rows = marks.order_by("-tag__group__order", "tag_id").values_list("contact_id", "tag__name")
    found: dict[int, dict[str, None]] = {}
    for contact_id, name in rows:
        found.setdefault(page.family[contact_id], {})[name] = None
    return page.cells({pk: ";".join(names) for pk, names in found.items()})


def register() -> None:
    """Add them."""
    export_columns.register(export_columns.ExportColumn("tags", _("标签"), 45, _all_names, permission="tags.view"))
    listing.register_filter(listing.Filter("tag", _("标签"), 40, _with_tag, _options, _label, permission="tags.view"))
    listing.register_column(
        listing.Column("tags", _("标签"), 45, "tagging/_cell_tags.html", _names, css="wide", permission="tags.view")
    )
    listing.register_bulk_action(listing.BulkAction("tag", _("打标签"), 10, "tag", "tags.edit", ask))
    listing.register_bulk_action(
        listing.BulkAction("list", _("加入名单"), 30, "users-round", "segments.edit", lists.ask)
    )
