"""个人标签: a guide's own words in the client, mirrored for each relation as WeCom tells them, and written by nobody here."""

import time
from datetime import timedelta
from itertools import count

import pytest
from django.db import transaction

from conditions.drain import drain_batch
from contacts.models import Follow, TimelineEvent
from scrm.lib import clock
from scrm.lib.errors import UserError
from tagging.models import FollowTag, Segment, Tag
from tagging.queries import live_tags
from tagging.services import dictionary, merging, rules, segments
from tagging.services.marks import mark_tags
from tenants.audit import SYSTEM
from tests.support.core import log_in
from tests.support.tagging import tree_of
from tests.support.wecom import arrive
from wecom_bridge.models import OutboundCommand
from wecom_bridge.services import inbox
from wecom_bridge.services.sync import drive, runs

pytestmark = pytest.mark.django_db(transaction=True)
_SECONDS = count(int(time.time()) - 60)


@pytest.fixture
def shop(wecom):
    """Connected and read for the first time."""
    connection = wecom.connect()
    read_all(connection)
    while drain_batch():
        pass
    return connection


def read_all(connection):
    """A reading of everybody, by pages: those do not tell personal tags."""
    runs.start_sync(connection.corp, by=SYSTEM)
    drive.drain(clock.wall() + timedelta(seconds=60))


def two_guides(wecom):
    """A customer whom two guides have as a friend: her follows."""
    row = next(row for row in wecom.get("customers?limit=200")["customers"] if len(row["followers"]) > 1)
    follows = Follow.objects.filter(identity__value=row["external_userid"], relation="active")
    return list(follows.select_related("identity", "member").order_by("pk")[:2])


def says(wecom, shop, follow, **names):
    """The guide marks her in the client; WeCom calls back, and she is read."""
    pair = {"userid": follow.member.userid, "external_userid": follow.identity.value}
    wecom.hand("tag", **pair, **names)
    # Two events of one second that say the same are one to us, and the tests are quick.
    at = next(_SECONDS)
    arrive(shop, "edit_external_contact", created=at, UserID=pair["userid"], ExternalUserID=pair["external_userid"])
    inbox.drain(clock.wall() + timedelta(seconds=30))


def carried(follow):
    """Names of the personal tags on a relation."""
    marks = FollowTag.objects.filter(follow=follow, tag__group__kind="personal")
    assert set(marks.values_list("state", "origin")) <= {("on", "sync")}
    return set(marks.values_list("tag__name", flat=True))


def test_each_relation_has_its_guide_s_own_words_and_loses_them_as_she_takes_them_back(wecom, shop):
    mine, hers = two_guides(wecom)
    before, others = carried(mine), carried(hers)

    says(wecom, shop, mine, personal=["爱喝茶", "周末来"])
    assert (carried(mine), carried(hers)) == (before | {"爱喝茶", "周末来"}, others)

    says(wecom, shop, hers, personal=["爱喝茶"])
    assert (carried(mine), carried(hers)) == (before | {"爱喝茶", "周末来"}, others | {"爱喝茶"})
    assert Tag.objects.filter(name="爱喝茶").count() == 1, "one word is one tag, of both guides"

    says(wecom, shop, mine, personal_off=["爱喝茶"])
    assert (carried(mine), carried(hers)) == (before | {"周末来"}, others | {"爱喝茶"})
    facts = TimelineEvent.objects.filter(identity=mine.identity, member=mine.member, payload__tag="爱喝茶")
    assert list(facts.order_by("pk").values_list("kind", flat=True)) == ["tag.added", "tag.removed"]
    assert not OutboundCommand.objects.filter(kind="tag.mark").exists()


def test_a_reading_that_does_not_tell_them_takes_none_away(wecom, shop):
    follow = two_guides(wecom)[0]
    says(wecom, shop, follow, personal=["爱喝茶"])
    there = carried(follow)
    assert "爱喝茶" in there
    read_all(shop)
    assert carried(follow) == there


def test_a_segment_follows_them_like_any_other_tag(wecom, shop):
    mine, hers = two_guides(wecom)
    says(wecom, shop, mine, personal=["爱喝茶"])
    tag = Tag.objects.get(name="爱喝茶")
    tree = tree_of({"field": "tag", "op": "any", "value": [tag.pk], "where": {"member": [mine.member_id]}})
    segment = segments.save_segment(None, name="茶客", tree=tree, by=SYSTEM)
    segments.build_segment(segment)

    says(wecom, shop, mine, personal_off=["爱喝茶"])
    says(wecom, shop, hers, personal=["爱喝茶"])
    while drain_batch():
        pass

    assert Segment.objects.get(pk=segment.pk).size == 0


def test_nobody_here_writes_them(wecom, shop):
    follow = two_guides(wecom)[0]
    says(wecom, shop, follow, personal=["爱喝茶", "爱喝咖啡"])
    tag, another = (live_tags().get(name=name) for name in ("爱喝茶", "爱喝咖啡"))
    tried = {
        "mark": lambda: mark_tags([follow.pk], add=[tag.pk], origin="operator", by=SYSTEM),
        "unmark": lambda: mark_tags([follow.pk], remove=[tag.pk], origin="operator", by=SYSTEM),
        "rename": lambda: dictionary.rename_tag(tag, "爱喝水", by=SYSTEM),
        "delete": lambda: dictionary.delete_tag(tag, by=SYSTEM),
        "more": lambda: dictionary.add_tags(tag.group, ["爱喝水"], by=SYSTEM),
        "merge": lambda: merging.start(tag, another, by=SYSTEM),
        "rule": lambda: rules.save_rule(
            None, name="茶", tree=tree_of({"all": []}), trigger={"kind": "order"}, by=SYSTEM,
            rule_actions=[{"kind": "tag", "add": [tag.pk], "whose": "all"}],
        ),
    }  # fmt: skip
    for name, act in tried.items():
        with transaction.atomic(), pytest.raises(UserError):
            act()
            pytest.fail(f"{name} went through")
    client = log_in("hq")
    answer = client.post(f"/contacts/{follow.contact_id}/tags/{tag.pk}/", {"on": "0"})
    assert answer.status_code in (404, 422)
    assert "爱喝茶" in carried(follow) and Tag.objects.get(pk=tag.pk).deleted_at is None
    assert not OutboundCommand.objects.exists()
