"""The customer list says how many it has: counted while that is cheap, about so many beyond, counted again for whoever asks."""

import pytest

from contacts import counting
from contacts.models import Contact
from tests.support.contacts import make_follow
from tests.support.core import log_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def many(monkeypatch):
    """Five people, where more than three are not counted at every look."""
    monkeypatch.setattr(counting, "EXACT", 3)
    return [make_follow() for _n in range(5)]


def page(query=""):
    return log_in("hq").get(f"/contacts/{query}").content.decode()


def test_few_are_counted(acme):
    for _n in range(3):
        make_follow()
    assert "共 3 位客户" in page()


def test_many_are_said_to_be_about_so_many_and_cannot_be_chosen_unseen(many):
    shown = page()
    assert "约 " in shown and "共 5 位客户" not in shown
    assert 'data-list-total="0"' in shown, "nothing offers to choose all of an estimate"
    assert "count=exact" in shown


def test_whoever_asks_gets_them_counted_and_may_choose_them_all(many):
    shown = page("?count=exact")
    assert "共 5 位客户" in shown and 'data-list-total="5"' in shown


def test_an_estimate_is_never_below_what_was_seen(many):
    people = Contact.objects.filter(root__isnull=True)
    found = counting.count_rows(people)
    assert (found.number >= 4, found.is_exact) == (True, False)
    assert counting.count_rows(people, exact=True) == (5, True)
    assert counting.count_rows(people.filter(pk__lt=0)) == (0, True)


@pytest.mark.parametrize(("number", "shown"), [(4, 4), (57, 57), (123_456, 120_000), (1_000_000, 1_000_000)])
def test_estimates_are_told_to_two_figures(number, shown):
    assert counting._rounded(number) == shown


def test_a_count_looks_at_no_more_rows_than_it_must(many, django_assert_num_queries):
    with django_assert_num_queries(2):
        counting.count_rows(Contact.objects.all())
    with django_assert_num_queries(1):
        counting.count_rows(Contact.objects.filter(pk__lt=0))
