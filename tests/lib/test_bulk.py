"""Many rows in one statement: COPY writes what INSERT writes, and `any_of` finds what `in` finds."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction

from contacts.models import Contact, FactSource, Identity, TimelineEvent
from scrm.lib import clock
from scrm.lib.db import bulk
from scrm.lib.db.bulk import insert_rows
from tests.support.contacts import make_follow, make_member

pytestmark = pytest.mark.django_db

NASTY = [
    "",
    "\\N",
    "\\",
    "a\tb",
    "line\nbreak",
    "cr\r",
    '"quoted" \'s',
    "🌸 王姐",
    "\\t literal",
    "{}",
    "nul-free \x01",
]


def event_row(number, text):
    at = clock.from_unix(1_700_000_000) + timedelta(microseconds=number)
    return {"kind": "opt_out.set", "occurred_at": at, "recorded_at": at, "source": FactSource.CALLBACK, "contact_id": None,
            "store_id": None, "actor": text[:40], "subject": text, "payload": {"text": text, "list": [1, None, text]},
            "fact_key": f"k{number}"}  # fmt: skip


def stored():
    return list(TimelineEvent.objects.order_by("id").values("occurred_at", "actor", "subject", "payload", "store_id"))


def test_a_copy_writes_what_an_insert_writes(monkeypatch):
    rows = [event_row(number, text) for number, text in enumerate(NASTY)]
    insert_rows(TimelineEvent, rows)
    inserted = stored()
    TimelineEvent.objects.all().delete()
    monkeypatch.setattr(bulk, "MANY", 1)

    ids = insert_rows(TimelineEvent, rows, returning=("id", "subject"))

    assert stored() == inserted and [row["subject"] for row in inserted] == NASTY
    assert [subject for _pk, subject in ids] == NASTY
    assert ids == list(TimelineEvent.objects.order_by("id").values_list("id", "subject"))


def test_arrays_and_flags_are_copied_as_they_are(monkeypatch):
    follow = make_follow()
    row = {name: getattr(follow, name) for name in ("corp_id", "identity_id", "contact_id", "relation", "relation_since",
           "relation_proof", "relation_proved_at", "added_at", "add_way", "state", "remark", "description",
           "remark_company", "synced_at")}  # fmt: skip
    monkeypatch.setattr(bulk, "MANY", 1)
    phones = ["13800000001", 'with "quotes" and \\', "a,b", ""]

    [(pk,)] = insert_rows(type(follow), [row | {"member_id": make_member().pk, "remark_mobiles": phones}])

    assert type(follow).objects.get(pk=pk).remark_mobiles == phones


def test_of_many_rows_the_known_ones_are_left_out():
    rows = [event_row(number, "x") for number in range(bulk.MANY + 10)]
    insert_rows(TimelineEvent, rows[5:7])

    written = insert_rows(TimelineEvent, rows, ignore_conflicts=True, returning=("fact_key",))

    assert {key for (key,) in written} == {row["fact_key"] for row in rows} - {"k5", "k6"}
    assert TimelineEvent.objects.count() == len(rows)


def test_of_many_rows_a_known_one_is_an_error_unless_it_may_be_known():
    rows = [event_row(number, "x") for number in range(bulk.MANY)]
    insert_rows(TimelineEvent, rows[:1])

    with pytest.raises(IntegrityError), transaction.atomic():
        insert_rows(TimelineEvent, rows)

    assert TimelineEvent.objects.count() == 1


def test_any_of_finds_what_in_finds():
    people = [make_follow().contact for _n in range(3)]
    wanted = {people[0].pk, people[2].pk, 0}

    assert set(Contact.objects.filter(pk__any_of=wanted)) == {people[0], people[2]}
    assert set(Identity.objects.filter(contact_id__any_of=wanted).values_list("contact_id", flat=True)) == wanted - {0}
    assert set(Identity.objects.exclude(contact__any_of=wanted).values_list("contact_id", flat=True)) == {people[1].pk}
    assert not Contact.objects.filter(pk__any_of=set()).exists()


def test_any_of_finds_texts_of_every_kind():
    texts = [*NASTY, "NULL", "null", "a,b", "{x}", " padded ", "100%s"]
    for text in texts:
        Contact.objects.create(name=text, created_at=clock.now(), updated_at=clock.now())

    assert set(Contact.objects.filter(name__any_of=set(texts)).values_list("name", flat=True)) == set(texts)
    assert [row.name for row in Contact.objects.filter(name__any_of={None, "NULL"})] == ["NULL"]
    assert not Contact.objects.filter(name__any_of={None}).exists()


def test_any_of_does_not_cut_long_values():
    name = "x" * 128
    Contact.objects.create(name=name, created_at=clock.now(), updated_at=clock.now())

    assert Contact.objects.filter(name__any_of={name}).exists()
    assert not Contact.objects.filter(name__any_of={name + "y"}).exists()
