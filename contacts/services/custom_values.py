"""Writing custom values: the one place that changes Contact.custom."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from contacts import marks
from contacts.models import Contact, DetailChange, FactSource
from contacts.services.stages import actor_label
from contacts.timeline import NewEvent, record_events
from scrm.lib.db.bulk import insert_rows, update_rows
from scrm.lib.errors import UserError
from tenants import locks
from tenants.audit import Actor

LOCK = "custom_fields"  # shared by writers of values; whoever changes a type has it alone
MAX_KEYS = 100  # of one person, archived fields and keys that nobody defined included
CHANGED = "details.changed"
BIRTHDAY = "contact.birthday"  # among keys of changes; the dot keeps it apart from every custom key
PHONE = "contact.phone"  # a phone that came (before is null) or went (after is null)
Values = Mapping[str, Any]


@transaction.atomic
def set_values(
    changes: Mapping[int, Values], *, by: Actor, at: datetime, source: str = FactSource.PRODUCT,
    birthdays: Mapping[int, date | None] | None = None,
) -> dict[int, list[str]]:  # fmt: skip
    """Contact → the keys that changed, of those who did. Values as custom.parse gives them; None removes one, others stay.

    changes: root contact → key → value; birthdays: root contact → day. Each person gets a fact and what changed; the audit row is
    the caller's, once. A number of statements that does not depend on how many people there are. Raises UserError for a person with
    too many keys.
    """
    locks.lock_in_transaction(LOCK, shared=True)
    days = birthdays or {}
    people = (
        Contact.objects.select_for_update(of=("self",), no_key=True).filter(pk__in={*changes, *days}).order_by("pk")
    )
    rows: list[dict[str, Any]] = []
    told: list[dict[str, Any]] = []
    for pk, custom, birthday in people.values_list("pk", "custom", "birthday"):
        before = custom | {BIRTHDAY: _day(birthday)}
        after = _merged(custom, changes.get(pk, {}))
        day = days.get(pk, birthday)
        said = after | {BIRTHDAY: _day(day)}
        found = sorted(key for key in before.keys() | said.keys() if before.get(key) != said.get(key))
        if found:
            rows.append({"id": pk, "custom": after, "birthday": day, "updated_at": at})
        told += [
            {"contact_id": pk, "key": key, "before": before.get(key), "after": said.get(key), "changed_at": at}
            for key in found
        ]
    update_rows(Contact, rows)
    return tell(told, by=by, at=at, source=source)


def _day(day: date | None) -> str | None:
    return day.isoformat() if day else None


def _merged(before: Values, wanted: Values) -> dict[str, Any]:
    after = {key: value for key, value in (dict(before) | dict(wanted)).items() if value is not None}
    if len(after) > max(MAX_KEYS, len(before)):
        raise UserError(_("一位客户最多有 %(limit)d 个自定义字段,请先清除一些。") % {"limit": MAX_KEYS})
    return after


def tell(told: list[dict[str, Any]], *, by: Actor, at: datetime, source: str) -> dict[int, list[str]]:
    """Keep what changed (columns of DetailChange), with a fact for each person, and marks; contact → her keys. The fact names the
    fields; what they were and are stands in DetailChange alone."""
    insert_rows(DetailChange, told)
    keys: dict[int, list[str]] = defaultdict(list)
    people: dict[str, list[int]] = defaultdict(list)
    for row in told:
        keys[row["contact_id"]].append(row["key"])
        people[row["key"]].append(row["contact_id"])
    record_events(
        [
            NewEvent(
                CHANGED,
                at,
                source,
                f"details:{pk}:{stamp_of(at)}",
                contact_id=pk,
                actor=actor_label(by),
                payload={"fields": found},
            )
            for pk, found in keys.items()
        ]
    )
    for key, ids in people.items():
        if key != PHONE:  # no condition reads phones
            marks.mark(ids, "birthday" if key == BIRTHDAY else f"custom.{key}")
    return dict(keys)


def stamp_of(at: datetime) -> int:
    """What tells the facts of one person apart: `details:<contact>:<stamp>`."""
    return int(at.timestamp() * 1_000_000)
