"""Tags put on by one call, and by two at once."""

from collections import Counter

import pytest
from django.db import connection, transaction

from accounts.scope import EVERYTHING
from contacts.models import Contact, TimelineEvent
from contacts.services import bulk
from contacts.services.imports.registry import BadCell
from scrm.lib import clock
from scrm.lib.errors import UserError
from tagging.models import FollowTag
from tagging.services import pretag_imports, rules
from tagging.services.marks import mark_tags
from tenants.audit import SYSTEM
from tests.support import tagging
from tests.support.consuming import named, settle, tag_action
from tests.support.core import in_thread

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_fields")]


@pytest.fixture
def pair(corp):
    """Two tags of one exclusive group."""
    first = tagging.make_tag("银卡", corp=corp)
    first.group.is_exclusive = True
    first.group.save()
    return first, tagging.make_tag("金卡", first.group, corp=corp)


def test_of_two_tags_of_an_exclusive_group_in_one_call_the_later_stands(person, pair):
    silver, gold = pair
    follow = person.follows.get()
    assert mark_tags([follow.pk], add=[silver.pk, gold.pk], origin="operator", by=SYSTEM) == 1
    assert list(follow.follow_tags.values_list("tag__name", "state")) == [("金卡", "adding")]
    assert mark_tags([follow.pk], add=[gold.pk, silver.pk], origin="operator", by=SYSTEM) == 2
    assert Counter(follow.follow_tags.values_list("tag__name", "state")) == {
        ("金卡", "removing"): 1,
        ("银卡", "adding"): 1,
    }


@pytest.mark.django_db(transaction=True)
def test_two_who_put_the_same_tag_on_at_once_put_it_on_once(corp, person):
    """The later one waits for the row of the earlier, and does not tell of what it did not do."""
    inner, outer = tagging.make_tag("内部"), tagging.make_tag("敏感肌", corp=corp)
    follow = person.follows.get()

    def put():
        return mark_tags([follow.pk], add=[inner.pk, outer.pk], origin="operator", by=SYSTEM)

    with transaction.atomic():
        assert put() == 2
        second = in_thread(put)
        _until_somebody_waits()
    assert second.result() == 0
    assert TimelineEvent.objects.filter(kind="tag.added").count() == 1
    assert FollowTag.objects.count() == 2


def _until_somebody_waits() -> None:
    begun = clock.wall()
    while (clock.wall() - begun).total_seconds() < 20:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'")
            if cursor.fetchone()[0]:
                return
    raise AssertionError("nobody waits for us")


def test_nobody_is_asked_to_put_on_two_tags_of_an_exclusive_group(person, pair, actor):
    """Where somebody can still correct it: a rule as it is saved, a bulk change as it begins, a file as it is read."""
    both = [tag.pk for tag in pair]
    with pytest.raises(UserError, match="「银卡」和「金卡」"):
        rules.save_rule(None, name="升级", tree=named("王姐"), rule_actions=tag_action(pair[0], add=both), by=SYSTEM)
    with pytest.raises(UserError, match="只能有一个"):
        params = {"add": both, "remove": [], "whose": "owner"}
        bulk.start("tag", Contact.objects.filter(pk=person.pk), params, EVERYTHING, by=actor, expected=1)
    with pytest.raises(BadCell, match="只能有一个"):
        pretag_imports._tags()("银卡、金卡")
    assert pretag_imports._tags()("银卡") == both[:1]
    assert not FollowTag.objects.exists()


def test_a_rule_whose_group_became_exclusive_goes_on_and_puts_the_later_tag(corp, person):
    silver = tagging.make_tag("银卡", corp=corp)
    gold = tagging.make_tag("金卡", silver.group, corp=corp)
    rule = rules.save_rule(
        None, name="升级", tree=named("王姐"), rule_actions=tag_action(silver, add=[silver.pk, gold.pk]), by=SYSTEM
    )
    type(silver.group).objects.update(is_exclusive=True)
    rules.enable_rule(rule, act_on_existing=True, expected=1, by=SYSTEM)
    settle()
    assert person.follows.get().follow_tags.get().tag == gold
