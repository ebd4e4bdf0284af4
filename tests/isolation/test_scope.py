"""Every page × {store, guide}: whoever sees a part of the organisation sees nothing of the rest.

The watcher holds every permission, over a part where nobody is; everything else belongs to others and has SECRET in its name.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from contacts.models import Contact, GroupChat, Member, Note, Todo
from scrm.lib import clock
from tests.isolation.expectations import MAKERS, TENANT_ROUTES, Expect
from tests.isolation.routes import TENANT, Route, all_routes
from tests.isolation.test_sweep import answers, everything
from tests.support import commerce, contacts
from tests.support.core import log_in, make_user

pytestmark = pytest.mark.django_db
SECRET = "绝密"
PAGES = [route for route in all_routes(TENANT) if not route.is_api and not route.public_reason]
# Rows of somebody's book: not found by whoever does not see that person, place or order.
SCOPED = {
    "contacts.Contact", "contacts.Note", "contacts.Todo", "contacts.Follow", "contacts.GroupChat", "contacts.Member",
    "contacts.HandoverPlan", "contacts.DeletionAlarm", "contacts.Store", "commerce.Order", "ledger.Job", "campaigns.Dispatch",
}  # fmt: skip
# The narrowest of places, and oneself: regions and dealers are stores taken together (tests/contacts/test_walls.py).
SCOPES = {"store": lambda: contacts.make_store(), "self": lambda: "self"}


@pytest.fixture
def others(acme: Any) -> dict[str, Any]:
    """One row of every model, by label; whatever has a name carries SECRET."""
    rows = {label: make() for label, make in MAKERS.items()}
    follow = contacts.make_follow()
    commerce.make_order(contact=follow.contact, number=f"{SECRET}-1")
    contacts.make_group(name=f"{SECRET}群", owner=follow.member)
    Contact.objects.update(name=f"{SECRET}客户", search_text=f"{SECRET}客户")
    GroupChat.objects.update(name=f"{SECRET}群")
    Member.objects.update(name=f"{SECRET}导购")
    Note.objects.update(text=f"{SECRET}记录")
    Todo.objects.update(text=f"{SECRET}待办", due_at=clock.now())
    return rows


@pytest.mark.parametrize("scope", list(SCOPES))
def test_whoever_sees_a_part_sees_nothing_of_the_rest(others: dict[str, Any], scope: str) -> None:
    watcher = log_in(make_user(permissions=everything(), scope=SCOPES[scope]()))
    found = [
        f"{method} {route.name}: {response.status_code}"
        for route, expected in _expected()
        if expected.pk in SCOPED
        for method, response in answers(watcher, route, _address(route, expected, others), expected.body)
        if response.status_code not in (403, 404)
    ]
    assert not found
    assert not _naming(watcher, others)


def test_whoever_sees_all_is_shown_them(others: dict[str, Any]) -> None:
    """The other half of the proof: the pages above do name people to those who may see them."""
    naming = set(_naming(log_in(make_user(permissions=everything())), others))
    assert naming >= {
        "contacts:contact_list", "contacts:phone_list", "contacts:board", "contacts:group_list", "contacts:member_list",
        "contacts:handover_members", "commerce:order_list",
    }  # fmt: skip


def _naming(client: Client, rows: dict[str, Any]) -> dict[str, str]:
    """Page → where it names somebody; lists, and pages of what belongs to the whole merchant."""
    found = {}
    for route, expected in _expected():
        if expected.pk in SCOPED or expected.calls_out:
            continue
        response = client.get(_address(route, expected, rows))
        text = (b"".join(response.streaming_content) if response.streaming else response.content).decode()
        if SECRET in text:
            found[route.name] = text[text.index(SECRET) - 60 :][:120]
    return found


def _expected() -> Iterator[tuple[Route, Expect]]:
    for route in PAGES:
        expected = TENANT_ROUTES.get(route.name)
        if expected is not None and not expected.public:
            yield route, expected


def _address(route: Route, expected: Expect, rows: dict[str, Any]) -> str:
    named = {"pk": expected.pk, **expected.ids}
    kwargs = dict(expected.args)
    kwargs |= {name: rows[named[name]].pk if named.get(name) else 77 for name in route.arguments - set(kwargs)}
    return reverse(route.name, urlconf=route.host, kwargs=kwargs)
