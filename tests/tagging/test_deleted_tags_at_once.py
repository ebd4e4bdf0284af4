"""A tag deleted while a batch decides: what reads it answers to the tag as it was, or is stopped."""

import threading
from datetime import timedelta

import pytest
from django.db import transaction

from conditions import dirty
from conditions.drain import drain_marks
from scrm.lib import clock
from tagging.models import FollowTag, RuleMatch, Tag
from tagging.services import rule_running, rules
from tagging.services.mirror import delete_tags
from tenants.audit import SYSTEM
from tests.support import tagging
from tests.support.consuming import enabled, tag_action
from tests.support.core import in_thread

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("own_fields")]


def test_a_rule_on_people_without_a_tag_that_is_deleted_under_it_acts_on_nobody(acme, monkeypatch):
    corp = tagging.make_corp()
    guide = tagging.make_member(corp)
    tag, put = tagging.make_tag("老客", corp=corp), tagging.make_tag("新客")
    person = tagging.make_person("王姐")
    tagging.put_tag(tagging.make_relation(person, guide), tag)
    rule = enabled(tagging.tree_of({"field": "tag", "op": "none", "value": [tag.pk]}), tag_action(put))
    listed, deleted = threading.Event(), threading.Event()
    decide = rule_running.matching_ids

    def slowly(*args):
        listed.set()  # the batch has read which rules are on
        deleted.wait(2)
        return decide(*args)

    monkeypatch.setattr(rule_running, "matching_ids", slowly)

    def delete():
        listed.wait(20)
        with transaction.atomic():
            delete_tags(Tag.objects.filter(pk=tag.pk), clock.now())
        deleted.set()

    def drain():
        drain_marks(clock.wall() + timedelta(seconds=20))

    dirty.mark([person.pk], "tag")
    for thread in [in_thread(drain), in_thread(delete)]:
        thread.result()
    rule.refresh_from_db()
    assert rule.state == "broken"
    assert not FollowTag.objects.filter(tag=put).exists()
    assert not RuleMatch.objects.exists()


def test_a_rule_enabled_while_its_tag_is_deleted_is_stopped(acme, monkeypatch):
    tag = tagging.make_tag("老客", corp=tagging.make_corp())
    rule = enabled(
        tagging.tree_of({"field": "tag", "op": "none", "value": [tag.pk]}), tag_action(tagging.make_tag("新客"))
    )
    rules.disable_rule(rule, by=SYSTEM)
    checked, deleted = threading.Event(), threading.Event()
    check = rules.check_rule

    def slowly(rule):
        found = check(rule)
        checked.set()
        deleted.wait(2)
        return found

    monkeypatch.setattr(rules, "check_rule", slowly)

    def delete():
        checked.wait(20)
        with transaction.atomic():
            delete_tags(Tag.objects.filter(pk=tag.pk), clock.now())
        deleted.set()

    def enable():
        rules.enable_rule(rule, by=SYSTEM)

    for thread in [in_thread(enable), in_thread(delete)]:
        thread.result()
    rule.refresh_from_db()
    assert rule.state == "broken"
