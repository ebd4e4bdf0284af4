"""One tag merged into another: at one instant for every condition, follow by follow in WeCom, and taken back."""

from datetime import timedelta

import pytest

from contacts.models import Follow, TimelineEvent
from scrm.lib import clock
from scrm.lib.errors import Conflict, UserError
from tagging.models import FollowTag, RuleMatch, Tag, TagMerge
from tagging.queries import live_tags
from tagging.services import merging, rule_backfill
from tagging.services.marks import mark_tags
from tagging.services.mirror import apply_people_tags
from tenants.audit import SYSTEM
from tenants.ledger.models import Job
from tests.support import tagging
from tests.support.consuming import built, enabled, members, named, settle, tag_action
from tests.support.contacts import make_store
from tests.support.core import actor_of, log_in, make_user
from tests.support.merging import answered, has, work
from tests.support.tagging import NOW, tree_of
from wecom_bridge.contracts import ExternalContactInfo, FollowInfo, PeopleBatch, PersonRow
from wecom_bridge.models import OutboundCommand

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_fields")]


@pytest.fixture
def people(guide):
    """Of five: three with the old tag, the third with both, the fourth with the kept one, the fifth with none."""
    found = [tagging.make_person(f"客户{n}", owner=guide, last_added_at=NOW) for n in range(5)]
    for person in found:
        tagging.make_relation(person, guide)
    return found


def wear(people, old, kept):
    for person in people[:3]:
        tagging.put_tag(person.follows.get(), old, origin="guide", via="bulk:7")
    for person in people[2:4]:
        tagging.put_tag(person.follows.get(), kept)


def marks(tag):
    return dict(FollowTag.objects.filter(tag=tag).values_list("contact__name", "state"))


def test_everybody_has_the_kept_tag_at_one_instant_and_nothing_fires_for_it(pair, people, guide):
    old, kept = pair
    wear(people, old, kept)
    reads_old = enabled(has(old), tag_action(tagging.make_tag("重点")), name="读旧")
    reads_kept = enabled(has(kept), tag_action(tagging.make_tag("重点二")), name="读新")
    without = enabled(tree_of({"not": has(old)["root"]}), tag_action(tagging.make_tag("无")), name="没有旧的")
    puts_old = enabled(named("谁"), tag_action(old), name="打旧")
    segment = built("敏感", has(old))
    assert members(segment) == {person.pk for person in people[:3]}
    settle()
    fired = RuleMatch.objects.filter(outcome__has_key="actions")
    merge = merging.start(old, kept, by=SYSTEM)
    with pytest.raises(Conflict):
        merging.start(old, kept, by=SYSTEM)

    merging._switch(merge.pk)  # the job is killed right after: no call is written yet
    settle()
    merging.step(Job.objects.get(pk=merge.job_id), clock.wall())
    work()
    settle()
    from tagging.services import segments

    segments.drain_builds(clock.wall() + timedelta(seconds=20))
    settle()

    assert not fired.exists(), "nobody was acted upon"
    assert marks(kept) == {"客户0": "adding", "客户1": "adding", "客户2": "on", "客户3": "on"}
    assert marks(old) == {"客户0": "removing", "客户1": "removing", "客户2": "removing"}
    assert members(segment) == {person.pk for person in people[:4]}
    for rule in (reads_old, reads_kept):
        now_in = RuleMatch.objects.filter(rule=rule, left_at__isnull=True).values_list("contact_id", flat=True)
        assert set(now_in) == {person.pk for person in people[:4]}
    still_out = RuleMatch.objects.filter(rule=without, left_at__isnull=True).values_list("contact_id", flat=True)
    assert set(still_out) == {people[4].pk}
    puts_old.refresh_from_db()
    assert puts_old.actions[0]["add"] == [kept.pk] and puts_old.state == "on"
    wished = OutboundCommand.objects.order_by("pk").values_list("payload", flat=True)
    both, off = {"add": [kept.pk], "remove": [old.pk]}, {"add": [], "remove": [old.pk]}
    assert [{key: one[key] for key in ("add", "remove")} for one in wished] == [both, both, off]

    answered()
    assert marks(old) == {} and set(marks(kept).values()) == {"on"}
    assert set(TimelineEvent.objects.filter(kind__startswith="tag.").values_list("source", flat=True)) == {"backfill"}
    kept_mark = FollowTag.objects.get(tag=kept, contact=people[0])
    assert (kept_mark.origin, kept_mark.via, kept_mark.tagged_at) == ("guide", f"merge:{merge.pk}", NOW)
    assert TagMerge.objects.get().state == "done" and old not in live_tags()


def test_an_undo_sets_back_whoever_is_still_as_the_merge_left_her(pair, people, guide):
    old, kept = pair
    wear(people, old, kept)
    rule = enabled(has(old), tag_action(tagging.make_tag("重点")), name="读旧")
    changed = enabled(has(old), tag_action(tagging.make_tag("另一")), name="改过")
    merge = merging.start(old, kept, by=SYSTEM)
    work()
    answered()
    settle()
    second = people[1].follows.get()
    mark_tags([second.pk], remove=[kept.pk], origin="operator", by=SYSTEM)
    type(changed).objects.filter(pk=changed.pk).update(version=99)
    merging.ask_undo(merge.pk, by=SYSTEM)
    merging.ask_undo(merge.pk, by=SYSTEM)
    work()
    settle()
    answered()
    merge.refresh_from_db()
    assert (merge.state, merge.relations, merge.undone) == ("undone", 3, 2)
    assert marks(old) == {"客户0": "on", "客户2": "on"}
    assert marks(kept) == {"客户2": "on", "客户3": "on"}
    first = FollowTag.objects.get(tag=old, contact=people[0])
    assert (first.origin, first.via) == ("guide", "bulk:7")
    rule.refresh_from_db()
    changed.refresh_from_db()
    assert rule.tree == has(old) and changed.tree == has(kept)
    assert not RuleMatch.objects.filter(outcome__has_key="actions").exists()
    assert old in live_tags()


def test_a_merged_tag_put_on_anew_counts_as_the_kept_one_whoever_puts_it(pair, people, corp, guide):
    old, kept = pair
    merging.start(old, kept, by=SYSTEM)
    work()
    mark_tags([people[0].follows.get().pk], add=[old.pk], origin="operator", by=SYSTEM)
    assert marks(kept) == {"客户0": "adding"} and marks(old) == {}
    follow = Follow.objects.select_related("identity", "member").get(contact=people[1])
    info = FollowInfo(follow.member.userid, NOW, tag_ids=(old.wecom_tag_id,))
    person = ExternalContactInfo(follow.identity.value, "客户1", 1)
    at = NOW + timedelta(minutes=1)
    apply_people_tags(PeopleBatch(corp, "callback", at, [PersonRow(person, (info,), True)]))
    assert marks(kept)["客户1"] == "adding" and marks(old) == {"客户1": "removing"}
    assert OutboundCommand.objects.latest("pk").payload == {"add": [kept.pk], "remove": [old.pk]}


def test_internal_tags_merge_without_wecom_and_a_sop_that_names_the_old_one_holds_it(at, people):
    old = tagging.make_tag("老会员")
    kept = tagging.make_tag("会员")
    wear(people, old, kept)
    from campaigns.models import Sop, SopVersion

    sop = Sop.objects.create(name="回访", state="on", created_at=NOW)
    version = SopVersion.objects.create(sop=sop, number=1, trigger="follow_added", entry_tree=has(old), created_at=NOW)
    with pytest.raises(UserError, match="SOP「回访」还在用「老会员」"):
        merging.start(old, kept, by=SYSTEM)
    version.delete()
    merge = merging.start(old, kept, by=SYSTEM)
    work()
    assert marks(old) == {} and set(marks(kept)) == {"客户0", "客户1", "客户2", "客户3"}
    assert not OutboundCommand.objects.exists()
    assert TimelineEvent.objects.filter(kind="tag.added", source="backfill").count() == 2
    merging.ask_undo(merge.pk, by=SYSTEM)
    work()
    assert set(marks(old)) == {"客户0", "客户1", "客户2"} and set(marks(kept)) == {"客户2", "客户3"}


def test_the_pages_say_what_a_merge_would_do_and_how_far_it_is(acme_client, pair, people):
    old, kept = pair
    wear(people, old, kept)
    built("敏感", has(old))
    shown = acme_client.get(f"/tags/{old.pk}/merge/?kept={kept.pk}").content.decode()
    assert "人群「敏感」" in shown and "3 次" in shown
    done = acme_client.post(f"/tags/{old.pk}/merge/", {"kept": kept.pk})
    work()
    page = acme_client.get(done.url).content.decode()
    assert "已合并" in page and "撤销合并" in page and "删除旧标签" not in page
    answered()
    assert "删除旧标签" in acme_client.get(f"{done.url}status/").content.decode()
    assert "敏感皮" in acme_client.get(f"/tags/{kept.pk}/").content.decode()
    assert "敏感皮" in acme_client.get("/tags/merges/").content.decode()
    acme_client.post(f"{done.url}delete-old/")
    assert OutboundCommand.objects.filter(kind="tag.delete", subject_id=old.pk).exists()
    refused = acme_client.post(f"/tags/{kept.pk}/merge/", {"kept": old.pk}, HTTP_HX_REQUEST="true")
    assert refused.status_code == 422 and Tag.objects.get(pk=kept.pk).alias_of_id is None


def test_a_merge_and_a_rule_reckon_the_same_time_for_as_many_calls(acme):
    assert (
        merging.seconds_for(100_000) == pytest.approx(rule_backfill.seconds_for(100_000), rel=0.5)
        and merging.seconds_for(100_000) > 1_000
    )
    assert merging.seconds_for(0) == 0


def test_only_who_sees_everybody_may_merge(acme, pair):
    old, kept = pair
    client = log_in("service", scope=make_store())
    assert client.post(f"/tags/{old.pk}/merge/", {"kept": kept.pk}).status_code == 403
    assert not TagMerge.objects.exists()


def test_how_many_and_by_whom_a_merge_was_is_for_those_who_may_merge(pair, people, acme_client):
    old, kept = pair
    wear(people, old, kept)
    merge = merging.start(old, kept, by=actor_of(acme_client.user))
    work()
    store_looker = make_user(permissions=["tags.view"], scope=make_store())
    part = make_user(permissions=["tags.view", "tags.edit", "contacts.view"], scope=make_store())
    name = acme_client.user.display_name
    for door in ("/tags/merges/", f"/tags/merges/{merge.pk}/", f"/tags/merges/{merge.pk}/status/"):
        assert "好友关系" in acme_client.get(door).content.decode(), door
        for user in (store_looker, part, make_user(permissions=["tags.view"])):
            shown = log_in(user).get(door)
            text = shown.content.decode()
            assert shown.status_code == 200 and "好友关系" not in text and "等企业微信" not in text, door
            assert f"{name} ·" not in text, door
