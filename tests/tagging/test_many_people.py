"""Work over very many people leaves them in the database."""

import pytest

from conditions.people import people as everybody
from contacts.models import Contact
from scrm.lib.errors import UserError
from tagging.models import SegmentChange
from tagging.queries import count_follows_to_mark, follows_to_mark
from tagging.services import rule_dry_run, segments, static_lists
from tenants.audit import SYSTEM
from tests.support import tagging
from tests.support.consuming import members

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_fields", "at", "acme")]


@pytest.mark.parametrize("whose", ["owner", "all"])
def test_relations_that_a_tag_would_go_on_are_counted_as_they_would_be_found(guide, corp, whose):
    """With an owner who is her friend, one who is none, no owner, a relation that ended, and somebody merged into her."""
    other = tagging.make_member(corp)
    owned, strange, free, ended, root = (
        tagging.make_person(str(n), owner=owner) for n, owner in enumerate((guide, guide, None, guide, guide))
    )
    branch = tagging.make_person("5", owner=other)
    for person, member in (
        (owned, guide), (owned, other), (strange, other), (free, guide), (free, other), (branch, guide), (branch, other),
    ):  # fmt: skip
        tagging.make_relation(person, member)
    tagging.make_relation(ended, guide, relation="by_customer")
    Contact.objects.filter(pk=branch.pk).update(root=root)
    found = follows_to_mark(list(everybody().values_list("pk", flat=True)), whose)
    assert sum(map(len, found.values())) == (5 if whose == "owner" else 7)
    assert count_follows_to_mark(everybody(), whose) == sum(map(len, found.values()))
    assert count_follows_to_mark(everybody().none(), whose) == 0


def test_a_dry_run_keeps_the_first_people_of_a_day_and_counts_all():
    ids = [tagging.make_person().pk for _ in range(5)]
    assert rule_dry_run._first(everybody(), 3) == (5, ids[:3])
    assert rule_dry_run._first(everybody().none(), 3) == (0, [])


def test_a_long_list_is_replaced_part_by_part_and_takes_no_more_at_once_than_it_says(monkeypatch):
    ids = [tagging.make_person().pk for _ in range(7)]
    fixed = segments.create_list(name="名单", by=SYSTEM)
    static_lists.fill_static(fixed, ids, how="add", by=SYSTEM)
    monkeypatch.setattr(static_lists, "MOST", 2)
    filled = static_lists.fill_static(fixed, ids[:2], how="replace", by=SYSTEM)
    assert (filled.added, filled.removed, filled.size) == (0, 5, 2) and members(fixed) == set(ids[:2])
    assert SegmentChange.objects.filter(segment=fixed, kind="leave").count() == 5
    with pytest.raises(UserError, match="2"):
        static_lists.fill_static(fixed, ids[:3], how="add", by=SYSTEM)
