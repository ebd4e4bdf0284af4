"""The customer page leads to 为什么 of the segments she is in and of the rules that acted on her."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from contacts.models import Contact
from tests.support import tagging
from tests.support.consuming import CONSENT, built, enabled, happened, listening, named, settle, tag_action
from tests.support.core import log_in, make_user

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_fields")]


@pytest.fixture
def her(at, guide):
    person = tagging.make_person(
        "王姐", owner=guide, first_added_at=tagging.NOW, last_added_at=tagging.NOW, active_follows=1
    )
    tagging.make_relation(person, guide)
    return person


def page(person, *permissions):
    return (
        log_in(make_user(permissions=["contacts.view", *permissions])).get(f"/contacts/{person.pk}/").content.decode()
    )


def test_her_page_leads_to_the_reasons_of_segments_and_rules_that_the_viewer_may_see(her, tag):
    segment = built("王姐们", named("王姐"))
    built("李姐们", named("李姐"))
    matching = enabled(named("王姐"), tag_action(tag), "符合就打", act_on_existing=True)
    hearing = listening(CONSENT, tag_action(tag), "同意就打")
    idle = listening({"kind": "order"}, tag_action(tag), "下单才打")
    merged = tagging.make_person("王姐")
    happened(merged)
    settle()
    Contact.objects.filter(pk=merged.pk).update(root=her.pk)
    doors = [
        f"/segments/{segment.pk}/why/{her.pk}/",
        *(f"/rules/{one.pk}/why/{her.pk}/" for one in (matching, hearing)),
    ]
    shown = page(her, "segments.view", "rules.view")
    assert all(door in shown for door in doors)
    assert f"/rules/{idle.pk}/why/" not in shown and "李姐们" not in shown
    assert [door in page(her, "segments.view") for door in doors] == [True, False, False]
    assert [door in page(her, "rules.view") for door in doors] == [False, True, True]
    assert "人群与规则" not in page(her)


def test_a_rule_on_facts_she_may_not_see_is_not_among_them(her, tag):
    rule = listening({"kind": "order"}, tag_action(tag), "下单就打")
    happened(her, "order.paid", "o", payload={"amount_minor": 100})
    settle()
    door = f"/rules/{rule.pk}/why/{her.pk}/"
    assert door in page(her, "rules.view", "orders.view") and door not in page(her, "rules.view")


def test_many_rules_and_segments_cost_what_one_does(her, tag, acme_client):
    def queries():
        with CaptureQueriesContext(connection) as asked:
            assert "人群与规则" in acme_client.get(f"/contacts/{her.pk}/").content.decode()
        return len(asked)

    built("一", named("王姐"))
    enabled(named("王姐"), tag_action(tag), "规则一", act_on_existing=True)
    settle()
    queries()
    once = queries()
    for number in range(4):
        built(f"人群{number}", named("王姐"))
        enabled(named("王姐"), tag_action(tag), f"多{number}", act_on_existing=True)
    settle()
    assert queries() == once
