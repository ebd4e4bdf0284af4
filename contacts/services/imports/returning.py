"""Taking an import of 客户资料 back: each value returns while it is still the one the file brought."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from django.utils.translation import gettext as _

from contacts.models import Contact, ContactPhone, FactSource, ImportRow, Member, OwnershipChange, Stage
from contacts.services import custom_values
from contacts.services.custom_values import BIRTHDAY, PHONE
from contacts.services.imports.registry import Slice
from contacts.services.ownership import assign_owner
from contacts.services.search import refresh_search
from contacts.services.stages import change_stage
from scrm.lib import clock
from scrm.lib.db.bulk import update_rows
from tenants.audit import Actor

SOURCE = "import"  # of phones and transitions that come from a file


def assign(member_id: int, ids: list[int], *, by: Actor, now: datetime, reason: str = SOURCE) -> None:
    """Credit people to a member who was found to be a friend of each."""
    assign_owner(ids, Member.objects.get(pk=member_id), by=by, at=now, reason=reason, must_be_friend=False)


def take_back(part: Slice, *, by: Actor, now: datetime) -> None:
    """Set back the people of a slice; is_kept where something of theirs was changed since."""
    rows = list(part.rows().filter(outcome="updated").only("pk", "target_id", "changes"))
    people = {
        person.pk: person
        for person in Contact.objects.select_for_update(of=("self",))
        .filter(pk__any_of={row.target_id for row in rows})
        .order_by("pk")
    }
    phones = _own_phones(rows)
    plan = _Return()
    for row in rows:
        person = people.get(row.target_id or 0)
        row.is_kept = person is None or person.root_id is not None or not plan.add(person, row.changes, phones)
    plan.carry_out(by=by, now=now)
    update_rows(ImportRow, [{"id": row.pk, "is_kept": True} for row in rows if row.is_kept])


def _own_phones(rows: Sequence[ImportRow]) -> dict[tuple[int, str], int]:
    """(person, phone) → the row that a file wrote."""
    wanted = {row.target_id for row in rows if "phone" in row.changes}
    found = ContactPhone.objects.filter(contact_id__any_of=wanted, source=SOURCE) if wanted else ()
    return {(phone.contact_id, phone.phone): phone.pk for phone in found}


class _Return:
    """What goes back, gathered over a slice."""

    def __init__(self) -> None:
        self.columns: list[dict[str, Any]] = []
        self.phones: dict[int, int] = {}  # ContactPhone → person
        self.stages: dict[int, list[int]] = defaultdict(list)
        self.owners: dict[int, list[int]] = defaultdict(list)
        self.standing = {stage.pk for stage in Stage.objects.filter(is_archived=False)}
        self.told: list[dict[str, Any]] = []  # rows of DetailChange

    def add(self, person: Contact, changes: dict[str, Any], phones: dict[tuple[int, str], int]) -> bool:
        """Plan one person's return; False where something of it was changed since and stays."""
        whole = True
        birthday, custom = person.birthday, dict(person.custom)
        for column, (before, after) in changes.items():
            if column == "birthday":
                same = _iso(birthday) == after
                birthday = date.fromisoformat(before) if same and before else None if same else birthday
                if same:
                    self._tell(person.pk, BIRTHDAY, after, before)
            elif column == "custom":
                same = self._custom(person.pk, custom, before, after)
            elif column == "phone":
                same = self._phone(person.pk, after, phones)
            else:
                same = self._moved(person, column, before, after)
            whole = whole and same
        if (birthday, custom) != (person.birthday, person.custom):
            self.columns.append({"id": person.pk, "birthday": birthday, "custom": custom, "updated_at": clock.now()})
        return whole

    def _custom(self, pk: int, custom: dict[str, Any], before: dict[str, Any], after: dict[str, Any]) -> bool:
        whole = True
        for key, value in after.items():
            if before.get(key) == value and key in before:
                continue
            if key not in custom or custom[key] != value:
                whole = False
                continue
            custom.pop(key)
            custom |= {key: before[key]} if key in before else {}
            self._tell(pk, key, value, before.get(key))
        return whole

    def _phone(self, pk: int, phone: str, phones: dict[tuple[int, str], int]) -> bool:
        row = phones.get((pk, phone))
        if row is None:
            return False
        self.phones[row] = pk
        self._tell(pk, PHONE, phone, None)
        return True

    def _tell(self, pk: int, key: str, before: Any, after: Any) -> None:
        self.told.append({"contact_id": pk, "key": key, "before": before, "after": after})

    def _moved(self, person: Contact, column: str, before: int | None, after: int) -> bool:
        """A person goes back to a stage still in use, or to a guide; there is no way back to none, since moves are only added."""
        standing = person.stage_id if column == "stage" else person.owner_id
        if standing != after or before is None or (column == "stage" and before not in self.standing):
            return False
        (self.stages if column == "stage" else self.owners)[before].append(person.pk)
        return True

    def carry_out(self, *, by: Actor, now: datetime) -> None:
        update_rows(Contact, self.columns)
        custom_values.tell([row | {"changed_at": now} for row in self.told], by=by, at=now, source=FactSource.IMPORT)
        ContactPhone.objects.filter(pk__any_of=set(self.phones)).delete()
        refresh_search(set(self.phones.values()))
        for stage_id, ids in self.stages.items():
            stage = Stage.objects.get(pk=stage_id)
            change_stage(ids, stage, source=SOURCE, reason=_("撤销导入"), by=by, at=now)
        back: dict[tuple[int, str], list[int]] = defaultdict(list)
        reasons = _reasons_before([pk for ids in self.owners.values() for pk in ids])
        for member_id, ids in self.owners.items():
            for pk in ids:
                back[member_id, reasons.get(pk, SOURCE)].append(pk)
        for (member_id, reason), ids in back.items():
            assign(member_id, ids, by=by, now=now, reason=reason)


def _reasons_before(ids: Sequence[int]) -> dict[int, str]:
    """Root → why she had the owner whom the import took from her: where the rule had decided, it decides on."""
    found: dict[int, list[str]] = defaultdict(list)
    changes = OwnershipChange.objects.filter(contact_id__any_of=set(ids)).order_by("changed_at", "pk")
    for contact_id, reason in changes.values_list("contact_id", "reason"):
        found[contact_id].append(reason)
    return {pk: reasons[-2] for pk, reasons in found.items() if len(reasons) > 1 and reasons[-1] == SOURCE}


def _iso(day: date | None) -> str | None:
    return day.isoformat() if day else None
