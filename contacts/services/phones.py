"""Phones that guides noted on their follows, as keys by which orders find the person."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime

from contacts import arrivals, marks
from contacts.arrivals import NewKey
from contacts.models import ContactPhone
from contacts.phones import normalise_phone
from contacts.timeline import roots_of
from scrm.lib.db.bulk import insert_rows

MARK = "contact.has_phone"


def sync_remark_mobiles(
    mobiles: Mapping[int, tuple[int, tuple[str, ...]]], *, now: datetime, all_new: bool = False
) -> set[int]:
    """Make the phones of follows what their guides noted: {follow id: (contact id, mobiles)}; contacts whose phones changed.

    all_new: none of the follows existed before, so there is nothing to compare with.
    """
    wanted = {
        (contact_id, phone, f"remark:{follow_id}")
        for follow_id, (contact_id, noted) in mobiles.items()
        for phone in map(normalise_phone, noted)
        if phone
    }
    standing: dict[tuple[int, str, str], int] = {}
    if not all_new:
        rows = ContactPhone.objects.filter(
            source__any_of={f"remark:{pk}" for pk in mobiles}, contact_id__any_of={c for c, _ in mobiles.values()}
        )
        standing = {
            (c, phone, source): pk for pk, c, phone, source in rows.values_list("pk", "contact_id", "phone", "source")
        }
    gone = {key: pk for key, pk in standing.items() if key not in wanted}
    if gone:
        ContactPhone.objects.filter(pk__in=gone.values()).delete()
        marks.mark(roots_of(contact_id for contact_id, _phone, _source in gone).values(), MARK)
    fresh = sorted(wanted - set(standing))
    add_phones(fresh, now=now, all_new=all_new)
    lost: dict[str, set[int]] = defaultdict(set)
    for contact_id, phone, _source in gone:
        lost[phone].add(contact_id)
    arrivals.tell_lost(lost)
    return {contact_id for contact_id, _phone, _source in [*gone, *fresh]}


def add_phones(phones: list[tuple[int, str, str]], *, now: datetime, all_new: bool = False) -> None:
    """Note phones, (contact id, E.164, source) each, and tell who binds by them. Known ones change nothing.

    all_new: of people of whom everything was marked when they were made, in this transaction.
    """
    rows = [{"contact_id": c, "phone": phone, "source": source, "created_at": now} for c, phone, source in phones]
    written = insert_rows(ContactPhone, rows, ignore_conflicts=True, returning=("contact_id", "phone"))
    if not all_new:
        marks.mark(roots_of(contact_id for contact_id, _phone in written).values(), MARK)
    arrivals.tell([NewKey("phone", phone, contact_id) for contact_id, phone in written])
